# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whether the way without boto3 is worth a try. Pure but for the clock that is handed in."""

from __future__ import annotations

# So many failures in a row mean that this store, or the way to it, is not one for it.
_MOST_FAILURES = 10
_CLOSED_SECONDS = 60.0


class Shortcut:
    """Closes for a while after many failures in a row. All times are seconds of one monotonic clock."""

    def __init__(self) -> None:
        self._failures = 0
        self._closed_until = 0.0

    def is_open(self, now: float) -> bool:
        """Return whether it is to be tried."""
        return now >= self._closed_until

    def worked(self) -> None:
        """Take note of a success."""
        self._failures = 0

    def failed(self, now: float) -> None:
        """Take note of a failure."""
        self._failures += 1
        if self._failures >= _MOST_FAILURES:
            self._failures, self._closed_until = 0, now + _CLOSED_SECONDS
