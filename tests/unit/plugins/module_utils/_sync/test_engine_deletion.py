# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
import shutil

import pytest

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.model import SyncError
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.plan import safeguards


class TestDeletion:
    def test_nothing_by_default(self, world):
        world.write("accounts/a.png")
        gone = world.write("accounts/b.png")
        world.sync()
        gone.unlink()
        assert world.sync().as_dict()["changed"] is False
        assert "accounts/b.png" in world.s3.objects

    def test_own_leaves_what_others_put_there(self, world, done):
        world.write("accounts/a.png")
        gone = world.write("accounts/b.png")
        world.sync()
        world.s3.put_object(Bucket="media", Key="accounts/foreign.png", Body=b"x")
        gone.unlink()
        assert done(world.sync(delete="own")) == {"delete": 1}
        assert set(world.s3.objects) == {"accounts/a.png", "accounts/foreign.png"}
        assert world.sync(delete="own").as_dict()["changed"] is False

    def test_all_deletes_what_is_in_scope_only(self, world, done):
        world.write("accounts/a.png")
        for key in ("config/accounts/x.png", "config-old/accounts/x.png", "config/other/x", "config/accounts/.hidden"):
            world.s3.put_object(Bucket="media", Key=key, Body=b"x")
        world.s3.put_object(Bucket="media", Key="config/accounts/", Body=b"")
        report = world.sync(delete="all", key_prefix="config")
        assert done(report) == {"upload": 1, "delete": 1}
        assert set(world.s3.objects) == {
            "config-old/accounts/x.png",
            "config/other/x",
            "config/accounts/.hidden",
            "config/accounts/a.png",
            "config/accounts/",
        }

    def test_all_sends_again_what_the_bucket_lost(self, world, done):
        world.write("accounts/a.png")
        world.write("accounts/b.png")
        world.sync()
        del world.s3.objects["accounts/a.png"]
        world.s3.objects["accounts/b.png"].etag = "other"
        assert done(world.sync(delete="all")) == {"upload": 2}

    @pytest.mark.parametrize("delete", ["own", "all"])
    def test_filters_hold_on_both_sides(self, world, delete, done):
        world.write("accounts/a.png")
        gone = [world.write("cache/b.png"), world.write("accounts/c.gif"), world.write("accounts/d.png")]
        world.sync()
        for path in gone:
            path.unlink()
        assert done(world.sync(delete=delete, exclude=["cache/**"], include=["**/*.png"])) == {"delete": 1}
        assert set(world.s3.objects) == {"accounts/a.png", "cache/b.png", "accounts/c.gif"}

    @pytest.mark.parametrize("delete", ["own", "all"])
    def test_never_from_an_empty_source(self, world, delete):
        path = world.write("accounts/a.png")
        world.sync()
        path.unlink()
        report = world.sync(delete=delete)
        assert "is its disk mounted" in report.error
        assert set(world.s3.objects) == {"accounts/a.png"}

    @pytest.mark.parametrize("delete", ["own", "all"])
    def test_never_from_a_missing_source(self, world, delete):
        world.write("accounts/a.png")
        world.sync()
        with pytest.raises(SyncError, match="does not exist"):
            world.sync(delete=delete, src=str(world.src / "missing"))
        assert set(world.s3.objects) == {"accounts/a.png"}

    def test_never_where_a_folder_can_not_be_read_and_a_secret_name_is_not_told(self, world, make_unreadable):
        world.write("accounts/a.png")
        world.write("backups/dumps/capability/archive.zip")
        world.sync()
        make_unreadable("capability")
        report = world.sync(delete="own")
        result = report.as_dict()
        assert "backups/***" in result["deletions_skipped"]
        assert [failure["key"] for failure in result["failures"]] == ["backups/***"]
        assert "capability" not in json.dumps([result, report.error, report.warnings, report.diff()])
        assert set(world.s3.objects) == {"accounts/a.png", "backups/dumps/capability/archive.zip"}

    @pytest.mark.parametrize("delete", ["own", "all"])
    def test_never_where_a_folder_became_a_symlink(self, world, tmp_path, delete):
        world.write("accounts/a.png")
        world.write("cache/b.png")
        world.sync()
        (world.src / "cache").rename(tmp_path / "elsewhere")
        (world.src / "cache").symlink_to(tmp_path / "elsewhere")
        report = world.sync(delete=delete)
        assert "bind mount" in report.error
        assert "cache/" in report.as_dict()["deletions_skipped"]
        assert set(world.s3.objects) == {"accounts/a.png", "cache/b.png"}
        assert world.sync(delete=delete, exclude=["cache"]).error is None
        assert set(world.s3.objects) == {"accounts/a.png", "cache/b.png"}

    @pytest.mark.parametrize("check", [True, False])
    @pytest.mark.parametrize(("limit", "allowed"), [(0, 5), (80, 5), (83, 1)])
    def test_the_limit_holds_before_the_first_deletion(self, world, monkeypatch, check, limit, allowed):
        monkeypatch.setattr(safeguards, "DELETE_ALLOWED", allowed)
        world.write("accounts/keep.png")
        gone = [world.write(f"accounts/{number}.png") for number in range(5)]
        world.sync()
        for path in gone:
            path.unlink()
        report = world.sync(check, delete="own", max_delete_percent=limit)
        if limit and allowed == 5:
            assert report.error is None
            return
        assert "5 of 6 objects would be deleted" in report.error
        assert f"max_delete_percent={limit} allows" in report.error
        assert len(world.s3.objects) == 6
        assert world.sync(delete="own", max_delete_percent=84).error is None
        assert set(world.s3.objects) == {"accounts/keep.png"}

    def test_a_file_that_came_back_is_spared(self, world, done, monkeypatch):
        world.write("accounts/a.png")
        path = world.write("accounts/b.png")
        world.sync()
        path.unlink()
        monkeypatch.setattr(safeguards.Safeguards, "no_files", lambda guards: world.write("accounts/b.png") and None)
        assert done(world.sync(delete="own")) == {}
        assert "accounts/b.png" in world.s3.objects

    def test_a_file_that_became_a_folder_is_deleted(self, world, done):
        path = world.write("accounts/a", b"file")
        world.write("accounts/b")
        world.sync()
        path.unlink()
        world.write("accounts/a/b", b"inside")
        assert done(world.sync(delete="own")) == {"upload": 1, "delete": 1}
        assert set(world.s3.objects) == {"accounts/a/b", "accounts/b"}

    def test_errors_of_single_keys_are_honoured(self, world, done):
        world.write("accounts/keep.png")
        gone = [world.write(f"accounts/{number}.png") for number in range(3)]
        world.sync()
        for path in gone:
            path.unlink()

        def hook(operation, key):
            if operation == "DeleteOneOfMany" and key == "accounts/1.png":
                raise world.s3.error("InternalError", 500)

        world.s3.hook = hook
        report = world.sync(delete="own")
        assert done(report) == {"delete": 2}
        assert "accounts/1.png" in report.error
        world.s3.hook = lambda *_: None
        assert done(world.sync(delete="own")) == {"delete": 1}

    def test_names_that_xml_can_not_hold_are_deleted_one_by_one(self, world, done):
        odd = [f"accounts/{name}" for name in ("be\x07ll", "new\nline", "re\rturn", "trailing ", "del\x7f")]
        plain = [f"accounts/{name}" for name in ("a.png", " b.png", "c d.png", "li\u2028ne", "😀")]
        for key in (*odd, *plain, "accounts/keep.png"):
            world.write(key)
        world.sync()
        for key in (*odd, *plain):
            (world.src / key).unlink()
        batches = []
        real = world.s3.delete_objects

        def delete_objects(**arguments):
            batches.append([each["Key"] for each in arguments["Delete"]["Objects"]])
            return real(**arguments)

        world.s3.delete_objects = delete_objects
        assert done(world.sync(delete="own")) == {"delete": 10}
        assert sorted(batches[0]) == sorted(plain)
        assert set(world.s3.objects) == {"accounts/keep.png"}

    def test_a_store_without_batches_gets_single_deletions(self, world, done):
        world.write("accounts/keep.png")
        gone = [world.write(f"accounts/{number}.png") for number in range(3)]
        world.sync()
        for path in gone:
            path.unlink()

        def hook(operation, key):
            if operation == "DeleteObjects":
                raise world.s3.error("NotImplemented", 501, "DeleteObjects")

        world.s3.hook = hook
        assert done(world.sync(delete="own")) == {"delete": 3}
        assert world.s3.count("DeleteObject") == 3


@pytest.mark.parametrize("check", [True, False])
@pytest.mark.parametrize("below", ["cache", "cache/media_attachments", "accounts"])
@pytest.mark.parametrize("inside", [None, "lost+found"])
def test_nothing_below_a_folder_that_is_empty_as_a_mount_point(world, done, below, inside, check):
    for number in range(11):
        world.write(f"cache/media_attachments/1/{number}.png")
        world.write(f"cache/accounts/1/{number}.png")
        world.write(f"accounts/{number}.png")
    world.sync()
    shutil.rmtree(world.src / below)
    (world.src / below / (inside or "")).mkdir(parents=True)
    report = world.sync(check, delete="own")
    assert f"{world.src}/{below}/ is empty, although " in report.error
    assert "is its disk mounted?" in report.error
    assert len(world.s3.objects) == 33
    shutil.rmtree(world.src / below)
    assert world.sync(delete="own").error is None
    assert not [key for key in world.s3.objects if key.startswith(f"{below}/")]


def test_folders_that_a_cleaning_tool_left_empty_are_no_mount_points(world, done):
    for number in range(2):
        world.write(f"cache/media_attachments/{number}/a.png").unlink()
        world.write(f"cache/accounts/{number}/a.png")
    world.write("cache/media_attachments/0/a.png")
    world.sync()
    (world.src / "cache/media_attachments/0/a.png").unlink()
    assert done(world.sync(delete="own")) == {"delete": 1}


class TestEmptySource:
    """A tree without files is right on a new server only, and nothing is ever deleted because of it."""

    @pytest.fixture(params=["empty", "missing", "strays"])
    def empty(self, world, request):
        if request.param == "missing":
            world.src.rmdir()
        if request.param == "strays":
            world.write("lost+found/1")
        return world

    @pytest.mark.parametrize("check", [True, False])
    def test_it_needs_consent(self, empty, check):
        if empty.src.exists():
            report = empty.sync(check)
            assert "allow_empty=true" in report.error
            assert not report.complete
        else:
            with pytest.raises(SyncError, match="allow_empty=true"):
                empty.sync(check)

    def test_with_consent_the_whole_way_to_the_bucket_can_be_gone(self, empty, done):
        assert empty.sync(True, allow_empty=True).error is None
        assert empty.sync(allow_empty=True, delete="own").complete
        empty.src.mkdir(exist_ok=True)
        empty.write("accounts/late.png")
        assert done(empty.sync(source_of_truth="bucket", allow_empty=True)) == {"upload": 1}

    @pytest.mark.parametrize("source_of_truth", ["disk", "bucket"])
    @pytest.mark.parametrize("delete", ["never", "own"])
    @pytest.mark.parametrize("what", ["empty", "missing"])
    def test_consent_is_no_consent_to_a_disk_that_is_away(self, world, source_of_truth, delete, what):
        world.write("accounts/a.png")
        world.sync()
        shutil.rmtree(world.src)
        if what == "empty":
            world.src.mkdir()
        report = world.sync(
            source_of_truth=source_of_truth, allow_empty=True, delete="never" if source_of_truth == "bucket" else delete
        )
        assert "is its disk mounted?" in report.error
        assert not report.complete
        assert set(world.s3.objects) == {"accounts/a.png"}


@pytest.mark.parametrize("below", ["cache", "cache/media_attachments"])
def test_nothing_below_a_link_whose_target_is_away(world, tmp_path, done, below):
    for number in range(5):
        world.write(f"cache/media_attachments/{number}.png")
    world.write("accounts/a.png")
    world.write("accounts/b.png")
    assert done(world.sync(delete="own")) == {"upload": 7}
    elsewhere = tmp_path / "disk"
    (world.src / below).rename(elsewhere)
    (world.src / below).symlink_to(elsewhere)
    elsewhere.rename(tmp_path / "not mounted")
    (world.src / "accounts/a.png").unlink()
    report = world.sync(delete="own")
    assert f"{below}/: is a symlink that points to nothing" in report.error
    assert not report.complete
    assert done(report) == {}
    assert len(world.s3.objects) == 7


def test_a_first_run_is_not_complete_where_a_link_leads_nowhere(world):
    world.write("accounts/a.png")
    (world.src / "cache").symlink_to("/nonexistent/disk")
    (world.src / "unknown").symlink_to("/nonexistent/disk")
    report = world.sync()
    assert not report.complete
    assert report.as_dict()["failed_count"] == 1
    assert world.sync(exclude=["cache/**"]).complete


def test_not_from_an_empty_mount_point_with_a_mark_in_it(world, done):
    for number in range(5):
        world.write(f"cache/{number}.png")
    world.sync()
    shutil.rmtree(world.src / "cache")
    world.write("NOT_MOUNTED")
    report = world.sync(delete="own")
    assert "is its disk mounted?" in report.error
    assert done(report) == {}
    assert len(world.s3.objects) == 5


def test_a_tree_in_which_all_is_kept_at_home_is_no_empty_mount_point(world, done):
    paths = [world.write(f"cache/{number}.png") for number in range(2)]
    world.sync(exposure="policy")
    paths[0].unlink()
    paths[1].chmod(0o600)
    report = world.sync(exposure="policy", delete="own")
    assert report.error is None
    assert done(report) == {"delete": 1, "delete_private": 1}
