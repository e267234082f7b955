# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A run that is stopped ends without a failure, and the next one goes on from there."""

from __future__ import annotations

import os
import signal
import time

import pytest

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync import engine, sync_round
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.journal.journal import Journal
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.processes.stop import (
    Stop,
    StopReason,
    asked_by_sigterm,
)
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.store.store import Store


def run(world, stop, transfer=None, **changes):
    settings = world.settings(**changes)
    store = Store(lambda: world.s3, "media", settings.prefix, acl=True)
    return engine.sync(settings, store, transfer=transfer, stop=stop)


@pytest.fixture
def stopping(world):
    """A stop that is asked for by the third upload, and a tree of 300 files."""
    for number in range(300):
        world.write(f"accounts/{number:03}.png")
    world.s3.put_object(Bucket="media", Key="accounts/foreign.png", Body=b"x")
    stop, sent = Stop(), []

    def hook(operation, key):
        if operation == "PutObject":
            sent.append(key)
            if len(sent) == 3:
                stop.ask()

    world.s3.hook = hook
    return stop


def test_it_ends_early_and_the_next_run_goes_on(world, stopping):
    report = run(world, stopping, concurrency=1)
    assert (report.stopped, report.error, report.complete) == (StopReason.REQUEST, None, False)
    sent = len(world.s3.objects) - 1
    assert 3 <= sent < 300
    assert report.as_dict()["actions"]["upload"]["count"] == sent
    journal = Journal.peek(world.settings().journal_path)
    assert journal.needs_listing
    assert journal.watermark_ns is None
    journal.close()
    world.s3.hook = lambda *_: None
    report = run(world, None)
    assert (report.stopped, report.complete) == (None, True)
    assert report.as_dict()["actions"]["upload"]["count"] == 300 - sent
    assert len(world.s3.objects) == 301


def test_nothing_is_deleted_or_made_private(world, stopping, done):
    world.write("accounts/000.png", b"first").chmod(0o600)
    for number in range(3):
        world.write(f"backups/{number}.zip")
    world.s3.hook = lambda *_: None
    world.sync()
    (world.src / "backups/0.zip").unlink()
    (world.src / "accounts/001.png").chmod(0o600)
    stop = Stop()
    stop.ask()
    before = world.s3.acls()
    assert done(run(world, stop, delete="own")) == {}
    assert world.s3.acls() == before


def test_deletions_stop_between_batches(world, monkeypatch):
    monkeypatch.setattr(sync_round, "DELETE_BATCH", 2)
    for number in range(9):
        world.write(f"accounts/{number}.png")
    world.sync()
    for number in range(8):
        (world.src / f"accounts/{number}.png").unlink()
    stop = Stop()
    world.s3.hook = lambda operation, _key: operation == "DeleteObjects" and stop.ask()
    report = run(world, stop, delete="own")
    assert (report.stopped, report.error, report.complete) == (StopReason.REQUEST, None, False)
    assert len(world.s3.objects) == 7


def test_what_hangs_is_waited_for_but_not_for_ever(world, monkeypatch):
    monkeypatch.setattr(sync_round, "STOP_SECONDS", 0.2)
    world.write("accounts/a.png")
    stop = Stop()

    class Hanging:
        def run(self, actions):
            assert next(actions, None) is not None
            stop.ask()
            while True:
                time.sleep(0.01)
                yield None

    began = time.monotonic()
    report = run(world, stop, transfer=Hanging())
    assert time.monotonic() - began < 5
    assert report.stopped is StopReason.REQUEST
    assert world.rows()["accounts/a.png"].state == "pending"


def test_a_time_limit_counts_from_its_beginning(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(f"{Stop.__module__}.monotonic", lambda: now[0])
    stop = Stop(5)
    now[0] = 104.9
    assert stop.reason() is None
    now[0] = 105.0
    assert stop.reason() is StopReason.TIME_LIMIT
    assert Stop().reason() is None


def test_sigterm_asks_and_is_as_before_afterwards():
    before = signal.getsignal(signal.SIGTERM)
    stop = Stop()
    with asked_by_sigterm(stop):
        os.kill(os.getpid(), signal.SIGTERM)
        assert stop.reason() is StopReason.REQUEST
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_walk_that_is_stopped_before_anything_is_to_be_done_is_not_complete(world):
    world.write("accounts/a.png")
    world.write("accounts/b.png")
    assert world.sync(delete="own").complete
    (world.src / "accounts/b.png").unlink()
    stop = Stop()
    stop.ask()
    report = run(world, stop, delete="own")
    assert (report.stopped, report.error, report.complete) == (StopReason.REQUEST, None, False)
    assert sorted(world.s3.objects) == ["accounts/a.png", "accounts/b.png"]
    journal = Journal.peek(world.settings().journal_path)
    assert journal.broken_off_ns(7) > 0
    journal.close()
