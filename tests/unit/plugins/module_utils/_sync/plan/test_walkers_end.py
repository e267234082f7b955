# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How walking processes begin and end: by themselves, with their parent, and when something goes wrong."""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import sys
import termios
import threading
import time
from contextlib import contextmanager

import pytest
from child_processes import alive, pids_of, state, wait_for

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.journal import intents, journal
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.journal.journal import Journal
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.model import Action, Note, SyncError
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.plan import walker
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.plan.plan import TreePlanner, Unchanged
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.plan.walkers import (
    _WORTH_BYTES,
    MOST_WALKERS,
    Walk,
    Walkers,
)
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.processes import child
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.report import Tally
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.tree.source import Source
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.tree.span import Span

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore:This process .* is multi-threaded")]

LOST = "ended from outside: run again"
MANY = 4000
KNOWN = ("accounts/a.png", "accounts/z.png", "cache/a.png", "cache/z.png")


@pytest.fixture
def known(world):
    """A small tree that was synced; since then, a file of each half is gone, and one of each half is new."""
    for folder in ("accounts/a", "cache/b"):
        for number in range(20):
            world.write(f"{folder}/{number:02}.png")
    assert world.sync().error is None
    for folder in ("accounts/a", "cache/b"):
        (world.src / folder / "05.png").unlink()
        world.write(f"{folder}/05-new.png", b"new")
    return world


@pytest.fixture
def crowd(world):
    """A tree of files that are new, for each of two walkers more than its socket has room for, and a few known ones."""
    for key in KNOWN:
        world.write(key)
    assert world.sync().error is None
    for folder in ("accounts", "cache"):
        (world.src / folder / "m").mkdir()
        for number in range(MANY // 2):
            (world.src / folder / "m" / f"{number:0200}.png").touch()
    return world


def stuck(walkers):
    """Return whether all walkers wait for room in their sockets: these hold a lot, and nobody does anything."""
    for channel, pid in zip(walkers.channels, pids_of(walkers)):
        waiting = bytearray(4)
        fcntl.ioctl(channel.socket, termios.FIONREAD, waiting)
        if int.from_bytes(waiting, sys.byteorder) < 50_000 or state(pid) != "S":
            return False
    return True


@contextmanager
def nobody_waits_longer_than(seconds, walkers):
    """End the walkers after some time, so that a test of what may hang fails and does not hang."""
    timer = threading.Timer(seconds, lambda: [os.kill(pid, signal.SIGKILL) for pid in pids_of(walkers)])
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def walks_of(world, number, **options):
    settings = world.settings(**options)
    known = Journal.peek(settings.journal_path)
    try:
        return [
            Walk(settings.src, 0, settings.journal_path, TreePlanner(settings.rules, settings.delete), span)
            for span in Span.between(known.cuts(number))
        ]
    finally:
        known.close()


def do_in_walkers(monkeypatch, folder, what):
    """Have walkers, and not this process, do something when they open a folder; to be called before they are forked."""
    real, parent = Source.open_folder, os.getpid()

    def opened(self, above, name):
        if name == folder and os.getpid() != parent:
            what()
        return real(self, above, name)

    monkeypatch.setattr(Source, "open_folder", opened)


def assert_the_next_run_finishes(world, done):
    assert {"accounts/a/05.png", "cache/b/05.png"} <= set(world.s3.objects)
    with Walkers(2) as walkers:
        report = world.sync(delete="own", walkers=walkers)
    assert report.error is None
    on_disk = {str(path.relative_to(world.src)) for path in world.src.rglob("*") if path.is_file()}
    assert set(world.s3.objects) == set(world.rows()) == on_disk
    assert done(report)["delete"] == 2


class TestKilled:
    @pytest.mark.parametrize("victims", [slice(0, 1), slice(1, 2), slice(None)], ids=["first", "second", "both"])
    def test_before_it_began(self, known, done, victims):
        with Walkers(2) as walkers:
            for pid in pids_of(walkers)[victims]:
                os.kill(pid, signal.SIGKILL)
                wait_for(lambda pid=pid: not alive(pid))
            with pytest.raises(SyncError, match=LOST):
                known.sync(delete="own", walkers=walkers)
        assert len(known.s3.objects) == 40
        assert_the_next_run_finishes(known, done)

    @pytest.mark.parametrize("folder", ["a", "b"])
    def test_in_the_middle_of_its_span(self, known, done, monkeypatch, folder):
        monkeypatch.setattr(walker, "_STEPS_TOLD", 1)
        do_in_walkers(monkeypatch, folder, lambda: os.kill(os.getpid(), signal.SIGKILL))
        with Walkers(2) as walkers, pytest.raises(SyncError, match=LOST):
            known.sync(delete="own", walkers=walkers)
        monkeypatch.undo()
        assert len(known.s3.objects) >= 40
        assert_the_next_run_finishes(known, done)

    def test_after_something_was_sent(self, known, done, monkeypatch):
        for module in (intents, journal):
            monkeypatch.setattr(module, "BATCH_ACTIONS", 1)
        monkeypatch.setattr(walker, "_STEPS_TOLD", 1)
        with Walkers(2) as walkers:
            # The second one waits until a file was sent that the first one found.
            first, second = pids_of(walkers)
            os.kill(second, signal.SIGSTOP)

            def kill(_operation, key):
                os.kill(second, signal.SIGKILL)

            known.s3.after = kill
            with pytest.raises(SyncError, match=LOST):
                known.sync(delete="own", walkers=walkers)
            known.s3.after = lambda *_arguments: None
            assert not alive(first)
            assert not alive(second)
        assert "accounts/a/05-new.png" in known.s3.objects
        assert_the_next_run_finishes(known, done)

    def test_after_all_was_told(self, known, done):
        with Walkers(2) as walkers:
            source = Source(str(known.src))
            tally = Tally(known.settings().rules)
            steps = list(walkers.steps(walks_of(known, 2, delete="own"), source, tally.counts))
            steps = [step for step in steps if step != Unchanged()]
            for pid in pids_of(walkers):
                os.kill(pid, signal.SIGKILL)
            source.close()
        assert len(steps) == 4
        assert tally.files.count == 40


class TestTroubles:
    def test_a_damaged_journal_ends_the_run_with_one_clear_error(self, known, done, monkeypatch, tmp_path):
        path = known.settings().journal_path
        damaged = str(tmp_path / "damaged.sqlite")
        shutil.copy(path, damaged)
        with open(damaged, "r+b") as file:
            file.seek(4096)
            file.write(b"\xa5" * (os.path.getsize(damaged) - 4096))

        class Damaged:
            """What walkers see, unlike their parent, which has looked into its journal before."""

            @staticmethod
            def peek(_path):
                return Journal.peek(damaged)

        monkeypatch.setattr(walker, "Journal", Damaged)
        with Walkers(2) as walkers, pytest.raises(SyncError, match=r"damaged\.sqlite can't be used") as info:
            known.sync(delete="own", walkers=walkers)
        assert "malformed" in str(info.value)
        assert str(info.value).count("can't be used") == 1
        monkeypatch.undo()
        assert len(known.s3.objects) == 40
        assert_the_next_run_finishes(known, done)

    def test_a_walk_out_of_order_comes_out_as_what_it_is(self, known, done, monkeypatch):
        with monkeypatch.context() as patch:
            patch.setattr(Span, "part_of", lambda _span, _folder, names: names[::-1])
            with Walkers(2) as walkers, pytest.raises(SyncError, match="the walk is not in order: this is a bug"):
                known.sync(delete="own", walkers=walkers)
        assert_the_next_run_finishes(known, done)

    def test_an_unforeseen_error_is_not_said_to_come_from_outside(self, known, monkeypatch):
        def fail():
            raise MemoryError("no room for the names of a folder")

        do_in_walkers(monkeypatch, "b", fail)
        with Walkers(2) as walkers, pytest.raises(Exception, match="no room for the names of a folder"):
            known.sync(delete="own", walkers=walkers)

    def test_rules_that_are_larger_than_a_socket_has_room_for(self, known, done):
        patterns = [f"cache/b/{number:050}" for number in range(6000)]
        with Walkers(2) as walkers, nobody_waits_longer_than(60, walkers):
            report = known.sync(exclude=patterns, walkers=walkers)
        assert report.error is None
        assert done(report) == {"upload": 2}

    def test_a_store_that_only_refuses_ends_the_run_though_walkers_have_more_to_tell(self, crowd):
        def refuse(operation, _key):
            raise crowd.s3.error("AccessDenied", 403, operation)

        crowd.s3.hook = refuse
        with Walkers(2) as walkers:
            pids = pids_of(walkers)
            began = time.monotonic()
            report = crowd.sync(walkers=walkers, concurrency=2)
            # They ended by themselves, and not because somebody lost patience.
            assert time.monotonic() - began < child._END_SECONDS
            assert not any(map(alive, pids))
        assert "not allowed" in report.error
        assert set(crowd.s3.objects) == set(KNOWN)
        crowd.s3.hook = lambda *_arguments: None
        with Walkers(2) as walkers:
            assert crowd.sync(walkers=walkers).error is None
        assert len(crowd.s3.objects) == MANY + len(KNOWN)

    @pytest.mark.parametrize("number", [0, 2])
    def test_a_run_that_is_stopped_leaves_no_more_beside_the_journal_than_any_other(self, crowd, number):
        files = sorted(path.name for path in crowd.state_dir.iterdir())

        def refuse(operation, _key):
            raise crowd.s3.error("AccessDenied", 403, operation)

        crowd.s3.hook = refuse
        with Walkers(number) as walkers:
            assert crowd.sync(walkers=walkers, concurrency=2).error is not None
        assert sorted(path.name for path in crowd.state_dir.iterdir()) == files

    def test_a_slow_parent_is_told_everything_once(self, crowd):
        source, tally = Source(str(crowd.src)), Tally(crowd.settings().rules)
        with Walkers(2) as walkers:
            steps = walkers.steps(walks_of(crowd, 2), source, tally.counts)
            told = [next(steps)]
            wait_for(lambda: stuck(walkers))
            told += steps
        source.close()
        keys = [step.key for step in told if isinstance(step, Action)]
        assert len(keys) == len(set(keys)) == MANY
        assert not [step for step in told if isinstance(step, Note)]
        assert tally.files.count == MANY + len(KNOWN)
        for folder in ("accounts/", "cache/"):
            mine = [key for key in keys if key.startswith(folder)]
            assert mine == sorted(mine)


class TestLives:
    def test_closing_leaves_no_process(self):
        walkers = Walkers(3)
        pids = pids_of(walkers)
        assert [alive(pid) for pid in pids] == [True] * 3
        walkers.close()
        assert not any(map(alive, pids))
        walkers.close()

    def test_closing_in_the_middle_leaves_no_process(self, crowd):
        source, tally = Source(str(crowd.src)), Tally(crowd.settings().rules)
        walkers = Walkers(2)
        pids = pids_of(walkers)
        next(walkers.steps(walks_of(crowd, 2), source, tally.counts))
        assert any(map(alive, pids))
        began = time.monotonic()
        walkers.close()
        assert time.monotonic() - began < child._END_SECONDS / 2
        assert not any(map(alive, pids))
        source.close()

    @pytest.mark.parametrize("at_work", [False, True])
    def test_walkers_die_with_their_parent(self, crowd, at_work):
        reading, writing = os.pipe()
        parent = os.fork()
        if not parent:
            walkers = Walkers(2)
            if at_work:
                steps = walkers.steps(walks_of(crowd, 2), Source(str(crowd.src)), Tally(crowd.settings().rules).counts)
                next(steps)
            os.write(writing, " ".join(map(str, pids_of(walkers))).encode())
            time.sleep(60)
            os._exit(0)
        pids = [int(pid) for pid in os.read(reading, 100).split()]
        assert len(pids) == 2
        assert all(map(alive, pids))
        os.kill(parent, signal.SIGKILL)
        os.waitpid(parent, 0)
        wait_for(lambda: not any(map(alive, pids)))
        os.close(reading)
        os.close(writing)

    def test_an_interrupt_is_the_parents_affair(self, known):
        with Walkers(2) as walkers:
            for pid in pids_of(walkers):
                wait_for(lambda pid=pid: ignores_interrupts(pid))
                os.kill(pid, signal.SIGINT)
            assert known.sync(walkers=walkers).error is None


def ignores_interrupts(pid):
    with open(f"/proc/{pid}/status", encoding="utf-8") as found:
        ignored = next(line for line in found if line.startswith("SigIgn:"))
    return bool(int(ignored.split()[1], 16) & 1 << (signal.SIGINT - 1))


class TestForJournal:
    @pytest.fixture
    def large(self, tmp_path):
        """A file of the size from which on walkers are worth it."""
        path = tmp_path / "journal.sqlite"
        path.touch()
        os.truncate(path, _WORTH_BYTES)
        return path

    @pytest.fixture
    def processors(self):
        """What this process may run on, which is there again after the test."""
        found = os.sched_getaffinity(0)
        yield found
        os.sched_setaffinity(0, found)

    def number_for(self, path):
        with Walkers.for_journal(str(path)) as walkers:
            assert len(walkers._processes) == len(walkers.channels)
            return len(walkers.channels)

    def test_one_for_each_processor(self, large, processors):
        wanted = min(len(processors), MOST_WALKERS)
        assert self.number_for(large) == (wanted if wanted > 1 else 0)

    def test_none_where_there_is_one_processor(self, large, processors):
        os.sched_setaffinity(0, {min(processors)})
        assert self.number_for(large) == 0

    def test_no_more_than_are_of_use(self, large, monkeypatch):
        monkeypatch.setattr(os, "sched_getaffinity", lambda _process: set(range(64)))
        assert self.number_for(large) == MOST_WALKERS

    def test_none_for_a_small_journal(self, large):
        os.truncate(large, _WORTH_BYTES - 1)
        assert self.number_for(large) == 0

    def test_none_for_a_missing_journal(self, tmp_path):
        assert self.number_for(tmp_path / "missing" / "journal.sqlite") == 0
        assert list(tmp_path.iterdir()) == []

    def test_a_run_goes_on_with_none(self, known, done):
        with Walkers(0) as walkers:
            assert done(known.sync(delete="own", walkers=walkers)) == {"upload": 2, "delete": 2}
