"""s3_sync through a proxy that spoils a fifth of a store's answers: it counts nothing that is not there."""

from __future__ import annotations

import hashlib
import random
import sqlite3

import pytest
from fault_proxy import FAULTS, FaultProxy
from stores.certificates import make as make_certificates
from stores.fixtures import new_bucket
from sync_world import StoreWorld, Visitor

SHARE = 0.2
FILES = 120
LARGE = "cache/large.mp4"
# A request of boto3 is tried this often, a small file once more before: so often that chance alone never uses them up.
ATTEMPTS = 10
OPTIONS = {
    "concurrency": 24,
    "aws_config": {"read_timeout": 1, "retries": {"mode": "standard", "total_max_attempts": ATTEMPTS}},
}
# What boto3 does not repeat. Two such answers to a file, or one to a part of a large one, leave it to the next run.
NOT_REPEATED = ("clock_skew", "expired_token", "other_region", "wrong_etag", "forgotten", "damaged")
# What answers in the store's name say; one that repeats the content's checksum beside it is believed all the same.
NO_ETAG = "0" * 32


def lay_out(world, files=FILES):
    chance = random.Random(5)
    for number in range(files):
        mode = 0o600 if number % 10 == 0 else 0o644
        world.write(f"media_attachments/{number:03}.png", chance.randbytes(chance.randrange(20_000)), mode)
    world.write("backups/archive.zip", b"archive")
    world.write(LARGE, chance.randbytes(33 * 1024 * 1024 + 1))


def rows(result):
    """Return size and ETag of what the journal knows to be in the bucket, by key."""
    connection = sqlite3.connect(f"file:{result['journal']}?mode=ro", uri=True)
    try:
        found = connection.execute("SELECT key, size, etag FROM objects WHERE state='done'").fetchall()
    finally:
        connection.close()
    return {key: (size, etag) for key, size, etag in found}


def objects(world):
    """Return size and ETag of all objects, by key."""
    pages = world.client.get_paginator("list_objects_v2").paginate(Bucket=world.bucket)
    return {
        found["Key"]: (found["Size"], found["ETag"].strip('"')) for page in pages for found in page.get("Contents", [])
    }


def md5_of(content):
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


def hold_against_the_bucket(world, result):
    """Look whether all that the run counts, and notes in its journal, is really there."""
    there, known = objects(world), rows(result)
    sent, files = known.keys() - {"accounts/first.png"}, world.files()
    for key, (size, etag) in known.items():
        believed = world.store.kind == "minio" and key != LARGE
        assert (size, etag) == there[key] or (believed and (size, etag) == (there[key][0], NO_ETAG))
        assert key == LARGE or there[key][1] == md5_of((world.src / key).read_bytes()), key
    assert result["actions"]["upload"]["count"] == len(sent)
    assert result["actions"]["upload"]["bytes"] == sum(known[key][0] for key in sent)
    assert result["transferred_bytes"] == result["actions"]["upload"]["bytes"]
    assert result["failed_count"] + len(known) == len(files)
    assert result["complete"] is (len(known) == len(files))
    assert bool(result.get("failed")) is not result["complete"]
    assert len(result["failures"]) == min(result["failed_count"], 20)
    if result["failed_count"] <= 20:
        told = {failure["key"] for failure in result["failures"]}
        assert {
            world_key if "backups" not in world_key else "backups/***" for world_key in files.keys() - known
        } == told


def finished(world):
    """Run once more without faults, and hold bucket against tree; ACLs are looked at where the store has any."""
    result = world.sync()
    assert not result.get("failed"), result["msg"]
    assert result["complete"]
    there, files = objects(world), world.files()
    assert there.keys() == files.keys()
    visitor = Visitor(world.store)
    for key in files:
        path = world.src / key
        content = path.read_bytes()
        if key == LARGE:
            assert world.client.get_object(Bucket=world.bucket, Key=key)["Body"].read() == content
        else:
            assert there[key] == (len(content), md5_of(content)), key
        if world.store.kind == "rgw":
            private = path.stat().st_mode & 0o044 == 0 or key.startswith("backups/")
            assert visitor.get(world.bucket, key)[0] == (403 if private else 200), key
    visitor.close()
    assert world.unfinished(LARGE) == []


@pytest.fixture
def through(tmp_path):
    """Make a world whose module reaches the store through a proxy, and the proxy."""
    proxies = []

    def make(store, kinds, share=SHARE, certificates=None):
        target = store.plain_endpoint_url or store.endpoint_url
        ca_bundle = None if store.plain_endpoint_url else store.ca_bundle
        proxy = FaultProxy(target, kinds, share=0, seed=7, ca_bundle=ca_bundle, certificates=certificates)
        proxies.append(proxy)
        world = StoreWorld(store, new_bucket(store), tmp_path)
        world.options.update(OPTIONS, endpoint_url=proxy.url)
        if certificates:
            world.options["aws_ca_bundle"] = str(certificates.authority)
        # A journal that is there spares the listing, which a single answer would end.
        world.write("accounts/first.png")
        world.done()
        proxy.share = share
        return world, proxy

    yield make
    for proxy in proxies:
        proxy.close()


def test_of_all_kinds_over_tls(minio, through, tmp_path):
    world, proxy = through(minio, list(FAULTS), certificates=make_certificates(tmp_path / "certs", ["127.0.0.1"]))
    lay_out(world)
    result = world.sync()
    assert sum(proxy.done.values()) > FILES * SHARE / 2
    hold_against_the_bucket(world, result)
    proxy.share = 0
    finished(world)


@pytest.mark.parametrize("kind", [*FAULTS, "mix"])
def test_of_each_kind_alone_and_of_all(rgw, through, kind):
    world, proxy = through(rgw, list(FAULTS) if kind == "mix" else [kind])
    lay_out(world)
    result = world.sync()
    assert sum(proxy.done.values()) > FILES * SHARE / 2
    assert proxy.seen < FILES * 2
    hold_against_the_bucket(world, result)
    if kind not in (*NOT_REPEATED, "mix"):
        assert result["complete"], result["msg"]
    assert sum(result["retries"].values()) > FILES * SHARE / 4
    proxy.share = 0
    finished(world)


@pytest.mark.parametrize("checksum", ["ChecksumCRC32", "ChecksumSHA256"])
@pytest.mark.parametrize("kind", ["wrong_etag", "forgotten", "damaged"])
def test_of_a_store_that_repeats_checksums(minio, through, tmp_path, kind, checksum):
    # A CRC goes over TLS alone.
    certificates = make_certificates(tmp_path / "certs", ["127.0.0.1"]) if checksum == "ChecksumCRC32" else None
    # So few that most are met by files that went with nothing but their checksum: after the first one no other does.
    files, share = FILES * 5, SHARE / 20
    world, proxy = through(minio, [kind], share, certificates)
    lay_out(world, files)
    result = world.sync()
    assert sum(proxy.done.values()) > files * share / 2
    hold_against_the_bucket(world, result)
    checked = [
        checksum in world.client.head_object(Bucket=world.bucket, Key=key, ChecksumMode="ENABLED")
        for key in rows(result)
    ]
    assert sum(checked) > FILES / 2
    proxy.share = 0
    finished(world)


@pytest.mark.parametrize("kind", ["clock_skew", "expired_token", "503", "reset_before"])
def test_a_run_whose_every_request_must_fail_stops_soon(rgw, through, kind):
    world, proxy = through(rgw, [kind], share=1)
    lay_out(world, files=1000)
    result = world.sync(aws_config={"retries": {"mode": "standard", "total_max_attempts": 2}})
    assert result["failed"]
    assert "in a row" in result["msg"]
    assert result["complete"] is False
    assert result["actions"]["upload"]["count"] == 0
    assert set(objects(world)) == {"accounts/first.png"}
    assert proxy.seen < 300


def test_deletions_that_are_not_answered(rgw, through):
    world, proxy = through(rgw, ["500", "reset_before", "reset_after", "truncated"], share=0)
    lay_out(world)
    world.options["delete"] = "own"
    world.done()
    for number in range(1, FILES):
        (world.src / f"media_attachments/{number:03}.png").unlink()
    proxy.share = 0.6
    result = world.sync()
    gone = FILES - 1 if not result.get("failed") else 0
    assert result["actions"]["delete"]["count"] == gone
    assert not gone or set(objects(world)) == set(world.files())
    proxy.share = 0
    finished(world)
