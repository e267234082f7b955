# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import hashlib
import os
import stat
import sys
import threading
import time
import tracemalloc
from io import BytesIO
from pathlib import Path

import pytest

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._fetch import process
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._fetch.fetch import Fetch
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._fetch.model import FetchError, Settings
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._files.errors import FileError
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.connection.errors import NotFoundError, S3Error
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.objects.acl import Acl
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.model import ExposureMode, Listed
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.rules.rules import Rules, patterns
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.store.store import Stored

sys.path.insert(0, str(Path(__file__).resolve().parents[5] / "support"))

from attacker import UID, Arena, Attacker

SWITCH = 1_790_000_000.0


def md5(body):
    return hashlib.md5(body, usedforsecurity=False).hexdigest()


class Body(BytesIO):
    """What botocore's stream does, as far as it is used."""


class MemoryBucket:
    """A bucket. `damage`: how many responses to a key end early or differ; `gone`: listed, and then deleted."""

    def __init__(self):
        self.objects = {}
        self.damage = {}
        self.gone = set()
        self.private = set()
        self.error = None
        self.requests = []
        self.lock = threading.Lock()

    def put(self, key, body=b"content", *, modified=SWITCH + 60, etag=None):
        self.objects[key] = (body, etag or md5(body), modified)

    def listing(self):
        for key, (body, etag, modified) in sorted(self.objects.items()):
            yield Listed(key, len(body), etag, modified)

    def get(self, key, first=0, length=None, etag=""):
        with self.lock:
            self.requests.append(key)
            damaged = self.damage.get(key, 0)
            self.damage[key] = damaged - 1
        if self.error is not None:
            raise self.error
        if key in self.gone:
            raise NotFoundError("gone")
        body, now, _modified = self.objects[key]
        if etag not in ("", now):
            raise S3Error("the object has another ETag")
        whole, body = len(body), body[first : None if length is None else first + length]
        sent = body[:-1] + (b"" if damaged % 2 else b"?") if damaged > 0 else body
        return Stored(now, False, whole), Body(sent)

    def acl(self, key):
        return Acl(readable=key not in self.private, changeable=False, closed=key in self.private)

    def close(self):
        pass


@pytest.fixture
def bucket():
    return MemoryBucket()


class World:
    """A folder for the files, one for the replaced files, and the options of a run."""

    def __init__(self, root, bucket):
        self.bucket = bucket
        self.dest = root / "system"
        self.replaced = root / "replaced"
        self.dest.mkdir()
        self.replaced.mkdir()

    def settings(self, *, include=(), exposure=ExposureMode.ACL, check_mode=False, **others):
        rules = Rules(exposure, ("accounts/", "media/"), ("backups/",), include=patterns("include", include))
        given = {
            "dest": str(self.dest),
            "replaced_dir": str(self.replaced),
            "newer_than": None,
            "mode": 0o644,
            "directory_mode": 0o755,
            "concurrency": 4,
            "limit": 5,
        }
        return Settings(rules=rules, check_mode=check_mode, **{**given, **others})

    def run(self, **options):
        dest, replaced = (os.open(path, os.O_RDONLY | os.O_DIRECTORY) for path in (self.dest, self.replaced))
        before = os.umask(0)
        try:
            return Fetch(self.settings(**options), self.bucket, dest, replaced).run()
        finally:
            os.umask(before)
            os.close(dest)
            os.close(replaced)

    def counts(self, **options):
        report = self.run(**options)
        assert report.error is None
        return {name: number for name, number in report.counts.items() if number}

    def write(self, key, body=b"content", *, modified=SWITCH - 60):
        path = self.dest / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(body)
        os.utime(path, (modified, modified))
        return path

    def files(self, root=None):
        root = root or self.dest
        return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


@pytest.fixture
def world(tmp_path, bucket):
    return World(tmp_path, bucket)


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
    [(name, kept)] = world.files(world.replaced).items()
    assert name.startswith("media/video.mp4.")
    assert kept == b"before"
    assert stat.S_IMODE((world.replaced / name).stat().st_mode) == 0o600


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
    assert world.files(world.replaced) == {}


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
    report = world.run()
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


def test_memory_does_not_grow_with_the_number_of_objects(world):
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


class TestProcess:
    def test_files_belong_to_the_owner_of_the_folder(self, as_root, world, bucket):
        os.chown(world.dest, UID, UID)
        world.dest.parent.chmod(0o711)
        world.replaced.chmod(0o700)
        bucket.put("media/a/b")
        world.write("media/c", b"old")
        os.chown(world.dest / "media", UID, UID)
        os.chown(world.dest / "media/c", UID, UID)
        bucket.put("media/c", b"newer")
        report = process.run(world.settings(), "bucket-1", lambda: bucket)
        assert (report.counts["fetched"], report.counts["replaced"]) == (1, 1)
        owners = {path.name: path.stat().st_uid for path in world.dest.rglob("*")}
        assert owners == {"media": UID, "a": UID, "b": UID, "c": UID}
        kept = next((world.replaced / "bucket-1").rglob("c.*"))
        assert kept.read_bytes() == b"old"
        assert world.replaced.stat().st_uid == os.geteuid() == 0

    def test_errors_of_the_process_arrive(self, world, bucket):
        def broken():
            raise S3Error("no such store")

        with pytest.raises(S3Error, match="no such store"):
            process.run(world.settings(check_mode=True), "bucket-1", broken)

    def test_a_killed_process_is_an_error(self, world, bucket):
        with pytest.raises(FetchError, match="ended with status"):
            process.run(world.settings(check_mode=True), "bucket-1", lambda: os._exit(9))

    def test_the_folder_for_replaced_files_is_not_in_the_web_path(self, world, bucket):
        with pytest.raises(FetchError, match="is below dest"):
            process.run(world.settings(replaced_dir=str(world.dest / "old")), "bucket-1", lambda: bucket)

    def test_a_folder_that_others_can_change_is_refused(self, world, bucket):
        world.replaced.chmod(0o777)
        with pytest.raises(FileError, match="not safe from other users"):
            process.run(world.settings(), "bucket-1", lambda: bucket)

    def test_a_missing_folder_is_named(self, world, bucket):
        with pytest.raises(FileError, match="does not exist"):
            process.run(world.settings(dest=f"{world.dest}-other"), "bucket-1", lambda: bucket)

    @pytest.mark.parametrize("kind", ["temporary", "target", "folder", "moved_in"])
    def test_the_owner_of_the_folder_wins_nothing(self, as_root, tmp_path, bucket, kind):
        end = time.monotonic() + 3
        with Arena("a.png", mode=0o644) as arena, Attacker(arena, kind) as attacker:
            replaced = tmp_path / "replaced"
            replaced.mkdir(mode=0o700)
            world = World.__new__(World)
            world.dest, world.replaced = arena.home, replaced
            rules = Rules(ExposureMode.POLICY, ("live/",), ())
            runs = 0
            while time.monotonic() < end:
                runs += 1
                bucket.put("live/a.png", b"%d" % runs, modified=time.time() + 60)
                bucket.put("live/new/b.png", b"%d" % runs, modified=time.time() + 60)
                settings = Settings(str(arena.home), str(replaced), rules, None, 0o644, 0o755, 2, 5, False)
                process.run(settings, "bucket-1", lambda: bucket)
            assert arena.harm() == []
        assert runs > 2
        assert kind == "moved_in" or attacker.swaps > 0
