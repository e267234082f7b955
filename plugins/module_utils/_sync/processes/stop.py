# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Decides whether a run must stop early: its time limit is reached, or it received SIGTERM."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from enum import Enum
from time import monotonic
from typing import Optional


class StopReason(str, Enum):
    """Why a run ended early without a failure."""

    REQUEST = "request"
    TIME_LIMIT = "time_limit"


class Stop:
    """Tells a run when to end. The next run continues it."""

    def __init__(self, seconds: Optional[float] = None) -> None:
        """`seconds`: how long the run may take from now on; None: no limit."""
        self._end = None if seconds is None else monotonic() + seconds
        self._asked = False

    def ask(self, *_signal: object) -> None:
        """Ask the run to end as soon as it can. Can be used as a signal handler."""
        self._asked = True

    def reason(self) -> Optional[StopReason]:
        """Return why the run has to end now; None while it may continue."""
        if self._asked:
            return StopReason.REQUEST
        if self._end is not None and monotonic() >= self._end:
            return StopReason.TIME_LIMIT
        return None


@contextmanager
def asked_by_sigterm(stop: Stop) -> Iterator[None]:
    """Make SIGTERM ask for the end instead of killing this process. For use in the main thread."""
    before = signal.signal(signal.SIGTERM, stop.ask)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
