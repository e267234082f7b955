# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import errno
import os
import stat
import tracemalloc

import pytest
from fetch_world import SWITCH, MemoryBucket

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._fetch.model import FetchError
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.connection.errors import S3Error
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.model import Listed


def test_missing_files_are_downloaded(world, bucket):
    bucket.put("accounts/avatars/1/a.png", b"avatar")
    bucket.put("backups/dumps/1/archive.tar.gz", b"archive")
    assert world.counts() == {"fetched": 2}
    assert world.files() == {"accounts/avatars/1/a.png": b"avatar", "backups/dumps/1/archive.tar.gz": b"archive"}
    path = world.dest / "accounts/avatars/1/a.png"
    assert stat.S_IMODE(path.stat().st_mode) == 0o644
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o755
    assert path.stat().st_mtime == SWITCH + 60
    bucket.requests.clear()
    assert world.counts() == {"same": 2}
    assert bucket.requests == []


def test_modes_as_given_and_suspended_media_private(world, bucket):
    bucket.put("media/public")
    bucket.put("media/suspended")
    bucket.private.add("media/suspended")
    bucket.put("backups/archive")
    bucket.private.add("backups/archive")
    assert world.counts(mode=0o640, directory_mode=0o750) == {"fetched": 3}
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in world.dest.rglob("*")}
    assert modes == {"public": 0o640, "suspended": 0o600, "archive": 0o640, "media": 0o750, "backups": 0o750}


def test_only_later_objects_and_matching_keys(world, bucket):
    bucket.put("accounts/old", modified=SWITCH)
    bucket.put("accounts/new")
    bucket.put("accounts/other")
    assert world.counts(newer_than=SWITCH, include=["accounts/n*"]) == {"fetched": 1}
    assert list(world.files()) == ["accounts/new"]


def test_an_object_that_was_replaced_replaces_the_file_and_the_old_one_is_kept(world, bucket):
    world.write("media/video.mp4", b"before")
    bucket.put("media/video.mp4", b"reprocessed")
    assert world.counts(check_mode=True) == {"replaced": 1}
    assert world.files() == {"media/video.mp4": b"before"}
    assert world.counts() == {"replaced": 1}
    assert world.files() == {"media/video.mp4": b"reprocessed"}
    [(name, kept)] = world.files(world.set_aside).items()
    assert name.startswith("media/video.mp4.")
    assert kept == b"before"
    assert stat.S_IMODE((world.set_aside / name).stat().st_mode) == 0o600


def test_a_replacement_of_the_same_size(world, bucket):
    world.write("media/a", b"before")
    bucket.put("media/a", b"behind")
    assert world.counts() == {"replaced": 1}
    assert world.files() == {"media/a": b"behind"}


def test_a_newer_file_stays(world, bucket):
    for key, body in (("media/a", b"longer than before"), ("media/b", b"behind")):
        world.write(key, body, modified=SWITCH + 120)
        bucket.put(key, b"before")
    assert world.counts() == {"newer_on_disk": 2}
    assert world.files() == {"media/a": b"longer than before", "media/b": b"behind"}
    assert bucket.requests == []


def test_what_was_synced_is_recognised_without_a_download(world, bucket):
    world.write("media/a")
    bucket.put("media/a")
    assert world.counts() == {"same": 1}
    assert bucket.requests == []


def test_an_etag_that_the_store_made_up_costs_downloads_but_nothing_is_replaced(world, bucket):
    world.write("media/a")
    bucket.put("media/a", etag="0" * 32)
    bucket.put("media/b", b"new", etag="1" * 32)
    report = world.run()
    assert report.error is None
    assert (report.counts["same"], report.counts["fetched"], report.unverified) == (1, 1, 1)
    assert world.files(world.set_aside) == {}


@pytest.mark.parametrize(
    "key",
    [
        "accounts/../../outside",
        "accounts//a",
        "accounts/a\nb",
        "accounts/" + "a" * 256,
        "media/folder",
        "media/file/below",
        "media/link/below",
        "media/link",
        "media/fifo",
    ],
)
def test_what_can_not_be_a_file_here_is_refused_and_reported(world, bucket, key):
    (world.dest / "media/folder").mkdir(parents=True)
    world.write("media/file")
    outside = world.dest.parent / "outside"
    outside.mkdir()
    (world.dest / "media/link").symlink_to(outside)
    os.mkfifo(world.dest / "media/fifo")
    before = sorted(world.dest.parent.rglob("*"))
    bucket.put(key)
    for check_mode in (True, False):
        report = world.run(check_mode=check_mode)
        assert report.error is None
        assert report.counts["refused"] == 1
        assert report.examples["refused"][0]["reason"]
        assert sorted(world.dest.parent.rglob("*")) == before
        assert bucket.requests == []


def test_keys_in_other_folders_are_counted_only(world, bucket):
    for key in ("/etc/passwd", "imports/a", "../a"):
        bucket.put(key)
    assert world.counts() == {"out_of_scope": 3}
    assert world.files() == {}


@pytest.mark.parametrize("damaged", [1, 2])
def test_a_damaged_download_is_repeated(world, bucket, damaged):
    bucket.put("media/a", b"the whole content")
    bucket.damage["media/a"] = damaged
    assert world.counts() == {"fetched": 1}
    assert world.files() == {"media/a": b"the whole content"}
    assert len(bucket.requests) == damaged + 1


def test_what_never_arrives_whole_is_never_a_file(world, bucket):
    bucket.put("media/a", b"the whole content")
    bucket.put("media/b", b"the whole content")
    bucket.damage["media/a"] = 999
    report = world.run(limit=0)
    assert (report.counts["failed"], report.counts["fetched"]) == (1, 1)
    assert report.error.startswith("1 objects could not be fetched, all others are done. The first one: media/a: ")
    assert world.files() == {"media/b": b"the whole content"}


@pytest.mark.parametrize("size", [8, 9, 16, 17])
def test_a_large_object_comes_in_pieces(world, bucket, monkeypatch, size):
    monkeypatch.setattr(
        "ansible_collections.fediverse.mastodon_s3.plugins.module_utils._fetch.download._RANGE_BYTES", 8
    )
    body = bytes(range(size))
    bucket.put("media/a", body)
    assert world.counts() == {"fetched": 1}
    assert world.files() == {"media/a": body}
    assert len(bucket.requests) == -(-size // 8)


def test_an_object_that_is_replaced_between_two_pieces_is_one_of_the_two(world, bucket, monkeypatch):
    monkeypatch.setattr(
        "ansible_collections.fediverse.mastodon_s3.plugins.module_utils._fetch.download._RANGE_BYTES", 8
    )
    bucket.put("media/a", b"a" * 20)
    get = bucket.get

    def replacing(key, *arguments):
        if len(bucket.requests) == 1:
            bucket.put("media/a", b"b" * 20)
        return get(key, *arguments)

    bucket.get = replacing
    assert world.counts() == {"fetched": 1}
    assert world.files() == {"media/a": b"b" * 20}


def test_a_full_disk_is_a_failure(world, bucket, monkeypatch):
    def write(_descriptor, _data):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("ansible_collections.fediverse.mastodon_s3.plugins.module_utils._fetch.download.write", write)
    bucket.put("media/a")
    report = world.run()
    assert report.counts["failed"] == 1
    assert "No space left on device" in report.error
    assert world.files() == {}


def test_a_file_system_without_hard_links(world, bucket, monkeypatch):
    def link(*_arguments, **_options):
        raise OSError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr(os, "link", link)
    bucket.put("media/a")
    assert world.counts() == {"fetched": 1}
    assert world.files() == {"media/a": b"content"}


def test_an_object_that_is_deleted_meanwhile_is_no_failure(world, bucket):
    bucket.put("media/a")
    bucket.gone.add("media/a")
    assert world.counts() == {"vanished": 1}
    assert world.files() == {}


def test_a_store_that_fails_is_not_asked_for_ever(world, bucket):
    for number in range(300):
        bucket.put(f"media/{number}")
    bucket.put("backups/dumps/archive-secret.tar.gz")
    bucket.error = S3Error("the store is tired at /media/backups/dumps/archive-secret.tar.gz")
    report = world.run()
    assert "50 failures in a row" in report.error
    assert "secret" not in report.error + str(report.as_dict())
    assert len(bucket.requests) < 300
    assert world.files() == {}


def test_too_little_room_is_found_before_the_first_download(world, bucket, monkeypatch):
    bucket.put("media/a", b"x" * 1000)
    monkeypatch.setattr(
        "ansible_collections.fediverse.mastodon_s3.plugins.module_utils._fetch.fetch.free_bytes", lambda _folder: 999
    )
    with pytest.raises(FetchError, match=r"need 1000 bytes.*only 999 bytes"):
        world.run()
    assert bucket.requests == []


def test_the_diff_is_limited_and_masks_private_names(world, bucket):
    for number in range(120):
        bucket.put(f"media/{number:03}")
    bucket.put("backups/archive-secret")
    report = world.run(check_mode=True)
    lines = report.diff()["prepared"].splitlines()
    assert lines[0] == "fetched backups/***"
    assert lines[-1] == "... and 21 more"
    assert len(lines) == 101


def test_memory_does_not_grow_with_the_number_of_objects(world, monkeypatch):
    monkeypatch.setattr("ansible_collections.fediverse.mastodon_s3.plugins.module_utils._fetch.fetch._MOST_HELD", 100)

    class Endless(MemoryBucket):
        def listing(self):
            for number in range(self.number):
                yield Listed(f"accounts/{number:07}", 7, "", SWITCH)

    def peak(number):
        world.bucket = Endless()
        world.bucket.number = number
        tracemalloc.start()
        try:
            world.run(check_mode=True)
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    peak(100)
    assert peak(4000) < peak(400) + 200_000
