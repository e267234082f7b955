# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Turns snapshots of a run into lines for people. Pure: the clock is a parameter."""

from __future__ import annotations

from collections import deque

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.progress.progress import DELETING, Snapshot

# A shorter run is not worth a line.
FIRST_SECONDS = 3.0
_SHORTEST_SECONDS = 10.0
_LONGEST_SECONDS = 60.0
_GROWTH = 1.25
_WINDOW_SECONDS = 120.0
_LEAST_WINDOW_SECONDS = 2.0
_STALLED_SECONDS = 30.0


class Timetable:
    """When to show a line: soon, then every ten seconds, and gradually less often, down to once a minute."""

    def __init__(self, now: float) -> None:
        self._next = now + FIRST_SECONDS
        self._interval = _SHORTEST_SECONDS

    def due(self, now: float) -> bool:
        """Return whether it is time for a line; if so, the next one is due an interval later."""
        if now < self._next:
            return False
        self._next = now + self._interval
        self._interval = min(self._interval * _GROWTH, _LONGEST_SECONDS)
        return True

    def postpone(self, now: float) -> None:
        """Postpone the line that was due, since there was nothing to show."""
        self._next = now + FIRST_SECONDS
        self._interval = _SHORTEST_SECONDS


class Meter:
    """Turns the snapshots of one run, as they arrive, into lines with a rate and the remaining time."""

    def __init__(self) -> None:
        self._recent: deque[Snapshot] = deque()
        self._changed = 0.0

    def take(self, snapshot: Snapshot, now: float) -> None:
        """Record a snapshot. A snapshot of another run starts over."""
        if self._recent and self._recent[-1].process != snapshot.process:
            self._recent.clear()
        if self._recent and self._recent[-1].seconds >= snapshot.seconds:
            return
        self._recent.append(snapshot)
        self._changed = now
        while len(self._recent) > 2 and self._recent[1].seconds <= snapshot.seconds - _WINDOW_SECONDS:
            self._recent.popleft()

    def line(self, now: float) -> str:
        """Return the progress of the run, or nothing as long as there are no figures."""
        if not self._recent:
            return ""
        latest = self._recent[-1]
        words = [self._amount(latest), self._rate()]
        silent = now - self._changed
        if silent >= _STALLED_SECONDS:
            words.append(f"nothing new for {duration(silent)}")
        else:
            words.append(self._time_left(latest))
        words += [_several(latest.retries, "retry", "retries")] if latest.retries else []
        words += [f"{latest.failed:,} failed"] if latest.failed else []
        return ", ".join(word for word in words if word)

    def end(self) -> str:
        """Return the final figures of the run, or nothing if there were none."""
        if not self._recent:
            return ""
        latest = self._recent[-1]
        seconds = max(latest.seconds, 0.1)
        words = [
            f"ended after {duration(latest.seconds)}: {_several(latest.done_files, 'file', 'files')} dealt with",
            f"{latest.sent_files:,} sent ({size(latest.sent_bytes)}, {size(latest.sent_bytes / seconds)}/s)",
        ]
        words += [f"{latest.deleted:,} deleted"] if latest.deleted else []
        words += [_several(latest.retries, "retry", "retries")] if latest.retries else []
        words += [f"{latest.failed:,} failed"] if latest.failed else []
        return ", ".join(words)

    @staticmethod
    def _amount(latest: Snapshot) -> str:
        if latest.stage == DELETING:
            return f"{latest.deleted:,} of {_several(latest.marked_for_deletion, 'object', 'objects')} deleted"
        if latest.total_files is None or latest.total_bytes is None:
            return f"{_several(latest.done_files, 'file', 'files')}, {size(latest.done_bytes)} so far"
        about = "" if latest.walked else "about "
        files, total = max(latest.total_files, latest.walked_files), max(latest.total_bytes, latest.walked_bytes)
        part = f" ({100 * latest.done_bytes // total} %)" if total else ""
        return f"{latest.done_files:,} of {about}{files:,} files, {size(latest.done_bytes)} of {size(total)}{part}"

    def _speeds(self) -> tuple[float, float, float]:
        """Return files done, bytes done and bytes sent per second: recently, or on average if there is no history."""
        latest = self._recent[-1]
        before = self._recent[0] if len(self._recent) > 1 else Snapshot(latest.process)
        seconds = latest.seconds - before.seconds
        if seconds < _LEAST_WINDOW_SECONDS:
            return 0.0, 0.0, 0.0
        return (
            (latest.done_files - before.done_files) / seconds,
            (latest.done_bytes - before.done_bytes) / seconds,
            (latest.sent_bytes - before.sent_bytes) / seconds,
        )

    def _rate(self) -> str:
        files, _done, sent = self._speeds()
        if sent:
            return f"{size(sent)}/s"
        return f"{files:,.0f} files/s" if files >= 1 else ""

    def _time_left(self, latest: Snapshot) -> str:
        """Return the remaining time, by the slower of the two: the number of files or their bytes."""
        if latest.stage == DELETING or latest.total_files is None or latest.total_bytes is None:
            return ""
        files, done, _sent = self._speeds()
        seconds = 0.0
        for left, speed in (
            (latest.total_files - latest.done_files, files),
            (latest.total_bytes - latest.done_bytes, done),
        ):
            if left > 0:
                if speed <= 0:
                    return ""
                seconds = max(seconds, left / speed)
        return f"{duration(seconds)} left" if seconds else ""


def size(amount: float) -> str:
    """Return a number of bytes for people, with decimal prefixes as for disks and stores."""
    for unit in ("B", "kB", "MB", "GB"):
        if amount < 999.95 or (unit == "B" and amount < 1000):
            return f"{amount:.0f} {unit}" if unit == "B" else f"{amount:.1f} {unit}"
        amount /= 1000
    return f"{amount:.1f} TB"


def duration(seconds: float) -> str:
    """Return a number of seconds for people, in its two largest units."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    if minutes < 60:
        return f"{minutes} min {rest} s" if rest and minutes < 10 else f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    if hours < 24:
        return f"{hours} h {minutes} min" if minutes else f"{hours} h"
    days, hours = divmod(hours, 24)
    return f"{days} d {hours} h" if hours else f"{days} d"


def _several(number: int, one: str, many: str) -> str:
    return f"{number:,} {one if number == 1 else many}"
