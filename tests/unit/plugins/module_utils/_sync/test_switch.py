# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Before the switch the tree is the truth, after it the bucket."""

from __future__ import annotations

import os
import shutil
import time

import pytest

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.journal.journal import Journal
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.model import SyncError

PUBLIC, PRIVATE = "public-read", "private"


@pytest.fixture
def switched(world):
    """A tree that was synced, and Mastodon switched to the bucket but for the final sync."""
    world.write("accounts/a.png", b"a")
    world.write("media_attachments/b.png", b"b")
    world.write("backups/c.zip", b"c")
    assert world.sync().error is None
    return world


def final(world, **changes):
    report = world.sync(source_of_truth="bucket", **changes)
    assert report.error is None, report.error
    return report


def test_what_was_written_last_is_sent_once(switched, done):
    switched.write("accounts/late.png", b"late")
    assert done(final(switched)) == {"upload": 1}
    assert switched.s3.acls()["accounts/late.png"] == PUBLIC
    assert final(switched).as_dict()["changed"] is False


def test_gone_stays_gone_and_private_stays_private(switched):
    final(switched)
    del switched.s3.objects["accounts/a.png"]
    switched.s3.objects["media_attachments/b.png"].acl = PRIVATE
    switched.write("accounts/a.png", b"a")
    (switched.src / "media_attachments/b.png").chmod(0o600)
    (switched.src / "media_attachments/b.png").chmod(0o644)
    assert final(switched).as_dict()["changed"] is False
    assert set(switched.s3.objects) == {"media_attachments/b.png", "backups/c.zip"}
    assert switched.s3.acls()["media_attachments/b.png"] == PRIVATE


def test_nothing_is_overwritten(switched, left_out):
    path = switched.write("accounts/late.png", b"disk")
    switched.s3.put_object(Bucket="media", Key="accounts/late.png", Body=b"bucket", ACL=PRIVATE)
    (switched.src / "accounts/a.png").write_bytes(b"changed on disk")
    report = final(switched)
    assert left_out(report) == {"in_bucket": 1, "newer_on_disk": 1}
    assert report.as_dict()["changed"] is False
    assert switched.s3.objects["accounts/late.png"].body == b"bucket"
    assert switched.s3.objects["accounts/a.png"].body == b"a"
    assert path.exists()
    del switched.s3.objects["accounts/late.png"]
    assert final(switched).as_dict()["changed"] is False
    assert "accounts/late.png" not in switched.s3.objects


def test_nothing_is_deleted(switched):
    (switched.src / "accounts/a.png").unlink()
    assert final(switched).as_dict()["changed"] is False
    assert "accounts/a.png" in switched.s3.objects
    with pytest.raises(SyncError, match="nothing is deleted"):
        switched.sync(source_of_truth="bucket", delete="own")


def test_what_was_there_before_the_last_round_is_not_sent(world, left_out):
    world.write("accounts/a.png")
    world.write("cache/filtered.png")
    time.sleep(0.1)  # what is younger than the clock is exact may be sent twice
    world.sync(exclude=["cache"])
    report = final(world)
    assert left_out(report) == {"older_than_switch": 1}
    assert set(world.s3.objects) == {"accounts/a.png"}


def test_what_turned_private_since_the_last_round_is_made_private_once(switched, done):
    (switched.src / "media_attachments/b.png").chmod(0o600)
    assert done(final(switched)) == {"set_acl": 1}
    assert switched.s3.acls()["media_attachments/b.png"] == PRIVATE
    (switched.src / "accounts/a.png").chmod(0o600)
    assert final(switched).as_dict()["changed"] is False
    assert switched.s3.acls()["accounts/a.png"] == PUBLIC


def test_what_turned_private_and_is_gone_in_the_bucket_stays_gone(switched, left_out):
    (switched.src / "media_attachments/b.png").chmod(0o600)
    del switched.s3.objects["media_attachments/b.png"]
    assert left_out(final(switched)) == {"gone_in_bucket": 1}
    assert "media_attachments/b.png" not in switched.s3.objects
    assert final(switched).as_dict()["changed"] is False


def test_what_turned_public_is_not_opened(world):
    path = world.write("media_attachments/b.png", b"b", 0o600)
    world.sync()
    path.chmod(0o644)
    assert final(world).as_dict()["changed"] is False
    assert world.s3.acls() == {"media_attachments/b.png": PRIVATE}


def test_under_a_policy_what_turned_private_is_deleted_and_stays_known(world, done):
    path = world.write("media_attachments/b.png")
    world.write("accounts/a.png")
    world.sync(exposure="policy")
    path.chmod(0o600)
    assert done(final(world, exposure="policy")) == {"delete_private": 1}
    path.chmod(0o644)
    assert final(world, exposure="policy").as_dict()["changed"] is False
    assert set(world.s3.objects) == {"accounts/a.png"}


def test_a_fresh_private_looking_file_waits_and_is_sent_by_a_later_run(switched, done, left_out):
    path = switched.write("media_attachments/late.png", b"late", 0o600)
    report = final(switched, minimum_age=60)
    assert (done(report), left_out(report)) == ({}, {"too_new": 1})
    path.chmod(0o644)
    assert done(final(switched)) == {"upload": 1}


def test_a_file_that_settled_in_the_last_round_is_not_lost(world, done):
    world.write("accounts/a.png")
    path = world.write("media_attachments/b.png", b"b", 0o600)
    os.utime(path)
    assert world.sync(minimum_age=60).as_dict()["left_out"]["too_new"]["count"] == 1
    assert done(final(world)) == {"upload": 1}
    assert world.s3.acls()["media_attachments/b.png"] == PRIVATE


def test_an_interrupted_upload_is_sent_only_if_missing(world, left_out, done):
    world.write("accounts/a.png", b"a")
    world.write("accounts/b.png", b"b")
    world.sync()
    settings = world.settings()
    journal = Journal.open(settings.journal_path, {})
    with journal._connection as connection:
        connection.execute("UPDATE objects SET state='pending'")
    journal.close()
    del world.s3.objects["accounts/b.png"]
    world.s3.objects["accounts/a.png"].body = b"Mastodon's"
    report = final(world)
    assert (done(report), left_out(report)) == ({"upload": 1}, {"in_bucket": 1})
    assert world.s3.objects["accounts/a.png"].body == b"Mastodon's"


def test_an_interrupted_upload_of_a_suspended_file_is_made_private(world, done):
    path = world.write("media_attachments/a.png", b"a")
    world.sync()
    journal = Journal.open(world.settings().journal_path, {})
    journal._connection.execute("UPDATE objects SET state='pending'")
    journal.close()
    path.chmod(0o600)
    assert done(final(world)) == {"set_acl": 1}
    assert world.s3.acls() == {"media_attachments/a.png": PRIVATE}


class TestRefusals:
    def test_without_a_journal(self, world, tmp_path):
        world.write("accounts/a.png")
        with pytest.raises(SyncError, match="no journal of a completed run"):
            world.sync(source_of_truth="bucket")
        assert not world.state_dir.exists()
        assert world.s3.objects == {}

    def test_with_a_lost_journal(self, switched):
        final(switched)
        shutil.rmtree(switched.state_dir)
        with pytest.raises(SyncError, match="no journal of a completed run"):
            switched.sync(source_of_truth="bucket")

    @pytest.mark.parametrize(
        "changes", [{"bucket": "other"}, {"key_prefix": "p"}, {"endpoint_url": "https://other.example"}]
    )
    def test_with_the_journal_of_another_place(self, switched, changes):
        with pytest.raises(SyncError, match="no journal of a completed run"):
            switched.sync(source_of_truth="bucket", **changes)

    def test_without_a_completed_round(self, world):
        world.write("accounts/a.png")

        def fail(operation, key):
            raise world.s3.error("EntityTooLarge")

        world.s3.hook = fail
        assert world.sync().error
        with pytest.raises(SyncError, match="completed"):
            world.sync(source_of_truth="bucket")

    def test_the_tree_after_the_switch(self, switched):
        final(switched)
        for check in (True, False):
            with pytest.raises(SyncError, match="reopen=true"):
                switched.sync(check)
        with pytest.raises(SyncError, match="source_of_truth=disk"):
            switched.sync(source_of_truth="bucket", reopen=True)

    def test_a_check_of_a_whole_play_goes_on_without_a_journal(self, world):
        world.write("accounts/a.png")
        report = world.sync(check=True, source_of_truth="bucket")
        assert report.error is None
        assert report.as_dict()["changed"] is False
        assert "no journal of a completed run" in report.warnings[0]

    def test_check_mode_is_no_switch(self, switched):
        assert switched.sync(check=True, source_of_truth="bucket").error is None
        assert switched.sync().error is None

    def test_a_source_without_files_before_it_is_settled(self, switched):
        shutil.rmtree(switched.src)
        switched.src.mkdir()
        report = switched.sync(source_of_truth="bucket")
        assert "is its disk mounted" in report.error
        shutil.rmtree(switched.src)
        with pytest.raises(SyncError, match="does not exist"):
            switched.sync(source_of_truth="bucket")

    def test_a_source_that_was_removed_long_after(self, switched):
        final(switched)
        shutil.rmtree(switched.src)
        report = switched.sync(source_of_truth="bucket")
        assert report.error is None
        assert report.as_dict()["source"]["state"] == "missing"


class TestReopen:
    def test_what_the_journal_knows_is_checked_against_the_bucket(self, switched, done):
        final(switched)
        objects = switched.s3.objects
        del objects["accounts/a.png"]
        objects["media_attachments/b.png"].acl = PRIVATE
        foretold = switched.sync(check=True, reopen=True)
        report = switched.sync(reopen=True)
        assert done(report) == {"upload": 1, "set_acl": 1}
        assert done(foretold) == done(report)
        assert switched.s3.acls() == {
            "accounts/a.png": PUBLIC,
            "media_attachments/b.png": PUBLIC,
            "backups/c.zip": PRIVATE,
        }
        assert switched.sync().as_dict()["changed"] is False

    def test_has_no_effect_before_the_switch(self, switched):
        assert switched.sync(reopen=True).as_dict()["changed"] is False
        assert switched.s3.calls == []

    def test_a_killed_run_goes_on_as_reopened(self, switched, done):
        final(switched)

        def hook(operation, key):
            raise KeyboardInterrupt

        switched.s3.hook = hook
        with pytest.raises(KeyboardInterrupt):
            switched.sync(reopen=True)
        switched.s3.hook = lambda *_: None
        switched.s3.objects["accounts/a.png"].acl = PRIVATE
        assert done(switched.sync()) == {"set_acl": 1}
        assert switched.s3.acls()["accounts/a.png"] == PUBLIC

    def test_own_deletions_work_again(self, switched, done):
        final(switched)
        (switched.src / "accounts/a.png").unlink()
        assert done(switched.sync(reopen=True, delete="own")) == {"delete": 1}


def refuse_deletions(world):
    def hook(operation, _key):
        if operation.startswith("Delete"):
            raise world.s3.error("InternalError", 500, operation)

    world.s3.hook = hook


@pytest.mark.parametrize("fresh", [False, True])
def test_a_deletion_that_failed_is_repeated(world, done, left_out, fresh):
    path = world.write("media_attachments/b.png")
    world.write("accounts/a.png")
    world.sync(exposure="policy")
    path.chmod(0o600)
    refuse_deletions(world)
    options = {"exposure": "policy", "source_of_truth": "bucket", "minimum_age": 600 if fresh else 0}
    assert not world.sync(**options).complete
    world.s3.hook = lambda operation, key: None
    assert done(world.sync(**options)) == {"delete_private": 1}
    assert set(world.s3.objects) == {"accounts/a.png"}
    assert world.sync(**options).as_dict()["changed"] is False


def test_before_the_switch_a_deletion_that_failed_is_repeated_at_once(world, done):
    path = world.write("media_attachments/b.png")
    world.write("accounts/a.png")
    world.sync(exposure="policy")
    path.chmod(0o600)
    refuse_deletions(world)
    assert not world.sync(exposure="policy", minimum_age=600).complete
    world.s3.hook = lambda operation, key: None
    assert done(world.sync(exposure="policy", minimum_age=600)) == {"delete_private": 1}


def test_modes_count_until_a_run_has_left_nothing(switched, left_out):
    late = switched.write("media_attachments/late.png", b"late", 0o600)
    assert left_out(final(switched, minimum_age=600)) == {"too_new": 1}
    path = switched.src / "media_attachments/b.png"
    path.chmod(0o600)
    final(switched, minimum_age=600)
    assert switched.s3.acls()["media_attachments/b.png"] == PRIVATE
    late.chmod(0o644)
    final(switched)
    assert switched.s3.acls()["media_attachments/late.png"] == PUBLIC


def test_runs_after_the_switch_may_be_as_many_as_one_likes(switched):
    for _number in range(120):
        final(switched)
    switched.write("accounts/late.png", b"late")
    assert final(switched).as_dict()["actions"]["upload"]["count"] == 1
