# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.model import Entry, Exposure
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.tree.counts import (
    EXAMPLES_SHOWN,
    FOLDERS_SHOWN,
    OTHER_FOLDERS,
    Amount,
    WalkCounts,
)

PUBLIC, PRIVATE = Exposure.PUBLIC, Exposure.PRIVATE


def entry(key, size=1):
    return Entry(key, size, 100, 200, 0o644)


def folders(counts):
    return {name: (amount.count, amount.bytes) for name, amount in counts.folders.items()}


def numbers(counts):
    return [
        counts.files.count,
        counts.files.bytes,
        counts.unchanged.count,
        counts.unchanged.bytes,
        counts.public,
        counts.private,
    ]


def test_files_are_counted_by_first_folder_and_exposure():
    counts = WalkCounts()
    counts.add(entry("accounts/a/b", 2), PUBLIC)
    counts.add(entry("accounts/c", 3), PRIVATE)
    counts.add(entry("cache/d", 5), PUBLIC)
    counts.add(entry("stray.txt", 7), None)
    assert numbers(counts) == [4, 17, 0, 0, 2, 1]
    assert folders(counts) == {"accounts/": (2, 5), "cache/": (1, 5), "": (1, 7)}


def test_folders_beyond_those_shown_go_under_one_name():
    counts = WalkCounts()
    for number in range(FOLDERS_SHOWN + 5):
        counts.add(entry(f"{number:02}/a", number), PUBLIC)
        counts.add(entry(f"{number:02}/b", 1), PUBLIC)
    assert list(counts.folders) == [*(f"{number:02}/" for number in range(FOLDERS_SHOWN)), OTHER_FOLDERS]
    assert folders(counts)[OTHER_FOLDERS] == (10, sum(range(FOLDERS_SHOWN, FOLDERS_SHOWN + 5)) + 5)
    assert sum(count for count, _size in folders(counts).values()) == counts.files.count
    assert sum(size for _count, size in folders(counts).values()) == counts.files.bytes


def test_what_is_taken_begins_anew():
    counts = WalkCounts()
    files, unchanged = counts.files, counts.unchanged
    counts.add(entry("accounts/a", 2), PUBLIC)
    unchanged.add(2)
    taken = counts.taken()
    assert numbers(taken) == [1, 2, 1, 2, 1, 0]
    assert folders(taken) == {"accounts/": (1, 2)}
    assert numbers(counts) == [0] * 6
    # Whoever counts on goes on with the same amounts.
    assert counts.files is files
    assert counts.unchanged is unchanged
    counts.add(entry("accounts/b", 3), PRIVATE)
    assert numbers(taken) == [1, 2, 1, 2, 1, 0]
    assert numbers(counts.taken()) == [1, 3, 0, 0, 0, 1]


def test_what_is_merged_stays_as_it_is():
    one, other = WalkCounts(), WalkCounts()
    one.add(entry("accounts/a", 2), PUBLIC)
    other.add(entry("accounts/b", 3), PRIVATE)
    other.add(entry("cache/c", 5), PUBLIC)
    files = one.files
    one.merge(other)
    assert numbers(one) == [3, 10, 0, 0, 2, 1]
    assert folders(one) == {"accounts/": (2, 5), "cache/": (1, 5)}
    assert one.files is files
    one.add(entry("cache/d", 7), PUBLIC)
    assert numbers(other) == [2, 8, 0, 0, 1, 1]
    assert folders(other) == {"accounts/": (1, 3), "cache/": (1, 5)}


KEYS = st.tuples(st.integers(0, FOLDERS_SHOWN + 9), st.booleans()).map(
    lambda drawn: f"{drawn[0]:02}/a" if drawn[1] else f"{drawn[0]:02}"
)
FILES = st.lists(
    st.tuples(KEYS, st.integers(0, 9), st.sampled_from([PUBLIC, PRIVATE, None]), st.integers(0, 2), st.booleans()),
    max_size=120,
)


@given(FILES)
def test_any_walk_in_parts_counts_what_one_walk_counts(files):
    whole, parts, merged = WalkCounts(), [WalkCounts(), WalkCounts(), WalkCounts()], WalkCounts()
    for key, size, exposure, part, told in files:
        whole.add(entry(key, size), exposure)
        whole.unchanged.add(size)
        parts[part].add(entry(key, size), exposure)
        parts[part].unchanged.add(size)
        if told:
            merged.merge(parts[part].taken())
    for part in parts:
        merged.merge(part.taken())
    assert numbers(merged) == numbers(whole)
    assert len(merged.folders) <= FOLDERS_SHOWN + 1
    assert sum(amount.count for amount in merged.folders.values()) == len(files)
    assert sum(amount.bytes for amount in merged.folders.values()) == whole.files.bytes
    if len(whole.folders) < FOLDERS_SHOWN:
        assert folders(merged) == folders(whole)
    for name, (count, size) in folders(merged).items():
        if name not in ("", OTHER_FOLDERS):
            mine = [held for key, held, *_more in files if key.startswith(name)]
            assert count <= len(mine)
            assert size <= sum(mine)


def test_an_amount_keeps_the_first_few_names():
    amount = Amount()
    for number in range(EXAMPLES_SHOWN + 2):
        amount.add(2, f"{number}")
        amount.add(1, f"{number}")
        amount.add(0)
    assert (amount.count, amount.bytes) == (3 * (EXAMPLES_SHOWN + 2), 3 * (EXAMPLES_SHOWN + 2))
    assert amount.examples == [f"{number}" for number in range(EXAMPLES_SHOWN)]
