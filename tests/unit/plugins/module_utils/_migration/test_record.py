# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The record of a migration: read tolerantly, refused clearly, rebuilt on the safe side."""

from __future__ import annotations

import json
from datetime import datetime, timedelta, timezone

import pytest

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._mastodon.moment import Moment
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._migration.record import (
    Record,
    RecordError,
    State,
    Units,
    parse,
    rebuilt,
    successor,
)

FULL = Record(
    "media",
    State.SWITCHED,
    "social",
    "policy",
    "2026-11-01T10:00:00Z",
    True,
    Units(("mastodon-web.service",), ("mastodon-sidekiq.service",)),
    Moment("the-boot", 12345, ("a", "b")),
)


def test_round_trip():
    for record in (FULL, Record("media", State.COPYING)):
        assert parse(record.serialized()) == record


def test_a_record_without_a_version_and_with_unknown_fields_is_valid():
    assert parse(b'{"bucket": "media", "state": "rolled back", "other": [1]}') == Record("media", State.ROLLED_BACK)


@pytest.mark.parametrize("cut", range(0, len(FULL.serialized()) - 2, 7))
def test_a_truncated_record_is_refused(cut):
    with pytest.raises(RecordError, match=r"is empty|is not valid JSON"):
        parse(FULL.serialized()[:cut])


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"state": 7}, "wrong type in the field state"),
        ({"state": None}, "lacks the field state"),
        ({"state": "moved"}, "state 'moved'"),
        ({"exposure": "open"}, "exposure 'open'"),
        ({"exposure": ["acl"]}, "field exposure"),
        ({"bucket": None}, "lacks the field bucket"),
        ({"restart_pending": "yes"}, "field restart_pending"),
        ({"restart_pending": 1}, "field restart_pending"),
        ({"units": []}, "field units"),
        ({"units": {"web": "mastodon-web.service"}}, "field web"),
        ({"units": {"sidekiq": [1]}}, "field sidekiq"),
        ({"env_file_edited": "today"}, "field env_file_edited"),
        ({"env_file_edited": {"boot_id": "x", "ticks": True}}, "field ticks"),
        ({"env_file_edited": {"ticks": 1}}, "lacks the field boot_id"),
        ({"version": 99}, "version 99: a newer release"),
        ({"version": "1"}, "field version"),
    ],
)
def test_a_field_of_a_wrong_type_is_named(change, says):
    with pytest.raises(RecordError, match=says):
        parse(json.dumps({**FULL.as_dict(), **change}).encode())


@pytest.mark.parametrize("data", [b"[]", b"null", b'"switched"', b"\xff\xfe", b"{" * 100000, b"[" * 100000])
def test_invalid_records_are_refused(data):
    with pytest.raises(RecordError):
        parse(data)


def test_the_time_changes_only_with_the_state():
    begun = datetime(2026, 11, 29, 12, 0, tzinfo=timezone(timedelta(hours=2)))
    first = successor(None, Record("media", State.COPYING), begun)
    assert first.since == "2026-11-29T10:00:00Z"
    later = begun + timedelta(hours=5)
    assert successor(first, Record("media", State.COPYING, restart_pending=True), later).since == first.since
    assert successor(first, Record("media", State.SWITCHED), later).since == "2026-11-29T15:00:00Z"


@pytest.mark.parametrize(
    ("uses_bucket", "switched", "permission", "wanted"),
    [
        (True, True, "public-read", (State.SWITCHED, "acl", True)),
        (True, True, "", (State.SWITCHED, "", True)),
        (True, True, None, (State.SWITCHED, "", True)),
        (True, False, "public-read", None),
        (True, None, "public-read", None),
        (False, True, None, (State.ROLLED_BACK, "", True)),
        (False, False, None, (State.COPYING, "", False)),
        (False, None, None, (State.COPYING, "", False)),
    ],
)
def test_a_damaged_record_is_rebuilt_from_env_file_and_journal(uses_bucket, switched, permission, wanted):
    found = rebuilt("media", "", uses_bucket=uses_bucket, switched=switched, permission=permission)
    assert (found and (found.state, found.exposure, found.restart_pending)) == wanted
