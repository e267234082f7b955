"""Checks the result with boto3, anonymous requests and the files on disk, without this collection."""

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
class CheckResults:
    """The results of the checks.

    Attributes:
        passed: One line for each check that passed.
        faults: One line for each check that failed.
        files: Number of files on disk that had to be copied.
        size: Their size in bytes.
        private: How many of them must stay private.
        uploads: Number of uploads during the demo, by where they were stored: disk, bucket.
        responses: Some addresses, each with its response to a request without credentials.
    """

    passed: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    files: int = 0
    size: int = 0
    private: int = 0
    uploads: dict[str, int] = field(default_factory=dict)
    responses: list[tuple[str, str]] = field(default_factory=list)

    def expect(self, right: bool, claim: str, otherwise: str) -> None:
        """Record whether a check passed."""
        if right:
            self.passed.append(claim)
        else:
            self.faults.append(f"{claim}: {otherwise}")


def get(url: str) -> tuple[int, str, str, bytes]:
    """Send a request without credentials. Return status, content type, cache header and body."""
    try:
        with urllib.request.urlopen(url, timeout=20) as answer:  # noqa: S310 - our own addresses
            headers = answer.headers
            return answer.status, headers.get("Content-Type", ""), headers.get("Cache-Control", ""), answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.headers.get("Content-Type", ""), "", b""


def some(keys: t.Iterable[str]) -> str:
    """Return some of the keys as text, with the number of the others."""
    names = sorted(keys)
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")


def findings(
    sample: Sample, clients: dict[str, t.Any], bucket: str, user: str, thumbnail: str, uploads: Path
) -> CheckResults:
    """Compare the result with what is expected.

    Args:
        sample: The server's files before the migration.
        clients: The administrator's boto3 clients, `s3` and `iam`.
        bucket: Name of the bucket.
        user: Name of the IAM user of the instance.
        thumbnail: The address of the thumbnail that the API returns now.
        uploads: The file in which the web process logs its uploads.
    """
    findings = CheckResults()
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

    _check_contents(findings, sample, disk, {key for _place, key in arrived}, objects)
    _check_exposure(findings, sample, base, objects, {key for place, key in arrived if place == "suspended"})
    _check_thumbnail(findings, sample, base, thumbnail)
    _check_bucket_access(findings, clients["s3"], bucket)
    _check_access_key(findings, sample, clients["iam"], user)
    return findings


def _objects(client: t.Any, bucket: str) -> dict[str, str]:
    """Return the ETag of each object, by key."""
    found = {}
    for page in client.get_paginator("list_objects_v2").paginate(Bucket=bucket):
        found.update({entry["Key"]: entry["ETag"].strip('"') for entry in page.get("Contents", ())})
    return found


def _md5(path: Path) -> str:
    return hashlib.md5(path.read_bytes()).hexdigest()  # noqa: S324 - the store computes it


def _check_contents(
    findings: CheckResults, sample: Sample, disk: dict[str, Path], arrived: set[str], objects: dict[str, str]
) -> None:
    missing = disk.keys() - objects.keys()
    # No file of the sample is large enough for a multipart upload, so each ETag is the MD5 of the content.
    other = {key for key in disk.keys() & objects.keys() if _md5(disk[key]) != objects[key]}
    findings.expect(
        not missing and not other,
        f"all {len(disk)} files are in the bucket, byte for byte",
        f"missing: {some(missing) or 'none'}; different: {some(other) or 'none'}",
    )
    lost = arrived - objects.keys()
    counts = f"{findings.uploads['disk']} before the switch, {findings.uploads['bucket']} after it"
    findings.expect(not lost, f"so are all uploads during the migration ({counts})", f"lost: {some(lost)}")
    findings.expect(
        all(findings.uploads.values()), "there were uploads before the switch and after it", f"only {findings.uploads}"
    )
    strange = objects.keys() - disk.keys() - arrived
    findings.expect(not strange, "the bucket has no other objects; imports/ was left out", some(strange))


def _check_exposure(
    findings: CheckResults, sample: Sample, base: str, objects: dict[str, str], hidden_late: set[str]
) -> None:
    """Request each object without credentials."""
    findings.expect(
        len(hidden_late) == 2,
        "a user was suspended in the last moment before the switch",
        "no user was suspended",
    )
    private = {key for key in objects if key.startswith("backups/")} | set(sample.suspended) | hidden_late
    findings.private = len(private)
    with ThreadPoolExecutor(8) as pool:
        keys = sorted(objects)
        answers = dict(zip(keys, pool.map(lambda key: get(f"{base}/{key}")[:3], keys)))
    closed = {key for key in objects.keys() - private if answers[key][0] != 200}
    findings.expect(not closed, f"visitors can read all {len(objects) - len(private)} public objects", some(closed))
    open_ = {key for key in private if answers[key][0] != 403}
    findings.expect(
        not open_ and len(private) == len(sample.suspended) + len(hidden_late) + 1,
        f"visitors get status 403 for all {len(private)} private objects",
        f"there are {len(private)}; readable: {some(open_)}",
    )
    wrong = {
        key
        for key in objects.keys() - private
        if answers[key][1:] != (_TYPES.get(key.rsplit(".", 1)[-1]), CACHE_CONTROL)
    }
    findings.expect(not wrong, "public objects have the right content type and Mastodon's cache header", some(wrong))
    avatar = next(key for key in sorted(objects) if key.startswith("accounts/avatars/"))
    for what, key in (
        ("a picture", avatar),
        ("a suspended user's picture", sample.suspended[0]),
        ("an account archive", sample.archive),
    ):
        status, kind, _cache = answers.get(key) or get(f"{base}/{key}")[:3]
        findings.responses.append((f"{what}: {base}/{key}", f"{status} {kind if status == 200 else ''}".strip()))


def _check_bucket_access(findings: CheckResults, client: t.Any, bucket: str) -> None:
    """Read the bucket's ACL and policy. The embedded store refuses every anonymous listing."""
    grants = client.get_bucket_acl(Bucket=bucket)["Grants"]
    groups = [grant["Permission"] for grant in grants if "AllUsers" in grant["Grantee"].get("URI", "")]
    try:
        policy = client.get_bucket_policy(Bucket=bucket)["Policy"]
    except client.exceptions.ClientError as error:
        policy = error.response["Error"]["Code"]
    findings.expect(
        not groups and policy == "NoSuchBucketPolicy",
        "neither the bucket's ACL nor a policy makes the bucket itself public",
        f"grants to everybody: {groups}; policy: {policy}",
    )


def _check_thumbnail(findings: CheckResults, sample: Sample, base: str, thumbnail: str) -> None:
    status, _kind, _cache, body = get(thumbnail) if thumbnail.startswith("http://127.0.0.1") else (0, "", "", b"")
    same = body == (sample.media / sample.thumbnail).read_bytes()
    findings.expect(
        thumbnail == f"{base}/{sample.thumbnail}" and status == 200 and same,
        "the instance returns addresses in the bucket, and they load",
        f"it returns {thumbnail}, which gets status {status or 'none'}",
    )


def _check_access_key(findings: CheckResults, sample: Sample, iam: t.Any, user: str) -> None:
    keys = [key["AccessKeyId"] for key in iam.list_access_keys(UserName=user)["AccessKeyMetadata"]]
    mine = read_env_file(sample.env_file)["AWS_ACCESS_KEY_ID"]
    findings.expect(keys == [mine], f"the user {user} has one access key, that of the env file", f"it has {len(keys)}")
