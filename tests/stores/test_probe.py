"""The probe of s3_storage_info against real stores: what it says is held against what is known of each of them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time

import pytest
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


def look(store, bucket, **options):
    out, err = start(store, bucket, **options).communicate(timeout=240)
    assert "X-Amz-Signature" not in out + err
    assert options.get("secret_key", store.secret_key) not in out + err
    result = json.loads(out)
    assert not result.get("failed"), result
    assert result["changed"] is False
    assert left(store, bucket) == []
    return result


def probe(store, bucket, **options):
    found = look(store, bucket, **options)["probe"]
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


@pytest.fixture(params=["minio", "rgw", "moto"])
def store(request):
    return request.getfixturevalue(request.param)


# What is known of each store from its documentation, its source or other clients.
KNOWN = {
    # Takes ACLs with a PUT and forgets them; answers CORS for every origin by itself.
    "minio": {
        "verdict": "ignored",
        "repair": False,
        "put_object_acl": (False, "NotImplemented"),
        "cors": True,
        "trailer": True,
        "block": None,
        "exposure": "policy",
        "permission": "",
        "calculation": None,
    },
    # Has ACLs; version 16 wants a Content-Length where a body has a trailer.
    "rgw": {
        "verdict": "honoured",
        "repair": True,
        "put_object_acl": (True, ""),
        "cors": False,
        "trailer": False,
        "block": False,
        "exposure": "acl",
        "permission": "public-read",
        "calculation": "when_required",
    },
    # Answers CORS for every origin by itself, too.
    "moto": {
        "verdict": "honoured",
        "repair": True,
        "put_object_acl": (True, ""),
        "cors": True,
        "trailer": None,
        "block": False,
        "exposure": "acl",
        "permission": "public-read",
        "calculation": None,
    },
}


def test_what_is_known_of_each_store_is_found_out(store):
    known = KNOWN[store.kind]
    found = probe(store, new_bucket(store))
    assert {name for name, tried in found["operations"].items() if tried["ok"]} >= ORDINARY
    tried = found["operations"]["put_object_acl"]
    assert (tried["ok"], tried["code"]) == known["put_object_acl"]
    assert (found["acl"]["verdict"], found["acl"]["repair"]) == (known["verdict"], known["repair"])
    assert found["acl"]["refused_for"] == []
    assert found["open_to_everybody"] == {"public_prefix": False, "private_prefix": False, "list": False}
    assert found["cors"]["allowed"] is known["cors"]
    assert found["addressing"] == {"path": True, "virtual": None}
    checksums = found["checksums"]
    assert checksums.pop("trailer_crc32") is known["trailer"]
    assert checksums == dict.fromkeys(checksums, True)
    assert set((found["public_access_block"] or {"": None}).values()) == {known["block"]}
    assert (found["bucket_policies"], found["versioned"]) == (True, False)
    said = found["recommendation"]
    assert said["exposure"] == known["exposure"]
    values = {name: setting["value"] for name, setting in said["variables"].items()}
    assert values == {
        "S3_PERMISSION": known["permission"],
        "S3_OVERRIDE_PATH_STYLE": None,
        "S3_MULTIPART_THRESHOLD": None,
        "AWS_REQUEST_CHECKSUM_CALCULATION": known["calculation"],
        "AWS_RESPONSE_CHECKSUM_VALIDATION": known["calculation"],
    }


def test_plain_http_shows_nothing_of_trailers(rgw):
    found = probe(rgw, new_bucket(rgw), endpoint_url=rgw.plain_endpoint_url)
    assert (found["checksums"]["header_crc32"], found["checksums"]["trailer_crc32"]) == (True, None)
    assert found["acl"]["verdict"] == "honoured"


def test_without_the_option_nothing_is_written(minio):
    bucket = new_bucket(minio)
    minio.client().put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    assert look(minio, bucket, probe=False)["probe"] is None
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


@pytest.mark.parametrize("kind", ["minio", "rgw"])
def test_a_policy_for_the_public_prefix_is_seen(kind, request):
    store = request.getfixturevalue(kind)
    bucket = new_bucket(store)
    store.client().put_bucket_policy(Bucket=bucket, Policy=opened(bucket, "/media/accounts/*"))
    found = probe(store, bucket, key_prefix="media")
    assert found["open_to_everybody"] == {"public_prefix": True, "private_prefix": False, "list": False}
    # Both objects are readable, whatever their ACLs say: no ACL is honoured.
    assert (found["acl"]["verdict"], found["acl"]["repair"]) == ("ignored", False)
    assert found["recommendation"]["exposure"] == "policy"
    elsewhere = probe(store, bucket)
    assert elsewhere["open_to_everybody"]["public_prefix"] is False


@pytest.mark.parametrize("kind", ["minio", "rgw"])
def test_a_policy_for_all_keys_is_warned_of(kind, request):
    store = request.getfixturevalue(kind)
    bucket = new_bucket(store)
    store.client().put_bucket_policy(Bucket=bucket, Policy=opened(bucket, "/*"))
    found = probe(store, bucket)
    assert found["open_to_everybody"] == {"public_prefix": True, "private_prefix": True, "list": False}
    assert found["acl"]["verdict"] == "ignored"
    said = found["recommendation"]
    assert said["exposure"] == "bucket"
    assert any("private prefix" in warning for warning in said["warnings"])


@pytest.mark.parametrize("kind", ["minio", "rgw"])
def test_a_listing_for_everybody_is_seen(kind, request):
    store = request.getfixturevalue(kind)
    bucket = new_bucket(store)
    store.client().put_bucket_policy(Bucket=bucket, Policy=opened(bucket, "", action="s3:ListBucket"))
    found = probe(store, bucket)
    assert found["open_to_everybody"]["list"] is True
    assert any("list the bucket" in warning for warning in found["recommendation"]["warnings"])


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


@pytest.mark.parametrize("seconds", [0.9, 1.3, 1.7, 2.1])
def test_a_killed_probe_leaves_nothing_after_the_next(rgw, seconds):
    bucket = new_bucket(rgw)
    process = start(rgw, bucket)
    time.sleep(seconds)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    foreign = "accounts/.fediverse-mastodon-s3-probe/not-of-a-probe"
    rgw.client().put_object(Bucket=bucket, Key=foreign, Body=b"")
    out, _err = start(rgw, bucket).communicate(timeout=240)
    assert json.loads(out)["probe"]["leftovers"] == []
    assert left(rgw, bucket) == [foreign]
