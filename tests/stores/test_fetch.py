"""s3_fetch brings home from real stores what s3_sync and other clients have sent."""

from __future__ import annotations

import json
import os
import random
import stat
import subprocess
import sys

import pytest
from stores.fixtures import new_bucket
from sync_world import COLLECTION, StoreWorld

CACHE_CONTROL = "public, max-age=315576000, immutable"
ODD = "media_attachments/files/1/ünï code +&?#%20=~'()[].jpg"
SUSPENDED = "media_attachments/files/suspended.png"


def fetch(world, dest, **options):
    arguments = {
        "dest": str(dest),
        "set_aside_dir": str(dest.parent / "set_aside"),
        "bucket": world.bucket,
        **world.store.module_options(),
        **options,
    }
    done = subprocess.run(
        [sys.executable, "-m", f"{COLLECTION}.plugins.modules.s3_fetch"],
        input=json.dumps({"ANSIBLE_MODULE_ARGS": arguments}),
        capture_output=True,
        text=True,
        check=False,
    )
    return json.loads(done.stdout)


def tree(root):
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


@pytest.fixture(params=["minio", "rgw"])
def world(request, tmp_path):
    store = request.getfixturevalue(request.param)
    world = StoreWorld(store, new_bucket(store), tmp_path)
    for key in ("accounts/a.png", "cache/b.webp", ODD, "backups/dumps/archive.tar.gz", "media_attachments/empty"):
        world.write(key, b"" if key.endswith("empty") else b"\x89PNG\r\n\x1a\n" + key.encode())
    world.write("media_attachments/large.mp4", random.Random(1).randbytes(20 * 1024 * 1024))
    world.write(SUSPENDED, b"suspended", 0o600)
    return world


def test_the_tree_comes_home(world, tmp_path):
    assert not world.sync()["failures"]
    # Sent in parts of a size that nobody uses, so no checksum can be compared.
    client = world.store.client()
    upload = client.create_multipart_upload(Bucket=world.bucket, Key="accounts/parts")
    parts = []
    for number, body in enumerate((b"a" * (6 * 1024 * 1024), b"b"), 1):
        sent = client.upload_part(
            Bucket=world.bucket, Key="accounts/parts", UploadId=upload["UploadId"], PartNumber=number, Body=body
        )
        parts.append({"PartNumber": number, "ETag": sent["ETag"]})
    client.complete_multipart_upload(
        Bucket=world.bucket, Key="accounts/parts", UploadId=upload["UploadId"], MultipartUpload={"Parts": parts}
    )
    bad_keys = world.store.kind == "rgw"  # MinIO takes none of them
    if bad_keys:
        client.put_object(Bucket=world.bucket, Key="accounts//twice", Body=b"x")
    dest = tmp_path / "home" / "system"
    dest.mkdir(parents=True)
    # MinIO reports the same ACL for every object.
    exposure = "acl" if world.store.kind == "rgw" else "policy"
    foretold = fetch(world, dest, exposure=exposure, _ansible_check_mode=True)
    assert tree(tmp_path / "home") == {}
    found = fetch(world, dest, exposure=exposure, _ansible_diff=True)
    assert "msg" not in found, found["msg"]
    assert found["counts"] == foretold["counts"]
    assert (found["counts"]["fetched"], found["counts"]["refused"], found["unverified"]) == (8, bad_keys, 1)
    assert "archive" not in json.dumps(found)
    assert tree(dest) == {**tree(world.src), "accounts/parts": b"a" * (6 * 1024 * 1024) + b"b"}
    modes = {key: stat.S_IMODE((dest / key).stat().st_mode) for key in (SUSPENDED, "accounts/a.png")}
    assert modes == {SUSPENDED: 0o600 if exposure == "acl" else 0o644, "accounts/a.png": 0o644}
    again = fetch(world, dest)
    assert not again["changed"]
    assert again["counts"]["same"] == 8


def test_only_what_was_written_since(world, tmp_path):
    assert not world.sync()["failures"]
    client = world.store.client()
    listed = client.list_objects_v2(Bucket=world.bucket)["Contents"]
    switch = max(found["LastModified"].timestamp() for found in listed)
    before = os.stat(world.src / "cache/b.webp")
    # A store may tell times in whole seconds.
    while client.head_object(Bucket=world.bucket, Key="accounts/a.png")["LastModified"].timestamp() < switch + 2:
        client.put_object(Bucket=world.bucket, Key="accounts/a.png", Body=b"replaced")
    client.put_object(Bucket=world.bucket, Key="accounts/new.png", Body=b"new")
    found = fetch(world, world.src, newer_than=switch + 1)
    assert {name: number for name, number in found["counts"].items() if number} == {"fetched": 1, "replaced": 1}
    assert (world.src / "accounts/a.png").read_bytes() == b"replaced"
    assert (world.src / "accounts/new.png").read_bytes() == b"new"
    assert os.stat(world.src / "cache/b.webp").st_mtime_ns == before.st_mtime_ns
    [kept] = tree(tmp_path / "set_aside").values()
    assert kept == b"\x89PNG\r\n\x1a\naccounts/a.png"


def test_a_wrong_key_changes_nothing(world, tmp_path):
    dest = tmp_path / "home"
    dest.mkdir()
    found = fetch(world, dest, secret_key="wrong", credentials_file=None)
    assert found["failed"]
    assert "ListObjectsV2" in found["msg"]
    assert tree(dest) == {}


def test_after_the_way_back_tree_and_bucket_agree(world, tmp_path):
    acls = world.store.kind == "rgw"  # MinIO reports the same ACL for every object
    world.options["exposure"] = "acl" if acls else "policy"
    suspended, gone = "media_attachments/empty", "cache/b.webp"
    world.done()
    world.done(source_of_truth="bucket", delete="never")
    client = world.client
    client.delete_object(Bucket=world.bucket, Key=gone)
    sent = {"Bucket": world.bucket, "ContentType": "image/png", "CacheControl": CACHE_CONTROL}
    sent.update({"ACL": "public-read"} if acls else {})
    client.put_object(Key="accounts/a.png", Body=b"replaced, with another length", **sent)
    client.put_object(Key="accounts/new.png", Body=b"new", **sent)
    if acls:
        client.put_object_acl(Bucket=world.bucket, Key=suspended, ACL="private")
    options = {"state_dir": str(world.state_dir), "deleted": "set_aside", "acls": "all", **world.options}
    found = fetch(world, world.src, **options)
    assert "msg" not in found, found["msg"]
    counts = {name: number for name, number in found["counts"].items() if number}
    assert counts == {"fetched": 1, "replaced": 1, "set_aside": 1, **({"closed": 1} if acls else {})}
    kept = {key.rpartition(".")[0] for key in tree(tmp_path / "set_aside" / world.bucket)}
    assert kept == {gone, "accounts/a.png"}
    private = {key for key in world.files() if not stat.S_IMODE((world.src / key).stat().st_mode) & 0o044}
    assert private == ({SUSPENDED, suspended} if acls else {SUSPENDED})
    assert world.objects() == {key: size for key, size in world.files().items() if acls or key != SUSPENDED}
    assert not fetch(world, world.src, **options)["changed"]
    # A later migration sends only what is new, and has nothing to delete.
    world.write("accounts/after.png", b"after the rollback")
    done = world.done(reopen=True, delete="own")
    assert (done["upload"], done.get("delete"), done.get("set_acl")) == (1, None, None)
    assert world.objects().keys() == {key for key in world.files() if acls or key != SUSPENDED}
    if acls:
        assert not world.is_public(suspended)
