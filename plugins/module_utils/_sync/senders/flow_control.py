# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Controls how many requests run at once and how fast bytes are sent. Pure except for the clock, which is passed in."""

from __future__ import annotations

import random
from typing import Optional

# A window is so long, and has so many answers for each request that is allowed: what a step brings shows only in
# requests that were begun after it, and these may be answered late.
_WINDOW_SECONDS = 0.1
_WINDOW_ANSWERS = 2
_GROWTH = 2
_GAIN = 1.05
_CALM_SECONDS = 5.0
_RETRY_WINDOWS = 40
# How long answers may gather: a share of the time that requests wait their turn in the store, within these bounds.
_GATHER_SHARE = 0.5
_LEAST_GATHER_SECONDS = 0.005
_MOST_GATHER_SECONDS = 0.03
_SMOOTHED_OVER = 16  # answers
# What a request costs beside its bytes, so that a window of small files and one of large ones can be compared.
_REQUEST_BYTES = 16 * 1024


class AdaptiveConcurrency:
    """Increases the number of concurrent requests while throughput grows, and halves it if the store is overloaded."""

    def __init__(self, most: int, *, now: float, first: int = 16) -> None:
        """Allow up to `most` requests at once, starting with `first`; all times are seconds of one monotonic clock."""
        self.allowed = min(first, most)
        self._most = most
        self._best = 0.0
        self._before = self.allowed
        self._moved = 0
        self._answers = 0
        self._window = now
        self._calm_until = 0.0
        self._windows_without_gain = 0
        self._took = 0.0
        self._fastest = float("inf")

    def done(self, size: int, now: float, took: float = 0.0) -> None:
        """Record a successful request of `size` bytes and its duration in seconds (0: unknown)."""
        if took:
            self._took += (took - self._took) / _SMOOTHED_OVER
            self._fastest = min(self._fastest, took)
        self._moved += size + _REQUEST_BYTES
        self._answers += 1
        length = now - self._window
        if length >= _WINDOW_SECONDS and self._answers >= self.allowed * _WINDOW_ANSWERS:
            self._judge(self._moved / length, now)
            self._moved, self._answers, self._window = 0, 0, now

    def gather_seconds(self) -> float:
        """Return how long to wait for more responses before the first is handled, if there is nothing else to do.

        Each time a process wakes up, it has to load its program into the processor's caches again, which takes longer
        than handling a response. If the store is the bottleneck, requests queue there, and waiting costs nothing as
        long as some do.
        """
        seconds = (self._took - self._fastest) * _GATHER_SHARE
        return 0.0 if seconds < _LEAST_GATHER_SECONDS else min(seconds, _MOST_GATHER_SECONDS)

    def slow_down(self, now: float) -> None:
        """Record a request that was one too many: the store refused it for this reason, or did not answer in time."""
        if now >= self._calm_until:
            self.allowed = max(1, self.allowed // 2)
            self._best = 0.0
        self._calm_until = now + _CALM_SECONDS

    def _judge(self, rate: float, now: float) -> None:
        if now < self._calm_until:
            return
        if rate > self._best * _GAIN:
            self._best, self._before, self._windows_without_gain = rate, self.allowed, 0
            self.allowed = min(self._most, self.allowed * _GROWTH)
        elif self._windows_without_gain < _RETRY_WINDOWS:
            # A step without effect is undone; it is tried again later, as the store may have changed.
            self.allowed = self._before
            self._windows_without_gain += 1
        else:
            self._best, self._windows_without_gain = rate / _GAIN**2, 0


class RateLimit:
    """Spreads bytes over time so that on average no more than `rate` per second are sent; None: no limit."""

    def __init__(self, rate: Optional[float]) -> None:
        self._rate = rate
        self._free_at = 0.0

    def wait(self, now: float) -> float:
        """Return how many seconds the next request has to wait."""
        return max(0.0, self._free_at - now) if self._rate else 0.0

    def take(self, size: int, now: float) -> None:
        """Record that `size` bytes are being sent from now on."""
        if self._rate:
            self._free_at = max(self._free_at, now) + size / self._rate


def jittered(seconds: float) -> float:
    """Return a pause of about this length, so that requests that were refused together are not repeated together."""
    return seconds * random.uniform(0.5, 1.5)  # noqa: S311 - no secret depends on it
