# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Decides whether to try the fast path without boto3. Pure except for the clock, which is passed in."""

from __future__ import annotations

# This many failures in a row mean that the fast path does not work with this store, or the network to it.
_MAX_FAILURES = 10
_OPEN_SECONDS = 60.0


class CircuitBreaker:
    """Opens for a while after many failures in a row. While it is open, nothing is sent on the fast path.

    All times are seconds of one monotonic clock.
    """

    def __init__(self) -> None:
        self._failures = 0
        self._open_until = 0.0

    def allows(self, now: float) -> bool:
        """Return whether to try the fast path."""
        return now >= self._open_until

    def succeeded(self) -> None:
        """Record a success."""
        self._failures = 0

    def failed(self, now: float) -> None:
        """Record a failure."""
        self._failures += 1
        if self._failures >= _MAX_FAILURES:
            self._failures, self._open_until = 0, now + _OPEN_SECONDS
