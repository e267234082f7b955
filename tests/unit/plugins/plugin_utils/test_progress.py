# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Lines that say how far a run is."""

from __future__ import annotations

import pytest

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.progress.progress import DELETING, Snapshot
from ansible_collections.fediverse.mastodon_s3.plugins.plugin_utils._progress import Meter, Timetable, duration, size


def shown(*snapshots, now=None):
    meter = Meter()
    for snapshot in snapshots:
        meter.take(snapshot, snapshot.seconds)
    return meter.line(snapshots[-1].seconds if now is None else now)


def at(seconds, files, sent=0, **more):
    return Snapshot(1, seconds=seconds, done_files=files, done_bytes=files * 1000, sent_bytes=sent, **more)


def test_rate_and_remaining_time_are_recent():
    total = {"total_files": 5000, "total_bytes": 5000000}
    # The first 3000 were skimmed, then ten a second were sent.
    line = shown(at(1, 3000, **total), at(11, 3100, 100000, **total))
    assert line == "3,100 of about 5,000 files, 3.1 MB of 5.0 MB (62 %), 10.0 kB/s, 3 min 10 s left"


def test_the_slower_of_files_and_bytes_decides():
    few_bytes = shown(at(0, 0), at(10, 100, total_files=300, total_bytes=100001))
    assert few_bytes.endswith(", 20 s left")
    few_files = shown(at(0, 0), at(10, 100, total_files=101, total_bytes=400000))
    assert few_files.endswith(", 30 s left")


def test_without_a_total_no_remaining_time_is_shown():
    assert shown(at(0, 0), at(10, 100, 100000)) == "100 files, 100.0 kB so far, 10.0 kB/s"


def test_a_total_that_is_too_small_is_replaced():
    line = shown(at(0, 0), at(10, 90, total_files=50, total_bytes=50, walked_files=120, walked_bytes=120000))
    assert line == "90 of about 120 files, 90.0 kB of 120.0 kB (75 %), 9 files/s"


def test_the_total_is_exact_after_the_walk():
    line = shown(at(0, 0), at(10, 90, total_files=100, total_bytes=100000, walked=True))
    assert line.startswith("90 of 100 files")


def test_retries_and_failures_are_shown():
    assert shown(at(5, 1, retries=1, failed=1200)).endswith("1 retry, 1,200 failed")
    assert shown(at(5, 1, retries=2)).endswith("2 retries")


def test_a_stall_is_shown_instead_of_the_remaining_time():
    line = shown(at(0, 0), at(10, 50, 50000, total_files=100, total_bytes=100000), now=75.0)
    assert line.endswith("nothing new for 1 min 5 s")


def test_deletions_are_shown():
    assert shown(at(9, 5, stage=DELETING, deleted=1000, marked_for_deletion=2500)).startswith(
        "1,000 of 2,500 objects deleted"
    )


def test_an_older_snapshot_and_one_of_another_run():
    meter = Meter()
    meter.take(at(10, 50), 10)
    meter.take(at(9, 40), 11)
    assert meter.line(11).startswith("50 files")
    meter.take(Snapshot(2, seconds=1.0, done_files=3), 12)
    assert meter.line(12).startswith("3 files")


def test_without_figures_there_is_no_line():
    assert Meter().line(0) == ""
    assert Meter().end() == ""


def test_the_end():
    meter = Meter()
    meter.take(at(10, 50, 50000, sent_files=40, deleted=2, failed=1), 10)
    assert meter.end() == "ended after 10 s: 50 files dealt with, 40 sent (50.0 kB, 5.0 kB/s), 2 deleted, 1 failed"


def test_lines_become_less_frequent():
    table = Timetable(0.0)
    times = [second for second in range(4000) if table.due(float(second))]
    gaps = [later - earlier for earlier, later in zip(times, times[1:])]
    assert times[0] == 3
    assert gaps[0] == 10
    assert gaps == sorted(gaps)
    assert gaps[-1] == 60


@pytest.mark.parametrize(
    ("amount", "text"),
    [(0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (999_960, "1.0 MB"), (1_500_000_000, "1.5 GB"), (2e15, "2000.0 TB")],
)
def test_sizes(amount, text):
    assert size(amount) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"),
        (59.6, "1 min"),
        (61, "1 min 1 s"),
        (754, "12 min"),
        (3600, "1 h"),
        (4800, "1 h 20 min"),
        (90000, "1 d 1 h"),
    ],
)
def test_durations(seconds, text):
    assert duration(seconds) == text
