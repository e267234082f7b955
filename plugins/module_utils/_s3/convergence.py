# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The way in which a part of a bucket's settings is brought to what is wanted: look, plan, write, look again."""

from __future__ import annotations

import time
import typing as t

# What was written may take a while until each of a store's servers shows it.
_LOOKS = (0.0, 0.5, 1.0, 2.0, 4.0)


class Change(t.NamedTuple):
    """A part's content before and after, empty where there is none.

    unsupported: where the store has no such part, what that means, as a warning.
    """

    before: t.Any
    after: t.Any
    unsupported: str = ""

    @property
    def changed(self) -> bool:
        """Whether anything had or has to be written."""
        return bool(self.before != self.after)


class Part(t.Protocol):
    """One part of a bucket's settings, and what is wanted of it.

    name: the part's key in a module's result.
    """

    name: str

    def predict(self) -> Change:
        """Plan for a bucket that has nothing yet, without a request."""

    def plan(self, client: t.Any) -> Change:
        """Read and plan, without writing."""

    def foresee(self, change: Change) -> Change:
        """Return what will come of a planned change, as far as that shows without writing."""

    def write(self, client: t.Any, change: Change) -> Change:
        """Write what was planned, look whether it held, and return what came of it."""


class LostUpdateError(Exception):
    """What was written is not what the bucket has now."""


def confirm(what: str, trouble: t.Callable[[], str | None]) -> None:
    """Ask `trouble` until it has none, some seconds long.

    what: the part and its bucket, as the beginning of a sentence.

    Raises LostUpdateError with the last trouble.
    """
    found: str | None = None
    for pause in _LOOKS:
        time.sleep(pause)
        found = trouble()
        if found is None:
            return
    raise LostUpdateError(
        f"{what} was written, but {found}. Somebody else changed it at the same time, or the store does not keep what"
        " it was given; run again, and look at it if that fails, too"
    )
