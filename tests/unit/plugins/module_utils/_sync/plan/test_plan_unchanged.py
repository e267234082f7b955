# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The short way by which most files are planned: it has to come to what the long one comes to."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.model import (
    Action,
    ActionKind,
    Aspect,
    CompareWith,
    DeleteMode,
    Entry,
    ExposureMode,
    Row,
)
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.plan import merge
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.plan.plan import TreePlanner, Unchanged
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.rules.rules import Rules
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.tree.counts import WalkCounts

NOW = 10**18
KEYS = ["accounts/a", "accounts/b.png", "backups/c", "cache/d", "cache/not", "stray/e", "f"]
# Fresh and old, as they are and as they are not known.
CTIMES = [200, NOW - 10**9]
OF_RULES = {
    "public_prefixes": ("accounts/", "cache/"),
    "private_prefixes": ("backups/",),
    "exclude": re.compile("cache/not"),
}
RULES = st.builds(
    Rules,
    st.sampled_from(list(ExposureMode)),
    **{name: st.just(value) for name, value in OF_RULES.items()},
    cache_control=st.sampled_from([None, "no-store"]),
    minimum_age_ns=st.just(60 * 10**9),
    open_private=st.booleans(),
)
ENTRIES = st.builds(
    Entry,
    st.sampled_from(KEYS),
    st.sampled_from([5, 6]),
    st.sampled_from([100, 101]),
    st.sampled_from(CTIMES),
    st.sampled_from([0o644, 0o600]),
)
WORDS = ["", "deleted_private", *(f"{mode.value}:{word}" for mode in ExposureMode for word in ("public", "private"))]
KNOWN = st.tuples(
    st.sampled_from(["like", "like", "like", "other"]),
    st.sampled_from(["right"] * len(WORDS) + WORDS),
    st.sampled_from(["right", "right", "other"]),
    st.sampled_from(["done", "done", "pending", "doubted", "listed"]),
    st.booleans(),
)


def row_of(entry, rules, drawn):
    like, applied, headers, state, ours = drawn
    known = entry if like == "like" else entry._replace(size=entry.size + 1)
    wanted = rules.judge(entry).exposure
    if applied == "right":
        applied = f"{rules.mode.value}:{wanted.value}" if wanted else ""
    fingerprint = rules.headers(entry.key).fingerprint if headers == "right" else "other"
    return Row(*known, "md5", "etag", applied, fingerprint, state, ours)


def numbers(counts):
    folders = {name: (amount.count, amount.bytes) for name, amount in counts.folders.items()}
    return counts.files, counts.unchanged, counts.public, counts.private, folders


@settings(max_examples=400, deadline=None)
@given(
    RULES,
    st.dictionaries(ENTRIES.map(lambda entry: entry.key), st.tuples(ENTRIES, KNOWN)),
    st.sampled_from([DeleteMode.NEVER, DeleteMode.OWN]),
)
def test_the_short_way_comes_to_what_the_long_one_comes_to(rules, drawn, delete):
    entries = [drawn[key][0]._replace(key=key) for key in sorted(drawn)]
    rows = [row_of(entry, rules, drawn[entry.key][1]) for entry in entries]
    planner, short, long = TreePlanner(rules, delete, lambda: NOW), WalkCounts(), WalkCounts()
    found = list(planner.steps(entries, rows, None, short))
    wanted = [
        step
        for entry, row in zip(entries, rows)
        for step in planner._step(entry, row, None, long, with_listing=False)
        if step != Unchanged()
    ]
    assert [step for step in found if step != Unchanged()] == wanted
    assert numbers(short) == numbers(long)


@pytest.mark.parametrize(
    "planner",
    [
        {"compare_with": CompareWith.LISTING},
        {"compare_with": CompareWith.CHECKSUM},
        {"repair": frozenset({Aspect.ACL})},
    ],
)
def test_the_short_way_is_for_those_alone_who_trust_the_journal(planner):
    rules = Rules(ExposureMode.ACL, ("accounts/",), ())
    entries = [Entry(f"accounts/{number:03}", 5, 100, 200, 0o644) for number in range(merge._UNCHANGED_AT_ONCE + 50)]
    rows = [
        Row(*entry, "md5", "etag", "acl:public", rules.headers(entry.key).fingerprint, "done", True)
        for entry in entries
    ]
    made = TreePlanner(rules, DeleteMode.NEVER, lambda: NOW, **planner)
    by_listing = made.compare_with is not CompareWith.JOURNAL
    steps = list(made.steps(entries, rows, [] if by_listing else None, WalkCounts()))
    assert len(steps) == len(entries)
    kind = ActionKind.UPLOAD if by_listing else ActionKind.REPAIR
    assert {step.kind for step in steps if isinstance(step, Action)} == {kind}
    counts = WalkCounts()
    plain = TreePlanner(rules, DeleteMode.NEVER, lambda: NOW)
    assert list(plain.steps(entries, rows, None, counts)) == [Unchanged()] * 2
    assert (counts.unchanged.count, counts.unchanged.bytes) == (len(entries), 5 * len(entries))
