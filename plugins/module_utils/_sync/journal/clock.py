# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Finds out whether the host's clock was set back: files that are written after that look older than they are."""

from __future__ import annotations

import time
from typing import NamedTuple, Optional


class Clock(NamedTuple):
    """The host's clock at one moment: nanoseconds since the epoch, and since a boot with this id."""

    wall_ns: int
    since_boot_ns: int
    boot: str

    @classmethod
    def now(cls) -> Clock:
        """Return it as it is now."""
        try:
            with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
                boot = file.read().strip()
        except OSError:
            boot = ""
        return cls(time.time_ns(), time.clock_gettime_ns(time.CLOCK_BOOTTIME), boot)

    @classmethod
    def parsed(cls, text: str) -> Optional[Clock]:
        """Return what `str` made a text of, None for anything else."""
        words = text.split(" ")
        if len(words) != 3 or not all(word.lstrip("-").isdecimal() for word in words[:2]):
            return None
        return cls(int(words[0]), int(words[1]), words[2])

    def __str__(self) -> str:
        return f"{self.wall_ns} {self.since_boot_ns} {self.boot}"

    def set_back_ns(self, before: Clock) -> int:
        """Return by how much it was set back since `before`; after another boot, by how much at least."""
        passed = self.since_boot_ns - before.since_boot_ns if self.boot and self.boot == before.boot else 0
        return max(0, before.wall_ns + passed - self.wall_ns)
