# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import errno

import pytest
from botocore.exceptions import SSLError

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.content import content
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.execution import upload
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.senders import boto3_sender
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.transfer.failure_limit import MOST_IN_A_ROW
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.tree import source

PUBLIC, PRIVATE = "public-read", "private"


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
        assert done(report) == {"delete_private": 1}
        assert world.s3.objects == {}

    def test_suspended_before_it_is_opened_under_a_policy(self, world, left_out):
        world.write("media_attachments/a.png", b"aaaa")
        world.write("media_attachments/b.png", b"bbbb")

        def hook(operation, key):
            (world.src / "media_attachments/b.png").chmod(0o600)

        world.s3.hook = hook
        report = world.sync(exposure="policy", concurrency=1)
        assert left_out(report) == {"local_only": 1}
        assert set(world.s3.objects) == {"media_attachments/a.png"}
        assert set(world.rows(exposure="policy")) == {"media_attachments/a.png"}

    def test_closed_again_before_its_acl_is_set(self, world):
        path = world.write("media_attachments/a.png", b"x", 0o600)
        other = world.write("accounts/first.png")
        world.sync()
        path.chmod(0o644)
        other.write_bytes(b"changed")
        world.s3.hook = lambda operation, key: path.chmod(0o600) if "first" in key else None
        world.sync(concurrency=1)
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
        monkeypatch.setattr(boto3_sender, "PART_BYTES", 1000)
        world.write("cache/a.mp4", b"x" * 5000)

        def broken(reader, amount=-1):
            raise OSError(errno.EIO, "Input/output error")

        monkeypatch.setattr(content.PartReader, "read", broken)
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
        assert report.as_dict()["failed_count"] < MOST_IN_A_ROW + 5

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
        real = source.open_beneath

        def no_b(root, path, flags):
            if path == b"accounts/b.png":
                raise PermissionError(errno.EACCES, "Permission denied")
            return real(root, path, flags)

        monkeypatch.setattr(source, "open_beneath", no_b)
        report = world.sync(delete="own")
        assert "Permission denied" in report.error
        assert done(report) == {}
        assert "accounts/b.png" in report.as_dict()["deletions_skipped"]
        assert "accounts/gone.png" in world.s3.objects


def test_a_file_that_turns_private_between_two_attempts_is_taken_back(world, done, monkeypatch):
    world.write("accounts/a.png")
    path = world.write("media_attachments/b.png", b"one")

    def change(operation, key):
        if operation == "PutObject" and key == "media_attachments/b.png":
            path.write_bytes(b"longer")

    world.s3.after = change
    monkeypatch.setattr(
        upload, "jittered", lambda seconds: path.chmod(0o600) or 0.0 if path.stat().st_size > 3 else 0.0
    )
    assert done(world.sync(exposure="policy")) == {"upload": 1, "delete_private": 1}
    assert set(world.s3.objects) == {"accounts/a.png"}


def test_a_file_that_was_sent_and_can_not_be_read_again_is_not_forgotten(world, monkeypatch):
    path = world.write("media_attachments/b.png", b"one")
    opened = source.Source.opened

    def fail_later(self, key):
        if path.stat().st_size > 3:
            raise OSError(5, "Input/output error")
        return opened(self, key)

    monkeypatch.setattr(source.Source, "opened", fail_later)
    world.s3.after = lambda operation, key: operation == "PutObject" and path.write_bytes(b"longer")
    report = world.sync()
    assert "can't be read: Input/output error" in report.error
    assert world.rows()["media_attachments/b.png"].state == "pending"
