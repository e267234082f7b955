# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Spans of a tree: whatever the cuts are, its parts are the whole, and nothing is walked twice."""

from __future__ import annotations

import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.model import (
    Entry,
    PathProblem,
    PathProblemKind,
)
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.tree.source import Source
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.tree.span import EVERYTHING, Span
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.tree.walk import Tree

# Names that are beginnings of one another, on both sides of the slash in the order of bytes, and one that is no UTF-8.
NAMES = ["a", "a!", "a-b", "a.b", "a0", "ab", "b", "b ", "\u00e9", "\uffff", "\U00010348", "\udcff"]
PATHS = st.lists(st.sampled_from(NAMES), min_size=1, max_size=3).map(tuple)
LEAVES = st.sampled_from(["file", "file", "file", "gone", "folder", "link", "link to a folder"])
TREES = st.dictionaries(PATHS, LEAVES, max_size=25)


def put(root, parts, kind):
    """Put something there; what can't be there beside the rest is left out."""
    path = root.joinpath(*parts)
    if any(root.joinpath(*parts[:depth]).is_symlink() for depth in range(1, len(parts))):
        return False  # it would lie elsewhere
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if kind == "folder":
            path.mkdir()
        elif kind.startswith("link"):
            path.symlink_to(root if kind == "link to a folder" else "nowhere")
        elif kind == "file":
            path.touch(exist_ok=False)
    except OSError:
        return False
    return kind == "file"


def walked(source, cuts):
    return [list(Tree(source, span=span)) for span in Span.between(cuts)]


def keys(items):
    return [item.key for item in items if isinstance(item, Entry)]


@settings(max_examples=150, deadline=None)
@given(TREES, st.data())
def test_the_parts_of_any_tree_are_the_whole_in_order(tmp_path_factory, tree, data):
    root = tmp_path_factory.mktemp("tree")
    written = {"/".join(parts) for parts, kind in sorted(tree.items()) if put(root, parts, kind)}
    named = {"/".join(parts[:depth]) for parts in tree for depth in (1, 2, 3)}
    # What is there, was there, is a folder now, or lay below what is a file now.
    wanted = sorted(key for key in {*named, *(f"{key}/b" for key in named), "a/a", "zz"} if "\udcff" not in key)
    cuts = sorted(data.draw(st.lists(st.sampled_from(wanted), max_size=5)))
    source = Source(str(root))
    parts = walked(source, cuts)
    whole = list(Tree(source))
    source.close()
    assert [item for part in parts for item in part] == whole
    on_disk = sorted(key for key in written if "\udcff" not in key)
    assert keys(whole) == on_disk
    for span, part in zip(Span.between(cuts), parts):
        assert keys(part) == [key for key in on_disk if key > span.after and (span.until is None or key <= span.until)]


@pytest.mark.parametrize(
    ("cuts", "parts"),
    [
        ([], [["a", "b/1", "b/2", "b0"]]),
        (["a"], [["a"], ["b/1", "b/2", "b0"]]),
        (["b/1"], [["a", "b/1"], ["b/2", "b0"]]),
        (["b"], [["a"], ["b/1", "b/2", "b0"]]),  # a folder now
        (["a/x"], [["a"], ["b/1", "b/2", "b0"]]),  # a file now
        (["b/2"], [["a", "b/1", "b/2"], ["b0"]]),
        (["b/3"], [["a", "b/1", "b/2"], ["b0"]]),
        (["b0"], [["a", "b/1", "b/2", "b0"], []]),
        (["0"], [[], ["a", "b/1", "b/2", "b0"]]),
        (["b/1", "b/1"], [["a", "b/1"], [], ["b/2", "b0"]]),
        (["b/1", "b/2"], [["a", "b/1"], ["b/2"], ["b0"]]),
    ],
)
def test_the_key_of_a_cut_is_the_last_of_its_span(tmp_path, cuts, parts):
    (tmp_path / "b").mkdir()
    for key in ("a", "b/1", "b/2", "b0"):
        (tmp_path / key).touch()
    source = Source(str(tmp_path))
    assert [keys(part) for part in walked(source, cuts)] == parts
    source.close()


def test_cuts_part_all_keys_between_them():
    assert Span.between([]) == [EVERYTHING] == [Span("", None)]
    assert Span.between(["b", "c/d"]) == [Span("", "b"), Span("b", "c/d"), Span("c/d", None)]


@pytest.mark.parametrize(
    ("span", "folder", "kept"),
    [
        (Span(), "", ["a", "a-b", "a/", "a0"]),
        (Span("a"), "", ["a-b", "a/", "a0"]),
        (Span("", "a"), "", ["a"]),
        (Span("", "a-b"), "", ["a", "a-b"]),
        (Span("a-b"), "", ["a/", "a0"]),
        (Span("a/x"), "", ["a/", "a0"]),
        (Span("", "a/x"), "", ["a", "a-b", "a/"]),
        (Span("a/x", "a/y"), "", ["a/"]),
        (Span("a/x", "a/x"), "", ["a/"]),
        (Span("a.b", "a.c"), "", []),
        (Span("a0"), "", []),
        (Span("d/a-b/x"), "d/", ["a/", "a0"]),
        (Span("d/a/x", "d/a/y"), "d/", ["a/"]),
        (Span("", "d/a-b"), "d/", ["a", "a-b"]),
        (Span("c/z", "e"), "d/", ["a", "a-b", "a/", "a0"]),
        (Span("c/z", "d/a"), "d/", ["a"]),
        (Span("d-x", "d/a"), "d/", ["a"]),
        (Span("d"), "d/", ["a", "a-b", "a/", "a0"]),
    ],
)
def test_the_part_of_a_folder(span, folder, kept):
    names = ["a", "a-b", "a/", "a0"]
    assert span.part_of(folder, names) == kept
    assert names == ["a", "a-b", "a/", "a0"]


def test_a_folder_without_names_has_no_part():
    assert Span("a/b", "a/c").part_of("a/", []) == []


@pytest.mark.parametrize(
    ("until", "folder", "within"),
    [
        ("a/b/c", "a/b/", True),
        ("a/b/c", "a/", True),
        ("a/b/c", "", True),
        ("a/b/c", "a/b/c/", False),
        ("a-b/c", "a/", False),
        ("a0", "a/", False),
        ("a", "a/", False),
        (None, "", False),
        (None, "a/", False),
    ],
)
def test_whether_a_span_ends_within_a_folder(until, folder, within):
    assert Span("", until).ends_within(folder) is within


def test_only_what_spans_share_is_opened_by_both(tmp_path, monkeypatch):
    for key in ("a/1", "b/c/1", "b/c/2", "b/d/3", "e/4"):
        (tmp_path / key).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / key).touch()
    opened = []
    real = Source.open_folder

    def noted(self, parent, name):
        opened.append(name)
        return real(self, parent, name)

    monkeypatch.setattr(Source, "open_folder", noted)
    source = Source(str(tmp_path))
    parts = walked(source, ["b/c/1"])
    source.close()
    assert [keys(part) for part in parts] == [["a/1", "b/c/1"], ["b/c/2", "b/d/3", "e/4"]]
    assert opened == ["", "a", "b", "c", "", "b", "c", "d", "e"]


def test_a_folder_that_two_spans_share_and_nobody_can_read_comes_in_both(tmp_path, make_unreadable):
    for key in ("a/1", "b/2", "b/3", "c/4"):
        (tmp_path / key).parent.mkdir(exist_ok=True)
        (tmp_path / key).touch()
    make_unreadable("b")
    source = Source(str(tmp_path))
    spans = Span.between(["b/2"])
    first, second = ([*Tree(source, span=span)] for span in spans)
    source.close()
    problem = PathProblem("b/", PathProblemKind.UNREADABLE, "Permission denied", folder=True)
    assert first[1:] == second[:1] == [problem]
    assert spans[0].ends_within(problem.key)
    assert (keys(first), keys(second)) == (["a/1"], ["c/4"])


def test_a_walk_of_a_span_that_is_abandoned_leaves_no_descriptor_open(tmp_path):
    (tmp_path / "a/b").mkdir(parents=True)
    for name in "cde":
        (tmp_path / "a/b" / name).touch()
    source = Source(str(tmp_path))
    before = len(os.listdir("/proc/self/fd"))
    items = iter(Tree(source, span=Span("a/b/c", "a/b/d")))
    assert next(items).key == "a/b/d"
    items.close()
    assert len(os.listdir("/proc/self/fd")) == before
    source.close()
