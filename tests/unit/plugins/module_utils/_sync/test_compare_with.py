# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Runs that go by a listing, or by the contents alone: a new journal, a bucket that others filled, and drift."""

from __future__ import annotations

import datetime as dt
import hashlib
import os
import sqlite3
from contextlib import closing

import fake_s3
import pytest

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync import sync_round
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.model import SourceOfTruth, SyncError

PUBLIC, PRIVATE = "public-read", "private"
CACHE = "public, max-age=315576000, immutable"
KEYS = ("accounts/a.png", "backups/b.zip", "cache/c.webp", "media_attachments/hidden.png")


@pytest.fixture
def lost(world, monkeypatch):
    """A tree that was sent long after its files were made, and the journal lost."""
    for key in KEYS:
        world.write(key, key.encode(), 0o600 if "hidden" in key else 0o644)
    world.sync()
    later(monkeypatch, 3600)
    for path in world.state_dir.iterdir():
        path.unlink()
    return world


def later(monkeypatch, seconds):
    """Let the bucket's objects be written so many seconds from now."""
    now = dt.datetime.now(dt.timezone.utc)
    monkeypatch.setattr(fake_s3, "MODIFIED", now + dt.timedelta(seconds=seconds))


def md5(content):
    return hashlib.md5(content, usedforsecurity=False)


def result(report):
    assert report.error is None, report.error
    return report.as_dict()


class TestLostJournal:
    def test_what_is_there_is_taken_over_without_a_byte(self, lost, done):
        report = lost.sync()
        assert done(report) == {}
        assert (result(report)["compared_with"], result(report)["transferred_bytes"]) == ("listing", 0)
        assert lost.s3.count("PutObject") == 0
        again = lost.sync()
        assert result(again)["compared_with"] == "journal"
        assert result(again)["unchanged"]["count"] == 4
        assert lost.s3.calls == []

    def test_what_was_taken_over_is_deleted_with_its_file(self, lost, done):
        lost.sync()
        (lost.src / "cache/c.webp").unlink()
        assert done(lost.sync(delete="own")) == {"delete": 1}

    def test_what_nobody_has_on_disk_is_left(self, lost, done):
        lost.s3.put_object(Bucket="media", Key="cache/foreign.png", Body=b"?")
        assert done(lost.sync(delete="own")) == {}
        assert "cache/foreign.png" in lost.s3.objects

    def test_an_acl_that_is_wrong_is_set(self, lost, done):
        lost.s3.objects["media_attachments/hidden.png"].acl = PUBLIC
        lost.s3.objects["accounts/a.png"].acl = PRIVATE
        report = lost.sync()
        assert done(report) == {"set_acl": 2}
        assert lost.s3.acls()["media_attachments/hidden.png"] == PRIVATE
        assert lost.s3.acls()["accounts/a.png"] == PUBLIC

    def test_headers_that_are_wrong_are_set(self, lost, done):
        lost.s3.objects["accounts/a.png"].headers = {"ContentType": "binary/octet-stream"}
        assert done(lost.sync()) == {"set_headers": 1}
        stored = lost.s3.objects["accounts/a.png"]
        assert stored.headers == {"ContentType": "image/png", "CacheControl": CACHE}
        assert stored.acl == PUBLIC

    def test_another_size_is_sent(self, lost, done):
        lost.s3.put_object(Bucket="media", Key="cache/c.webp", Body=b"short")
        assert done(lost.sync()) == {"upload": 1}
        assert lost.s3.objects["cache/c.webp"].body == b"cache/c.webp"

    def test_the_same_size_from_before_the_file_is_hashed(self, lost, done, monkeypatch):
        lost.s3.put_object(Bucket="media", Key="cache/c.webp", Body=b"x" * len("cache/c.webp"))
        later(monkeypatch, 60)
        assert done(lost.sync()) == {"upload": 1}
        assert lost.s3.objects["cache/c.webp"].body == b"cache/c.webp"

    def test_a_killed_run_goes_on_with_the_listing(self, lost, done):
        def hook(operation, key):
            if key.startswith("cache/"):
                raise KeyboardInterrupt

        lost.s3.hook = hook
        with pytest.raises(KeyboardInterrupt):
            lost.sync(concurrency=1)
        lost.s3.hook = lambda *_: None
        report = lost.sync()
        assert done(report) == {}
        assert result(report)["compared_with"] == "listing"

    def test_an_object_that_vanishes_meanwhile_is_sent(self, lost, done):
        lost.s3.hook = lambda operation, key: lost.s3.objects.pop(key, None) if operation == "HeadObject" else None
        assert done(lost.sync()) == {"upload": 4}

    def test_a_key_that_may_not_list_sends_all(self, lost, done):
        def refuse(operation, _key):
            raise lost.s3.error("AccessDenied", 403, operation)

        lost.s3.list_hook = refuse
        report = lost.sync()
        assert done(report) == {"upload": 4}
        assert "may not list" in report.warnings[0]
        assert result(report)["compared_with"] == "journal"

    def test_check_mode_foretells_it(self, lost):
        lost.s3.objects["media_attachments/hidden.png"].acl = PUBLIC
        lost.s3.objects["accounts/a.png"].headers = {}
        lost.s3.put_object(Bucket="media", Key="cache/c.webp", Body=b"short")
        foretold = result(lost.sync(check=True))
        assert foretold["actions"]["upload"]["count"] == 1
        assert not lost.state_dir.exists() or not list(lost.state_dir.iterdir())
        real = result(lost.sync())
        assert foretold["actions"] == real["actions"]

    def test_under_a_policy_an_archive_that_may_be_open_is_closed_by_a_copy(self, lost, done):
        lost.s3.objects["backups/b.zip"].acl = PUBLIC
        report = lost.sync(exposure="policy", exclude=["media_attachments/**"])
        assert done(report) == {"set_headers": 1}
        assert lost.s3.acls()["backups/b.zip"] == "none"


class TestOlderJournal:
    def age(self, world, switched=False):
        path = world.settings().journal_path
        with closing(sqlite3.connect(path)) as connection:
            if switched:
                connection.execute("INSERT INTO meta VALUES ('switched_ns', '1')")
            connection.execute("PRAGMA user_version=0")
            connection.commit()

    def test_is_begun_anew_from_a_listing(self, world, done):
        world.sample()
        world.sync()
        self.age(world)
        assert done(world.sync(check=True)) == {}
        report = world.sync()
        assert done(report) == {}
        assert result(report)["compared_with"] == "listing"
        assert len(world.rows()) == 4

    @pytest.mark.parametrize("check", [True, False])
    def test_is_refused_after_the_switch(self, world, check):
        world.sample()
        world.sync()
        self.age(world, switched=True)
        with pytest.raises(SyncError, match="older release"):
            world.sync(check=check)


class TestTrust:
    def test_a_listing_finds_what_others_did(self, world, done):
        world.sample()
        world.sync()
        del world.s3.objects["accounts/avatars/1/original/a.png"]
        world.s3.put_object(Bucket="media", Key="backups/dumps/1/archive-secret.zip", Body=b"ARCHIVE", ACL=PRIVATE)
        assert done(world.sync()) == {}
        report = world.sync(compare_with="listing")
        assert done(report) == {"upload": 2}
        assert result(report)["compared_with"] == "listing"
        assert world.s3.objects["backups/dumps/1/archive-secret.zip"].body == b"archive"

    def test_full_finds_a_content_that_size_and_time_hide(self, world, done, monkeypatch):
        path = world.write("accounts/a.png", b"content")
        world.sync()
        status = path.stat()
        path.write_bytes(b"CONTENT")
        os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
        connection = sqlite3.connect(world.settings().journal_path)
        connection.execute("UPDATE objects SET ctime_ns=?", (path.stat().st_ctime_ns,))
        connection.commit()
        connection.close()
        assert done(world.sync(compare_with="listing")) == {}
        assert done(world.sync(compare_with="checksum")) == {"upload": 1}
        assert world.s3.objects["accounts/a.png"].body == b"CONTENT"
        assert done(world.sync(compare_with="checksum")) == {}

    @pytest.mark.parametrize("part", [5, 8, 15])
    def test_full_recognises_what_came_in_parts(self, world, done, part):
        content = os.urandom(16 * 1024 * 1024 + 1)
        world.write("cache/a.mp4", content)
        size = part * 1024 * 1024
        digests = [md5(content[at : at + size]).digest() for at in range(0, len(content), size)]
        world.s3.put_object(Bucket="media", Key="cache/a.mp4", Body=content, ACL=PUBLIC, CacheControl=CACHE)
        stored = world.s3.objects["cache/a.mp4"]
        stored.headers["ContentType"] = "video/mp4"
        stored.etag = f"{md5(b''.join(digests)).hexdigest()}-{len(digests)}"
        assert done(world.sync(compare_with="checksum")) == {}
        stored.etag = f"{'0' * 32}-{len(digests)}"
        assert done(world.sync(compare_with="checksum")) == {"upload": 1}

    @pytest.mark.parametrize(
        "changes", [{"compare_with": "listing"}, {"compare_with": "checksum"}, {"repair": ["acl"]}]
    )
    def test_is_refused_once_the_bucket_is_the_truth(self, world, changes):
        world.sample()
        world.sync()
        with pytest.raises(SyncError, match=next(iter(changes))):
            world.sync(source_of_truth=SourceOfTruth.BUCKET.value, **changes)
        world.sync(source_of_truth="bucket")
        with pytest.raises(SyncError, match="after the switch"):
            world.sync(**changes)


class TestConverge:
    def test_drift_of_acls_is_found_and_mended_without_bytes(self, world, done):
        world.sample()
        world.sync()
        world.s3.objects["media_attachments/files/2/original/suspended.webp"].acl = PUBLIC
        assert done(world.sync()) == {}
        assert done(world.sync(check=True, repair=["acl"])) == {"set_acl": 1}
        report = world.sync(repair=["acl"])
        assert done(report) == {"set_acl": 1}
        assert world.s3.acls()["media_attachments/files/2/original/suspended.webp"] == PRIVATE
        again = world.sync(repair=["acl"])
        assert not again.as_dict()["changed"]
        assert world.s3.count("PutObjectAcl") + world.s3.count("HeadObject") == 0

    def test_drift_of_headers_is_found_and_mended_without_bytes(self, world, done):
        world.sample()
        world.sync()
        world.s3.objects["accounts/avatars/1/original/a.png"].headers["ContentType"] = "text/plain"
        assert done(world.sync(repair=["acl"])) == {}
        report = world.sync(repair=["headers"])
        assert done(report) == {"set_headers": 1}
        assert result(report)["transferred_bytes"] == 0
        assert world.s3.objects["accounts/avatars/1/original/a.png"].headers["ContentType"] == "image/png"

    def test_drift_is_found_along_with_the_comparison_of_contents(self, world, done):
        world.sample()
        world.sync()
        world.s3.objects["media_attachments/files/2/original/suspended.webp"].acl = PUBLIC
        assert done(world.sync(compare_with="checksum")) == {}
        assert done(world.sync(compare_with="checksum", repair=["acl"])) == {"set_acl": 1}

    def test_suspended_while_it_is_copied(self, world, done):
        path = world.write("accounts/a.png")
        world.sync()
        world.s3.objects["accounts/a.png"].headers = {}
        world.s3.after = lambda operation, key: path.chmod(0o600) if operation == "CopyObject" else None
        assert done(world.sync(repair=["headers"])) == {"set_acl": 1}
        assert world.s3.acls() == {"accounts/a.png": PRIVATE}
        world.s3.after = lambda *_: None
        assert done(world.sync()) == {}

    def test_a_store_that_can_not_copy_gets_the_file_again(self, world, done):
        world.write("accounts/a.png")
        world.sync()
        world.s3.objects["accounts/a.png"].headers = {}

        def hook(operation, key):
            if operation == "CopyObject":
                raise world.s3.error("NotImplemented", 501, operation)

        world.s3.hook = hook
        assert done(world.sync(repair=["headers"])) == {"upload": 1}
        assert world.s3.objects["accounts/a.png"].headers["CacheControl"] == CACHE

    def test_acls_can_not_be_converged_where_there_are_none(self, world):
        with pytest.raises(SyncError, match="repair"):
            world.sync(exposure="policy", repair=["acl"])


@pytest.mark.parametrize("compare_with", ["listing", "checksum"])
def test_a_run_against_an_emptied_bucket_that_is_killed_is_made_up_for(world, done, monkeypatch, compare_with):
    monkeypatch.setattr(sync_round, "PROGRESS_SECONDS", 0.0)
    for number in range(1000):
        world.write(f"cache/{number:04}.png")
    world.sync()
    world.s3.objects.clear()

    class Killed(BaseException):
        pass

    def kill(report):
        if report.tally.actions["upload"].count:
            raise Killed

    with pytest.raises(Killed):
        world.sync(compare_with=compare_with, progress=kill)
    assert len(world.s3.objects) < 1000
    report = world.sync()
    assert report.complete
    assert len(world.s3.objects) == 1000


@pytest.mark.parametrize("compare_with", ["listing", "checksum"])
def test_a_store_that_names_a_time_in_the_far_future(world, done, monkeypatch, compare_with):
    world.write("accounts/a.png", b"a")
    world.sync()
    monkeypatch.setattr(fake_s3, "MODIFIED", dt.datetime(9999, 1, 1, tzinfo=dt.timezone.utc))
    for path in world.state_dir.iterdir():
        path.unlink()
    report = world.sync(compare_with=compare_with)
    assert (report.error, report.tally.failures) == (None, [])
    assert world.sync().as_dict()["changed"] is False
