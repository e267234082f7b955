"""Looks at the result with boto3, anonymous requests and the files themselves, never by the collection's own word."""

from __future__ import annotations

import hashlib
import typing as t
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from demo.sample import Sample
from demo.web import CACHE_CONTROL, read_env_file

_TYPES = {"png": "image/png", "jpg": "image/jpeg", "webp": "image/webp", "gif": "image/gif", "zip": "application/zip"}


@dataclass
class Findings:
    """What was seen.

    Attributes:
        passed: One line for each thing that is as it should be.
        faults: One line for each that is not.
        files: Files on disk that had to be copied.
        size: Their bytes.
        private: How many of them must stay private.
        uploads: How many uploads came in meanwhile, by where they were stored first: disk, bucket.
        answers: Addresses worth showing, each with what it answers to somebody without credentials.
    """

    passed: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    files: int = 0
    size: int = 0
    private: int = 0
    uploads: dict[str, int] = field(default_factory=dict)
    answers: list[tuple[str, str]] = field(default_factory=list)

    def expect(self, right: bool, claim: str, otherwise: str) -> None:
        """Notes whether a claim holds."""
        if right:
            self.passed.append(claim)
        else:
            self.faults.append(f"{claim}: {otherwise}")


def get(url: str) -> tuple[int, str, str, bytes]:
    """Asks as a visitor; returns status, content type, cache header and body."""
    try:
        with urllib.request.urlopen(url, timeout=20) as answer:  # noqa: S310 - our own addresses
            headers = answer.headers
            return answer.status, headers.get("Content-Type", ""), headers.get("Cache-Control", ""), answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.headers.get("Content-Type", ""), "", b""


def some(keys: t.Iterable[str]) -> str:
    """A few of the keys, and how many more there are."""
    names = sorted(keys)
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")


def look(sample: Sample, clients: dict[str, t.Any], bucket: str, user: str, thumbnail: str, uploads: Path) -> Findings:
    """Compares everything that was to be with everything that is.

    Args:
        sample: The server as it was laid out.
        clients: boto3's clients of the administrator, `s3` and `iam`.
        bucket: Name of the bucket.
        user: Name of the IAM user of the instance.
        thumbnail: The URL of its thumbnail that the instance hands out now.
        uploads: The record that the web process keeps of its uploads.
    """
    findings = Findings()
    base = f"{clients['s3'].meta.endpoint_url}/{bucket}"
    disk = {
        str(path.relative_to(sample.media)): path
        for path in sample.media.rglob("*")
        if path.is_file() and str(path.relative_to(sample.media)) not in sample.left_out
    }
    arrived = [line.split(" ", 1) for line in uploads.read_text(encoding="utf-8").splitlines()]
    findings.files, findings.size = len(disk), sum(path.stat().st_size for path in disk.values())
    findings.uploads = {place: sum(1 for where, _key in arrived if where == place) for place in ("disk", "bucket")}
    objects = _objects(clients["s3"], bucket)

    _compare(findings, sample, disk, {key for _place, key in arrived}, objects)
    _ask(findings, sample, base, objects, {key for place, key in arrived if place == "suspended"})
    _ask_for_the_thumbnail(findings, sample, base, thumbnail)
    _look_at_access(findings, clients["s3"], bucket)
    _compare_key(findings, sample, clients["iam"], user)
    return findings


def _objects(client: t.Any, bucket: str) -> dict[str, str]:
    """The ETag of each object, by key."""
    found = {}
    for page in client.get_paginator("list_objects_v2").paginate(Bucket=bucket):
        found.update({entry["Key"]: entry["ETag"].strip('"') for entry in page.get("Contents", ())})
    return found


def _md5(path: Path) -> str:
    return hashlib.md5(path.read_bytes()).hexdigest()  # noqa: S324 - what the store computes


def _compare(
    findings: Findings, sample: Sample, disk: dict[str, Path], arrived: set[str], objects: dict[str, str]
) -> None:
    missing = disk.keys() - objects.keys()
    # None of the sample's files is large enough for a multipart upload, so that the ETag is the MD5 of the content.
    other = {key for key in disk.keys() & objects.keys() if _md5(disk[key]) != objects[key]}
    findings.expect(
        not missing and not other,
        f"all {len(disk)} files are in the bucket, byte for byte",
        f"missing: {some(missing) or 'none'}; different: {some(other) or 'none'}",
    )
    lost = arrived - objects.keys()
    counts = f"{findings.uploads['disk']} before the switch, {findings.uploads['bucket']} after it"
    findings.expect(not lost, f"every upload that came in meanwhile is there, too ({counts})", f"lost: {some(lost)}")
    findings.expect(
        all(findings.uploads.values()), "uploads came in before the switch and after it", f"only {findings.uploads}"
    )
    strange = objects.keys() - disk.keys() - arrived
    findings.expect(not strange, "nothing else is in the bucket, users' uploaded lists stayed at home", some(strange))


def _ask(findings: Findings, sample: Sample, base: str, objects: dict[str, str], hidden_late: set[str]) -> None:
    """Asks for each object without credentials."""
    findings.expect(
        len(hidden_late) == 2, "a user was suspended in the last moment before the switch", "the web process says no"
    )
    private = {key for key in objects if key.startswith("backups/")} | set(sample.suspended) | hidden_late
    findings.private = len(private)
    with ThreadPoolExecutor(8) as pool:
        keys = sorted(objects)
        answers = dict(zip(keys, pool.map(lambda key: get(f"{base}/{key}")[:3], keys)))
    closed = {key for key in objects.keys() - private if answers[key][0] != 200}
    findings.expect(not closed, f"all {len(objects) - len(private)} public objects answer visitors", some(closed))
    open_ = {key for key in private if answers[key][0] != 403}
    findings.expect(
        not open_ and len(private) == len(sample.suspended) + len(hidden_late) + 1,
        f"all {len(private)} private objects answer 403",
        f"{len(private)} are there; open: {some(open_)}",
    )
    wrong = {
        key
        for key in objects.keys() - private
        if answers[key][1:] != (_TYPES.get(key.rsplit(".", 1)[-1]), CACHE_CONTROL)
    }
    findings.expect(not wrong, "they have the right content type and Mastodon's cache header", some(wrong))
    avatar = next(key for key in sorted(objects) if key.startswith("accounts/avatars/"))
    for what, key in (
        ("a picture", avatar),
        ("a suspended user's picture", sample.suspended[0]),
        ("an account's archive", sample.archive),
    ):
        status, kind, _cache = answers.get(key) or get(f"{base}/{key}")[:3]
        findings.answers.append((f"{what}: {base}/{key}", f"{status} {kind if status == 200 else ''}".strip()))


def _look_at_access(findings: Findings, client: t.Any, bucket: str) -> None:
    """Looks for a grant of listing; the embedded store refuses visitors whatever its settings say."""
    grants = client.get_bucket_acl(Bucket=bucket)["Grants"]
    groups = [grant["Permission"] for grant in grants if "AllUsers" in grant["Grantee"].get("URI", "")]
    try:
        policy = client.get_bucket_policy(Bucket=bucket)["Policy"]
    except client.exceptions.ClientError as error:
        policy = error.response["Error"]["Code"]
    findings.expect(
        not groups and policy == "NoSuchBucketPolicy",
        "neither an ACL nor a policy opens the bucket itself",
        f"grants to everybody: {groups}; policy: {policy}",
    )


def _ask_for_the_thumbnail(findings: Findings, sample: Sample, base: str, thumbnail: str) -> None:
    status, _kind, _cache, body = get(thumbnail) if thumbnail.startswith("http://127.0.0.1") else (0, "", "", b"")
    same = body == (sample.media / sample.thumbnail).read_bytes()
    findings.expect(
        thumbnail == f"{base}/{sample.thumbnail}" and status == 200 and same,
        "the instance names its pictures in the bucket, and they load",
        f"it says {thumbnail}, which answers {status or 'nothing'}",
    )


def _compare_key(findings: Findings, sample: Sample, iam: t.Any, user: str) -> None:
    keys = [key["AccessKeyId"] for key in iam.list_access_keys(UserName=user)["AccessKeyMetadata"]]
    mine = read_env_file(sample.env_file)["AWS_ACCESS_KEY_ID"]
    findings.expect(keys == [mine], f"the user {user} has one access key, that of the env file", f"it has {len(keys)}")
