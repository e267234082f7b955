# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.model import (
    Entry,
    Listed,
    PathProblem,
    PathProblemKind,
    Row,
    SyncError,
)
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.plan import merge
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.plan.merge import Known, merge_known, pairs

PULSE = (None, None)
KEYS = ["a", "a!", "a-b", "a/b", "a0", "b", "\u00e9", "\uffff", "\U00010348"]


def entry(key, size=5):
    return Entry(key, size, 100, 200, 0o644)


def row(key, size=5):
    return Row(*entry(key, size), "md5", "etag", "acl:public", "headers", "done", True)


def unreadable(key):
    return PathProblem(key, PathProblemKind.UNREADABLE, "", folder=key.endswith("/"))


def same_size(item, there):
    return item.size == there.size


def shown(found):
    return [(item and item.key, there and there.key) for item, there in found]


def in_order(keys):
    return sorted(keys, key=str.encode)


ITEMS = st.dictionaries(st.sampled_from(KEYS), st.sampled_from([5, 6, None])).map(
    lambda drawn: [
        unreadable(key) if drawn[key] is None else entry(key, drawn[key]) for key in sorted(drawn, key=str.encode)
    ]
)
ROWS = st.sets(st.sampled_from(KEYS)).map(lambda drawn: [row(key) for key in sorted(drawn, key=str.encode)])


@given(ITEMS, ROWS)
def test_any_two_streams_are_paired_by_key_in_order(items, rows):
    by_key, known = {item.key: item for item in items}, {there.key: there for there in rows}
    wanted = [(by_key.get(key), known.get(key)) for key in in_order({*by_key, *known})]
    assert list(pairs(items, rows)) == wanted


@given(ITEMS, ROWS, st.integers(1, 4))
def test_unchanged_pairs_are_left_out_and_all_others_come_in_order(items, rows, at_once):
    by_key, known = {item.key: item for item in items}, {there.key: there for there in rows}
    unchanged = {key for key in {*by_key} & {*known} if isinstance(by_key[key], Entry) and by_key[key].size == 5}
    asked = []

    def is_unchanged(item, there):
        assert item.key == there.key
        asked.append(item.key)
        return same_size(item, there)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(merge, "_UNCHANGED_AT_ONCE", at_once)
        found = list(pairs(items, rows, is_unchanged))
    wanted = [(by_key.get(key), known.get(key)) for key in in_order({*by_key, *known} - unchanged)]
    assert [pair for pair in found if pair != PULSE] == wanted
    assert found.count(PULSE) == -(-len(unchanged) // at_once)
    # A problem is never unchanged, and nobody is asked of it, nor of what has no other side.
    assert asked == in_order(key for key in {*by_key} & {*known} if isinstance(by_key[key], Entry))


def test_a_pulse_comes_when_many_pairs_were_settled_and_at_the_end():
    keys = [f"{number:04}" for number in range(2 * merge._UNCHANGED_AT_ONCE + 1)]
    found = pairs(map(entry, keys), iter([row(key) for key in keys]), same_size)
    assert list(found) == [PULSE] * 3


def test_a_pulse_comes_where_it_is_due_and_not_at_the_end_alone(monkeypatch):
    monkeypatch.setattr(merge, "_UNCHANGED_AT_ONCE", 2)
    read = []

    def items():
        for key in "abcdefg":
            read.append(key)
            yield entry(key, 6 if key == "e" else 5)

    found = pairs(items(), [row(key) for key in "abcdefgh"], same_size)
    assert next(found) == PULSE
    assert read == ["a", "b"]
    assert shown(found) == [PULSE, ("e", "e"), PULSE, (None, "h")]


def test_no_pulse_comes_without_settled_pairs():
    assert list(pairs([], [], same_size)) == []
    assert PULSE not in pairs([entry("a", 6), entry("b")], [row("a")], same_size)


def test_a_problem_stands_for_its_path():
    link = PathProblem("b", PathProblemKind.SYMLINK, "", folder=False)
    assert shown(pairs([entry("a"), link], [row("a"), row("b")], same_size)) == [("b", "b"), PULSE]


def test_hidden_folders_and_bad_names_stand_for_no_path():
    odd = PathProblem("\\xff", PathProblemKind.BAD_NAME, "", folder=False)
    items = [entry("b"), unreadable("a/"), odd, entry("c")]
    assert shown(pairs(items, [row("a/1"), row("b"), row("c")])) == [
        (None, "a/1"),
        ("b", "b"),
        ("a/", None),
        ("\\xff", None),
        ("c", "c"),
    ]


@pytest.mark.parametrize("late", [entry("a"), unreadable("a"), unreadable("a-b")])
def test_a_walk_out_of_order_ends_before_it_makes_files_look_gone(late):
    found = pairs([entry("b"), late], [row("a"), row("a-b"), row("b"), row("c")], same_size)
    assert shown([next(found), next(found)]) == [(None, "a"), (None, "a-b")]
    with pytest.raises(SyncError, match="the walk is not in order: this is a bug"):
        list(found)


def test_streams_are_read_no_farther_than_needed():
    read = []

    def rows():
        for key in "abc":
            read.append(key)
            yield row(key)

    found = pairs(iter([entry("a"), entry("b")]), rows())
    assert read == []
    next(found)
    assert read == ["a"]


@given(st.sets(st.sampled_from(KEYS)), st.sets(st.sampled_from(KEYS)))
def test_what_journal_and_listing_know_is_merged_by_key_in_order(rows, listing):
    known = {key: row(key) for key in rows}
    listed = {key: Listed(key, 5, "etag") for key in listing}
    found = merge_known([known[key] for key in in_order(known)], [listed[key] for key in in_order(listed)])
    assert list(found) == [Known(key, known.get(key), listed.get(key)) for key in in_order(rows | listing)]


def test_what_is_known_of_both_is_paired_with_files():
    known = merge_known([row("a"), row("c")], [Listed("b", 5, "etag"), Listed("c", 5, "etag")])
    found = [(item and item.key, there) for item, there in pairs([entry("b"), entry("d")], known)]
    assert found == [
        (None, Known("a", row("a"), None)),
        ("b", Known("b", None, Listed("b", 5, "etag"))),
        (None, Known("c", row("c"), Listed("c", 5, "etag"))),
        ("d", None),
    ]
