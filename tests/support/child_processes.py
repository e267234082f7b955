# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Inspects the processes that a run forks."""

from __future__ import annotations

import time


def pids_of(children):
    """Return the process ids of workers or walkers."""
    return [process.pid for process in children._processes]


def state(pid):
    """Return the state of a process as in proc_pid_stat(5), and Z if it does not exist."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8") as found:
            return found.read().rpartition(")")[2].split()[0]
    except OSError:
        return "Z"


def alive(pid):
    """Return whether a process runs. A zombie does not."""
    return state(pid) != "Z"


def wait_for(condition):
    """Wait until a condition is true. Fail if that takes too long."""
    end = time.monotonic() + 10
    while not condition() and time.monotonic() < end:
        time.sleep(0.01)
    assert condition()
