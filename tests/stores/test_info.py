"""s3_storage_info and s3_sync_info against real stores: what they say is held against what was laid out by boto3."""

from __future__ import annotations

import datetime as dt
import json
import os
import ssl
import subprocess
import sys
import time
import urllib.error
import urllib.request

import pytest
from minio_users import minio_user
from stores.fixtures import new_bucket

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.connection.options import connection_options
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.probe import access

MODULES = "ansible_collections.fediverse.mastodon_s3.plugins.modules"
CACHE = "public, max-age=315576000, immutable"
KEY = "media_attachments/files/000/000/00{}/original/0123456789abcdef.png"


def run(module, **options):
    done = subprocess.run(
        [sys.executable, "-m", f"{MODULES}.{module}"],
        input=json.dumps({"ANSIBLE_MODULE_ARGS": options}),
        capture_output=True,
        text=True,
        check=False,
    )
    if "secret_key" in options:
        assert options["secret_key"] not in done.stdout + done.stderr
    result = json.loads(done.stdout)
    assert not result.get("failed"), result
    assert result["changed"] is False
    return result


def storage(store, bucket, *leave_out, **options):
    given = {**store.module_options(), "bucket": bucket, **options}
    return run("s3_storage_info", **{name: value for name, value in given.items() if name not in leave_out})


def visitor_status(store, bucket, key):
    """What an independent client without credentials gets."""
    trust = ssl.create_default_context(cafile=store.ca_bundle) if store.ca_bundle else None
    try:
        url = f"{store.endpoint_url}/{bucket}/{key}"
        with urllib.request.urlopen(url, context=trust, timeout=10) as answer:  # noqa: S310 - our own server's
            return answer.status
    except urllib.error.HTTPError as error:
        return error.code


@pytest.fixture(params=["minio", "rgw", "moto"])
def store(request):
    return request.getfixturevalue(request.param)


@pytest.fixture(params=["minio", "rgw"])
def enforcing(request):
    return request.getfixturevalue(request.param)


def test_a_usable_bucket(store):
    found = storage(store, new_bucket(store))
    assert (found["usable"], found["problem"], found["bucket_exists"], found["bucket_listable"]) == (
        True,
        None,
        True,
        True,
    )
    assert (found["answers"], found["credentials_accepted"]) == (True, True)
    assert found["certificate_trusted"] is (True if store.ca_bundle else None)
    assert abs(found["clock_offset"]) <= 2
    assert found["boto3_version"].count(".") == 2


def test_a_bucket_that_does_not_exist(store):
    found = storage(store, "no-such-bucket-anywhere")
    assert (found["usable"], found["problem"]["code"], found["bucket_exists"]) == (False, "NoSuchBucket", False)


def test_wrong_credentials(enforcing):
    bucket = new_bucket(enforcing)
    wrong = storage(enforcing, bucket, secret_key="x" * 40)
    assert (wrong["problem"]["code"], wrong["credentials_accepted"]) == ("SignatureDoesNotMatch", False)
    unknown = storage(enforcing, bucket, access_key="AKIAUNKNOWN")
    assert (unknown["problem"]["code"], unknown["credentials_accepted"]) == ("InvalidAccessKeyId", False)


@pytest.mark.parametrize("kind", ["minio", "rgw", "seaweedfs", "versitygw"])
def test_plain_http_to_the_port_that_speaks_tls(request, kind):
    store = request.getfixturevalue(kind)
    found = storage(store, new_bucket(store), endpoint_url=store.endpoint_url.replace("https:", "http:"))
    assert (found["usable"], found["problem"]["code"], found["answers"]) == (False, "TlsExpected", True)
    assert found["problem"]["remedy"] == "Begin endpoint_url with https://, not http://"


def test_a_bucket_of_somebody_else(minio):
    bucket = new_bucket(minio)
    user = minio_user(minio, [{"Effect": "Allow", "Action": "s3:*", "Resource": "arn:aws:s3:::another-bucket"}])
    found = storage(minio, bucket, **user)
    assert (found["problem"]["code"], found["bucket_allowed"]) == ("AccessDenied", False)
    assert f"bucket {bucket} belongs to another account" in found["problem"]["message"]


def test_an_authority_that_nobody_trusts(enforcing):
    if not enforcing.ca_bundle:
        pytest.fail("this store should speak TLS with a private authority")
    found = storage(enforcing, "any-bucket", "aws_ca_bundle")
    assert (found["usable"], found["certificate_trusted"], found["answers"]) == (False, False, True)
    assert found["problem"]["code"] == "CertificateNotTrusted"
    assert "aws_ca_bundle" in found["problem"]["remedy"]


def test_a_wrong_region_is_named(minio):
    found = storage(minio, new_bucket(minio), region="eu-nowhere-1")
    assert (found["usable"], found["problem"]["code"]) == (False, "WrongRegion")
    assert minio.region in found["problem"]["remedy"]


def test_a_wrong_clock_is_named(minio, monkeypatch):
    ahead = dt.timedelta(minutes=20)
    now, epoch = dt.datetime.now, time.time
    monkeypatch.setattr(
        "botocore.auth.get_current_datetime",
        lambda remove_tzinfo=True: (now(dt.timezone.utc) + ahead).replace(tzinfo=None),
    )
    monkeypatch.setattr(access.time, "time", lambda: epoch() + ahead.total_seconds())
    bucket = new_bucket_by_another_process(minio)
    found = access.check_access(connection_options(minio.module_options()), bucket)
    assert (found.usable, found.problem.code) == (False, "RequestTimeTooSkewed")
    assert abs(found.clock_offset - 1200) <= 3


def new_bucket_by_another_process(store):
    """A bucket made where the clock is right."""
    code = (
        "import json, sys; sys.path.insert(0, sys.argv[1])\n"
        "from pathlib import Path; from stores import load; from stores.fixtures import new_bucket\n"
        "print(new_bucket(load(Path(sys.argv[2]))))"
    )
    support = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "support")
    done = subprocess.run(
        [sys.executable, "-c", code, support, store.directory], capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def test_a_user_who_may_not_list(minio):
    bucket = new_bucket(minio)
    user = minio_user(
        minio, [{"Effect": "Allow", "Action": ["s3:GetObject"], "Resource": [f"arn:aws:s3:::{bucket}/*"]}]
    )
    found = storage(minio, bucket, **user)
    assert (found["usable"], found["problem"]["code"]) == (False, "AccessDenied")
    assert (found["credentials_accepted"], found["bucket_listable"]) == (True, False)


def test_a_user_who_may_list_one_folder_only(minio):
    bucket = new_bucket(minio)
    user = minio_user(
        minio,
        [
            {
                "Effect": "Allow",
                "Action": ["s3:ListBucket"],
                "Resource": [f"arn:aws:s3:::{bucket}"],
                "Condition": {"StringLike": {"s3:prefix": ["mastodon/*"]}},
            }
        ],
    )
    assert storage(minio, bucket, **user)["problem"]["code"] == "AccessDenied"
    assert storage(minio, bucket, key_prefix="mastodon/", **user)["usable"] is True


class Laid:
    """A tree and a bucket with one of each difference."""

    def __init__(self, store, tree, prefix=""):
        self.store, self.tree, self.prefix = store, tree, prefix
        self.bucket = new_bucket(store)
        self.client = store.client()

    def file(self, key, content=b"\x89PNG\r\n\x1a\n", mode=0o644):
        path = self.tree / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        path.chmod(mode)

    def stored(self, key, content=b"\x89PNG\r\n\x1a\n", acl="public-read", content_type="image/png", cache=CACHE):
        self.client.put_object(
            Bucket=self.bucket,
            Key=self.prefix + key,
            Body=content,
            ACL=acl,
            ContentType=content_type,
            CacheControl=cache,
        )

    def compare(self, **options):
        base = f"{self.store.endpoint_url}/{self.bucket}"
        return run(
            "s3_sync_info",
            **{
                **self.store.module_options(),
                "src": str(self.tree),
                "bucket": self.bucket,
                "key_prefix": self.prefix,
                "minimum_age": 0,
                "public_url": f"{base}/{self.prefix}",
                "public_ca_bundle": self.store.ca_bundle,
                **options,
            },
        )


@pytest.fixture
def tree(tmp_path):
    folder = tmp_path / "system"
    folder.mkdir()
    return folder


@pytest.mark.parametrize("prefix", ["", "media/one/"])
def test_tree_and_bucket_alike(rgw, tree, prefix):
    laid = Laid(rgw, tree, prefix)
    for number in range(9):
        laid.file(KEY.format(number))
        laid.stored(KEY.format(number))
    laid.file("accounts/avatars/1 (ü)+[@1x].png")
    laid.stored("accounts/avatars/1 (ü)+[@1x].png")
    laid.file("backups/dumps/archive.zip")
    laid.stored("backups/dumps/archive.zip", acl="private", content_type="application/zip")
    laid.file("media_attachments/suspended.png", mode=0o600)
    laid.stored("media_attachments/suspended.png", acl="private")
    found = laid.compare()
    assert {name: found["counts"][name] for name in ("files", "present", "missing", "extra", "size_differs")} == {
        "files": 12,
        "present": 12,
        "missing": 0,
        "extra": 0,
        "size_differs": 0,
    }
    assert found["sampled"] == {
        "public": {
            "requested": 10,
            "readable": 10,
            "wrong_type": 0,
            "wrong_cache_header": 0,
            "unreadable": 0,
            "examples": [],
        },
        "private": {"requested": 2, "denied": 2, "readable": 0, "unanswered": 0, "examples": []},
    }
    assert found["listable"] is False
    assert found["left_out"] == {}


def test_each_difference_is_found(rgw, tree):
    laid = Laid(rgw, tree)
    laid.file(KEY.format(0))
    laid.file(KEY.format(1), b"longer than its object")
    laid.stored(KEY.format(1))
    laid.stored(KEY.format(2))
    laid.stored("backups/dumps/only-there.zip", acl="private")
    laid.file("accounts/closed.png")
    laid.stored("accounts/closed.png", acl="private")
    laid.file("accounts/type.webp")
    laid.stored("accounts/type.webp", content_type="binary/octet-stream")
    laid.file("accounts/uncached.png")
    laid.stored("accounts/uncached.png", cache="no-cache")
    laid.file("backups/dumps/open.zip")
    laid.stored("backups/dumps/open.zip", content_type="application/zip")
    laid.file("imports/data.csv")
    # An independent look says the same of what follows.
    assert visitor_status(rgw, laid.bucket, "backups/dumps/open.zip") == 200
    assert visitor_status(rgw, laid.bucket, "accounts/closed.png") == 403

    found = laid.compare()
    assert (found["counts"]["missing"], found["missing"]) == (1, [KEY.format(0)])
    assert (found["counts"]["size_differs"], found["size_differs"]) == (1, [KEY.format(1)])
    assert (found["counts"]["extra"], found["extra"]) == (2, ["backups/***", KEY.format(2)])
    assert found["left_out"] == {"unknown_folder": 1}
    public, private = found["sampled"]["public"], found["sampled"]["private"]
    assert (public["requested"], public["unreadable"], public["wrong_type"], public["wrong_cache_header"]) == (
        4,
        1,
        1,
        1,
    )
    assert {(example["key"], example["status"]) for example in public["examples"]} == {
        ("accounts/closed.png", 403),
        ("accounts/type.webp", 200),
        ("accounts/uncached.png", 200),
    }
    assert "AccessDenied" in {example["reason"] for example in public["examples"]}
    # The archive without a file is asked for, too.
    assert (private["requested"], private["readable"], private["denied"]) == (2, 1, 1)
    assert private["examples"] == [{"key": "backups/***", "status": 200, "reason": "readable by everybody"}]
    assert "open.zip" not in json.dumps(found)
    assert "only-there" not in json.dumps(found)


def test_only_what_is_newer_is_extra(rgw, tree):
    laid = Laid(rgw, tree)
    laid.stored(KEY.format(1))
    time.sleep(1.1)
    between = time.time()
    time.sleep(1.1)
    laid.stored(KEY.format(2))
    assert laid.compare()["counts"]["extra"] == 2
    found = laid.compare(newer_than=between)
    assert (found["counts"]["extra"], found["extra"]) == (1, [KEY.format(2)])


def test_more_than_a_page_and_a_bounded_sample(rgw, tree):
    laid = Laid(rgw, tree)
    for number in range(1100):
        key = f"cache/{number % 7}/{number}.png"
        laid.file(key)
        if number != 777:
            laid.stored(key)
    found = laid.compare(sample=10, limit=5)
    assert (found["counts"]["files"], found["counts"]["present"], found["missing"]) == (1100, 1099, ["cache/0/777.png"])
    assert (found["sampled"]["public"]["requested"], found["sampled"]["public"]["readable"]) == (10, 10)


def policy(bucket, *actions, resource):
    return json.dumps(
        {
            "Version": "2012-10-17",
            "Statement": [{"Effect": "Allow", "Principal": "*", "Action": list(actions), "Resource": resource}],
        }
    )


def test_policy_mode(minio, tree):
    laid = Laid(minio, tree)
    laid.client.put_bucket_policy(
        Bucket=laid.bucket,
        Policy=policy(laid.bucket, "s3:GetObject", resource=[f"arn:aws:s3:::{laid.bucket}/media_attachments/*"]),
    )
    laid.file(KEY.format(1))
    laid.stored(KEY.format(1))
    laid.file("backups/dumps/a.zip")
    laid.stored("backups/dumps/a.zip")
    laid.file("media_attachments/home.png", mode=0o600)
    found = laid.compare(exposure="policy")
    assert (found["counts"]["missing"], found["counts"]["exposed"]) == (0, 0)
    assert found["left_out"] == {"local_only": 1}
    assert (found["sampled"]["public"]["readable"], found["sampled"]["private"]["denied"]) == (1, 1)

    laid.stored("media_attachments/home.png")
    assert visitor_status(minio, laid.bucket, "media_attachments/home.png") == 200
    found = laid.compare(exposure="policy")
    assert (found["counts"]["exposed"], found["sampled"]["private"]["readable"]) == (1, 1)


def test_a_store_that_ignores_acls_is_found_out(minio, tree):
    laid = Laid(minio, tree)
    laid.file(KEY.format(1))
    laid.stored(KEY.format(1), acl="public-read")
    assert visitor_status(minio, laid.bucket, KEY.format(1)) == 403
    public = laid.compare()["sampled"]["public"]
    assert (public["requested"], public["unreadable"]) == (1, 1)
    assert public["examples"][0]["reason"] == "AccessDenied"


def test_a_bucket_that_everybody_can_list(enforcing, tree):
    laid = Laid(enforcing, tree)
    laid.stored(KEY.format(1))
    assert laid.compare()["listable"] is False
    if enforcing.kind == "minio":
        laid.client.put_bucket_policy(
            Bucket=laid.bucket, Policy=policy(laid.bucket, "s3:ListBucket", resource=[f"arn:aws:s3:::{laid.bucket}"])
        )
    else:
        laid.client.put_bucket_acl(Bucket=laid.bucket, ACL="public-read")
    assert visitor_status(enforcing, laid.bucket, "?list-type=2&max-keys=1") == 200
    assert laid.compare()["listable"] is True
    assert laid.compare(public_url=None)["listable"] is True


def test_a_certificate_that_visitors_do_not_trust(minio, tree):
    laid = Laid(minio, tree)
    for number in range(200):
        laid.file(f"cache/{number}.png")
        laid.stored(f"cache/{number}.png")
    public = laid.compare(public_ca_bundle=None, full=True)["sampled"]["public"]
    assert public["readable"] == 0
    assert 3 <= public["requested"] == public["unreadable"] < 150
    assert {example["reason"] for example in public["examples"]} == {"CertificateNotTrusted"}
