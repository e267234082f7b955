# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import threading
import time

import pytest

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.model import (
    Action,
    ActionKind,
    Exposure,
    Row,
    RowState,
)
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.transfer import late_writes
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.transfer.late_writes import LateWrites

GRACE = 0.4
NOW = 10**18


@pytest.fixture
def grace(monkeypatch):
    """Have requests of an ended run end within `GRACE`."""
    monkeypatch.setattr(late_writes, "LATE_WRITE_SECONDS", GRACE)


def action(key, state=None, applied="acl:public"):
    row = Row(key, 1, 1, 1, 0o644, "", "e", applied, "h", state.value, True) if state else None
    return Action(ActionKind.UPLOAD, key, "why", Exposure.PUBLIC, row=row)


ACTIONS = [
    action("a", RowState.PENDING),
    action("b", RowState.DONE, applied=""),
    action("c", RowState.DONE),
    action("d", RowState.DOUBTED, applied=""),
    action("e"),
]


def order(waiting):
    before = time.monotonic()
    keys = "".join(each.key for each in waiting.interrupted_last(iter(ACTIONS)))
    return keys, time.monotonic() - before


def test_a_run_right_after_one_that_broke_off_waits_for_late_requests(monkeypatch):
    slept = []
    monkeypatch.setattr(time, "sleep", slept.append)
    now = time.time_ns()
    LateWrites(now, now).wait()
    # By then a store has done, or never does, what a killed run had sent.
    assert 4 < slept[0] <= 6


def test_what_was_interrupted_comes_last_and_late(grace):
    keys, seconds = order(LateWrites(NOW, NOW))
    assert keys == "cdeab"
    assert GRACE * 0.9 < seconds < GRACE * 3


@pytest.mark.parametrize("ended", [0, NOW - int(GRACE * 10**9)], ids=["never", "long ago"])
def test_nothing_waits_for_a_run_that_ended_long_ago(grace, ended):
    assert order(LateWrites(ended, NOW))[0] == "abcde"


def test_a_clock_that_went_back_holds_up_no_longer_than_the_grace(grace):
    keys, seconds = order(LateWrites(NOW + 10**15, NOW))
    assert keys == "cdeab"
    assert seconds < GRACE * 3


def test_more_than_can_be_postponed_wait_where_they_are(grace, monkeypatch):
    monkeypatch.setattr(late_writes, "_MOST_POSTPONED", 1)
    keys, seconds = order(LateWrites(NOW, NOW))
    assert keys == "bcdea"
    assert seconds > GRACE * 0.9


class TestRuns:
    """A PUT of a killed run that the store finishes only while the next run is at work."""

    @pytest.fixture
    def interrupted(self, world, grace):
        """Kill a run in the middle of a PUT, and have its old content and ACL land soon afterwards."""
        world.write("accounts/keep.png")
        path = world.write("media_attachments/a.png", b"old")

        def die(operation, key):
            if key.endswith("a.png"):
                raise KeyboardInterrupt

        world.s3.hook = die
        with pytest.raises(KeyboardInterrupt):
            world.sync(concurrency=1)
        world.s3.hook = lambda *_: None
        landing = threading.Timer(
            GRACE / 2, world.s3._store, ["media_attachments/a.png", b"old", "an etag", {"ACL": "public-read"}]
        )
        landing.start()
        yield path
        landing.join()

    def test_does_not_replace_what_the_next_run_sends(self, world, interrupted):
        interrupted.write_bytes(b"new")
        interrupted.chmod(0o600)
        assert world.sync().error is None
        stored = world.s3.objects["media_attachments/a.png"]
        assert (stored.body, stored.acl) == (b"new", "private")

    def test_does_not_outlive_a_deletion(self, world, interrupted):
        interrupted.unlink()
        assert world.sync(delete="own").error is None
        assert set(world.s3.objects) == {"accounts/keep.png"}

    def test_a_completed_run_holds_up_nothing(self, world, interrupted):
        world.sync()
        interrupted.write_bytes(b"newer")
        before = time.monotonic()
        assert world.sync().error is None
        assert time.monotonic() - before < GRACE
