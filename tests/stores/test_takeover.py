"""A bucket that somebody else filled with s3cmd or rclone is taken over: repaired without sending a byte again."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from stores.fixtures import new_bucket
from sync_world import StoreWorld, Visitor

CACHE = "public, max-age=315576000, immutable"
PUBLIC = {
    "accounts/avatars/000/000/001/original/a.png": "image/png",
    "accounts/headers/ünïcode +&#.jpg": "image/jpeg",
    "cache/media_attachments/files/1/original/film.mp4": "video/mp4",
    "media_attachments/files/1/original/m.webp": "image/webp",
    "site_uploads/files/1/original/empty.png": "image/png",
}
SUSPENDED = {
    "media_attachments/files/2/original/suspended.webp": "image/webp",
    "media_attachments/files/2/small/suspended.png": "image/png",
}
ARCHIVES = {"backups/dumps/1/original/archive-1.zip": "application/zip"}
PRIVATE = {**SUSPENDED, **ARCHIVES}
EVERYTHING = {**PUBLIC, **PRIVATE}
FOREIGN = "accounts/somebody-elses.txt"


def content(key):
    return b"" if "empty" in key else key.encode() * (60_000 if key.endswith("mp4") else 7)


def tool(name, *words, env=None):
    """Run a program of the tests' own environment; one that is missing is an error."""
    program = Path(sys.executable).with_name(name)
    clean = {key: value for key, value in os.environ.items() if not key.startswith(("AWS_", "RCLONE_"))}
    done = subprocess.run(
        [program, *words], capture_output=True, text=True, check=False, timeout=120, env={**clean, **(env or {})}
    )
    assert done.returncode == 0, done.stdout + done.stderr


def fill_by_s3cmd(world):
    """All is public, archives and suspended media too, as the guides of old say."""
    host = world.store.endpoint_url.removeprefix("https://")
    settings = world.path / "s3cfg"
    settings.touch(mode=0o600)
    lines = {
        "access_key": world.store.access_key,
        "secret_key": world.store.secret_key,
        "host_base": host,
        "host_bucket": host,
        "ca_certs_file": world.store.ca_bundle,
    }
    text = "".join(f"{name} = {value}\n" for name, value in lines.items())
    settings.write_text(f"[default]\n{text}", encoding="utf-8")
    tool("s3cmd", "-c", settings, "--quiet", "--acl-public", "sync", f"{world.src}/", f"s3://{world.bucket}/")


def fill_by_rclone(world):
    """Nothing is public, and every file is a stream of bytes to browsers."""
    names = {
        "TYPE": "s3",
        "PROVIDER": "Ceph",
        "ENDPOINT": world.store.endpoint_url,
        "ACCESS_KEY_ID": world.store.access_key,
        "SECRET_ACCESS_KEY": world.store.secret_key,
    }
    env = {f"RCLONE_CONFIG_STORE_{name}": value for name, value in names.items()}
    where = f"store:{world.bucket}"
    plain = ("--header-upload", "Content-Type: application/octet-stream", "--s3-no-check-bucket")
    no_settings = ("--config", os.devnull, "--ca-cert", world.store.ca_bundle)
    tool("rclone", *no_settings, *plain, "copy", world.src, where, env=env)


FILLED = {"s3cmd": fill_by_s3cmd, "rclone": fill_by_rclone}


@pytest.fixture
def world(rgw, tmp_path):
    world = StoreWorld(rgw, new_bucket(rgw), tmp_path)
    for key in EVERYTHING:
        world.write(key, content(key), 0o600 if key in SUSPENDED else 0o644)
    return world


def seen(world, keys):
    visitor = Visitor(world.store)
    found = {key: visitor.fetch(world.bucket, key) for key in keys}
    visitor.close()
    return found


def etags(world):
    pages = world.client.get_paginator("list_objects_v2").paginate(Bucket=world.bucket)
    return {found["Key"]: found["ETag"] for page in pages for found in page["Contents"]}


def judge(world):
    """Hold the whole bucket against what it must be, by visitors and by the administrator's key."""
    found = seen(world, [*EVERYTHING, ""])
    assert {key: answer.status for key, answer in found.items()} == {
        **dict.fromkeys(PUBLIC, 200),
        **dict.fromkeys(PRIVATE, 403),
        "": 403,
    }
    for key, content_type in EVERYTHING.items():
        stored = world.client.get_object(Bucket=world.bucket, Key=key)
        assert (stored["ContentType"], stored["CacheControl"]) == (content_type, CACHE), key
        assert stored["Body"].read() == content(key), key
    for key in PUBLIC:
        assert (found[key].type, found[key].cache_control, found[key].body) == (EVERYTHING[key], CACHE, content(key))


@pytest.mark.parametrize("compare_with", ["listing", "checksum"])
@pytest.mark.parametrize("by", FILLED)
def test_what_others_filled_is_repaired_without_sending(world, by, compare_with):
    FILLED[by](world)
    world.client.put_object(Bucket=world.bucket, Key=FOREIGN, Body=b"x", ACL="public-read")
    before = etags(world)
    assert set(before) == {*EVERYTHING, FOREIGN}
    # It is as bad as it is said to be.
    wrong = {answer.status for answer in seen(world, PRIVATE if by == "s3cmd" else PUBLIC).values()}
    assert wrong == {200 if by == "s3cmd" else 403}
    assert all("CacheControl" not in world.client.head_object(Bucket=world.bucket, Key=key) for key in EVERYTHING)

    predicted = world.sync(compare_with=compare_with, repair=["acl", "headers"], check=True)
    assert etags(world) == before
    result = world.sync(compare_with=compare_with, repair=["acl", "headers"])
    assert not result.get("failed"), result["msg"]
    assert predicted["actions"] == result["actions"]
    assert (result["compared_with"], result["transferred_bytes"]) == (compare_with, 0)
    assert result["actions"]["upload"]["count"] == 0
    assert result["actions"]["set_headers"]["count"] == len(EVERYTHING)
    assert "PutObject" not in result["requests"]
    judge(world)
    assert etags(world) == before
    assert seen(world, [FOREIGN])[FOREIGN].status == 200

    again = world.sync(compare_with=compare_with, repair=["acl", "headers"])
    assert (again["changed"], again["transferred_bytes"]) == (False, 0)
    assert world.sync()["requests"] == {}


def test_a_private_bucket_of_right_headers_only_gets_its_acls(world):
    for key, content_type in EVERYTHING.items():
        body = {"Body": content(key), "ContentType": content_type, "CacheControl": CACHE}
        world.client.put_object(Bucket=world.bucket, Key=key, **body)
    before = etags(world)
    result = world.sync(compare_with="checksum", repair=["acl", "headers"])
    assert not result.get("failed"), result["msg"]
    done = {name: amount["count"] for name, amount in result["actions"].items() if amount["count"]}
    assert done == {"set_acl": len(PUBLIC)}
    # Not even copied onto themselves. Times of writing would not tell: Ceph sets them anew with an ACL.
    assert result["requests"]["PutObjectAcl"] == len(PUBLIC)
    assert not {"PutObject", "CopyObject"} & set(result["requests"])
    assert etags(world) == before
    judge(world)


def test_what_others_damaged_is_sent_again_and_only_that(world):
    fill_by_s3cmd(world)
    damaged, cut = "media_attachments/files/1/original/m.webp", "accounts/avatars/000/000/001/original/a.png"
    world.client.put_object(Bucket=world.bucket, Key=damaged, Body=b"?" * len(content(damaged)))
    world.client.put_object(Bucket=world.bucket, Key=cut, Body=b"cut")
    result = world.sync(compare_with="checksum", repair=["acl", "headers"])
    assert not result.get("failed"), result["msg"]
    assert result["actions"]["upload"]["count"] == 2
    assert result["transferred_bytes"] == len(content(damaged)) + len(content(cut))
    judge(world)
