# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import dataclasses
import errno
import os
import threading
import time

import pytest
from botocore.exceptions import SSLError

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync import engine, send
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.breaker import STREAK
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.model import Outcome, Result, SyncError
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.statefiles import BusyError, Lock

PUBLIC, PRIVATE = "public-read", "private"


def sample(world):
    world.write("accounts/avatars/1/original/a.png", b"avatar")
    world.write("media_attachments/files/1/original/open.webp", b"open")
    world.write("media_attachments/files/2/original/suspended.webp", b"suspended", 0o600)
    world.write("backups/dumps/1/archive-secret.zip", b"archive")
    world.write("imports/data/1/secret.csv", b"follows")
    world.write("stray.txt", b"?")


def test_uploads_a_tree_with_the_exposure_it_has_on_disk(world, done, left_out):
    sample(world)
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
    sample(world)
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


def test_other_headers_are_sent(world, done):
    world.write("accounts/a.png")
    world.sync()
    assert done(world.sync(cache_control="no-store")) == {"upload": 1}
    assert world.s3.objects["accounts/a.png"].headers["CacheControl"] == "no-store"
    assert done(world.sync(cache_control="no-store", storage_class="STANDARD_IA")) == {"upload": 1}
    assert world.s3.objects["accounts/a.png"].headers["StorageClass"] == "STANDARD_IA"


def test_a_file_without_extension_is_sniffed(world):
    world.write("accounts/a", b"\x89PNG\r\n\x1a\n....")
    world.sync()
    assert world.s3.objects["accounts/a"].headers["ContentType"] == "image/png"


def test_fresh_private_files_wait_for_the_next_round(world, done, left_out):
    path = world.write("media_attachments/a.png", b"x", 0o600)
    report = world.sync(settle_seconds=60)
    assert left_out(report) == {"settling": 1}
    assert report.as_dict()["deferred"] == 1
    assert world.s3.objects == {}
    path.chmod(0o644)
    assert done(world.sync(settle_seconds=60)) == {"upload": 1}
    assert world.s3.acls() == {"media_attachments/a.png": PUBLIC}


def test_a_known_file_that_only_lost_its_mode_is_private_at_once(world, done):
    path = world.write("media_attachments/a.png")
    world.sync()
    path.chmod(0o600)
    assert done(world.sync(settle_seconds=60)) == {"set_acl": 1}


def test_backups_do_not_settle(world, done):
    world.write("backups/a.zip", b"x", 0o600)
    assert done(world.sync(settle_seconds=60)) == {"upload": 1}


class TestWhileItIsSent:
    """What happens to a file between the walk and the end of its request."""

    def test_suspended_before_it_is_opened(self, world):
        path = world.write("media_attachments/a.png", b"aaaa")
        world.write("media_attachments/b.png", b"bbbb")
        opened = world.s3

        def hook(operation, key):
            if key.endswith("a.png"):
                (world.src / "media_attachments/b.png").chmod(0o600)

        opened.hook = hook
        world.sync(concurrency=1)
        assert path.exists()
        assert opened.objects["media_attachments/b.png"].acls == [PRIVATE]

    def test_suspended_during_its_request(self, world, done):
        path = world.write("media_attachments/a.png")
        world.s3.after = lambda operation, key: path.chmod(0o600) if operation == "PutObject" else None
        report = world.sync()
        assert done(report) == {"upload": 1}
        assert world.s3.acls() == {"media_attachments/a.png": PRIVATE}
        assert world.rows()["media_attachments/a.png"].applied == "acl:private"
        world.s3.after = lambda *_: None
        assert world.sync().as_dict()["changed"] is False

    def test_suspended_during_its_request_under_a_policy(self, world, done):
        path = world.write("media_attachments/a.png")
        world.s3.after = lambda operation, key: path.chmod(0o600) if operation == "PutObject" else None
        report = world.sync(exposure="policy")
        assert done(report) == {"withdraw": 1}
        assert world.s3.objects == {}

    def test_suspended_before_it_is_opened_under_a_policy(self, world, left_out):
        world.write("media_attachments/a.png", b"aaaa")
        world.write("media_attachments/b.png", b"bbbb")

        def hook(operation, key):
            (world.src / "media_attachments/b.png").chmod(0o600)

        world.s3.hook = hook
        report = world.sync(exposure="policy", concurrency=1)
        assert left_out(report) == {"kept_home": 1}
        assert set(world.s3.objects) == {"media_attachments/a.png"}
        assert set(world.rows(exposure="policy")) == {"media_attachments/a.png"}

    def test_opened_up_before_its_acl_is_set(self, world, left_out):
        path = world.write("media_attachments/a.png", b"x", 0o600)
        other = world.write("accounts/first.png")
        world.sync()
        path.chmod(0o644)
        other.write_bytes(b"changed")
        world.s3.hook = lambda operation, key: path.chmod(0o600) if "first" in key else None
        report = world.sync(concurrency=1)
        assert left_out(report) == {"settling": 1}
        assert world.s3.objects["media_attachments/a.png"].acls == [PRIVATE]
        world.sync()
        assert world.s3.acls()["media_attachments/a.png"] == PRIVATE

    def test_grown_during_its_request(self, world, done):
        path = world.write("accounts/a.png", b"short")
        bodies = []

        def after(operation, key):
            bodies.append(world.s3.objects[key].body)
            if len(bodies) == 1:
                path.write_bytes(b"longer than before")

        world.s3.after = after
        report = world.sync()
        assert done(report) == {"upload": 1}
        assert bodies == [b"short", b"longer than before"]
        assert world.rows()["accounts/a.png"].size == len(b"longer than before")

    def test_changing_all_the_time(self, world):
        path = world.write("accounts/a.png", b"1")
        world.write("accounts/b.png", b"still")

        def after(operation, key):
            if key.endswith("a.png"):
                with path.open("ab") as file:
                    file.write(b"1")

        world.s3.after = after
        report = world.sync()
        assert report.error is not None
        assert "accounts/a.png" in report.error
        assert report.as_dict()["failed_count"] == 1
        assert world.s3.count("PutObject") == 4
        world.s3.after = lambda *_: None
        assert world.sync().error is None
        assert world.s3.objects["accounts/a.png"].body == b"1111"

    def test_vanished_before_it_is_opened(self, world, done, left_out):
        world.write("accounts/a.png")
        gone = world.write("accounts/b.png")
        world.s3.hook = lambda operation, key: gone.unlink() if gone.exists() else None
        report = world.sync(concurrency=1)
        assert report.error is None
        assert (done(report), left_out(report)) == ({"upload": 1}, {"vanished": 1})
        assert set(world.rows()) == {"accounts/a.png"}

    def test_vanished_during_its_request_is_deleted_by_the_next_round(self, world, done, left_out):
        world.write("accounts/keep.png")
        gone = world.write("accounts/b.png")
        world.s3.after = lambda operation, key: gone.unlink() if key.endswith("b.png") else None
        assert left_out(world.sync()) == {"vanished": 1}
        world.s3.after = lambda *_: None
        assert done(world.sync(delete="own")) == {"delete": 1}
        assert set(world.s3.objects) == {"accounts/keep.png"}

    def test_replaced_by_a_symlink(self, world, tmp_path, left_out):
        world.write("accounts/a.png")
        path = world.write("accounts/b.png")
        secret = tmp_path / "shadow"
        secret.write_bytes(b"root's")

        def hook(operation, key):
            if path.exists() and not path.is_symlink():
                path.unlink()
                path.symlink_to(secret)

        world.s3.hook = hook
        report = world.sync(concurrency=1)
        assert left_out(report) == {"special_file": 1}
        assert set(world.s3.objects) == {"accounts/a.png"}

    def test_its_folder_replaced_by_a_symlink(self, world, tmp_path):
        world.write("accounts/a.png")
        path = world.write("accounts/sub/b.png")
        (tmp_path / "etc").mkdir()
        (tmp_path / "etc" / "b.png").write_bytes(b"root's")

        def hook(operation, key):
            if path.parent.is_dir() and not path.parent.is_symlink():
                path.parent.rename(tmp_path / "aside")
                path.parent.symlink_to(tmp_path / "etc")

        world.s3.hook = hook
        world.sync(concurrency=1)
        assert set(world.s3.objects) == {"accounts/a.png"}

    def test_damaged_on_its_way(self, world, done):
        world.write("accounts/a.png", b"right")
        tries = []

        def hook(operation, key):
            tries.append(key)
            if len(tries) < 3:
                raise world.s3.error("BadDigest")

        world.s3.hook = hook
        assert done(world.sync()) == {"upload": 1}
        assert len(tries) == 3

    def test_another_etag_than_was_sent(self, world):
        world.write("accounts/a.png", b"right")

        def after(operation, key):
            world.s3.objects[key].etag = "0" * 32

        real = world.s3.put_object
        world.s3.put_object = lambda **arguments: {**real(**arguments), "ETag": f'"{"0" * 32}"'}
        report = world.sync()
        assert "damaged" in report.error
        world.s3.put_object = lambda **arguments: {
            **real(**arguments),
            "ETag": f'"{"0" * 32}"',
            "ServerSideEncryption": "aws:kms",
        }
        assert world.sync().error is None


class TestLarge:
    """Files above the size of one part."""

    @pytest.fixture(autouse=True)
    def small_parts(self, monkeypatch):
        monkeypatch.setattr(send, "PART_BYTES", 1000)

    def test_sent_in_parts_and_verified(self, world):
        content = bytes(range(256)) * 10
        world.write("cache/a.mp4", content)
        world.write("cache/b.mp4", content[:2000])
        assert world.sync().error is None
        assert world.s3.objects["cache/a.mp4"].body == content
        assert world.s3.objects["cache/a.mp4"].etag.endswith("-3")
        assert world.s3.objects["cache/b.mp4"].etag.endswith("-2")
        assert world.sync().as_dict()["changed"] is False

    def test_touched_is_compared_by_its_content(self, world):
        path = world.write("cache/a.mp4", b"x" * 2500)
        world.sync()
        os.link(path, world.src.parent / "link")
        assert world.sync().as_dict()["changed"] is False
        assert world.s3.calls == []

    def test_another_content_in_the_bucket_is_noticed(self, world):
        world.write("cache/a.mp4", b"x" * 2500)
        bad = []

        def after(operation, key):
            if not bad:
                bad.append(key)
                world.s3.objects[key].etag = f"{'0' * 32}-3"

        world.s3.after = after
        assert world.sync().error is None
        assert world.s3.count("UploadFileobj") == 2

    def test_what_a_killed_upload_left_is_removed(self, world):
        world.write("cache/a.mp4", b"x" * 2500)

        def hook(operation, key):
            if operation == "UploadFileobj":
                raise KeyboardInterrupt

        world.s3.hook = hook
        with pytest.raises(KeyboardInterrupt):
            world.sync()
        world.s3.hook = lambda *_: None
        world.s3.unfinished = ["cache/a.mp4", "cache/a.mp4.other"]
        assert world.sync().error is None
        assert world.s3.unfinished == ["cache/a.mp4.other"]

    def test_grown_while_it_is_read(self, world):
        path = world.write("cache/a.mp4", b"x" * 2500)
        grown = []

        def hook(operation, key):
            if operation == "UploadFileobj" and not grown:
                grown.append(key)
                with path.open("ab") as file:
                    file.write(b"y" * 700)

        world.s3.hook = hook
        assert world.sync().error is None
        assert world.s3.objects["cache/a.mp4"].body == b"x" * 2500 + b"y" * 700
        assert world.rows()["cache/a.mp4"].size == 3200


class TestFailures:
    def test_one_failure_does_not_stop_the_others(self, world, done):
        for number in range(30):
            world.write(f"accounts/{number:02}.png", b"%d" % number)

        def hook(operation, key):
            if key == "accounts/05.png":
                raise world.s3.error("EntityTooLarge")

        world.s3.hook = hook
        report = world.sync()
        assert done(report) == {"upload": 29}
        assert report.as_dict()["failures"][0]["key"] == "accounts/05.png"
        assert "1 of 30" in report.error
        assert report.complete is False
        world.s3.hook = lambda *_: None
        assert done(world.sync()) == {"upload": 1}

    @pytest.mark.parametrize(
        "code", ["NoSuchBucket", "InvalidAccessKeyId", "AccessControlListNotSupported", "RequestTimeTooSkewed"]
    )
    def test_what_must_fail_for_all_stops_at_once(self, world, code):
        for number in range(500):
            world.write(f"accounts/{number:03}.png")

        def hook(operation, key):
            raise world.s3.error(code, 404 if code == "NoSuchBucket" else 400)

        world.s3.hook = hook
        report = world.sync(concurrency=2)
        assert code in report.error
        assert len(world.s3.calls) < 20
        assert len(report.as_dict()["failures"]) <= 20

    def test_an_untrusted_certificate_is_no_unreadable_file(self, world):
        """Botocore's SSLError is an OSError as well."""
        world.write("accounts/a.png")

        def hook(operation, key):
            raise SSLError(endpoint_url="https://store.example", error="CERTIFICATE_VERIFY_FAILED")

        world.s3.hook = hook
        report = world.sync()
        assert "certificate is not trusted" in report.error
        assert "can't be read" not in report.error

    def test_an_unreadable_part_of_a_large_file(self, world, monkeypatch):
        monkeypatch.setattr(send, "PART_BYTES", 1000)
        world.write("cache/a.mp4", b"x" * 5000)

        def broken(reader, amount=-1):
            raise OSError(errno.EIO, "Input/output error")

        monkeypatch.setattr(send._PartReader, "read", broken)
        report = world.sync()
        assert "can't be read: Input/output error" in report.error

    def test_denied_public_uploads_stop_though_private_ones_succeed(self, world):
        for number in range(200):
            world.write(f"accounts/{number:03}.png", b"x", 0o600 if number % 2 else 0o644)

        def hook(operation, key):
            if int(key[9:12]) % 2 == 0:
                raise world.s3.error("AccessDenied", 403)

        world.s3.hook = hook
        report = world.sync(concurrency=1)
        assert "BlockPublicAcls" in report.error
        assert "policy" in report.error
        assert report.as_dict()["failed_count"] < STREAK + 5

    def test_failures_are_capped(self, world):
        for number in range(60):
            world.write(f"accounts/{number:02}.png")

        def hook(operation, key):
            raise world.s3.error("EntityTooLarge")

        world.s3.hook = hook
        result = world.sync().as_dict()
        assert result["failed_count"] == 60
        assert len(result["failures"]) == 20

    def test_an_unreadable_file(self, world, monkeypatch, done):
        world.write("accounts/a.png")
        world.write("accounts/b.png")
        world.write("accounts/gone.png")
        world.sync()
        world.write("accounts/b.png", b"other")
        (world.src / "accounts/gone.png").unlink()
        real = os.open

        def no_b(path, *arguments, **words):
            if path == b"b.png":
                raise PermissionError(errno.EACCES, "Permission denied")
            return real(path, *arguments, **words)

        monkeypatch.setattr(os, "open", no_b)
        report = world.sync(delete="own")
        assert "Permission denied" in report.error
        assert done(report) == {}
        assert "accounts/b.png" in report.as_dict()["deletions_skipped"]
        assert "accounts/gone.png" in world.s3.objects


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
    def test_the_limit_holds_before_the_first_deletion(self, world, check):
        world.write("accounts/keep.png")
        gone = [world.write(f"accounts/{number}.png") for number in range(5)]
        world.sync()
        for path in gone:
            path.unlink()
        report = world.sync(check, delete="own", max_delete=4)
        assert "max_delete=4" in report.error
        assert len(world.s3.objects) == 6
        assert world.sync(delete="own", max_delete=5).error is None
        assert set(world.s3.objects) == {"accounts/keep.png"}

    def test_a_file_that_came_back_is_spared(self, world, done, monkeypatch):
        world.write("accounts/a.png")
        path = world.write("accounts/b.png")
        world.sync()
        path.unlink()
        monkeypatch.setattr(engine._Run, "_misses_its_files", lambda run: world.write("accounts/b.png") and None)
        assert done(world.sync(delete="own")) == {}
        assert "accounts/b.png" in world.s3.objects

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


class TestPolicy:
    def test_private_files_stay_at_home(self, world, left_out):
        sample(world)
        report = world.sync(exposure="policy")
        assert left_out(report) == {"kept_home": 1, "unknown_folder": 2}
        assert world.s3.acls() == {
            "accounts/avatars/1/original/a.png": "none",
            "media_attachments/files/1/original/open.webp": "none",
            "backups/dumps/1/archive-secret.zip": "none",
        }
        assert world.sync(exposure="policy").as_dict()["changed"] is False

    def test_what_became_private_is_withdrawn_and_comes_back(self, world, done):
        path = world.write("media_attachments/a.png")
        world.write("accounts/a.png")
        world.sync(exposure="policy")
        path.chmod(0o600)
        assert done(world.sync(exposure="policy")) == {"withdraw": 1}
        assert set(world.s3.objects) == {"accounts/a.png"}
        assert world.sync(exposure="policy").as_dict()["changed"] is False
        path.chmod(0o644)
        assert done(world.sync(exposure="policy")) == {"upload": 1}

    def test_foreign_objects_are_not_withdrawn(self, world):
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
        assert done(report) == {"upload": 1}
        assert world.s3.acls() == {"accounts/a.png": PUBLIC, "cache/b.png": "none"}


class TestCheckMode:
    def test_tells_the_plan_and_writes_nothing(self, world, done):
        sample(world)
        foretold = world.sync(check=True)
        assert not world.state_dir.exists()
        assert world.s3.calls == []
        real = world.sync()
        for key in ("actions", "left_out", "unchanged", "source"):
            assert foretold.as_dict()[key] == real.as_dict()[key]
        assert sorted(foretold.diff()["prepared"].splitlines()) == sorted(real.diff()["prepared"].splitlines())

    def test_tells_the_plan_of_changes(self, world, done):
        sample(world)
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

        world.s3.hook = hook
        assert done(world.sync(check=True, delete="all")) == {"upload": 1}

    def test_while_another_run_holds_the_journal(self, world, done):
        world.write("accounts/a.png")
        world.sync()
        world.write("accounts/b.png")
        lock = Lock(world.settings().journal_path)
        assert done(world.sync(check=True)) == {"upload": 1}
        lock.release()


def test_private_names_are_masked_everywhere(world):
    sample(world)

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

    world.sync(transfer=Null(), progress=lambda tally: shown.append(tally.files.count))
    assert seen == ["accounts/a.png"]
    assert shown == [1]
