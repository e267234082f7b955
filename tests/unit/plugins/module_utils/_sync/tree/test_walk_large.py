# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Folders with more names than are sorted at once."""

from __future__ import annotations

import os
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.model import (
    Entry,
    PathProblem,
    PathProblemKind,
)
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.tree import walk as under_test
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.tree.source import Source
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.tree.span import EVERYTHING, Span
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.tree.walk import Tree

NAME = st.text(st.sampled_from("ab-.0!\u00e9\uffff\U00010348 \n"), min_size=1, max_size=4).filter(
    lambda name: name not in (".", "..")
)


def walk(path, span=EVERYTHING):
    source = Source(str(path))
    try:
        return list(Tree(source, span=span))
    finally:
        source.close()


def keys(items):
    return [item.key for item in items if isinstance(item, Entry)]


def write(root, names, folders):
    """Write files of these names, or folders with a file in them, and return the keys."""
    written = []
    for name in names:
        if name in folders:
            (root / name).mkdir()
            (root / name / "in").touch()
        else:
            (root / name).touch()
        written.append(f"{name}/in" if name in folders else name)
    return sorted(written, key=str.encode)


@pytest.mark.parametrize("number", [0, 1, 4, 5, 6, 9, 10, 11, 23])
@pytest.mark.parametrize("merged", [1, 7, 1000])
def test_any_number_of_names_comes_in_order_and_complete(tmp_path, monkeypatch, number, merged):
    monkeypatch.setattr(under_test, "_SORTED_AT_ONCE", 5)
    monkeypatch.setattr(under_test, "_MERGED_AT_ONCE", merged)
    names = [f"{value:x}" for value in random.Random(number).sample(range(10**6), number)]
    written = write(tmp_path, names, set(names[::3]))
    assert keys(walk(tmp_path)) == written


@settings(max_examples=150)
@given(st.sets(NAME, max_size=30), st.sets(NAME, max_size=30), st.integers(1, 8), st.integers(0, 20), st.data())
def test_any_names_come_in_order_and_complete_in_any_spans(tmp_path_factory, names, folders, sorted_, merged, data):
    root = tmp_path_factory.mktemp("tree")
    written = write(root, names | folders, folders)
    wanted = sorted({*written, *names, *folders, "a/in", "b"})
    cuts = sorted(data.draw(st.lists(st.sampled_from(wanted), max_size=4)))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(under_test, "_SORTED_AT_ONCE", sorted_)
        patch.setattr(under_test, "_MERGED_AT_ONCE", merged)
        whole, parts = walk(root), [walk(root, span) for span in Span.between(cuts)]
    assert keys(whole) == written
    assert [item for part in parts for item in part] == whole


def test_a_large_folder_below_another_is_resumed_where_it_was_left(tmp_path, monkeypatch):
    monkeypatch.setattr(under_test, "_SORTED_AT_ONCE", 3)
    monkeypatch.setattr(under_test, "_MERGED_AT_ONCE", 2)
    written = []
    for outer in range(12):
        (tmp_path / f"{outer}").mkdir()
        for inner in range(outer):
            (tmp_path / f"{outer}" / f"{inner}").touch()
            written.append(f"{outer}/{inner}")
    assert keys(walk(tmp_path)) == sorted(written)


def test_odd_names_in_a_large_folder_are_reported_in_it(tmp_path, monkeypatch):
    monkeypatch.setattr(under_test, "_SORTED_AT_ONCE", 3)
    monkeypatch.setattr(under_test, "_MERGED_AT_ONCE", 2)
    written = write(tmp_path, [f"{number:02}" for number in range(20)], {"07", "13"})
    (tmp_path / "05-link").symlink_to("05")
    os.close(os.open(os.fsencode(tmp_path) + b"/06\xff", os.O_CREAT | os.O_WRONLY, 0o600))
    found = walk(tmp_path)
    assert keys(found) == written
    problems = {item.key: item.kind for item in found if isinstance(item, PathProblem)}
    assert problems == {"05-link": PathProblemKind.SYMLINK, "06\\xff": PathProblemKind.BAD_NAME}


def test_what_vanishes_from_a_large_folder_during_the_walk_is_no_problem(tmp_path, monkeypatch):
    monkeypatch.setattr(under_test, "_SORTED_AT_ONCE", 3)
    monkeypatch.setattr(under_test, "_MERGED_AT_ONCE", 2)
    written = write(tmp_path, [f"{number:02}" for number in range(20)], set())
    source = Source(str(tmp_path))
    items = iter(Tree(source))
    assert next(items).key == "00"
    for key in written[1::2]:
        (tmp_path / key).unlink()
    assert [item.key for item in items] == written[2::2]
    source.close()


def test_names_of_a_real_size(tmp_path):
    number = 2 * under_test._SORTED_AT_ONCE + 1
    for value in random.Random(1).sample(range(10**9), number):
        os.mknod(tmp_path / f"{value:032x}.png")
    found = keys(walk(tmp_path))
    assert len(found) == number
    assert found == sorted(os.listdir(tmp_path))
    cut = found[number // 3]
    halves = [keys(walk(tmp_path, span)) for span in Span.between([cut])]
    assert halves == [found[: number // 3 + 1], found[number // 3 + 1 :]]


def test_a_packed_text_is_unpacked_piece_by_piece(monkeypatch):
    monkeypatch.setattr(under_test, "_MERGED_AT_ONCE", 4)
    text = under_test._Unpacking("aa\0bb\0cc\0dd")
    assert text.names == ["aa", "bb"], "up to the first end of a name behind so many characters"
    assert text.take("aa") == ["aa"]
    assert text.names == ["bb"]
    assert text.take("bb") == ["bb"]
    assert text.names == ["cc", "dd"]
    assert text.take("zz") == ["cc", "dd"]
    assert text.names == []
