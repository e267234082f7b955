"""s3_sync with a bucket policy, on MinIO over TLS with a private authority."""

from __future__ import annotations

import pytest
from stores.fixtures import new_bucket
from sync_world import StoreWorld, Visitor

OPEN = ("accounts", "media_attachments")


@pytest.fixture
def world(minio, tmp_path):
    world = StoreWorld(minio, new_bucket(minio), tmp_path)
    world.open_by_policy("accounts", "media_attachments")
    return world


def status(world, key):
    visitor = Visitor(world.store)
    try:
        return visitor.get(world.bucket, key)[0]
    finally:
        visitor.close()


def test_the_policy_opens_the_public_and_private_files_stay_at_home(world):
    assert world.store.endpoint_url.startswith("https://")
    world.write("accounts/a.png", b"a")
    path = world.write("media_attachments/b.webp", b"b")
    world.write("media_attachments/suspended.webp", b"s", 0o600)
    world.write("backups/c.zip", b"c")
    world.write("cache/large.mp4", b"x" * (9 * 1024 * 1024))
    result = world.sync(exposure="policy")
    assert not result.get("failed"), result["msg"]
    assert result["left_out"]["local_only"] == {
        "count": 1,
        "bytes": 1,
        "examples": ["media_attachments/suspended.webp"],
    }
    assert set(world.objects()) == {"accounts/a.png", "media_attachments/b.webp", "backups/c.zip", "cache/large.mp4"}
    assert [status(world, key) for key in ("accounts/a.png", "media_attachments/b.webp", "backups/c.zip")] == [
        200,
        200,
        403,
    ]
    head = world.client.head_object(Bucket=world.bucket, Key="media_attachments/b.webp")
    assert (head["ContentType"], head["CacheControl"]) == ("image/webp", "public, max-age=315576000, immutable")
    path.chmod(0o600)
    assert world.done(exposure="policy") == {"delete_private": 1}
    assert "media_attachments/b.webp" not in world.objects()
    assert world.sync(exposure="policy")["changed"] is False


def test_deletions_in_batches(world):
    for number in range(1050):
        world.write(f"accounts/{number:04}.png", b"%d" % number)
    world.write("config-old", b"")
    world.client.put_object(Bucket=world.bucket, Key="config-old/accounts/keep.png", Body=b"x")
    assert world.done(exposure="policy", key_prefix="config", concurrency=16) == {"upload": 1050}
    for number in range(1, 1050):
        (world.src / f"accounts/{number:04}.png").unlink()
    result = world.sync(exposure="policy", key_prefix="config", delete="all", max_delete_percent=100)
    assert result["actions"]["delete"]["count"] == 1049
    assert result["requests"]["DeleteObjects"] == 2
    assert set(world.objects()) == {"config/accounts/0000.png", "config-old/accounts/keep.png"}


def test_acls_that_a_store_ignores_are_no_error_of_the_module(world):
    """MinIO answers 200 to a PUT with an ACL: whether it is honoured is the probe's business, not the sync's."""
    world.write("accounts/a.png", b"a")
    assert world.done(exposure="acl") == {"upload": 1}
