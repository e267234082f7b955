# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The steps that bring a setting of a bucket to its wanted value: read, plan, write, check."""

from __future__ import annotations

import time
import typing as t

# It may take a while until all of a store's servers show a change.
_CHECK_PAUSES = (0.0, 0.5, 1.0, 2.0, 4.0)


class Change(t.NamedTuple):
    """A setting's value before and after, empty if there is none.

    Attributes:
        before: The current value.
        after: The wanted value.
        unsupported: If the store does not support the setting, the consequences as a warning.
    """

    before: t.Any
    after: t.Any
    unsupported: str = ""

    @property
    def changed(self) -> bool:
        """Whether anything was or will be written."""
        return bool(self.before != self.after)


class Setting(t.Protocol):
    """A setting of a bucket and its wanted value.

    Attributes:
        name: The setting's key in a module's result.
    """

    name: str

    def predict(self) -> Change:
        """Plan for a bucket that has nothing yet, without a request."""

    def plan(self, client: t.Any) -> Change:
        """Read and plan, without writing."""

    def forecast(self, change: Change) -> Change:
        """Return the expected result of a planned change, as far as it is known without writing."""

    def write(self, client: t.Any, change: Change) -> Change:
        """Write what was planned, check that it lasts, and return the result."""


class LostUpdateError(Exception):
    """The bucket does not have what was written."""


def confirm(what: str, trouble: t.Callable[[], str | None]) -> None:
    """Call `trouble` for some seconds until it reports none.

    `what` is the setting and its bucket, as the beginning of a sentence.

    Raises:
        LostUpdateError: There still is trouble; the text names the last one.
    """
    found: str | None = None
    for pause in _CHECK_PAUSES:
        time.sleep(pause)
        found = trouble()
        if found is None:
            return
    raise LostUpdateError(
        f"{what} was written, but {found}. Somebody else changed it at the same time, or the store does not keep what"
        " it was given; run again, and look at it if that fails, too"
    )
