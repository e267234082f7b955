# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A point in time that separates the processes of an instance from newer ones. Pure."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

# For the argument spec of a module that takes a moment.
OPTIONS: t.Mapping[str, t.Any] = {
    "boot_id": {"type": "str", "required": True},
    "ticks": {"type": "int", "required": True},
    "programs": {"type": "list", "elements": "str", "default": []},
}


@dataclass(frozen=True)
class Moment:
    """A point in time that does not depend on the host's wall clock.

    Attributes:
        boot_id: Identifies the time since the host was booted.
        ticks: Clock ticks since then.
        programs: `Process.program` of all web and Sidekiq processes that ran on the host, of any instance, and of all
            Ruby processes, as one that is still booting may be either.
    """

    boot_id: str
    ticks: int
    programs: tuple[str, ...] = ()

    @classmethod
    def from_options(cls, given: t.Mapping[str, t.Any]) -> Moment:
        """Return the moment in the value of an option, see OPTIONS."""
        return cls(given["boot_id"], given["ticks"], tuple(given["programs"]))

    def as_dict(self) -> dict[str, t.Any]:
        """Return the moment as JSON types."""
        return {"boot_id": self.boot_id, "ticks": self.ticks, "programs": list(self.programs)}
