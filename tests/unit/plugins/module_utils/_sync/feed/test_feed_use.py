# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
import random

import pytest
from disks import mounted
from feed_world import Changes

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._feed import kernel
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync import report as report_module
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.journal.journal import Journal
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.tree.source import Source

WAITING_AT_MOST = 16_384
UNLIMITED_QUEUE = 0x10
PUBLIC, PRIVATE = "public-read", "private"


def put(world, key, content=b"x", mode=0o644):
    path = world.src / key
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    path.chmod(mode)
    return path


def why(result):
    return result["entries"]["because"]


def test_only_the_first_run_walks_and_later_ones_look_at_changes(world, monkeypatch):
    put(world, "cache/a")
    put(world, "cache/b")
    first = world.sync()
    assert first["entries"] == {"from": "walk", "because": "all objects are to be compared"}
    put(world, "cache/c")
    os.unlink(world.src / "cache/a")
    second = world.sync()
    assert second["entries"] == {"from": "feed", "because": "every change since the last complete run is known"}
    assert second["source"]["files"] == 1
    assert second["actions"]["upload"]["count"] == second["actions"]["delete"]["count"] == 1
    assert world.bucket() == world.expected()
    third = world.sync()
    assert (third["entries"]["from"], third["source"]["files"], third["changed"]) == ("feed", 0, False)


def test_a_run_that_looks_at_changes_opens_no_other_folder(world, monkeypatch):
    put(world, "cache/a/file")
    put(world, "cache/b/file")
    world.done()
    put(world, "cache/b/file", b"new")
    opened = []
    real = Source.open_folder
    monkeypatch.setattr(
        Source, "open_folder", lambda self, parent, name: opened.append(name) or real(self, parent, name)
    )
    assert world.done() == "feed"
    assert opened == []
    assert world.bucket() == world.expected()


def test_without_a_feed_each_run_walks(world):
    world.feed.stop()
    assert why(world.sync()) == why(world.sync()) == "no feed is running"


def test_a_change_during_a_run_is_left_to_the_next_one(world):
    put(world, "cache/a", b"old")
    put(world, "cache/b", b"old")
    world.s3.after = lambda _operation, key: key == "cache/b" and put(world, "cache/a", b"new")
    assert world.done() == "walk"
    world.s3.after = lambda _operation, key: None
    assert world.done() == "feed"
    assert world.bucket() == world.expected()


@pytest.mark.parametrize("between", ["walk", "feed"])
def test_what_a_failed_run_left_is_looked_at_again(world, between):
    put(world, "cache/a")
    if between == "feed":
        world.done()
        put(world, "cache/b")

    def fail(operation, key):
        if operation == "PutObject":
            raise world.s3.error("AccessDenied", 403)

    world.s3.hook = fail
    failed = world.sync()
    assert failed["error"]
    world.s3.hook = lambda *_arguments: None
    put(world, "cache/c")
    assert world.done() == between
    assert world.bucket() == world.expected()


def test_files_that_may_still_be_written_are_looked_at_again(world):
    world.done(minimum_age=60)
    path = put(world, "cache/a", mode=0o600)
    result = world.sync(minimum_age=60)
    assert (result["left_out"]["too_new"]["count"], result["entries"]["from"]) == (1, "feed")
    assert world.sync(minimum_age=60)["left_out"]["too_new"]["count"] == 1
    assert world.done(minimum_age=0) == "feed"
    assert world.bucket()["cache/a"] == (b"x", PRIVATE)
    os.chmod(path, 0o644)
    assert world.done(minimum_age=0) == "feed"
    assert world.bucket()["cache/a"] == (b"x", PUBLIC)


def test_too_many_files_that_may_still_be_written_are_not_remembered(world, monkeypatch):
    monkeypatch.setattr(report_module, "LEFT_KEPT", 2)
    world.done(minimum_age=60)
    for name in "abc":
        put(world, f"cache/{name}", mode=0o600)
    assert world.sync(minimum_age=60)["left_out"]["too_new"]["count"] == 3
    assert world.done(minimum_age=0) == "walk"
    assert world.bucket() == world.expected()


def test_the_switch_changes_nothing_for_the_feed(world):
    put(world, "cache/a")
    put(world, "cache/suspended")
    world.done()
    put(world, "cache/new")
    os.chmod(world.src / "cache/suspended", 0o600)
    os.unlink(world.src / "cache/a")
    assert world.done(source_of_truth="bucket", delete="never") == "feed"
    assert world.s3.acls()["cache/suspended"] == PRIVATE
    assert set(world.s3.objects) == {"accounts/always", "cache/a", "cache/new", "cache/suspended"}
    put(world, "cache/late")
    assert world.done(source_of_truth="bucket", delete="never") == "feed"
    assert "cache/late" in world.s3.objects


def test_after_a_way_back_to_the_disk_everything_is_looked_at(world):
    put(world, "cache/a")
    world.done()
    world.done(source_of_truth="bucket", delete="never")
    del world.s3.objects["cache/a"]
    assert world.done(reopen=True) == "walk"
    assert world.bucket() == world.expected()


def test_other_rules_need_a_walk_even_if_a_run_with_them_was_killed(world):
    put(world, "cache/a")
    put(world, "media_attachments/a")
    world.done()

    def die(operation, key):
        raise KeyboardInterrupt

    world.s3.after = die
    with pytest.raises(KeyboardInterrupt):
        world.sync(cache_control="no-store")
    world.s3.after = lambda *_arguments: None
    assert world.done() == "walk"
    assert {stored.headers["CacheControl"] for stored in world.s3.objects.values()} == {
        "public, max-age=315576000, immutable"
    }


def test_check_mode_walks_and_leaves_the_feed_alone(world):
    put(world, "cache/a")
    world.done()
    put(world, "cache/b")
    settings = world.settings()
    journal = Journal.peek(settings.journal_path)
    before = journal.feed_position.get()
    journal.close()
    assert before is not None
    result = world.sync(check=True)
    assert (result["entries"]["from"], result["source"]["files"]) == ("walk", 3)
    assert world.done() == "feed"
    assert world.bucket() == world.expected()


def test_hard_links_need_a_walk(world):
    path = put(world, "cache/a")
    world.done()
    os.link(path, world.src / "cache/b")
    result = world.sync()
    assert result["entries"]["from"] == "walk"
    assert "hard links" in why(result)
    # By now both names were dealt with. A change under one of them concerns the other.
    path.write_bytes(b"new")
    path.unlink()
    assert world.done() == "walk"
    assert world.bucket() == world.expected()
    assert world.done() == "feed"


def test_links_in_folders_that_are_walked_below_count_too(world):
    (world.outside / "folder").mkdir()
    (world.outside / "folder/a").write_bytes(b"x")
    os.link(world.outside / "folder/a", world.outside / "folder/b")
    world.done()
    os.rename(world.outside / "folder", world.src / "cache/folder")
    assert world.done() == "walk"
    assert world.bucket() == world.expected()


def test_a_feed_that_dies_during_a_run_is_not_believed_later(world):
    put(world, "cache/a")
    world.done()
    put(world, "cache/b")
    world.s3.after = lambda _operation, _key: world.feed.stop()
    assert world.done() == "feed"
    world.s3.after = lambda *_arguments: None
    assert world.bucket() == world.expected()
    put(world, "cache/c")
    world.feed.start()
    result = world.sync()
    assert (result["entries"]["from"], why(result)) == ("walk", "no run was complete since the feed was started")
    assert world.bucket() == world.expected()


def test_a_feed_of_another_tree_is_not_believed(world, tmp_path):
    world.done()
    drain = world.feed.drain
    world.feed.drain = lambda: drain()._replace(root=(0, 0))
    assert why(world.sync()) == "the feed follows another tree"


def test_two_buckets_with_one_feed_are_both_right(world):
    put(world, "cache/a")
    world.done()
    world.done(key_prefix="other")
    put(world, "cache/b")
    assert world.done() == "walk"
    assert world.done(key_prefix="other") == "walk"
    assert {key for key in world.s3.objects if key.endswith("/b")} == {"cache/b", "other/cache/b"}


def test_a_few_suspended_accounts_do_not_look_like_a_wrong_umask(world):
    for number in range(100):
        put(world, f"cache/files/{number}")
    world.done(max_private_percent=30)
    for number in range(20):
        os.chmod(world.src / f"cache/files/{number}", 0o600)
    assert world.done(max_private_percent=30) == "feed"
    assert sum(acl == PRIVATE for acl in world.s3.acls().values()) == 20
    for number in range(20, 80):
        os.chmod(world.src / f"cache/files/{number}", 0o600)
    assert "can be read by neither" in world.sync(max_private_percent=30)["error"]
    assert sum(acl == PRIVATE for acl in world.s3.acls().values()) == 20


def test_deletions_are_limited_by_their_share_of_the_whole_tree(world, monkeypatch):
    for number in range(100):
        put(world, f"cache/files/{number}")
    world.done()
    monkeypatch.setattr(
        "ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.plan.safeguards.DELETE_ALLOWED", 0
    )
    for number in range(10):
        os.unlink(world.src / f"cache/files/{number}")
    assert world.done(max_delete_percent=20) == "feed"
    for number in range(10, 60):
        os.unlink(world.src / f"cache/files/{number}")
    assert "max_delete_percent=20" in world.sync(max_delete_percent=20)["error"]
    assert len(world.s3.objects) == 91


def test_a_tree_that_was_emptied_is_not_mirrored(world):
    put(world, "cache/a")
    world.done()
    for key in ("cache/a", "accounts/always"):
        os.unlink(world.src / key)
    result = world.sync()
    assert result["entries"]["from"] == "feed"
    assert "contains no file for the bucket" in result["error"]
    assert set(world.s3.objects) == {"cache/a", "accounts/always"}


def test_a_new_mount_below_the_root_needs_a_walk(world, tmp_path):
    world.done()
    with mounted("tmpfs", world.src / "cache/disk"):
        put(world, "cache/disk/a")
        assert "what is mounted at or below" in why(world.sync())
        assert world.bucket() == world.expected()
        put(world, "cache/disk/b")
        assert world.done() == "feed"
        assert world.bucket() == world.expected()


@pytest.mark.slow
def test_the_bucket_equals_the_tree_though_the_queue_overflows(world, monkeypatch):
    monkeypatch.setattr(kernel, "GROUP_FLAGS", kernel.GROUP_FLAGS & ~UNLIMITED_QUEUE)
    world.feed.start()
    seed = random.randrange(10**6)
    changes = Changes(world, seed)
    world.done()
    changes.make(20)
    many = world.src.parent / "many"  # which the other changes leave alone
    many.mkdir()
    for number in range(WAITING_AT_MOST):
        os.mknod(many / str(number))
    changes.make(20)
    result = world.sync()
    assert why(result) == "the kernel dropped changes, because too many were waiting", seed
    assert world.bucket() == world.expected(), seed
    changes.make(20)
    assert world.done() == "feed", seed
    assert world.bucket() == world.expected(), seed
