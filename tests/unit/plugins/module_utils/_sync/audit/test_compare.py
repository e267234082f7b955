# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.audit import compare as under_test
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.model import (
    Entry,
    ExposureMode,
    Listed,
    PathProblem,
    PathProblemKind,
    SyncError,
)
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.rules.rules import Rules, patterns

NOW = 10**18
OLD = NOW - 10**12
DATE = 1_700_000_000.0


def rules(mode="acl", exclude=()):
    return Rules(ExposureMode(mode), ("accounts/", "media/"), ("backups/",), exclude=patterns("exclude", exclude))


def entry(key, size=1, mode=0o644, ctime=OLD):
    return Entry(key, size, ctime, ctime, mode)


def stored(key, size=1, modified=DATE):
    return Listed(key, size, "etag", modified)


def run(items, objects, *, mode="acl", exclude=(), limit=20, newer_than=None):
    found = under_test.Comparison(limit=limit)
    subjects = under_test.compare(
        under_test.pairs_of(items, objects), rules(mode, exclude), found, now_ns=NOW, newer_than=newer_than
    )
    found.subjects = list(subjects)
    return found


def keys(found, *, public):
    return [subject.key for subject in found.subjects if subject.public is public]


def test_each_kind_of_difference_is_counted_and_named():
    found = run(
        [entry("accounts/a"), entry("accounts/b", size=3), entry("accounts/c", size=5), entry("backups/s.zip")],
        [stored("accounts/b", 3), stored("accounts/c", 4), stored("accounts/d"), stored("backups/t.zip")],
    )
    assert (found.files, found.bytes, found.present) == (4, 10, 2)
    assert (found.missing_count, found.missing.names) == (2, ["accounts/a", "backups/***"])
    assert (found.size_differs_count, found.size_differs.names) == (1, ["accounts/c"])
    assert (found.extra_count, found.extra.names) == (2, ["accounts/d", "backups/***"])


def test_files_are_counted_by_folder_and_private_folders_have_no_name():
    items = [
        entry("accounts/avatars/1/a", size=3),
        entry("accounts/avatars/2/a", size=4, mode=0o600),
        entry("accounts/b"),
        entry("backups/secret/a", size=9),
        entry("odd/a/b"),
    ]
    found = run(items, [])
    counts = {name: (folder.files, folder.bytes, folder.private) for name, folder in found.folders.items()}
    assert counts == {"accounts/avatars/": (2, 7, 1), "accounts/": (1, 1, 0), "backups/": (1, 9, 1)}


def test_very_many_folders_are_counted_together(monkeypatch):
    monkeypatch.setattr(under_test, "FOLDERS_KEPT", 2)
    found = run([entry(f"accounts/{name}/x") for name in "abcd"], [])
    assert {name: folder.files for name, folder in found.folders.items()} == {
        "accounts/a/": 1,
        "accounts/b/": 1,
        "(others)": 2,
    }


def test_lists_are_capped_and_counts_are_not():
    found = run([], [stored(f"accounts/{number:03}") for number in range(50)], limit=3)
    assert (found.extra_count, found.extra.names) == (50, ["accounts/000", "accounts/001", "accounts/002"])


def test_what_the_options_leave_out_is_neither_missing_nor_extra():
    found = run(
        [entry("accounts/x/a"), entry("odd/a")],
        [stored("accounts/x/b"), stored("odd/b"), stored("other")],
        exclude=["accounts/x/**"],
    )
    assert (found.files, found.missing_count, found.extra_count, found.out_of_scope) == (0, 0, 0, 3)
    assert found.left_out == {"filtered": 1, "unknown_folder": 1}


def test_only_objects_after_the_given_time_are_extra():
    objects = [stored("accounts/a", modified=DATE - 1), stored("accounts/b"), stored("accounts/c", modified=DATE + 1)]
    found = run([], objects, newer_than=DATE)
    assert (found.extra_count, found.extra.names) == (1, ["accounts/c"])


def test_a_hidden_file_is_private_with_acls_and_must_be_missing_with_a_policy():
    items = [entry("media/gone", mode=0o600), entry("media/left", mode=0o600), entry("media/open")]
    objects = [stored("media/left"), stored("media/open")]
    acl = run(items, objects)
    assert (acl.files, acl.missing_count, acl.exposed) == (3, 1, 0)
    assert (keys(acl, public=True), keys(acl, public=False)) == (["media/open"], ["media/left"])
    policy = run(items, objects, mode="policy")
    assert (policy.files, policy.missing_count, policy.exposed) == (1, 0, 1)
    assert policy.left_out == {"local_only": 2}
    assert keys(policy, public=False) == ["media/left"]
    assert [subject.entry for subject in policy.subjects] == [None, items[2]]


def test_in_an_open_bucket_nothing_private_may_be():
    items = [entry("backups/file.zip"), entry("media/file", mode=0o600), entry("media/open")]
    objects = [stored("backups/file.zip"), stored("backups/old.zip", modified=DATE - 9), stored("media/file")]
    found = run(items, objects, mode="open_bucket", newer_than=DATE)
    assert (found.files, found.missing_count, found.exposed) == (1, 1, 3)
    assert (found.extra_count, found.left_out) == (0, {"local_only": 2})
    assert keys(found, public=False) == ["backups/file.zip", "backups/old.zip", "media/file"]
    # What the options leave alone is not judged.
    assert run([], objects, mode="open_bucket", exclude=["backups/**"]).exposed == 0


def test_private_places_are_looked_at_where_no_file_is_left_too():
    found = run(
        [],
        [stored("backups/a.zip"), stored("backups/b.zip", modified=DATE - 9), stored("media/c")],
        newer_than=DATE - 1,
    )
    assert keys(found, public=False) == ["backups/a.zip", "backups/b.zip"]
    assert keys(found, public=True) == []
    assert (found.extra_count, found.exposed) == (2, 0)


def test_a_file_that_may_be_in_the_writing_is_left_out():
    fresh = entry("media/a", mode=0o600, ctime=NOW - 10**9)
    assert run([fresh], []).left_out == {"too_new": 1}
    # Below a private prefix the mode decides nothing.
    assert run([entry("backups/a", mode=0o600, ctime=NOW)], []).missing_count == 1


def test_nothing_is_said_of_what_the_walk_could_not_look_into():
    items = [
        PathProblem("accounts/p/", PathProblemKind.UNREADABLE, "denied", folder=True),
        entry("accounts/q"),
        PathProblem("accounts/r", PathProblemKind.UNREADABLE, "denied", folder=False),
        PathProblem("accounts/s/", PathProblemKind.SYMLINKED_FOLDER, "link", folder=True),
    ]
    objects = [stored(f"accounts/{name}") for name in ("o", "p/1", "p/2", "pp", "q", "r", "s/1", "t")]
    found = run(items, objects)
    assert found.extra.names == ["accounts/o", "accounts/pp", "accounts/t"]
    assert (found.files, found.present) == (1, 1)
    assert found.left_out == {"unreadable": 2, "symlinked_folder": 1}


def test_a_walk_that_is_not_in_order_is_refused():
    with pytest.raises(SyncError, match="not in order"):
        list(under_test.pairs_of([entry("b"), entry("a")], []))


KEYS = st.text(alphabet="ab/-.é𝄞", min_size=1, max_size=6).map(lambda text: f"accounts/{text}")


@settings(max_examples=200, deadline=None)
@given(st.dictionaries(KEYS, st.integers(0, 2)), st.dictionaries(KEYS, st.integers(0, 2)))
def test_the_merge_agrees_with_sets(tree, bucket):
    def in_byte_order(keys):
        return sorted(keys, key=str.encode)

    found = run(
        [entry(key, tree[key]) for key in in_byte_order(tree)],
        [stored(key, bucket[key]) for key in in_byte_order(bucket)],
        limit=1000,
    )
    assert found.missing.names == in_byte_order(tree.keys() - bucket.keys())
    assert found.extra.names == in_byte_order(bucket.keys() - tree.keys())
    assert found.size_differs.names == in_byte_order(
        key for key in tree.keys() & bucket.keys() if tree[key] != bucket[key]
    )
    assert found.present == len(tree.keys() & bucket.keys())


def test_a_sample_is_even_bounded_and_the_same_each_time():
    hits = Counter()
    for seed in range(400):
        reservoir = under_test.Reservoir(10, seed)
        for number in range(100):
            reservoir.offer(number // 10)
        assert len(reservoir.kept) == 10
        hits.update(reservoir.kept)
    # 400 samples of 10 out of 10 groups: 400 hits expected for each
    assert all(320 < hits[group] < 480 for group in range(10))
    first, second = under_test.Reservoir(5), under_test.Reservoir(5)
    for number in range(1000):
        first.offer(number)
        second.offer(number)
    assert first.kept == second.kept
    assert first.kept != list(range(5))


def test_a_sample_of_none_keeps_none():
    reservoir = under_test.Reservoir(0)
    reservoir.offer("a")
    assert reservoir.kept == []
