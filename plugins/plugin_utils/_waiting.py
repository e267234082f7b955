# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""For what s3_sync waits with `repeat_until`: an answer, a time of day, or a file. Pure: the clock is a parameter."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from shlex import quote
from typing import Optional

CONFIRMED = "confirmed"
# A round begins after at least this time.
SHORTEST_PAUSE_SECONDS = 300.0
# Rounds take at most a quarter of the time.
_PAUSE_FACTOR = 3.0
# If the moment is noticed later than this, because the controller slept, the next day's is the right one.
_LATE = timedelta(hours=1)
_MARK = "s3_sync_wait"
_TIME_OF_DAY = re.compile(r"([01]?[0-9]|2[0-3]):([0-5][0-9])\Z")
_CLOCK = "%Y-%m-%dT%H:%M:%S"


class ConditionError(Exception):
    """A value is no condition. The text names it, and what to write."""


@dataclass(frozen=True)
class Condition:
    """What ends the waiting: a time of day on the host, a file there or, without both, an answer on the terminal."""

    hour: Optional[int] = None
    minute: int = 0
    file: str = ""

    @property
    def asks(self) -> bool:
        """Whether a question is asked."""
        return self.hour is None and not self.file


@dataclass(frozen=True)
class Look:
    """What the host's clock says (without its time zone), the zone's name, and whether the file is there."""

    now: datetime
    zone: str
    file_found: bool


def condition(text: str) -> Condition:
    """Return what a value of the option means.

    Raises:
        ConditionError: It means nothing.
    """
    if text == CONFIRMED:
        return Condition()
    time = _TIME_OF_DAY.match(text)
    if time:
        return Condition(hour=int(time[1]), minute=int(time[2]))
    if text.startswith("/") and not text.endswith("/"):
        return Condition(file=text)
    raise ConditionError(
        f"repeat_until: '{text}' is no time of day and no file. Use a time such as 03:30, the absolute path of a file"
        f" on the host, or {CONFIRMED}"
    )


def pause_after(round_seconds: float) -> float:
    """Return the seconds between two rounds, of which the first took this long."""
    return max(SHORTEST_PAUSE_SECONDS, _PAUSE_FACTOR * round_seconds)


def look_command(file: str) -> str:
    """Return the command that reads the host's clock and looks for a file."""
    found = f"[ -e {quote(file)} ]" if file else "false"
    return f"if {found}; then f=found; else f=-; fi\necho {_MARK} $f $(date '+{_CLOCK} %Z')"


def parsed_look(output: str) -> Optional[Look]:
    """Return what the command's output shows; None if the output is incomplete."""
    line = next((line for line in output.splitlines() if line.startswith(f"{_MARK} ")), "")
    words = line.split()
    if len(words) != 4:
        return None
    try:
        now = datetime.strptime(words[2], _CLOCK)  # noqa: DTZ007 - the host's own time, so that its clock changes count
    except ValueError:
        return None
    return Look(now, words[3], file_found=words[1] == "found")


def next_moment(waited_for: Condition, now: datetime) -> datetime:
    """Return when it is that time of day next, on the same clock as `now`."""
    moment = now.replace(hour=waited_for.hour or 0, minute=waited_for.minute, second=0, microsecond=0)
    return moment if moment > now else moment + timedelta(days=1)


def missed(moment: datetime, now: datetime) -> bool:
    """Return whether the moment was so long ago that it must not count any more."""
    return now - moment > _LATE
