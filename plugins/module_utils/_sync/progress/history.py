# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How much the runs of a journal have sent, and when, in a small file next to the journal.

A copy may take several nights, so its speed can't be told from one run. No run depends on this file.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.journal.statefiles import read_private
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.progress.progress import write_private
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.report import Report

RUNS_KEPT = 10
POINTS_KEPT = 40
SAVE_SECONDS = 30.0
_MOST_BYTES = 64 * 1024
_MOST_NUMBER = 2**63


@dataclass
class SentRun:
    """What one run has sent.

    Attributes:
        began: When it began, in seconds since the epoch.
        seconds: How long it took, or has taken so far.
        files: Number of files that were sent.
        bytes: Bytes that were sent.
        points: Seconds since the beginning, with the files and bytes that had been sent by then.
    """

    began: int
    seconds: float = 0.0
    files: int = 0
    bytes: int = 0
    points: list[list[float]] = field(default_factory=list)
    _interval: float = 0.0

    def add(self, seconds: float, files: int, size: int) -> None:
        """Add a point. Their number is limited, so they get further apart in a long run."""
        self.seconds, self.files, self.bytes = round(seconds, 1), files, size
        if self.points and seconds - self.points[-1][0] < self._interval:
            return
        self.points.append([self.seconds, files, size])
        if len(self.points) > POINTS_KEPT:
            self.points = self.points[1::2]
            self._interval = self.seconds / POINTS_KEPT * 1.9

    def as_dict(self) -> dict[str, Any]:
        """Return it in plain types."""
        return {name: value for name, value in asdict(self).items() if not name.startswith("_")}


class History:
    """The runs that have sent something. The engine calls it with the growing report of the present run."""

    def __init__(self, path: str, clock: Callable[[], float] = time.monotonic) -> None:
        """Read the earlier runs from the file at `path`.

        Raises:
            StateFolderError: The file at `path` was not written by this module.
        """
        self._path = path
        self._earlier = _runs_in(read_private(path, _MOST_BYTES))
        self._run = SentRun(int(time.time()))
        self._clock = clock
        self._began = self._saved = clock()

    def __call__(self, report: Report) -> None:
        """Note what has been sent so far. The file is written twice a minute, and at the end."""
        now = self._clock()
        files, size = report.tally.actions["upload"].count, report.tally.sent_bytes
        if not files:
            return
        self._run.add(now - self._began, files, size)
        if report.seconds or now - self._saved >= SAVE_SECONDS:
            self._saved = now
            write_private(self._path, json.dumps(self.runs()) + "\n")

    def runs(self) -> list[dict[str, Any]]:
        """Return the runs that have sent most, from old to new, with the present one if it has sent anything."""
        present = [self._run.as_dict()] if self._run.files else []
        largest = sorted(range(len(self._earlier)), key=lambda index: self._earlier[index]["bytes"], reverse=True)
        return [self._earlier[index] for index in sorted(largest[: RUNS_KEPT - len(present)])] + present


def _runs_in(content: bytes) -> list[dict[str, Any]]:
    """Return the runs in a file of an earlier run, without anything that this release does not understand."""
    try:
        found = json.loads(content)
    except (ValueError, RecursionError):
        return []
    return [run for run in found if _is_run(run)] if isinstance(found, list) else []


def _is_run(found: object) -> bool:
    if not isinstance(found, dict) or set(found) != {"began", "seconds", "files", "bytes", "points"}:
        return False
    points = found["points"]
    if not all(_is_number(value) for name, value in found.items() if name != "points"):
        return False
    if not isinstance(points, list) or len(points) > POINTS_KEPT:
        return False
    return all(isinstance(point, list) and len(point) == 3 and all(map(_is_number, point)) for point in points)


def _is_number(found: object) -> bool:
    return isinstance(found, (int, float)) and not isinstance(found, bool) and 0 <= found <= _MOST_NUMBER
