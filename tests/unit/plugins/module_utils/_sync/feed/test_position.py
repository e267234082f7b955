# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import dataclasses

import pytest

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._feed.reader import State
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.feed.position import (
    Position,
    wanted_by,
    why_all,
)
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.model import (
    DeleteMode,
    Entry,
    Exposure,
    SourceOfTruth,
)
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.options import (
    settings_from,
    sync_argument_spec,
)
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.tree.counts import WalkCounts

STATE = State("feed", 7, 3, "", (1, 2), [])


def settings(**changes):
    defaults = {name: option.get("default") for name, option in sync_argument_spec().items()}
    return settings_from({**defaults, "src": "/src", "bucket": "media", "delete": "own", **changes}, check_mode=False)


def position(**changes):
    known = WalkCounts()
    known.add(Entry("cache/a/b", 1, 1, 1, 0o644), Exposure.PUBLIC)
    known.add(Entry("cache/a/c", 1, 1, 1, 0o600), Exposure.PRIVATE, hidden=True)
    usual = Position("feed", 5, wanted_by(settings()), SourceOfTruth.DISK, DeleteMode.OWN, known)
    return dataclasses.replace(usual, **changes)


def test_a_position_survives_as_text():
    again = Position.parsed(position().as_text())
    assert (again.feed, again.time, again.wanted) == ("feed", 5, wanted_by(settings()))
    assert (again.source_of_truth, again.delete) == (SourceOfTruth.DISK, DeleteMode.OWN)
    assert (again.known.public, again.known.private) == (1, 1)
    assert again.known.parts["cache/a/"].hidden == 1


@pytest.mark.parametrize("text", ["", "x", "[]", "null", "{}", '{"feed": "a", "time": "b"}', "[" * 100_000])
def test_any_other_text_is_no_position(text):
    assert Position.parsed(text) is None


def test_what_has_changed_is_enough_after_a_complete_run():
    assert why_all(settings(), position(), STATE, needs_listing=False) == ""


@pytest.mark.parametrize("source_of_truth", ["disk", "bucket"])
def test_the_position_before_the_switch_counts_after_it(source_of_truth):
    delete = {"disk": "own", "bucket": "never"}[source_of_truth]
    now = settings(source_of_truth=source_of_truth, delete=delete)
    assert why_all(now, position(), STATE, needs_listing=False) == ""


@pytest.mark.parametrize(
    ("now", "before", "state", "needs_listing", "why"),
    [
        ({}, None, STATE, False, "no run was complete since the feed was started"),
        ({}, position(feed="old"), STATE, False, "the feed was started again since the last complete run"),
        ({}, position(time=2), STATE, False, "another run has dealt with changes"),
        ({}, position(time=2), STATE._replace(gap="the kernel is tired"), False, "the kernel is tired"),
        ({}, position(), STATE, True, "all objects are to be compared"),
        ({"compare_with": "listing"}, position(), STATE, False, "all objects are to be compared"),
        ({"repair": ["acl"]}, position(), STATE, False, "all objects are to be compared"),
        ({"delete": "all"}, position(), STATE, False, "delete=all compares all objects"),
        ({"delete": "never"}, position(), STATE, False, "deleted other objects"),
        ({"exclude": []}, position(), STATE, False, "other options"),
        ({"cache_control": "no-store"}, position(), STATE, False, "other options"),
        ({"private_prefixes": []}, position(), STATE, False, "other options"),
        ({"exposure": "policy"}, position(), STATE, False, "other options"),
        ({}, position(source_of_truth=SourceOfTruth.BUCKET), STATE, False, "the disk is the source of truth again"),
    ],
)
def test_all_files_are_looked_at(now, before, state, needs_listing, why):
    assert why in why_all(settings(**now), before, state, needs_listing=needs_listing)


def test_long_patterns_differ_up_to_their_end():
    patterns = ["x" * 300 + "/a", "x" * 300 + "/b"]
    assert len({wanted_by(settings(exclude=[pattern])) for pattern in patterns}) == 2
    assert wanted_by(settings(exclude=patterns)) == wanted_by(settings(exclude=list(patterns)))


def test_the_minimum_age_does_not_matter():
    assert wanted_by(settings(minimum_age=0)) == wanted_by(settings(minimum_age=60))
