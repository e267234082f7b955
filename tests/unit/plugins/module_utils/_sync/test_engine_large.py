# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Files that are sent in parts: how they are verified, and what an upload that broke off leaves behind."""

from __future__ import annotations

import os
import time

import pytest

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.content import content
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.senders import boto3_sender

PUBLIC, PRIVATE = "public-read", "private"


class TestLarge:
    """Files above the size of one part."""

    @pytest.fixture(autouse=True)
    def small_parts(self, monkeypatch):
        monkeypatch.setattr(boto3_sender, "PART_BYTES", 1000)

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

    def test_one_that_grows_without_end_is_not_read_without_end(self, world, monkeypatch):
        path = world.write("cache/a.mp4", b"x" * 2500)
        read, count = content.PartReader.read, 0

        def growing(self, amount=-1):
            nonlocal count
            count += 1
            assert count < 100
            with path.open("ab") as stream:
                stream.write(b"x" * 2000)
            return read(self, amount)

        monkeypatch.setattr(content.PartReader, "read", growing)
        report = world.sync()
        assert "cache/a.mp4" not in world.rows() or world.rows()["cache/a.mp4"].state != "done"
        assert not report.complete

    def test_one_that_is_larger_than_any_object_is_named(self, world):
        os.truncate(world.write("cache/a.mp4", b""), 5 * 1024**4 + 1)
        report = world.sync()
        assert [(one["key"], "larger than 5 TiB" in one["error"]) for one in report.tally.failures] == [
            ("cache/a.mp4", True)
        ]

    @pytest.mark.parametrize("damage", ["another ETag", "cut off"])
    def test_another_content_in_the_bucket_is_noticed(self, world, damage):
        content = b"x" * 2500
        world.write("cache/a.mp4", content)
        bad = []

        def after(operation, key):
            if not bad:
                bad.append(key)
                stored = world.s3.objects[key]
                if damage == "cut off":
                    # As of a store whose ETags are no digests of the content.
                    stored.body, stored.etag = stored.body[:2000], "of its own"
                else:
                    stored.etag = f"{'0' * 32}-3"

        world.s3.after = after
        assert world.sync().error is None
        assert world.s3.count("UploadFileobj") == 2
        assert world.s3.objects["cache/a.mp4"].body == content

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

    @pytest.mark.parametrize("content", [b"small", None], ids=["now small", "now gone"])
    def test_what_a_killed_upload_left_is_removed_whatever_became_of_the_file(self, world, content):
        path = world.write("cache/a.mp4", b"x" * 2500)
        world.write("cache/b.png")

        def hook(operation, key):
            if operation == "UploadFileobj":
                raise KeyboardInterrupt

        world.s3.hook = hook
        with pytest.raises(KeyboardInterrupt):
            world.sync()
        world.s3.hook = lambda *_: None
        world.s3.unfinished = ["cache/a.mp4", "cache/b.png", "cache/of others.mp4"]
        path.unlink()
        if content is not None:
            world.write("cache/a.mp4", content)
        assert world.sync(delete="own").error is None
        assert "cache/a.mp4" not in world.s3.unfinished
        assert "cache/of others.mp4" in world.s3.unfinished

    def test_what_an_upload_leaves_whose_beginning_was_not_answered_is_removed(self, world):
        world.write("cache/a.mp4", b"x" * 2500)
        world.s3.hook = lambda operation, key: world.s3.unfinished.append(key) if operation == "UploadFileobj" else None
        assert world.sync().error is None
        assert world.s3.unfinished == []

    def test_an_end_that_was_not_answered_is_looked_up(self, world, done):
        world.write("cache/a.mp4", b"x" * 2500)
        tries = []

        def after(operation, key):
            tries.append(key)
            raise world.s3.error("NoSuchUpload", 404, "CompleteMultipartUpload")

        world.s3.after = after
        assert done(world.sync()) == {"upload": 1}
        assert len(tries) == 1
        assert world.sync().as_dict()["changed"] is False

    @pytest.mark.parametrize("size", [21, 2500])
    @pytest.mark.parametrize("etag", ["0" * 32, "0" * 32 + "-3", "of its own"])
    def test_an_end_that_did_not_come_about_is_no_end(self, world, done, size, etag):
        world.write("cache/a.mp4", b"x" * 2500)
        tries = []

        def hook(operation, key):
            if operation == "UploadFileobj" and not tries:
                tries.append(key)
                world.s3._store(key, b"o" * size, etag, {})
                raise world.s3.error("NoSuchUpload", 404, "CompleteMultipartUpload")

        world.s3.hook = hook
        assert done(world.sync()) == {"upload": 1}
        assert world.s3.objects["cache/a.mp4"].body == b"x" * 2500

    def test_no_file_has_more_parts_than_a_store_takes(self, world, monkeypatch):
        """Some take a thousand, others ten thousand; objects have up to 5 TiB. Large parts are held one at a time."""
        monkeypatch.setattr(boto3_sender, "PART_BYTES", 8 * 1024**2)
        parts, under_way, at_once = {}, [], []
        sizes = {"a": 5 * 1024**3 + 1, "b": 50 * 1024**3, "c": 900 * 1024**3, "d": 5 * 1024**4}
        for name, size in sizes.items():
            os.truncate(world.write(f"cache/{name}.mp4"), size)

        def upload_fileobj(*, Key, Config, **_others):  # noqa: N803
            if Config.multipart_chunksize > 8 * 1024**2:
                under_way.append(Key)
            at_once.append(len(under_way))
            time.sleep(0.05)
            if Key in under_way:
                under_way.remove(Key)
            parts[Key[6]] = Config.multipart_chunksize
            raise world.s3.error("EntityTooLarge")

        world.s3.upload_fileobj = upload_fileobj
        assert world.sync().as_dict()["failed_count"] == 4
        assert parts["a"] == 8 * 1024**2
        assert all(-(-sizes[name] // parts[name]) <= 1000 for name in "ab")
        assert all(-(-sizes[name] // parts[name]) <= 10_000 for name in "cd")
        assert parts["c"] == 256 * 1024**2
        assert max(at_once) == 1

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
