# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Finds out whether the host's clock was set back. Files that are written after that look older than they are."""

from __future__ import annotations

import time
from typing import NamedTuple, Optional

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._boot_id import boot_id

_MOST_NS = 2**62  # in the year 2116


class Clock(NamedTuple):
    """The host's clock at one moment: nanoseconds since the epoch, and since a boot with this ID."""

    wall_ns: int
    since_boot_ns: int
    boot: str

    @classmethod
    def now(cls) -> Clock:
        """Return the current time."""
        return cls(time.time_ns(), time.clock_gettime_ns(time.CLOCK_BOOTTIME), boot_id())

    @classmethod
    def parsed(cls, text: str) -> Optional[Clock]:
        """Return what `str` turned into text; None for any other text."""
        words = text.split(" ")
        if len(words) != 3 or not all(len(word) < 20 and word.isascii() and word.isdecimal() for word in words[:2]):
            return None
        wall_ns, since_boot_ns = int(words[0]), int(words[1])
        if max(wall_ns, since_boot_ns) > _MOST_NS:
            return None
        return cls(wall_ns, since_boot_ns, words[2])

    def __str__(self) -> str:
        return f"{self.wall_ns} {self.since_boot_ns} {self.boot}"

    def set_back_ns(self, before: Clock) -> int:
        """Return by how much the clock was set back since `before`; after a reboot, the minimum."""
        passed = self.since_boot_ns - before.since_boot_ns if self.boot and self.boot == before.boot else 0
        return max(0, before.wall_ns + passed - self.wall_ns)
