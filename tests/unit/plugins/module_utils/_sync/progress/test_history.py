# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the runs of a journal have sent, and when."""

from __future__ import annotations

import json
import os

import pytest

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.journal.statefiles import history_path
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.progress.history import (
    POINTS_KEPT,
    RUNS_KEPT,
    SAVE_SECONDS,
    History,
    SentRun,
)
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.report import Report, Tally

RUN = {"began": 5, "seconds": 2.0, "files": 3, "bytes": 30, "points": [[1.0, 1, 10], [2.0, 3, 30]]}


class Clock:
    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


def report_of(files, size, *, ended=False):
    report = Report(Tally(rules=None))
    report.tally.actions["upload"].count, report.tally.sent_bytes = files, size
    report.seconds = {"total": 1.0} if ended else {}
    return report


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def path(tmp_path):
    tmp_path.chmod(0o700)
    return str(tmp_path / "x.history")


def saved(path):
    with open(path, encoding="utf-8") as file:
        return json.load(file)


def test_a_long_run_has_few_points_evenly_spread_over_all_of_it():
    run = SentRun(0)
    for second in range(1, 20_001):
        run.add(second, second * 2, second * 10)
    times = [point[0] for point in run.points]
    gaps = [later - earlier for earlier, later in zip(times, times[1:])]
    assert POINTS_KEPT / 3 < len(times) <= POINTS_KEPT
    assert times[0] < 2000
    assert times[-1] > 18_000
    assert max(gaps) < 3 * min(gaps)
    assert all(point == [second, second * 2, second * 10] for second, point in zip(times, run.points))
    assert (run.seconds, run.files, run.bytes) == (20_000, 40_000, 200_000)


def test_it_is_saved_at_the_end_and_twice_a_minute(path, clock):
    history = History(path, clock)
    clock.now += 1
    history(report_of(1, 10))
    assert not os.path.exists(path)
    clock.now += SAVE_SECONDS
    history(report_of(4, 40))
    assert [run["files"] for run in saved(path)] == [4]
    clock.now += 1
    history(report_of(6, 60, ended=True))
    (run,) = saved(path)
    assert run == history.runs()[0]
    assert (run["seconds"], run["files"], run["bytes"], run["points"][0]) == (SAVE_SECONDS + 2, 6, 60, [1.0, 1, 10])
    assert os.stat(path).st_mode & 0o777 == 0o600


def test_a_run_that_sends_nothing_leaves_no_trace(path, clock):
    history = History(path, clock)
    history(report_of(0, 0, ended=True))
    assert history.runs() == []
    assert not os.path.exists(path)


def test_only_the_runs_that_sent_most_are_kept(path, clock):
    for number in range(RUNS_KEPT + 3):
        history = History(path, clock)
        history(report_of(1, 10 + (number * 7) % 5, ended=True))
    runs = saved(path)
    assert len(runs) == RUNS_KEPT
    assert runs[-1]["bytes"] == 10 + ((RUNS_KEPT + 2) * 7) % 5, "the present run is always among them"
    assert sum(run["bytes"] == 14 for run in runs) == 3


@pytest.mark.parametrize(
    "content",
    [
        "",
        "{",
        "[" * 2000,
        "{}",
        "[1]",
        json.dumps([{**RUN, "files": "3"}]),
        json.dumps([{**RUN, "bytes": -1}]),
        json.dumps([{**RUN, "points": [[1]]}]),
        json.dumps([{**RUN, "points": [[1, 2, True]]}]),
        json.dumps([{**RUN, "points": RUN["points"] * POINTS_KEPT}]),
        json.dumps([{**RUN, "other": 1}]),
        '[{"began": 1, "seconds": NaN, "files": 1, "bytes": 1, "points": []}]',
    ],
)
def test_a_file_that_another_release_or_nobody_wrote_is_ignored(path, content):
    with open(path, "w", encoding="utf-8") as file:
        file.write(content)
    assert History(path).runs() == []


def test_earlier_runs_are_read(path):
    with open(path, "w", encoding="utf-8") as file:
        json.dump([RUN], file)
    assert History(path).runs() == [RUN]


def test_the_path_is_beside_the_journal():
    assert history_path("/state/sync-media-1.sqlite") == "/state/sync-media-1.history"
