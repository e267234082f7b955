# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os

import pytest

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.feed.changed import (
    ChangedEntries,
    ChangedKeys,
    without_covered,
)
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.journal.journal import Journal
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.model import PathProblemKind, Row
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.tree.source import Source
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.tree.walk import Tree


@pytest.fixture
def look(tmp_path):
    """Returns what a list of keys yields in a tree."""
    (tmp_path / "tree/a/b").mkdir(parents=True)
    for name in ("a/b/c", "a/b/d", "a/e", "a-b", "f", "ü"):
        (tmp_path / "tree" / name).write_bytes(b"x")
    opened = []

    def find(*keys, prefix_bytes=0):
        source = Source(str(tmp_path / "tree"))
        entries = ChangedEntries(source, ChangedKeys(sorted(keys), str(tmp_path)), prefix_bytes=prefix_bytes)
        opened.append((source, entries))
        return entries

    find.tree = tmp_path / "tree"
    yield find
    for source, entries in opened:
        entries.close()
        source.close()


def keys(items):
    return [item.key for item in items]


@pytest.mark.parametrize(
    ("all_keys", "rest"),
    [
        ([], []),
        ([b"a", b"a-b", b"a/", b"a/b", b"a/b/", b"a0"], [b"a", b"a-b", b"a/", b"a0"]),
        ([b"a/b/", b"a/b/c/", b"a/bc/"], [b"a/b/", b"a/bc/"]),
    ],
)
def test_what_a_folder_covers_is_left_out(all_keys, rest):
    assert list(without_covered(all_keys)) == rest


def test_a_long_list_is_kept_on_disk_without_a_name(tmp_path):
    wanted = [b"media_attachments/files/%09d\xff" % number for number in range(60_000)]
    found = ChangedKeys(iter(wanted), str(tmp_path))
    assert list(found) == wanted
    assert list(found) == wanted
    assert list(tmp_path.iterdir()) == []
    found.close()


@pytest.mark.parametrize("number", [100, 3_000, 60_000])
def test_entries_and_rows_are_read_at_the_same_time(number, tmp_path):
    """The planner takes turns between them: neither may lose what the other one has read."""
    wanted = [b"media_attachments/files/%09d" % each for each in range(number)]
    found = ChangedKeys(iter(wanted), str(tmp_path))
    assert list(zip(found, found)) == list(zip(wanted, wanted))
    found.close()


def test_files_are_found_as_a_walk_finds_them(look):
    source = Source(str(look.tree))
    walked = {entry.key: entry for entry in Tree(source)}
    source.close()
    found = list(look(b"a", b"a/", b"a-b", "ü".encode(), b"nothing", b"nothing/", b"f/x", b"f/"))
    assert keys(found) == ["a-b", "a/b/c", "a/b/d", "a/e", "ü"]
    assert all(walked[entry.key] == entry for entry in found)


def test_a_folder_is_no_file_and_its_content_is_told_by_itself(look):
    assert list(look(b"a", b"a/b")) == []
    assert keys(look(b"a/b/")) == ["a/b/c", "a/b/d"]


def test_no_link_is_followed(look, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere/secret").write_bytes(b"x")
    (look.tree / "link").symlink_to(tmp_path / "elsewhere")
    (look.tree / "file-link").symlink_to(look.tree / "f")
    assert list(look(b"link/", b"link/secret")) == []
    assert [(item.key, item.kind) for item in look(b"file-link", b"link")] == [
        ("file-link", PathProblemKind.SYMLINK),
        ("link/", PathProblemKind.SYMLINKED_FOLDER),
    ]


def test_what_can_not_be_a_key_is_a_problem_while_it_is_there(look):
    (look.tree / ("n" * 100)).write_bytes(b"x")
    os.mknod(os.fsencode(look.tree) + b"/bad\xff")
    os.mkfifo(look.tree / "fifo")
    found = look(b"bad\xff", b"gone\xff", b"n" * 100, b"fifo", b"f", prefix_bytes=950)
    assert [(item.key, item.kind) for item in found if item.key != "f"] == [
        ("bad\\xff", PathProblemKind.BAD_NAME),
        ("fifo", PathProblemKind.SPECIAL_FILE),
        ("n" * 100, PathProblemKind.LONG_KEY),
    ]


@pytest.mark.parametrize("key", [b"a/b/c", b"a/", b"link"])
def test_files_with_several_names_are_noticed(look, key):
    os.link(look.tree / "a/b/c", look.tree / "link")
    found, others = look(key), look(b"f", b"a/b/d")
    assert list(found)
    assert list(others)
    assert (found.linked, others.linked) == (True, False)


def test_rows_are_those_of_the_keys_and_in_their_order(look, tmp_path):
    journal = Journal.open(str(tmp_path / "state/sync-a.sqlite"), {})
    for key in ("a", "a!", "a-b", "a/", "a/b", "a/b/c", "a/ü", "a0", "b", "f", "g"):
        journal.refresh(Row(key, 1, 1, 1, 0o644, "", "", "", "", "done", ours=True))
    assert keys(look(b"a", b"a-b", b"a/", b"a/b", b"a/b/c", b"f", b"h", b"\xff").rows(journal)) == [
        "a",
        "a-b",
        "a/b",
        "a/b/c",
        "a/ü",
        "f",
    ]
    journal.close()
