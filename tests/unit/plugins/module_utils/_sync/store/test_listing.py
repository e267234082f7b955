# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Listing by ranges: the same objects in the same order as page by page, whatever the tree, and never all in memory."""

from __future__ import annotations

import itertools
import random
import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.objects.pages import NoProgressError
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.model import Listed, SyncError
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.store import listing
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.store.listing import Page, listed


class Bucket:
    """Answers page by page as a store does; `knows_after` is false for one that ignores where to begin."""

    def __init__(self, keys, page=3, knows_after=True):
        self.keys = sorted(keys)
        self.page, self.knows_after = page, knows_after
        self.asked, self.threads, self.fail_at = 0, set(), None
        self._lock = threading.Lock()

    def __call__(self, folder, *, after, token, folders):
        with self._lock:
            self.asked += 1
            self.threads.add(threading.current_thread())
            if self.fail_at is not None and self.asked >= self.fail_at:
                raise SyncError("no more")
        behind = token or (after if self.knows_after else "")
        keys = [key for key in self.keys if key.startswith(folder) and key > behind]
        if folders:
            deeper = [key[len(folder) :] for key in keys]
            names = sorted({folder + rest.partition("/")[0] + "/" for rest in deeper if "/" in rest})
            return Page([], names, None)
        found = [Listed(key, 1, "e", 0.0) for key in keys[: self.page]]
        return Page(found, [], keys[self.page - 1] if len(keys) > self.page else None)


def names(objects):
    return [found.key for found in objects]


@settings(max_examples=200, deadline=None)
@given(st.sets(st.text(st.sampled_from("ab/-\u00e9\U0001f600"), min_size=1, max_size=6), max_size=80), st.booleans())
def test_all_keys_in_order(keys, knows_after):
    # A store's folder markers never come this far.
    bucket = Bucket({key for key in keys if not key.endswith("/")}, knows_after=knows_after)
    assert names(listed(bucket)) == bucket.keys


def test_small_folders_do_not_cost_a_page_each():
    bucket = Bucket({f"cache/{folder:03}/{number:02}" for folder in range(300) for number in range(20)}, page=100)
    assert names(listed(bucket)) == bucket.keys
    # 60 pages, and some looks for folders
    assert bucket.asked < 160


def test_a_large_bucket_is_listed_by_several_threads():
    chance = random.Random(1)
    keys = {f"cache/{chance.randrange(30)}/{chance.randrange(10**6):06}" for _number in range(5000)}
    bucket = Bucket(keys, page=10)
    assert names(listed(bucket)) == bucket.keys
    assert len(bucket.threads) > 4
    assert bucket.asked < 5000 / 10 * 1.3 + 64


def test_a_small_bucket_costs_its_pages_only():
    bucket = Bucket([str(number) for number in range(10)])
    assert len(names(listed(bucket))) == 10
    assert bucket.asked == 4


def test_no_more_is_read_than_a_few_pages_ahead():
    bucket = Bucket({f"{folder}/{number:04}" for folder in "abcdefgh" for number in range(1000)}, page=10)
    objects = listed(bucket)
    first = [next(objects) for _number in range(100)]
    assert names(first) == bucket.keys[:100]
    before = bucket.asked
    assert before <= 4 + 64 + listing._AT_ONCE * (listing._PAGES_AHEAD + 3)
    objects.close()


def test_an_error_in_the_middle_is_told_and_ends_all_threads():
    bucket = Bucket({f"{folder}/{number:04}" for folder in "abcdefgh" for number in range(1000)}, page=10)
    bucket.fail_at = 60
    with pytest.raises(SyncError, match="no more"):
        list(listed(bucket))
    readers = bucket.threads - {threading.current_thread()}
    assert len(readers) > 1
    for thread in readers:
        thread.join(5)
    assert [thread for thread in readers if thread.is_alive()] == []


@pytest.mark.parametrize("few", [0, 4])
def test_another_order_is_refused(few, monkeypatch):
    monkeypatch.setattr(listing, "_FEW_PAGES", few)

    def pages(_folder, *, after, token, folders):
        found = [] if folders else [Listed("b", 1, "e", 0.0), Listed("a", 1, "e", 0.0)]
        return Page(found, [], None)

    with pytest.raises(SyncError, match="order"):
        list(listed(pages))


def endless(objects, tokens):
    """List a bucket whose pages, by their number, have these objects and tokens."""
    counter, lock = itertools.count(), threading.Lock()

    def pages(_folder, *, after, token, folders):
        with lock:
            number = next(counter)
        assert number < 10_000, "nobody stops it"
        return Page([], [], None) if folders else Page(objects(number), [], tokens(number))

    return listed(pages)


@pytest.mark.parametrize("few", [0, 1, 1000])
@pytest.mark.parametrize(
    ("objects", "token", "fault"),
    [
        (lambda number: [], lambda number: "same", "same continuation token"),
        (lambda number: [], lambda number: f"token {number % 7}", "same continuation token"),
        (lambda number: [], lambda number: f"token {number}", "101 pages in a row"),
        (lambda number: [Listed("a", 1, "e", 0.0)], lambda number: "same", "same continuation token"),
        (lambda number: [Listed("a", 1, "e", 0.0)], lambda number: f"token {number}", "101 pages in a row"),
        (
            lambda number: [Listed(f"{min(number, 3000):05}", 1, "e", 0.0)],
            lambda number: f"token {number}",
            "101 pages in a row",
        ),
    ],
)
def test_a_listing_without_an_end_is_given_up(objects, token, fault, few, monkeypatch):
    monkeypatch.setattr(listing, "_FEW_PAGES", few)
    with pytest.raises(NoProgressError, match=fault) as caught:
        list(endless(objects, token))
    assert "fault of the store" in str(caught.value)
    assert "another store" in caught.value.remedy
    assert [thread for thread in threading.enumerate() if thread.name == "listing" and thread.join(5)] == []


def test_pages_that_are_empty_for_a_while_are_no_fault(monkeypatch):
    def objects(number):
        return [] if number % 90 else [Listed(f"{number:05}", 1, "e", 0.0)]

    def token(number):
        return f"token {number}" if number < 1000 else None

    monkeypatch.setattr(listing, "_FEW_PAGES", 10_000)
    assert len(list(endless(objects, token))) == 12


def test_pages_with_folder_markers_only_are_no_fault():
    def pages(_folder, *, after, token, folders):
        number = int(token or 0)
        return Page([], [], str(number + 1) if number < 500 else None, "" if folders else f"{number:05}/")

    assert list(listed(pages)) == []


@pytest.mark.parametrize("count", [2, 40])
def test_a_key_that_is_listed_twice_counts_once(count):
    """The second one would look like an object without a file, and be deleted."""
    bucket = Bucket([])
    bucket.keys = sorted([f"a{number:03}" for number in range(count)] * 2)
    bucket.page = len(bucket.keys)
    assert names(listed(bucket)) == sorted(set(bucket.keys))
