# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
import signal

import pytest
from child_processes import alive, pids_of, state, wait_for

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.audit import tree_walker
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.audit.audit import Question, audit
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.audit.tree_walker import TreeWalker
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.model import (
    Entry,
    ExposureMode,
    PathProblem,
    SyncError,
)
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.rules.rules import Rules
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.tree.source import Source
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.tree.walk import Tree

MANY = 4000  # with such long names, more than a socket has room for

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore:This process .* is multi-threaded")]


@pytest.fixture(autouse=True)
def _two_processors(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _pid: {0, 1})


@pytest.fixture
def source(tmp_path):
    folder = tmp_path / "accounts"
    folder.mkdir()
    for number in range(MANY):
        (folder / f"{number:0200}").touch()
    (folder / "link").symlink_to("elsewhere")
    found = Source(str(tmp_path))
    yield found
    found.close()


def test_it_finds_what_a_walk_in_this_process_finds(source):
    with TreeWalker() as walker:
        items = list(walker.items(source, prefix_bytes=820))
    assert items == list(Tree(source, prefix_bytes=820))
    # A too long key, and a link.
    assert isinstance(items[0], PathProblem)
    assert isinstance(items[-1], PathProblem)
    assert len(items) == MANY + 1
    with TreeWalker() as walker:
        assert isinstance(next(iter(walker.items(source, prefix_bytes=0))), Entry)


def test_an_empty_tree_has_no_items(tmp_path):
    with TreeWalker() as walker:
        assert list(walker.items(Source(str(tmp_path)), prefix_bytes=0)) == []


def test_it_waits_for_its_reader_and_ends_with_it(source):
    with TreeWalker() as walker:
        (pid,) = pids_of(walker)
        next(walker.items(source, prefix_bytes=0))
        wait_for(lambda: state(pid) == "S")
    assert not alive(pid)


def test_a_walk_whose_process_is_killed_is_not_taken_for_complete(source):
    with TreeWalker() as walker:
        items = walker.items(source, prefix_bytes=0)
        next(items)
        (pid,) = pids_of(walker)
        os.kill(pid, signal.SIGKILL)
        with pytest.raises(SyncError, match="ended from outside: run again"):
            list(items)


def test_a_walk_that_fails_says_why(source, monkeypatch):
    def broken(*_arguments, **_options):
        yield Entry("accounts/a", 1, 0, 0, 0o644)
        raise OSError("no memory")

    monkeypatch.setattr(tree_walker, "Tree", broken)
    with TreeWalker() as walker, pytest.raises(SyncError, match="the walk failed: OSError: no memory"):
        list(walker.items(source, prefix_bytes=0))


def test_with_one_processor_there_is_no_process(source, monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _pid: {0})
    with TreeWalker() as walker:
        assert not walker.channels
        assert list(walker.items(source, prefix_bytes=0)) == list(Tree(source))


def test_an_audit_counts_what_it_finds(source):
    class EmptyStore:
        prefix = ""

        def listing(self):
            return iter(())

    rules = Rules(ExposureMode.ACL, ("accounts/",), ("backups/",))
    with TreeWalker() as walker:
        counts = audit(Question(rules), source, EmptyStore(), walker)["counts"]
    assert (counts["files"], counts["missing"]) == (MANY, MANY)
