# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A run in another process is asked to end; a process that only has the number of one never is."""

from __future__ import annotations

import signal
import subprocess
import sys
from contextlib import contextmanager

import pytest

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.journal.journal import Journal
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.journal.statefiles import StateFolderError
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.model import SyncError
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.processes.stop import Stop
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.processes.stop_runs import stop_runs

# As a run does: it holds the journal, and ends once it is asked to.
RUN = """
import sys, time
sys.path[:0] = {path!r}
from {journal} import Journal
from {stop} import Stop, asked_by_sigterm
stop = Stop()
with asked_by_sigterm(stop):
    journal = Journal.open({name!r}, {{}})
    print("open", flush=True)
    while {deaf} or stop.reason() is None:
        time.sleep(0.02)
    journal.close()
    print("ended", flush=True)
"""


@pytest.fixture
def state(tmp_path):
    folder = tmp_path / "state"
    folder.mkdir(mode=0o700)
    return folder


@contextmanager
def running(path, *, deaf=False):
    code = RUN.format(path=sys.path, journal=Journal.__module__, stop=Stop.__module__, name=str(path), deaf=deaf)
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout.readline() == b"open\n"
            yield process
        finally:
            process.kill()


def test_all_runs_are_ended_and_those_of_other_folders_not(state, tmp_path):
    other = tmp_path / "other"
    other.mkdir(mode=0o700)
    with (
        running(state / "sync-a-1.sqlite") as first,
        running(state / "sync-b-2.sqlite") as second,
        running(other / "sync-a-1.sqlite") as third,
    ):
        asked = stop_runs(str(state), 30)
        assert [(run.process, run.ended) for run in asked] == [(first.pid, True), (second.pid, True)]
        assert first.stdout.readline() == second.stdout.readline() == b"ended\n"
        assert first.wait(30) == second.wait(30) == 0
        assert third.poll() is None
    assert stop_runs(str(state), 30) == []


def test_check_mode_only_looks(state):
    with running(state / "sync-a-1.sqlite") as process:
        assert [(run.process, run.ended) for run in stop_runs(str(state), 0, check=True)] == [(process.pid, None)]
        assert process.poll() is None


def test_a_run_that_takes_longer_is_told(state):
    with running(state / "sync-a-1.sqlite", deaf=True):
        assert [run.ended for run in stop_runs(str(state), 0.3)] == [False]


def test_a_process_that_only_has_the_number_is_left_alone(state):
    lock = state / "sync-a-1.sqlite.lock"
    with (
        subprocess.Popen(["sleep", "60"]) as bystander,
        running(state / "sync-a-1.sqlite", deaf=True) as process,
    ):
        try:
            lock.write_text(f"{bystander.pid}\n")
            with pytest.raises(SyncError, match=f"PID {bystander.pid}.*is a different one"):
                stop_runs(str(state), 0)
            lock.write_text("")
            with pytest.raises(SyncError, match="does not contain a PID"):
                stop_runs(str(state), 0)
            assert bystander.poll() is None
            assert process.poll() is None
        finally:
            bystander.send_signal(signal.SIGKILL)


def test_the_lock_of_a_run_that_was_killed_names_nobody(state):
    with subprocess.Popen(["sleep", "60"]) as bystander:
        (state / "sync-a-1.sqlite").write_bytes(b"")
        (state / "sync-a-1.sqlite.lock").write_text(f"{bystander.pid}\n")
        assert stop_runs(str(state), 0) == []
        assert bystander.poll() is None
        bystander.kill()


def test_a_folder_that_others_can_change_is_not_believed(state):
    state.chmod(0o777)
    with pytest.raises(StateFolderError, match="not safe from other users"):
        stop_runs(str(state), 0)
