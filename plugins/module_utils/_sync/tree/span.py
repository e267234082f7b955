# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A range of keys: one walker's share of a tree. Pure."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from typing import NamedTuple, Optional


class Span(NamedTuple):
    """The keys after `after`, up to and including `until`; None: to the end. In the byte order of keys."""

    after: str = ""
    until: Optional[str] = None

    @classmethod
    def between(cls, cuts: Sequence[str]) -> list[Span]:
        """Return the spans between `cuts`, which are in order."""
        return [cls(after, until) for after, until in zip(("", *cuts), (*cuts, None))]

    def part_of(self, folder: str, names: list[str]) -> list[str]:
        """Return the names in a folder that stand for keys of this span.

        folder: its path with a slash at the end, empty for the root; a part of it, at least, is in the span.
        names: in order, those of folders with a slash at the end; a folder that is in the span in part is kept.
        """
        first, last = 0, len(names)
        if self.after.startswith(folder):
            after = self.after[len(folder) :]
            first = bisect_right(names, after)
            if first and names[first - 1][-1:] == "/" and after.startswith(names[first - 1]):
                first -= 1
        if self.until is not None and self.until.startswith(folder):
            last = bisect_right(names, self.until[len(folder) :])
        return names if (first, last) == (0, len(names)) else names[first:last]

    def ends_within(self, folder: str) -> bool:
        """Return whether this span ends within a folder, so that the next one begins there."""
        return self.until is not None and self.until.startswith(folder)


EVERYTHING = Span()
