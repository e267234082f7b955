"""s3_sync with ACLs, on Ceph RGW, which enforces them: judged by what an anonymous visitor gets."""

from __future__ import annotations

import os
import random
import threading
import time

import pytest
from stores.fixtures import new_bucket
from sync_world import StoreWorld, Visitor


@pytest.fixture(params=["plain", "tls"])
def world(rgw, tmp_path, request):
    world = StoreWorld(rgw, new_bucket(rgw), tmp_path)
    world.url = rgw.plain_endpoint_url if request.param == "plain" else rgw.endpoint_url
    return world


@pytest.fixture
def tls_world(rgw, tmp_path):
    return StoreWorld(rgw, new_bucket(rgw), tmp_path)


def statuses(world, keys):
    visitor = Visitor(world.store)
    found = {key: visitor.get(world.bucket, key)[0] for key in keys}
    visitor.close()
    return found


def test_a_visitor_gets_what_is_public_and_nothing_else(world):
    world.write("accounts/avatars/000/000/001/original/a.png", b"\x89PNG avatar")
    world.write("media_attachments/files/1/original/open.webp", b"open")
    world.write("media_attachments/files/2/original/suspended.webp", b"suspended", 0o600)
    world.write("media_attachments/files/3/original/ünïcode +&?#%20.jpg", b"odd name")
    world.write("media_attachments/files/4/original/empty.txt", b"")
    world.write("backups/dumps/1/original/archive-1.zip", b"archive")
    world.write("imports/data/1/original/follows.csv", b"follows")
    large = random.Random(1).randbytes(20 * 1024 * 1024 + 17)
    world.write("cache/media_attachments/large.mp4", large)
    world.write("cache/media_attachments/large-private.mp4", large, 0o600)
    result = world.sync(endpoint_url=world.url)
    assert result["actions"]["upload"]["count"] == 8, result
    assert result["uploads_by"] == {"fast": 6, "boto3": 2}  # what is large goes through boto3, in parts

    assert statuses(world, [*world.objects(), "imports/data/1/original/follows.csv"]) == {
        "accounts/avatars/000/000/001/original/a.png": 200,
        "media_attachments/files/1/original/open.webp": 200,
        "media_attachments/files/2/original/suspended.webp": 403,
        "media_attachments/files/3/original/ünïcode +&?#%20.jpg": 200,
        "media_attachments/files/4/original/empty.txt": 200,
        "backups/dumps/1/original/archive-1.zip": 403,
        "cache/media_attachments/large.mp4": 200,
        "cache/media_attachments/large-private.mp4": 403,
        "imports/data/1/original/follows.csv": 403,
    }
    visitor = Visitor(world.store)
    assert visitor.get(world.bucket, "cache/media_attachments/large.mp4")[1] == large
    assert visitor.get(world.bucket, "")[0] == 403
    head = world.client.head_object(Bucket=world.bucket, Key="media_attachments/files/1/original/open.webp")
    assert head["ContentType"] == "image/webp"
    assert head["CacheControl"] == "public, max-age=315576000, immutable"
    head = world.client.head_object(Bucket=world.bucket, Key="cache/media_attachments/large.mp4")
    assert head["ContentType"] == "video/mp4"
    assert head["CacheControl"] == "public, max-age=315576000, immutable"

    again = world.sync(endpoint_url=world.url)
    assert again["changed"] is False
    assert again["requests"] == {}


def test_exposure_converges_both_ways_without_sending_again(tls_world):
    world = tls_world
    path = world.write("media_attachments/a.webp", b"content")
    world.write("accounts/b.webp", b"other")
    world.done()
    path.chmod(0o600)
    result = world.sync()
    assert result["requests"] == {"PutObjectAcl": 1}
    assert statuses(world, ["media_attachments/a.webp", "accounts/b.webp"]) == {
        "media_attachments/a.webp": 403,
        "accounts/b.webp": 200,
    }
    path.chmod(0o644)
    result = world.sync()
    assert result["requests"] == {"PutObjectAcl": 1}
    assert statuses(world, ["media_attachments/a.webp"]) == {"media_attachments/a.webp": 200}
    head = world.client.head_object(Bucket=world.bucket, Key="media_attachments/a.webp")
    assert head["ContentType"] == "image/webp"
    assert world.sync()["changed"] is False


def test_an_acl_of_an_object_that_is_gone_sends_it_again(tls_world):
    path = tls_world.write("media_attachments/a.webp", b"content", 0o600)
    tls_world.done()
    tls_world.client.delete_object(Bucket=tls_world.bucket, Key="media_attachments/a.webp")
    path.chmod(0o644)
    assert tls_world.done() == {"upload": 1}
    assert statuses(tls_world, ["media_attachments/a.webp"]) == {"media_attachments/a.webp": 200}


def test_nothing_private_is_public_for_a_moment(tls_world):
    """Visitors keep asking for every private object, while it is first sent, sent again, and others are opened."""
    world = tls_world
    private = [f"media_attachments/files/{number:02}/p.webp" for number in range(12)]
    private += [f"backups/dumps/{number}/a.zip" for number in range(4)]
    large = "media_attachments/files/large/p.mp4"
    private.append(large)
    for number in range(200):
        world.write(f"media_attachments/files/{number:03}/open.webp", b"%d" % number)
    for key in private:
        world.write(key, os.urandom(20 * 1024 * 1024 if key == large else 2000), 0o600)
    seen, stop = {}, threading.Event()

    def ask():
        visitor = Visitor(world.store)
        while not stop.is_set():
            for key in private:
                status, _body = visitor.get(world.bucket, key)
                seen[status] = seen.get(status, 0) + 1
        visitor.close()

    threads = [threading.Thread(target=ask) for _visitor in range(2)]
    for thread in threads:
        thread.start()
    try:
        assert world.done() == {"upload": 217}
        for key in private:
            world.write(key, os.urandom(20 * 1024 * 1024 if key == large else 3000), 0o600)
        (world.src / "media_attachments/files/000/open.webp").write_bytes(b"changed")
        assert world.done() == {"upload": 18}
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert set(seen) <= {403, 404}, seen
    assert sum(seen.values()) > 200
    assert set(statuses(world, private).values()) == {403}


def test_a_file_suspended_during_a_run_ends_private(tls_world):
    """Suspended at random moments, also between the walk and the request; one more run repairs the rest."""
    world = tls_world
    paths = [world.write(f"media_attachments/files/{number:03}/a.webp", b"%d" % number) for number in range(300)]
    process = world.start()
    choice = random.Random(7)
    suspended = []
    while process.poll() is None and len(suspended) < 150:
        path = choice.choice(paths)
        path.chmod(0o600)
        suspended.append(str(path.relative_to(world.src)))
        time.sleep(0.005)
    out, _err = process.communicate()
    assert '"failed": true' not in out, out
    world.done()
    found = statuses(world, [str(path.relative_to(world.src)) for path in paths])
    assert {key for key, status in found.items() if status == 403} == set(suspended)
    assert {key for key, status in found.items() if status == 200} == set(found) - set(suspended)


def test_own_deletions_and_the_switch(tls_world):
    world = tls_world
    for number in range(1100):
        world.write(f"cache/{number:04}.png", b"%d" % number)
    world.write("accounts/keep.png", b"keep")
    assert world.done(concurrency=16) == {"upload": 1101}
    world.client.put_object(Bucket=world.bucket, Key="cache/foreign.png", Body=b"x")
    for number in range(1, 1100):
        (world.src / f"cache/{number:04}.png").unlink()
    result = world.sync(delete="own", max_delete_percent=90)
    assert result["failed"]
    assert "max_delete_percent=90" in result["msg"]
    assert len(world.objects()) == 1102
    assert world.done(delete="own", max_delete_percent=100, check=True) == {"delete": 1099}
    assert world.done(delete="own", max_delete_percent=100) == {"delete": 1099}
    assert set(world.objects()) == {"accounts/keep.png", "cache/0000.png", "cache/foreign.png"}

    world.write("accounts/late.png", b"late")
    assert world.done(source_of_truth="bucket") == {"upload": 1}
    world.client.delete_object(Bucket=world.bucket, Key="accounts/keep.png")
    world.client.put_object_acl(Bucket=world.bucket, Key="cache/0000.png", ACL="private")
    assert world.done(source_of_truth="bucket") == {}
    assert statuses(world, ["accounts/keep.png", "cache/0000.png", "accounts/late.png"]) == {
        "accounts/keep.png": 403,
        "cache/0000.png": 403,
        "accounts/late.png": 200,
    }
    assert "accounts/keep.png" not in world.objects()
    refused = world.sync()
    assert refused["failed"]
    assert "reopen" in refused["msg"]


def test_blocked_public_acls_stop_the_run(tls_world):
    world = tls_world
    for number in range(300):
        world.write(f"accounts/{number:03}.png")
    world.write("backups/a.zip")
    world.client.put_public_access_block(
        Bucket=world.bucket,
        PublicAccessBlockConfiguration={
            "BlockPublicAcls": True,
            "IgnorePublicAcls": False,
            "BlockPublicPolicy": False,
            "RestrictPublicBuckets": False,
        },
    )
    # Few at once, as those that are under way when the run stops are refused as well.
    result = world.sync(concurrency=8)
    assert result["failed"]
    assert "BlockPublicAcls" in result["msg"]
    assert result["requests"]["PutObject"] < 60
    world.client.delete_public_access_block(Bucket=world.bucket)
    assert world.done() == {"upload": 301}


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"secret_key": "wrong" * 8}, "secret key"),
        ({"access_key": "UNKNOWN"}, "access key"),
        ({"bucket": "no-such-bucket-here"}, "does not exist"),
        ({"endpoint_url": "https://127.0.0.1:9"}, "127.0.0.1:9"),
        ({"aws_ca_bundle": None}, "certificate"),
    ],
)
def test_mistakes_are_told_at_once(tls_world, options, words):
    for number in range(100):
        tls_world.write(f"accounts/{number:03}.png")
    config = {"aws_config": {"connect_timeout": 2, "retries": {"total_max_attempts": 1}}}
    result = tls_world.sync(**{**config, **options})
    assert result["failed"]
    assert words in result["msg"].lower() or words in result["msg"]
    assert result["actions"]["upload"]["count"] == 0
    assert result["failed_count"] <= 30
