# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import dataclasses
import os
import threading
import time

import pytest

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync import engine
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.journal.statefiles import BusyError, Lock
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.model import Outcome, Result

PUBLIC, PRIVATE = "public-read", "private"


def test_uploads_a_tree_with_the_exposure_it_has_on_disk(world, done, left_out):
    world.sample()
    report = world.sync()
    assert report.error is None
    assert world.s3.acls() == {
        "accounts/avatars/1/original/a.png": PUBLIC,
        "media_attachments/files/1/original/open.webp": PUBLIC,
        "media_attachments/files/2/original/suspended.webp": PRIVATE,
        "backups/dumps/1/archive-secret.zip": PRIVATE,
    }
    assert done(report) == {"upload": 4}
    assert left_out(report) == {"unknown_folder": 2}
    headers = world.s3.objects["media_attachments/files/1/original/open.webp"].headers
    assert headers == {"ContentType": "image/webp", "CacheControl": "public, max-age=315576000, immutable"}
    assert report.as_dict()["source"]["folders"]["imports"] == {"files": 1, "bytes": 7}
    assert report.as_dict()["source"]["exposure"] == {"public": 2, "private": 2}


def test_an_unchanged_tree_costs_no_request(world):
    world.sample()
    assert world.sync().as_dict()["changed"] is True
    report = world.sync()
    assert report.as_dict()["changed"] is False
    assert report.as_dict()["unchanged"]["count"] == 4
    assert world.s3.calls == []


def test_a_changed_exposure_is_followed_both_ways_without_sending_again(world, done):
    path = world.write("media_attachments/a.png", b"content")
    world.sync()
    path.chmod(0o600)
    assert done(world.sync()) == {"set_acl": 1}
    assert world.s3.acls()["media_attachments/a.png"] == PRIVATE
    path.chmod(0o644)
    assert done(world.sync()) == {"set_acl": 1}
    assert world.s3.acls()["media_attachments/a.png"] == PUBLIC
    assert world.s3.calls == [("PutObjectAcl", "media_attachments/a.png")]
    assert world.sync().as_dict()["changed"] is False


def test_a_changed_file_of_the_same_size_is_sent(world, done):
    path = world.write("accounts/a.png", b"aaaa")
    world.sync()
    path.write_bytes(b"bbbb")
    assert done(world.sync()) == {"upload": 1}
    assert world.s3.objects["accounts/a.png"].body == b"bbbb"


def test_a_changed_file_with_the_old_size_and_time_is_sent(world, done):
    path = world.write("accounts/a.png", b"aaaa")
    world.sync()
    world.write("accounts/a.png", b"bbbb")
    assert path.stat().st_mtime == pytest.approx(world.rows()["accounts/a.png"].mtime_ns / 1e9)
    assert done(world.sync()) == {"upload": 1}
    assert world.s3.objects["accounts/a.png"].body == b"bbbb"


def test_a_changed_file_with_the_old_size_and_time_is_sent_though_its_mode_changed_too(world, done):
    path = world.write("accounts/a.png", b"aaaa")
    world.sync()
    world.write("accounts/a.png", b"bbbb", 0o600)
    assert path.stat().st_mtime == pytest.approx(world.rows()["accounts/a.png"].mtime_ns / 1e9)
    assert done(world.sync()) == {"upload": 1}
    assert world.s3.objects["accounts/a.png"].body == b"bbbb"
    assert world.s3.acls() == {"accounts/a.png": "private"}


def test_a_file_that_got_its_old_content_back_after_a_run_was_killed(world):
    world.write("accounts/a.png", b"aaaa")
    world.sync()
    world.write("accounts/a.png", b"bbbb")

    def die(operation, key):
        raise KeyboardInterrupt

    world.s3.after = die
    with pytest.raises(KeyboardInterrupt):
        world.sync()
    world.s3.after = lambda *_: None
    assert world.s3.objects["accounts/a.png"].body == b"bbbb"
    world.write("accounts/a.png", b"aaaa")
    assert world.sync().error is None
    assert world.s3.objects["accounts/a.png"].body == b"aaaa"


def test_a_touched_file_with_its_old_content_is_only_compared(world):
    path = world.write("accounts/a.png", b"aaaa")
    world.sync()
    os.rename(path, path.with_suffix(".tmp"))
    os.rename(path.with_suffix(".tmp"), path)
    before = world.rows()["accounts/a.png"]
    report = world.sync()
    assert report.as_dict()["changed"] is False
    assert world.s3.calls == []
    assert world.rows()["accounts/a.png"].ctime_ns > before.ctime_ns
    assert world.rows()["accounts/a.png"].applied == "acl:public"


def test_other_headers_are_set_without_the_bytes(world, done):
    world.write("accounts/a.png")
    world.write("accounts/hidden.png", mode=0o600)
    world.sync()
    report = world.sync(cache_control="no-store")
    assert done(report) == {"set_headers": 2}
    assert report.as_dict()["transferred_bytes"] == 0
    assert world.s3.objects["accounts/a.png"].headers["CacheControl"] == "no-store"
    assert done(world.sync(cache_control="no-store", storage_class="STANDARD_IA")) == {"set_headers": 2}
    assert world.s3.objects["accounts/a.png"].headers["StorageClass"] == "STANDARD_IA"
    assert done(world.sync(cache_control="no-store", storage_class="STANDARD_IA")) == {}
    assert world.s3.objects["accounts/a.png"].acls == [PUBLIC] * 3
    assert world.s3.objects["accounts/hidden.png"].acls == ["private"] * 3


def test_a_file_without_extension_is_sniffed(world):
    world.write("accounts/a", b"\x89PNG\r\n\x1a\n....")
    world.sync()
    assert world.s3.objects["accounts/a"].headers["ContentType"] == "image/png"


def test_fresh_private_files_wait_for_the_next_round(world, done, left_out):
    path = world.write("media_attachments/a.png", b"x", 0o600)
    report = world.sync(minimum_age=60)
    assert left_out(report) == {"too_new": 1}
    assert world.s3.objects == {}
    path.chmod(0o644)
    assert done(world.sync(minimum_age=60)) == {"upload": 1}
    assert world.s3.acls() == {"media_attachments/a.png": PUBLIC}


def test_a_known_file_that_only_lost_its_mode_is_private_at_once(world, done):
    path = world.write("media_attachments/a.png")
    world.sync()
    path.chmod(0o600)
    assert done(world.sync(minimum_age=60)) == {"set_acl": 1}


def test_backups_do_not_settle(world, done):
    world.write("backups/a.zip", b"x", 0o600)
    assert done(world.sync(minimum_age=60)) == {"upload": 1}


class TestPolicy:
    def test_private_files_stay_at_home(self, world, left_out):
        world.sample()
        report = world.sync(exposure="policy")
        assert left_out(report) == {"local_only": 1, "unknown_folder": 2}
        assert world.s3.acls() == {
            "accounts/avatars/1/original/a.png": "none",
            "media_attachments/files/1/original/open.webp": "none",
            "backups/dumps/1/archive-secret.zip": "none",
        }
        assert world.sync(exposure="policy").as_dict()["changed"] is False

    def test_what_became_private_is_deleted_and_comes_back(self, world, done):
        path = world.write("media_attachments/a.png")
        world.write("accounts/a.png")
        world.sync(exposure="policy")
        path.chmod(0o600)
        assert done(world.sync(exposure="policy")) == {"delete_private": 1}
        assert set(world.s3.objects) == {"accounts/a.png"}
        assert world.sync(exposure="policy").as_dict()["changed"] is False
        path.chmod(0o644)
        assert done(world.sync(exposure="policy")) == {"upload": 1}

    def test_foreign_objects_are_not_deleted(self, world):
        world.write("media_attachments/a.png", b"x", 0o600)
        world.s3.put_object(Bucket="media", Key="media_attachments/a.png", Body=b"x")
        assert world.sync(exposure="policy").as_dict()["changed"] is False
        assert set(world.s3.objects) == {"media_attachments/a.png"}

    def test_from_policy_to_acl_sets_all_acls(self, world, done):
        world.write("accounts/a.png")
        world.sync(exposure="policy")
        assert done(world.sync(exposure="acl")) == {"set_acl": 1}
        assert world.s3.acls() == {"accounts/a.png": PUBLIC}

    def test_from_acl_to_policy_a_public_acl_below_a_private_prefix_is_replaced(self, world, done):
        world.write("accounts/a.png")
        world.write("cache/b.png")
        world.sync()
        report = world.sync(exposure="policy", public_prefixes=["accounts"], private_prefixes=["cache"])
        assert done(report) == {"set_headers": 1}
        assert report.as_dict()["transferred_bytes"] == 0
        assert world.s3.acls() == {"accounts/a.png": PUBLIC, "cache/b.png": "none"}


class TestCheckMode:
    def test_tells_the_plan_and_writes_nothing(self, world, done):
        world.sample()
        foretold = world.sync(check=True)
        assert not world.state_dir.exists()
        assert world.s3.calls == [("ListObjectsV2", "")]
        real = world.sync()
        for key in ("actions", "left_out", "unchanged", "source"):
            assert foretold.as_dict()[key] == real.as_dict()[key]
        assert sorted(foretold.diff()["prepared"].splitlines()) == sorted(real.diff()["prepared"].splitlines())

    def test_tells_the_plan_of_changes(self, world, done):
        world.sample()
        touched = world.write("accounts/touched.png", b"same")
        world.sync()
        (world.src / "media_attachments/files/1/original/open.webp").chmod(0o600)
        (world.src / "accounts/avatars/1/original/a.png").unlink()
        world.write("accounts/new.png", b"12345")
        os.utime(touched, (os.stat(touched).st_atime, os.stat(touched).st_mtime))
        files = {path.name: path.read_bytes() for path in world.state_dir.iterdir()}
        foretold = world.sync(check=True, delete="own")
        assert {path.name: path.read_bytes() for path in world.state_dir.iterdir()} == files
        assert done(foretold) == {"upload": 1, "set_acl": 1, "delete": 1}
        assert foretold.as_dict()["actions"]["upload"]["bytes"] == 5
        assert world.s3.calls == []
        real = world.sync(delete="own")
        assert foretold.as_dict()["actions"] == real.as_dict()["actions"]
        assert foretold.as_dict()["unchanged"] == real.as_dict()["unchanged"]

    def test_without_a_store(self, world, done):
        world.write("accounts/a.png")
        report = world.sync(check=True, store=False, delete="all")
        assert done(report) == {"upload": 1}
        assert "can't be listed" in report.warnings[0]

    def test_without_the_bucket(self, world, done):
        world.write("accounts/a.png")

        def hook(operation, key):
            raise world.s3.error("NoSuchBucket", 404, operation)

        world.s3.hook = world.s3.list_hook = hook
        assert done(world.sync(check=True, delete="all")) == {"upload": 1}

    def test_while_another_run_holds_the_journal(self, world, done):
        world.write("accounts/a.png")
        world.sync()
        world.write("accounts/b.png")
        lock = Lock(world.settings().journal_path)
        assert done(world.sync(check=True)) == {"upload": 1}
        lock.release()


def test_private_names_are_masked_everywhere(world):
    world.sample()

    def hook(operation, key):
        if "archive" in key:
            raise world.s3.error("EntityTooLarge", message="too large")

    world.s3.hook = hook
    report = world.sync()
    said = repr((report.as_dict(), report.diff(), report.error))
    assert "archive-secret" not in said
    assert "secret.csv" not in said
    assert "backups/***" in said
    assert "imports/***" in said


def test_the_diff_is_capped(world):
    for number in range(130):
        world.write(f"accounts/{number:03}.png")
    lines = world.sync(check=True).diff()["prepared"].splitlines()
    assert len(lines) == 101
    assert lines[0] == "upload accounts/000.png (new)"
    assert lines[-1] == "... and 30 more"


def test_two_runs_at_once(world):
    world.write("accounts/a.png")
    world.sync()
    lock = Lock(world.settings().journal_path)
    settings = world.settings()
    began = time.monotonic()
    with pytest.raises(BusyError, match="another run"):
        engine.sync(dataclasses.replace(settings, lock_seconds=0.5), object())
    assert 0.4 < time.monotonic() - began < 5
    threading.Timer(0.3, lock.release).start()
    assert world.sync().error is None


def test_another_transfer_and_progress_fit_in(world):
    world.write("accounts/a.png")
    seen, shown = [], []

    class Null:
        def run(self, actions):
            for action in actions:
                seen.append(action.key)
                yield Outcome(action, Result.UPLOADED)

        def delete(self, actions):
            return []

    world.sync(transfer=Null(), progress=lambda report: shown.append(report.tally.files.count))
    assert seen == ["accounts/a.png"]
    assert shown == [0, 1, 1]


def test_a_file_with_a_time_in_the_far_future_is_sent_once(world, done):
    path = world.write("accounts/a.png", b"a")
    world.write("accounts/b.png", b"b")
    os.utime(path, (10**10, 10**10))
    report = world.sync()
    assert (report.error, done(report)) == (None, {"upload": 2})
    report = world.sync()
    assert (report.error, done(report)) == (None, {})


def test_a_deep_folder_does_not_keep_a_round_from_being_complete(world, left_out):
    world.write("cache/b.png", b"b")
    (world.src / "cache" / "a" / ("d/" * 400)).mkdir(parents=True)
    current = os.open(world.src / "cache" / "a" / ("d/" * 400), os.O_RDONLY)
    for _level in range(200):
        os.mkdir("d", dir_fd=current)
        below = os.open("d", os.O_RDONLY, dir_fd=current)
        os.close(current)
        current = below
    os.close(current)
    report = world.sync()
    assert (report.error, report.complete) == (None, True)
    assert left_out(report) == {"long_key": 1}
