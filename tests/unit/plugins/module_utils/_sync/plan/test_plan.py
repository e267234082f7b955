# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.model import (
    Action,
    ActionKind,
    DeleteMode,
    Entry,
    Exposure,
    ExposureMode,
    Listed,
    Note,
    PathProblem,
    PathProblemKind,
    Reason,
    Row,
    SyncError,
)
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.plan.plan import (
    BucketPlanner,
    MarkedForDeletion,
    TreePlanner,
    Unchanged,
)
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.rules.rules import Rules
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.tree.counts import WalkCounts

NOW = 10**18
RULES = Rules(ExposureMode.ACL, ("accounts/", "cache/"), ("backups/",), minimum_age_ns=60 * 10**9)
POLICY = dataclasses.replace(RULES, mode=ExposureMode.POLICY)
KEYS = ["accounts/a", "accounts/b", "backups/c", "cache/d", "stray/e"]


def entry(key, **changes):
    return Entry(key, 5, 100, 200, 0o644)._replace(**changes)


def row(key, rules=RULES, applied="acl:public", **changes):
    made = Row(*entry(key), "md5", "etag", applied, rules.headers(key).fingerprint, "done", True)
    return made._replace(**changes)


def tree(items, rows, listing=None, delete="never", rules=RULES):
    return list(TreePlanner(rules, DeleteMode(delete), lambda: NOW).steps(items, rows, listing, WalkCounts()))


def bucket(items, rows, settled=False, rules=RULES, watermark=150):
    return list(BucketPlanner(rules, watermark, settled, lambda: NOW).steps(items, rows, None, WalkCounts()))


def kinds(steps):
    return [step.kind if isinstance(step, Action) else type(step) for step in steps]


@pytest.mark.parametrize(
    ("changes", "known", "kind"),
    [
        ({}, {}, Unchanged),
        ({"size": 6}, {}, ActionKind.UPLOAD),
        ({"mtime_ns": 101}, {}, ActionKind.UPLOAD),
        ({"ctime_ns": 201}, {}, ActionKind.COMPARE),
        ({"ctime_ns": 201, "mode": 0o600}, {}, ActionKind.COMPARE),
        ({"ctime_ns": 201, "mode": 0o664}, {}, ActionKind.COMPARE),
        ({}, {"applied": "acl:private"}, ActionKind.SET_ACL),
        ({}, {"applied": ""}, ActionKind.SET_ACL),
        ({}, {"applied": "policy:public"}, ActionKind.SET_ACL),
        ({}, {"state": "pending"}, ActionKind.UPLOAD),
        ({}, {"state": "doubted"}, ActionKind.VERIFY),
        ({"size": 6}, {"state": "doubted"}, ActionKind.UPLOAD),
        ({}, {"headers": "other"}, ActionKind.REPAIR),
    ],
)
def test_a_known_file(changes, known, kind):
    (step,) = tree([entry("accounts/a", **changes)], [row("accounts/a", **known)])
    assert kinds([step]) == [kind]


@pytest.mark.parametrize(
    ("key", "changes", "applied", "kind"),
    [
        ("accounts/a", {}, "policy:public", Unchanged),
        ("accounts/a", {}, "acl:public", Unchanged),
        ("accounts/a", {}, "acl:private", Unchanged),
        ("accounts/a", {}, "", Unchanged),
        ("accounts/a", {"mode": 0o600, "ctime_ns": 201}, "policy:public", ActionKind.DELETE_PRIVATE),
        ("backups/c", {}, "policy:private", Unchanged),
        ("backups/c", {}, "acl:private", Unchanged),
        ("backups/c", {}, "acl:public", ActionKind.REPAIR),
        ("backups/c", {}, "", ActionKind.REPAIR),
    ],
)
def test_a_known_file_under_a_policy(key, changes, applied, kind):
    steps = tree([entry(key, **changes)], [row(key, POLICY, applied)], rules=POLICY)
    assert kinds(steps) == [kind]


def test_an_exposure_that_holds_already_goes_to_the_journal():
    (step,) = tree([entry("accounts/a")], [row("accounts/a", POLICY, "acl:public")], rules=POLICY)
    assert step.row == row("accounts/a", POLICY, "policy:public")
    (step,) = tree([entry("accounts/a")], [row("accounts/a")])
    assert step.row is None


@pytest.mark.parametrize(
    ("fresh", "known", "kind"),
    [
        (True, None, Note),
        (False, None, ActionKind.UPLOAD),
        (True, {}, ActionKind.COMPARE),
        (True, {"size": 9}, Note),
        (True, {"state": "pending", "applied": ""}, Note),
        (True, {"state": "pending", "size": 9}, Note),
        # Its object was about to be deleted.
        (True, {"state": "pending"}, ActionKind.UPLOAD),
        (False, {"size": 9}, ActionKind.UPLOAD),
    ],
)
def test_a_file_that_looks_private(fresh, known, kind):
    ctime = NOW - (10 if fresh else 100) * 10**9
    rows = [] if known is None else [row("accounts/a", **known)]
    (step,) = tree([entry("accounts/a", mode=0o600, ctime_ns=ctime)], rows)
    assert kinds([step]) == [kind]
    if kind is Note:
        assert step == Note(Reason.TOO_NEW, "accounts/a", 5, ctime)


def test_problems_stand_for_their_path():
    link = PathProblem("accounts/b", PathProblemKind.SYMLINK, "", folder=False)
    folder = PathProblem("cache/", PathProblemKind.UNREADABLE, "", folder=True)
    odd = PathProblem("a\\xff", PathProblemKind.BAD_NAME, "", folder=False)
    steps = tree(
        [entry("accounts/a"), link, odd, folder],
        [row("accounts/a"), row("accounts/b"), row("cache/d")],
        delete="own",
    )
    assert kinds(steps) == [PathProblem, PathProblem, PathProblem, MarkedForDeletion, Unchanged]
    assert steps[-2].key == "cache/d"


def test_a_walk_out_of_order_is_refused():
    with pytest.raises(SyncError, match="order"):
        tree([entry("cache/d"), entry("accounts/a")], [])


ENTRIES = st.builds(
    lambda keys, changed: [entry(key, size=6 if key in changed else 5) for key in sorted(keys)],
    st.sets(st.sampled_from(KEYS)),
    st.sets(st.sampled_from(KEYS)),
)
ROWS = st.builds(
    lambda keys, pending, foreign: [
        row(
            key,
            applied="acl:private" if key.startswith("backups") else "acl:public",
            state="pending" if key in pending else "done",
            ours=key not in foreign,
        )
        for key in sorted(keys)
    ],
    st.sets(st.sampled_from(KEYS)),
    st.sets(st.sampled_from(KEYS)),
    st.sets(st.sampled_from(KEYS)),
)
LISTINGS = st.sets(st.sampled_from(KEYS)).map(lambda keys: [Listed(key, 5, "etag") for key in sorted(keys)])


@settings(max_examples=300)
@given(ENTRIES, ROWS, LISTINGS, st.sampled_from(["never", "own", "all"]))
def test_every_plan_is_in_order_complete_and_within_its_bounds(entries, rows, listing, delete):
    steps = tree(entries, rows, listing if delete == "all" else None, delete)
    on_disk, known = {item.key for item in entries}, {item.key: item for item in rows}
    in_scope = {key for key in KEYS if not key.startswith("stray")}
    keyed = [step.key for step in steps if isinstance(step, (Action, MarkedForDeletion, Note))]
    assert keyed == sorted(keyed)
    marked = {step.key for step in steps if isinstance(step, MarkedForDeletion)}
    assert not marked & on_disk
    if delete == "never":
        assert marked == set()
    elif delete == "own":
        assert marked == {key for key in known if known[key].ours and key in in_scope and key not in on_disk}
    else:
        assert marked == {key for key in {*known, *(item.key for item in listing)} & in_scope if key not in on_disk}
    actions = {step.key: step for step in steps if isinstance(step, Action)}
    assert set(actions) <= on_disk & in_scope
    for item in entries:
        if item.key not in in_scope:
            continue
        found = known.get(item.key)
        right = found is not None and found.state == "done" and item.size == 5
        if delete == "all":
            right = right and item.key in {other.key for other in listing}
        assert (item.key in actions) is not right
        if item.key in actions:
            wanted = Exposure.PRIVATE if item.key.startswith("backups") else Exposure.PUBLIC
            assert actions[item.key].exposure is wanted


SINCE_THE_SWITCH = st.builds(
    lambda keys, suspended, late: [
        entry(key, mode=0o600 if key in suspended else 0o644, ctime_ns=300 if key in late else 200)
        for key in sorted(keys)
    ],
    st.sets(st.sampled_from(KEYS)),
    st.sets(st.sampled_from(KEYS)),
    st.sets(st.sampled_from(KEYS)),
)


def test_after_the_switch_nothing_is_deleted_overwritten_or_opened():
    met = set()

    @settings(max_examples=300)
    @given(SINCE_THE_SWITCH, ROWS, st.booleans(), st.sampled_from([150, 250]))
    def check(entries, rows, settled, watermark):
        steps = bucket(entries, rows, settled=settled, watermark=watermark)
        known = {item.key: item for item in rows}
        for step in steps:
            assert not isinstance(step, MarkedForDeletion)
            if not isinstance(step, Action):
                continue
            met.add(step.kind)
            assert step.after_switch
            assert step.kind in (ActionKind.SEND_IF_MISSING, ActionKind.SET_ACL)
            if step.kind is ActionKind.SET_ACL:
                assert step.exposure is Exposure.PRIVATE
                assert not settled
            elif step.key in known:
                assert known[step.key].state == "pending"
            else:
                assert step.entry.ctime_ns >= watermark
            if step.entry.mode == 0o600:
                assert step.exposure is Exposure.PRIVATE

    check()
    assert met == {ActionKind.SEND_IF_MISSING, ActionKind.SET_ACL}


@pytest.mark.parametrize(
    ("changes", "known", "settled", "kind"),
    [
        ({}, {}, False, Unchanged),
        ({"mode": 0o600, "ctime_ns": 300}, {}, False, ActionKind.SET_ACL),
        ({"mode": 0o600, "ctime_ns": 300}, {}, True, Unchanged),
        ({"mode": 0o600, "ctime_ns": 300}, {"applied": "acl:private"}, False, Unchanged),
        ({"size": 9}, {}, False, Note),
        ({"size": 9}, {}, True, Unchanged),
        ({"mode": 0o644}, {"applied": "acl:private"}, False, Unchanged),
        ({}, {"state": "pending"}, False, ActionKind.SEND_IF_MISSING),
        ({"ctime_ns": 100}, {"state": "pending"}, False, ActionKind.SEND_IF_MISSING),
        ({"ctime_ns": 100}, None, False, Note),
        ({"ctime_ns": 150}, None, False, ActionKind.SEND_IF_MISSING),
    ],
)
def test_a_file_after_the_switch(changes, known, settled, kind):
    rows = [] if known is None else [row("accounts/a", **known)]
    assert kinds(bucket([entry("accounts/a", **changes)], rows, settled)) == [kind]
