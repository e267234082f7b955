"""The probe of s3_storage_info against real stores: what it says is held against what is known of each of them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from typing import NamedTuple

import pytest
from botocore.exceptions import ClientError
from minio_users import minio_user
from stores.fixtures import new_bucket

MODULE = "ansible_collections.fediverse.mastodon_s3.plugins.modules.s3_storage_info"
ORDINARY = {
    *("put_object", "get_object", "head_object", "list_objects", "presigned_get", "delete_object"),
    *("delete_objects", "multipart_upload", "abort_multipart_upload"),
}


def start(store, bucket, **options):
    given = {**store.module_options(), "bucket": bucket, "probe": True, **options}
    process = subprocess.Popen(
        [sys.executable, "-m", MODULE], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    process.stdin.write(json.dumps({"ANSIBLE_MODULE_ARGS": given}))
    process.stdin.close()
    process.stdin = None
    return process


def result_of(store, bucket, **options):
    out, err = start(store, bucket, **options).communicate(timeout=240)
    assert "X-Amz-Signature" not in out + err
    assert options.get("secret_key", store.secret_key) not in out + err
    result = json.loads(out)
    assert not result.get("failed"), result
    assert result["changed"] is False
    assert left(store, bucket) == []
    return result


def probe(store, bucket, **options):
    found = result_of(store, bucket, **options)["probe"]
    assert found["complete"] is True
    assert found["leftovers"] == []
    return found


def left(store, bucket):
    client = store.client()
    keys = [each["Key"] for each in client.list_objects_v2(Bucket=bucket).get("Contents") or []]
    return keys + [each["Key"] for each in client.list_multipart_uploads(Bucket=bucket).get("Uploads") or []]


def opened(bucket, *resources, action="s3:GetObject"):
    named = [f"arn:aws:s3:::{bucket}{resource}" for resource in resources]
    statement = {"Effect": "Allow", "Principal": "*", "Action": [action], "Resource": named}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


class KnownStore(NamedTuple):
    """What is known of a store from its documentation, its source or other clients."""

    verdict: str
    repair: bool
    put_object_acl: tuple[bool, str]
    cors: bool
    trailer: tuple[bool | None, ...]
    ownership: str | None
    blocked: bool | None
    exposure: str
    refused_for: tuple[str, ...] = ()
    checksum_mode_disabled: bool = True


NO_ACLS = (False, "AccessControlListNotSupported")
KNOWN = {
    # Takes ACLs with a PUT and forgets them; answers CORS for every origin by itself.
    "minio": KnownStore("ignored", False, (False, "NotImplemented"), True, (True,), None, None, "policy"),
    # Has ACLs; version 16 wants a Content-Length where a body has a trailer.
    "rgw": KnownStore("honoured", True, (True, ""), False, (False,), None, False, "acl"),
    # Answers CORS for every origin by itself; speaks plain HTTP here.
    "moto": KnownStore("honoured", True, (True, ""), True, (None,), None, False, "acl"),
    # Stores ACLs, and does not heed them.
    "seaweedfs": KnownStore("ignored", False, (True, ""), True, (True,), "BucketOwnerEnforced", None, "policy"),
    # Leaves the end of a trailer unread now and then, and takes it for the connection's next request.
    "versitygw": KnownStore(
        "ignored",
        False,
        (False, "NotImplemented"),
        False,
        (True, False),
        "BucketOwnerEnforced",
        None,
        "policy",
        # It accepts only x-amz-checksum-mode: ENABLED.
        checksum_mode_disabled=False,
    ),
    # A new bucket since April 2023; Ceph behind it.
    "aws": KnownStore(
        "unsupported",
        False,
        NO_ACLS,
        False,
        (False,),
        "BucketOwnerEnforced",
        True,
        "policy",
        ("public-read", "private", "authenticated-read"),
    ),
}


@pytest.fixture(params=list(KNOWN))
def store(request):
    return request.getfixturevalue(request.param)


def test_what_is_known_of_each_store_is_found_out(store):
    known = KNOWN[store.kind]
    bucket = new_bucket(store)
    found = probe(store, bucket)
    assert {name for name, tried in found["operations"].items() if tried["ok"]} >= ORDINARY
    tried = found["operations"]["put_object_acl"]
    assert (tried["ok"], tried["code"]) == known.put_object_acl
    assert (found["acl"]["verdict"], found["acl"]["repair"]) == (known.verdict, known.repair)
    assert found["acl"]["refused_for"] == list(known.refused_for)
    assert found["open_to_everybody"] == {"public_prefix": False, "private_prefix": False, "list": False}
    assert found["cors"]["allowed"] is known.cors
    assert found["addressing"] == {"path": True, "virtual": None}
    checksums = found["checksums"]
    trailer = checksums.pop("trailer_crc32")
    assert trailer in known.trailer
    assert checksums.pop("response_mode_disabled") is known.checksum_mode_disabled
    assert checksums == dict.fromkeys(checksums, True)
    assert found["ownership"] == known.ownership
    assert set((found["public_access_block"] or {"": None}).values()) == {known.blocked}
    assert (found["bucket_policies"], found["versioned"]) == (True, False)
    said = found["recommendation"]
    assert said["exposure"] == known.exposure
    assert found["latency"]["requests"] > 20
    assert 0 < found["latency"]["median_seconds"] <= found["latency"]["slowest_seconds"]
    timeout = said["variables"].pop("S3_READ_TIMEOUT")["value"]
    # These stores answer at once, unless the machine is overloaded
    assert (timeout is None) is (found["latency"]["slowest_seconds"] <= 1.25)
    checksum_words = "when_required" if trailer is False else None
    assert {name: setting["value"] for name, setting in said["variables"].items()} == {
        "S3_PERMISSION": "public-read" if known.exposure == "acl" else "",
        "S3_OVERRIDE_PATH_STYLE": None,
        "S3_MULTIPART_THRESHOLD": None,
        "AWS_REQUEST_CHECKSUM_CALCULATION": checksum_words,
        "AWS_RESPONSE_CHECKSUM_VALIDATION": checksum_words,
        "S3_ENABLE_CHECKSUM_MODE": None if known.checksum_mode_disabled else "true",
    }


def test_plain_http_shows_nothing_of_trailers(rgw):
    found = probe(rgw, new_bucket(rgw), endpoint_url=rgw.plain_endpoint_url)
    assert (found["checksums"]["header_crc32"], found["checksums"]["trailer_crc32"]) == (True, None)
    assert found["acl"]["verdict"] == "honoured"


def test_visitors_trust_whatever_certificate_if_the_key_does(minio):
    found = probe(minio, new_bucket(minio), aws_ca_bundle=None, validate_certs=False)
    assert (found["acl"]["verdict"], found["open_to_everybody"]["public_prefix"]) == ("ignored", False)
    assert found["operations"]["presigned_get"] == {"ok": True, "code": ""}


def test_without_the_option_nothing_is_written(minio):
    bucket = new_bucket(minio)
    minio.client().put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    assert result_of(minio, bucket, probe=False)["probe"] is None
    # A versioned bucket would show what had been there.
    assert "Versions" not in minio.client().list_object_versions(Bucket=bucket)


def test_old_versions_are_warned_of(minio):
    bucket = new_bucket(minio)
    minio.client().put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    found = probe(minio, bucket)
    assert found["versioned"] is True
    assert any("old versions" in warning for warning in found["recommendation"]["warnings"])
    keys = {each["Key"] for each in minio.client().list_object_versions(Bucket=bucket)["Versions"]}
    assert all(
        key.startswith(("accounts/.fediverse-mastodon-s3-probe/", "backups/.fediverse-mastodon-s3-probe/"))
        for key in keys
    )


def test_check_mode_finds_the_same(rgw):
    assert probe(rgw, new_bucket(rgw), _ansible_check_mode=True)["recommendation"]["exposure"] == "acl"


@pytest.mark.parametrize("kind", ["minio", "rgw", "seaweedfs", "versitygw"])
def test_what_a_policy_opens_is_seen(kind, request):
    store = request.getfixturevalue(kind)
    bucket = new_bucket(store)
    store.client().put_bucket_policy(Bucket=bucket, Policy=opened(bucket, "/media/accounts/*"))
    found = probe(store, bucket, key_prefix="media")
    assert found["open_to_everybody"] == {"public_prefix": True, "private_prefix": False, "list": False}
    # Both objects are readable, whatever their ACLs say: none is honoured.
    assert (found["acl"]["verdict"], found["acl"]["repair"]) == ("ignored", False)
    assert found["recommendation"]["exposure"] == "policy"

    store.client().put_bucket_policy(Bucket=bucket, Policy=opened(bucket, "/media/*"))
    found = probe(store, bucket, key_prefix="media")
    assert found["open_to_everybody"] == {"public_prefix": True, "private_prefix": True, "list": False}
    assert found["acl"]["verdict"] == "ignored"
    said = found["recommendation"]
    assert said["exposure"] == "open_bucket"
    assert any("private prefix" in warning for warning in said["warnings"])


def test_a_policy_for_another_prefix_opens_nothing_here(rgw):
    bucket = new_bucket(rgw)
    rgw.client().put_bucket_policy(Bucket=bucket, Policy=opened(bucket, "/media/accounts/*"))
    found = probe(rgw, bucket)
    assert found["open_to_everybody"]["public_prefix"] is False
    assert found["acl"]["verdict"] == "honoured"


@pytest.mark.parametrize("kind", ["minio", "rgw"])
def test_a_listing_for_everybody_is_seen(kind, request):
    store = request.getfixturevalue(kind)
    bucket = new_bucket(store)
    store.client().put_bucket_policy(Bucket=bucket, Policy=opened(bucket, "", action="s3:ListBucket"))
    found = probe(store, bucket)
    assert found["open_to_everybody"]["list"] is True
    assert any("list the bucket" in warning for warning in found["recommendation"]["warnings"])


@pytest.mark.parametrize(
    ("ownership", "blocks", "verdict", "code", "exposure"),
    [
        # As the storage phase makes a bucket, so that suspension works.
        ("BucketOwnerPreferred", (), "honoured", "", "acl"),
        ("BucketOwnerPreferred", ("BlockPublicAcls",), "refused", "AccessDenied", "policy"),
        ("ObjectWriter", ("IgnorePublicAcls",), "ignored", "", "policy"),
        ("BucketOwnerEnforced", (), "unsupported", "AccessControlListNotSupported", "policy"),
    ],
)
def test_the_settings_of_aws(aws, ownership, blocks, verdict, code, exposure):
    bucket = new_bucket(aws)
    client = aws.client()
    client.put_bucket_ownership_controls(Bucket=bucket, OwnershipControls={"Rules": [{"ObjectOwnership": ownership}]})
    config = block(aws, bucket, *blocks)
    found = probe(aws, bucket)
    assert (found["acl"]["verdict"], found["operations"]["put_object_acl"]["code"]) == (verdict, code)
    assert found["acl"]["repair"] is (verdict == "honoured")
    assert (found["ownership"], found["public_access_block"]) == (ownership, config)
    assert found["recommendation"]["exposure"] == exposure


def block(store, bucket, *names):
    settings = ("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets")
    config = {name: name in names for name in settings}
    store.client().put_public_access_block(Bucket=bucket, PublicAccessBlockConfiguration=config)
    return config


def test_ignored_acls_are_told_from_honoured_ones_in_one_store(rgw):
    bucket = new_bucket(rgw)
    config = block(rgw, bucket, "IgnorePublicAcls")
    found = probe(rgw, bucket)
    assert (found["acl"]["verdict"], found["acl"]["repair"]) == ("ignored", False)
    assert found["public_access_block"] == config
    assert found["recommendation"]["exposure"] == "policy"


def test_a_bucket_that_nothing_can_be_written_to(rgw):
    bucket = new_bucket(rgw)
    # Ceph 16 refuses every PUT then, and not only one with a public ACL.
    block(rgw, bucket, "BlockPublicAcls")
    found = probe(rgw, bucket)
    assert found["operations"]["put_object"] == {"ok": False, "code": "AccessDenied"}
    assert (found["acl"]["verdict"], found["open_to_everybody"]["public_prefix"]) == (None, None)
    said = found["recommendation"]
    assert (said["exposure"], "AccessDenied" in said["reason"]) == (None, True)
    assert any("put_object" in warning for warning in said["warnings"])


def test_cors_rules_are_seen_by_their_origins(rgw):
    bucket = new_bucket(rgw)
    rule = {"AllowedOrigins": ["https://mastodon.example.com"], "AllowedMethods": ["GET"], "AllowedHeaders": ["*"]}
    rgw.client().put_bucket_cors(Bucket=bucket, CORSConfiguration={"CORSRules": [rule]})
    assert probe(rgw, bucket)["cors"] == {"allowed": False, "preflight": False}
    found = probe(rgw, bucket, cors_origin="https://mastodon.example.com")
    assert found["cors"] == {"allowed": True, "preflight": True}


def mastodon_user(store, bucket, *more):
    """A user of MinIO with the rights that the role gives, and a client of his."""
    statements = [
        {
            "Effect": "Allow",
            "Action": ["s3:GetBucketLocation", "s3:ListBucket", "s3:ListBucketMultipartUploads"],
            "Resource": [f"arn:aws:s3:::{bucket}"],
        },
        {
            "Effect": "Allow",
            "Action": ["s3:AbortMultipartUpload", "s3:DeleteObject", "s3:GetObject", "s3:PutObject"],
            "Resource": [f"arn:aws:s3:::{bucket}/*"],
        },
        *more,
    ]
    return minio_user(store, statements)


def test_a_key_for_its_bucket_only(minio):
    bucket, other = new_bucket(minio), new_bucket(minio)
    user = mastodon_user(minio, bucket)
    found = probe(minio, bucket, **user)
    assert {name for name, tried in found["operations"].items() if tried["ok"]} == ORDINARY
    assert found["rights"] == {"list_buckets": True, "other_buckets": False, "other_bucket": None}
    # What it may not see is unknown, and the recommendation says so.
    assert (found["bucket_policies"], found["ownership"], found["public_access_block"]) == (None, None, None)
    assert found["recommendation"]["exposure"] == "policy"
    assert "may not see" in found["recommendation"]["reason"]
    # Nor can it do what the probe does not dare to try.
    client = minio.client(aws_access_key_id=user["access_key"], aws_secret_access_key=user["secret_key"])
    for name in (bucket, other):
        with pytest.raises(ClientError, match="AccessDenied"):
            client.delete_bucket(Bucket=name)
    with pytest.raises(ClientError, match="AccessDenied"):
        client.list_objects_v2(Bucket=other)


def test_a_key_for_more_than_its_bucket(minio):
    bucket, other = new_bucket(minio), new_bucket(minio)
    more = {"Effect": "Allow", "Action": ["s3:ListBucket"], "Resource": [f"arn:aws:s3:::{other}"]}
    found = probe(minio, bucket, **mastodon_user(minio, bucket, more))
    assert found["rights"] == {"list_buckets": True, "other_buckets": True, "other_bucket": other}
    assert any(other in warning for warning in found["recommendation"]["warnings"])


def test_a_key_that_may_only_read(minio):
    bucket = new_bucket(minio)
    deny = {"Effect": "Deny", "Action": ["s3:PutObject", "s3:DeleteObject"], "Resource": [f"arn:aws:s3:::{bucket}/*"]}
    found = probe(minio, bucket, **mastodon_user(minio, bucket, deny))
    assert found["operations"]["put_object"] == {"ok": False, "code": "AccessDenied"}
    assert found["operations"]["multipart_upload"] == {"ok": False, "code": "AccessDenied"}
    assert found["recommendation"]["exposure"] is None


def test_objects_that_can_not_be_removed_are_named(minio):
    bucket = new_bucket(minio)
    deny = {"Effect": "Deny", "Action": ["s3:DeleteObject"], "Resource": [f"arn:aws:s3:::{bucket}/*"]}
    user = mastodon_user(minio, bucket, deny)
    out, _err = start(minio, bucket, **user).communicate(timeout=240)
    found = json.loads(out)["probe"]
    assert found["operations"]["delete_object"] == {"ok": False, "code": "AccessDenied"}
    assert found["leftovers"] == left(minio, bucket) != []
    # One who may removes them: their probe is over.
    assert probe(minio, bucket)["operations"]["delete_object"]["ok"] is True


def test_a_probe_that_is_killed_anywhere_leaves_nothing_after_the_next(rgw):
    bucket = new_bucket(rgw)
    foreign = "accounts/.fediverse-mastodon-s3-probe/not-of-a-probe"
    rgw.client().put_object(Bucket=bucket, Key=foreign, Body=b"")
    interrupted = 0
    for tick in range(10):
        process = start(rgw, bucket)
        deadline = time.monotonic() + 60
        keys = []
        # From its first object on, and each time later by more, as nobody knows how fast a machine is.
        while process.poll() is None and f".{process.pid}." not in "".join(keys) and time.monotonic() < deadline:
            time.sleep(0.01)
            keys = left(rgw, bucket)
        # What the one before left is gone already.
        assert [key for key in keys if f".{process.pid}." not in key] == [foreign]
        time.sleep(tick**2 * 0.01)
        os.kill(process.pid, signal.SIGKILL)
        process.communicate()
        interrupted += left(rgw, bucket) != [foreign]
    assert interrupted >= 3
    out, _err = start(rgw, bucket).communicate(timeout=240)
    assert json.loads(out)["probe"]["leftovers"] == []
    assert left(rgw, bucket) == [foreign]
