# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
import sqlite3

import pytest
from disks import mounted

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._feed import kernel, names
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._feed.errors import UnsupportedError
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._feed.reader import Reader

WAITING_AT_MOST = 16_384  # /proc/sys/fs/fanotify/max_queued_events
UNLIMITED_QUEUE = 0x10


@pytest.fixture
def reader(tree, tmp_path):
    reader = Reader(str(tree), str(tmp_path))
    yield reader
    reader.close()


def test_changes_before_a_drain_have_its_time_and_those_after_it_a_later_one(reader, tree):
    start = reader.drain()
    (tree / "a").write_bytes(b"x")
    first = reader.drain()
    (tree / "b").write_bytes(b"x")
    second = reader.drain()
    assert start.time < first.time < second.time
    assert first.complete_since <= start.time
    assert reader.page(start.time, b"") == [b"a", b"b"]
    assert reader.page(first.time, b"") == [b"b"]
    assert reader.page(second.time, b"") == []


def test_keys_to_look_at_again_come_after_the_last_drain(reader):
    state = reader.drain()
    reader.again([b"a"])
    assert reader.page(state.time, b"") == [b"a"]


def test_what_was_dealt_with_is_forgotten_and_can_not_be_asked_for(reader, tree):
    start = reader.drain()
    (tree / "a").write_bytes(b"x")
    state = reader.drain()
    (tree / "b").write_bytes(b"x")
    reader.forget(state.time)
    assert reader.page(start.time, b"") is None
    after = reader.drain()
    assert reader.page(state.time, b"") == [b"b"]
    assert (after.complete_since, after.gap) == (state.time, "")
    reader.forget(start.time)  # of an old run: nothing comes back
    assert reader.drain().complete_since == state.time


def test_changes_that_the_kernel_drops_are_a_gap_and_later_ones_are_known(tree, tmp_path, monkeypatch):
    monkeypatch.setattr(kernel, "GROUP_FLAGS", kernel.GROUP_FLAGS & ~UNLIMITED_QUEUE)
    reader = Reader(str(tree), str(tmp_path))
    start = reader.drain()
    (tree / "a").write_bytes(b"x")
    reader.drain()
    for number in range(WAITING_AT_MOST + 1):
        os.mknod(tree / str(number))
    state = reader.drain()
    assert state.gap == "the kernel dropped changes, because too many were waiting"
    assert reader.page(start.time, b"") is None
    assert state.complete_since <= state.time
    (tree / "b").write_bytes(b"x")
    assert reader.drain().complete_since <= state.time
    assert reader.page(state.time, b"a") == [b"b"]
    reader.close()


def test_too_many_changes_are_a_gap(reader, tree, monkeypatch):
    monkeypatch.setattr(names, "MOST_BYTES", 8192)
    start = reader.drain()
    for number in range(500):
        os.mknod(tree / f"{number:060}")
    state = reader.drain()
    assert state.gap == "too many files have changed to remember them all"
    assert reader.page(start.time, b"") is None
    assert reader.names.count() == 0


def test_names_that_can_not_be_stored_are_a_gap(reader, tree, monkeypatch):
    start = reader.drain()
    (tree / "a").write_bytes(b"x")

    def full(*_arguments):
        raise sqlite3.OperationalError("database or disk is full")

    with monkeypatch.context() as patch:
        patch.setattr(names.Names, "add", full)
        state = reader.drain()
    assert state.gap == "what has changed could not be stored: database or disk is full"
    assert reader.page(start.time, b"") is None
    (tree / "b").write_bytes(b"x")
    reader.drain()
    assert b"b" in reader.page(state.time, b"")


def test_a_new_mount_is_a_gap_and_is_followed_from_then_on(reader, tree):
    start = reader.drain()
    with mounted("tmpfs", tree / "inner") as inner:
        state = reader.drain()
        assert "what is mounted at or below" in state.gap
        assert reader.page(start.time, b"") is None
        assert len(state.mounted) == 2
        (inner / "a").write_bytes(b"x")
        assert reader.drain().complete_since == state.complete_since
        assert reader.page(state.time, b"") == [b"inner/a"]


def test_another_root_is_a_gap_and_is_followed_from_then_on(reader, tree):
    start = reader.drain()
    tree.rename(tree.with_name("old"))
    (tree.with_name("old") / "missed").write_bytes(b"x")
    tree.mkdir()
    state = reader.drain()
    assert "another folder than before" in state.gap
    assert reader.page(start.time, b"") is None
    (tree / "a").write_bytes(b"x")
    reader.drain()
    assert reader.page(state.time, b"") == [b"a"]


def test_a_root_that_is_gone_ends_the_feed(reader, tree):
    tree.rename(tree.with_name("old"))
    with pytest.raises(UnsupportedError):
        reader.drain()
