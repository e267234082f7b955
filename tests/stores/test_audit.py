"""What s3_sync_info finds with the key: drift that another client made, told apart from what is as it should be."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import time

import pytest
from minio_users import minio_user
from stores.fixtures import new_bucket
from sync_world import COLLECTION, StoreWorld, Visitor

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.audit.audit import Question, audit
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.audit.inspector import Inspection
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.options import place_argument_spec, rules_from
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.store.store import Store
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.tree.source import Source

CACHE = "public, max-age=315576000, immutable"
ALL = ["acl", "headers", "content"]
ODD = "media_attachments/files/1/ünï code +&?#%20=~'()[].jpg"
PUBLIC = ["accounts/a.png", "cache/b.webp", "media_attachments/files/plain", ODD]
PRIVATE = ["backups/dumps/secret-1.zip", "media_attachments/files/suspended.png"]


def run(world, **options):
    arguments = {
        "src": str(world.src),
        "bucket": world.bucket,
        "minimum_age": 0,
        "inspect": ALL,
        "full": True,
        **world.store.module_options(),
        **options,
    }
    done = subprocess.run(
        [sys.executable, "-m", f"{COLLECTION}.plugins.modules.s3_sync_info"],
        input=json.dumps(
            {"ANSIBLE_MODULE_ARGS": {name: value for name, value in arguments.items() if value is not None}}
        ),
        capture_output=True,
        text=True,
        check=False,
    )
    result = json.loads(done.stdout)
    assert not result.get("failed"), result
    assert "secret-1" not in done.stdout
    return result


def counts(found):
    return {name: value for name, value in found.items() if value and name != "examples"}


def reasons(found):
    return {(example["key"], example["reason"]) for example in found["examples"]}


@pytest.fixture
def world(rgw, tmp_path):
    world = StoreWorld(rgw, new_bucket(rgw), tmp_path)
    for key in PUBLIC:
        world.write(key, b"\x89PNG\r\n\x1a\n" + key.encode())
    world.write(PRIVATE[0], b"archive")
    world.write(PRIVATE[1], b"suspended", 0o600)
    return world


def is_open(world, key, prefix=""):
    visitor = Visitor(world.store)
    try:
        return visitor.get(world.bucket, prefix + key)[0] == 200
    finally:
        visitor.close()


@pytest.mark.parametrize("prefix", ["", "media +&%20/ünï/"])
def test_a_fresh_sync_is_as_it_should_be(world, prefix):
    assert world.done(key_prefix=prefix) == {"upload": 6}
    assert [is_open(world, key, prefix) for key in PUBLIC + PRIVATE] == [True] * 4 + [False] * 2
    found = run(
        world,
        key_prefix=prefix,
        public_url=f"{world.store.endpoint_url}/{world.bucket}/{'media%20+&%2520/ünï' if prefix else ''}",
        public_ca_bundle=world.store.ca_bundle,
    )
    inspected = found["inspected"]
    assert counts(inspected["acl"]) == {"objects": 6, "public_as_wanted": 4, "private_as_wanted": 2}
    assert counts(inspected["headers"]) == {"objects": 6, "as_wanted": 6}
    assert counts(inspected["content"]) == {"objects": 6, "same": 6}
    assert [inspected[aspect]["examples"] for aspect in ALL] == [[], [], []]
    if not prefix:
        visited = {"public": {"requested": 4, "readable": 4}, "private": {"requested": 2, "denied": 2}}
        assert {name: counts(sample) for name, sample in found["sampled"].items()} == visited
        # Object by object, with GET, the same is found without a listing.
        address = {
            "public_url": f"{world.store.endpoint_url}/{world.bucket}",
            "public_ca_bundle": world.store.ca_bundle,
        }
        sent = run(world, sent_after=0, full=None, state_dir=str(world.state_dir), **address)
        assert {name: counts(sample) for name, sample in sent["sampled"].items()} == visited
        assert (sent["inspected"], counts(sent["counts"])) == (inspected, counts(found["counts"]))


def test_each_drift_is_found(world):
    world.done()
    client, bucket = world.client, world.bucket
    client.put_object_acl(Bucket=bucket, Key=PRIVATE[0], ACL="public-read")
    client.put_object_acl(Bucket=bucket, Key=PRIVATE[1], ACL="authenticated-read")
    client.put_object_acl(Bucket=bucket, Key="accounts/a.png", ACL="private")
    body = (world.src / "cache/b.webp").read_bytes()
    client.put_object(
        Bucket=bucket,
        Key="cache/b.webp",
        Body=body,
        ACL="public-read",
        ContentType="binary/octet-stream",
        CacheControl=CACHE,
    )
    body = (world.src / ODD).read_bytes()
    client.put_object(Bucket=bucket, Key=ODD, Body=body[::-1], ACL="public-read", ContentType="image/jpeg")
    assert [is_open(world, key) for key in (PRIVATE[0], "accounts/a.png")] == [True, False]

    found = run(world)
    inspected = found["inspected"]
    assert (found["counts"]["size_differs"], found["counts"]["missing"]) == (0, 0)
    assert counts(inspected["acl"]) == {"objects": 6, "public_as_wanted": 3, "exposed": 2, "hidden": 1}
    assert reasons(inspected["acl"]) == {
        ("backups/***", "readable by everybody"),
        (PRIVATE[1], "readable by everybody"),
        ("accounts/a.png", "private, but should be public"),
    }
    assert counts(inspected["headers"]) == {"objects": 6, "as_wanted": 4, "wrong_type": 1, "wrong_cache_header": 1}
    assert reasons(inspected["headers"]) == {
        ("cache/b.webp", "content type binary/octet-stream instead of image/webp"),
        (ODD, f"cache header missing instead of {CACHE}"),
    }
    assert counts(inspected["content"]) == {"objects": 6, "same": 5, "differs": 1}
    assert reasons(inspected["content"]) == {(ODD, "different content of the same size")}
    # An independent client says the same of the type and of the cache header.
    heads = {key: client.head_object(Bucket=bucket, Key=key) for key in PUBLIC}
    assert [key for key, head in heads.items() if head.get("CacheControl") != CACHE] == [ODD]
    # What was not asked for is not said.
    found = run(world, inspect=["headers"])["inspected"]
    assert (found["acl"], found["content"]) == (None, None)


def test_an_open_archive_whose_file_is_gone_is_found_by_key_and_by_visit(world):
    world.done()
    (world.src / PRIVATE[0]).unlink()
    world.client.put_object_acl(Bucket=world.bucket, Key=PRIVATE[0], ACL="public-read")
    assert is_open(world, PRIVATE[0])
    found = run(
        world,
        newer_than=time.time() + 3600,
        public_url=f"{world.store.endpoint_url}/{world.bucket}",
        public_ca_bundle=world.store.ca_bundle,
    )
    assert found["counts"]["extra"] == 0
    assert found["inspected"]["acl"]["exposed"] == 1
    assert found["sampled"]["private"]["readable"] == 1
    assert found["inspected"]["headers"]["objects"] == 5


def test_objects_in_parts(world):
    content = random.Random(7).randbytes(20 * 1024 * 1024 + 17)
    world.write("cache/large.mp4", content)
    world.done()
    etag = world.client.head_object(Bucket=world.bucket, Key="cache/large.mp4")["ETag"]
    assert etag.endswith('-3"')
    assert counts(run(world)["inspected"]["content"]) == {"objects": 7, "same": 7}
    # Parts of a size that nobody would guess say nothing of the content.
    sizes = (5 * 1024 * 1024 + 7, 15 * 1024 * 1024 + 10)
    upload = world.client.create_multipart_upload(Bucket=world.bucket, Key="cache/large.mp4", ContentType="video/mp4")
    name = {"Bucket": world.bucket, "Key": "cache/large.mp4", "UploadId": upload["UploadId"]}
    pieces = [content[: sizes[0]], content[sizes[0] :]]
    parts = [
        {"PartNumber": number, "ETag": world.client.upload_part(**name, PartNumber=number, Body=piece)["ETag"]}
        for number, piece in enumerate(pieces, 1)
    ]
    world.client.complete_multipart_upload(**name, MultipartUpload={"Parts": parts})
    inspected = run(world)["inspected"]["content"]
    assert counts(inspected) == {"objects": 7, "same": 6, "unknown": 1}
    assert reasons(inspected) == {
        ("cache/large.mp4", "the object has different content, or was sent in parts of another size")
    }


def test_a_sample_is_as_large_as_it_should_be(world):
    world.done()
    inspected = run(world, full=False, sample=1)["inspected"]
    assert [inspected[aspect]["objects"] for aspect in ALL] == [2, 2, 2]
    assert run(world, full=False, sample=0)["inspected"]["acl"]["objects"] == 0


def test_an_object_that_vanishes_meanwhile_is_no_error(world):
    world.done()
    client = world.client
    defaults = {name: option.get("default") for name, option in place_argument_spec().items()}
    rules = rules_from({**defaults, "minimum_age": 0})

    class Vanishing(Store):
        def listing(self):
            yield from super().listing()
            client.delete_object(Bucket=world.bucket, Key="accounts/a.png")
            client.delete_object(Bucket=world.bucket, Key=PRIVATE[0])

    source, store = Source(str(world.src)), Vanishing(lambda: client, world.bucket, "", acl=False)
    question = Question(rules, f"{world.store.endpoint_url}/{world.bucket}", world.store.ca_bundle, tuple(Inspection))
    found = audit(question, source, store)
    store.close()
    source.close()
    assert (found["counts"]["present"], found["counts"]["missing"], found["counts"]["vanished"]) == (6, 0, 2)
    assert counts(found["inspected"]["acl"]) == {"objects": 4, "public_as_wanted": 3, "private_as_wanted": 1}
    assert (found["sampled"]["public"]["requested"], found["sampled"]["public"]["unreadable"]) == (3, 0)


def test_with_a_policy_only_the_acls_of_private_objects_count(minio, tmp_path):
    world = StoreWorld(minio, new_bucket(minio), tmp_path)
    for key in PUBLIC:
        world.write(key, b"\x89PNG\r\n\x1a\n")
    world.write(PRIVATE[0])
    world.write(PRIVATE[1], mode=0o600)
    statement = {
        "Effect": "Allow",
        "Principal": "*",
        "Action": "s3:GetObject",
        "Resource": [f"arn:aws:s3:::{world.bucket}/{folder}/*" for folder in ("accounts", "cache")],
    }
    policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    world.client.put_bucket_policy(Bucket=world.bucket, Policy=policy)
    world.done(exposure="policy")
    base = {"public_url": f"{minio.endpoint_url}/{world.bucket}", "public_ca_bundle": minio.ca_bundle}
    found = run(world, exposure="policy", **base)
    assert counts(found["inspected"]["acl"]) == {"objects": 1, "private_as_wanted": 1}
    assert counts(found["inspected"]["headers"]) == {"objects": 5, "as_wanted": 5}
    # The policy forgets a folder: the ACLs can't show it, visitors do.
    assert not is_open(world, ODD)
    assert counts(found["sampled"]["public"]) == {"requested": 4, "readable": 2, "unreadable": 2}

    world.client.put_object(Bucket=world.bucket, Key="accounts/closed.png", Body=b"y", ContentType="image/png")
    world.write("accounts/closed.png", b"y", 0o600)
    assert is_open(world, "accounts/closed.png")
    found = run(world, exposure="policy", **base)
    assert (found["counts"]["exposed"], found["sampled"]["private"]["readable"]) == (1, 1)


def test_in_an_open_bucket_nothing_private_may_be(minio, tmp_path):
    world = StoreWorld(minio, new_bucket(minio), tmp_path)
    world.write(PRIVATE[0])
    world.write("accounts/a.png")
    statement = {
        "Effect": "Allow",
        "Principal": "*",
        "Action": "s3:GetObject",
        "Resource": f"arn:aws:s3:::{world.bucket}/*",
    }
    policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    world.client.put_bucket_policy(Bucket=world.bucket, Policy=policy)
    assert world.done(exposure="open_bucket") == {"upload": 1}
    assert run(world, exposure="open_bucket")["counts"]["exposed"] == 0
    for key in (PRIVATE[0], "backups/dumps/secret-1b.zip"):
        world.client.put_object(Bucket=world.bucket, Key=key, Body=b"x")
        assert is_open(world, key)
    found = run(
        world,
        exposure="open_bucket",
        public_url=f"{minio.endpoint_url}/{world.bucket}",
        public_ca_bundle=minio.ca_bundle,
    )
    assert (found["counts"]["exposed"], found["sampled"]["private"]["readable"]) == (2, 2)


def test_a_key_that_may_not_read_acls_learns_so_and_the_rest(minio, tmp_path):
    # MinIO guards GetObjectAcl by a permission of its own, which the instance's key has not.
    world = StoreWorld(minio, new_bucket(minio), tmp_path)
    for number in range(200):
        world.write(f"cache/{number}.png", os.urandom(9))
    world.done()
    user = minio_user(
        minio,
        [
            {
                "Effect": "Allow",
                "Action": ["s3:ListBucket", "s3:GetObject"],
                "Resource": [f"arn:aws:s3:::{world.bucket}", f"arn:aws:s3:::{world.bucket}/*"],
            }
        ],
    )
    inspected = run(world, **user)["inspected"]
    assert counts(inspected["acl"]) == {"objects": 200, "unknown": 200}
    assert "AccessDenied" in {example["reason"] for example in inspected["acl"]["examples"]}
    assert len(inspected["acl"]["examples"]) == 2
    assert counts(inspected["headers"]) == {"objects": 200, "as_wanted": 200}
    assert counts(inspected["content"]) == {"objects": 200, "same": 200}
