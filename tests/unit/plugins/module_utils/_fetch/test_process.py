# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
from attacker import UID, Arena, Attacker
from fetch_world import World

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._fetch import process
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._fetch.model import FetchError, FetchSettings
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._files.errors import FileError
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.connection.errors import S3Error
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.model import ExposureMode
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.rules.rules import Rules


def test_files_belong_to_the_owner_of_the_folder(as_root, world, bucket):
    os.chown(world.dest, UID, UID)
    world.dest.parent.chmod(0o711)
    world.set_aside.chmod(0o700)
    bucket.put("media/a/b")
    world.write("media/c", b"old")
    os.chown(world.dest / "media", UID, UID)
    os.chown(world.dest / "media/c", UID, UID)
    bucket.put("media/c", b"newer")
    report = process.run(world.settings(), "bucket-1", bucket.as_bucket)
    assert (report.counts["fetched"], report.counts["replaced"]) == (1, 1)
    owners = {path.name: path.stat().st_uid for path in world.dest.rglob("*")}
    assert owners == {"media": UID, "a": UID, "b": UID, "c": UID}
    kept = next((world.set_aside / "bucket-1").rglob("c.*"))
    assert kept.read_bytes() == b"old"
    assert world.set_aside.stat().st_uid == os.geteuid() == 0


def test_errors_of_the_process_arrive(world, bucket):
    def broken():
        raise S3Error("no such store")

    with pytest.raises(S3Error, match="no such store"):
        process.run(world.settings(check_mode=True), "bucket-1", broken)


def test_a_killed_process_is_an_error(world, bucket):
    with pytest.raises(FetchError, match="ended with status"):
        process.run(world.settings(check_mode=True), "bucket-1", lambda: os._exit(9))


def test_the_folder_for_replaced_files_is_not_in_the_web_path(world, bucket):
    with pytest.raises(FetchError, match="is below dest"):
        process.run(world.settings(set_aside_dir=str(world.dest / "old")), "bucket-1", bucket.as_bucket)


def test_a_folder_that_others_can_change_is_refused(world, bucket):
    world.set_aside.chmod(0o777)
    with pytest.raises(FileError, match="not safe from other users"):
        process.run(world.settings(), "bucket-1", bucket.as_bucket)


def test_a_missing_folder_is_named(world, bucket):
    with pytest.raises(FileError, match="does not exist"):
        process.run(world.settings(dest=f"{world.dest}-other"), "bucket-1", bucket.as_bucket)


@pytest.mark.parametrize("kind", ["temporary", "target", "folder", "moved_in"])
def test_the_owner_of_the_folder_wins_nothing(as_root, tmp_path, bucket, kind):
    end = time.monotonic() + 3
    with Arena("a.png", mode=0o644) as arena, Attacker(arena, kind) as attacker:
        replaced = tmp_path / "set_aside"
        replaced.mkdir(mode=0o700)
        world = World.__new__(World)
        world.dest, world.set_aside = arena.home, replaced
        rules = Rules(ExposureMode.POLICY, ("live/",), ())
        runs = 0
        # A busy machine may need longer for a few runs.
        while time.monotonic() < end or runs < 3:
            runs += 1
            bucket.put("live/a.png", b"%d" % runs, modified=time.time() + 60)
            bucket.put("live/new/b.png", b"%d" % runs, modified=time.time() + 60)
            settings = FetchSettings(
                str(arena.home), str(replaced), rules, None, None, 50, False, None, 0o644, 0o755, 2, 5, False
            )
            process.run(settings, "bucket-1", bucket.as_bucket)
        assert arena.harm() == []
    assert runs > 2
    assert kind == "moved_in" or attacker.swaps > 0


def test_the_owner_can_read_a_certificate_that_only_root_could(tmp_path):
    original = tmp_path / "ca.pem"
    original.write_bytes(b"certificate")
    original.chmod(0o600)
    with process.readable_copy(str(original)) as copy:
        status = os.stat(copy)
        assert (status.st_uid, status.st_mode & 0o777) == (os.geteuid(), 0o444)
        assert Path(copy).read_bytes() == b"certificate"
    assert not os.path.exists(copy)
    with process.readable_copy(None) as copy:
        assert copy is None
