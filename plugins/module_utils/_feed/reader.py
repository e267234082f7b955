# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Collects what has changed in a tree, and knows since when nothing was missed."""

from __future__ import annotations

import secrets
import sqlite3
from typing import NamedTuple

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._feed import mounts
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._feed.errors import FeedError
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._feed.names import Names
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._feed.watch import ReplacedError, Watch
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._mountinfo import Mount


class State(NamedTuple):
    """A feed at the end of a drain.

    feed: its ID, another one after each start.
    time: every change before the drain has this time or an earlier one, every change after it a later one.
    complete_since: all changes after this time are known.
    gap: why earlier ones are not; empty if nobody missed any.
    root: the device and number of the root folder.
    mounted: what is mounted at and below it.
    """

    feed: str
    time: int
    complete_since: int
    gap: str
    root: tuple[int, int]
    mounted: list[list[str]]


class Reader:
    """The feed of one tree. It never says that it is complete if it is not: any doubt is a gap.

    Attributes:
        feed: its ID.
        gap: why changes before the time since when it is complete are not known; empty if nobody missed any.
        names: what has changed.
    """

    def __init__(self, src: str, folder: str) -> None:
        """Begin to follow `src`; `folder` is for temporary files.

        Raises:
            UnsupportedError: That is not possible.
        """
        self._src = src
        self.feed = secrets.token_hex(16)
        self._time = 1
        self._complete_since = 1
        self.gap = ""
        self._watch = Watch(src)
        self.names = Names(folder)

    @property
    def descriptor(self) -> int:
        """The descriptor to poll for changes. It may be another one after each drain."""
        return self._watch.descriptor

    @property
    def mounted(self) -> list[Mount]:
        """What is mounted at and below the root."""
        return self._watch.mounted

    def drain(self) -> State:
        """Collect every change that was made before this call.

        Raises:
            UnsupportedError: The tree is another one now, which can't be followed.
        """
        try:
            self._watch.check()
            self._collect()
            self._watch.check()
        except ReplacedError as error:
            self.lose(str(error))
            self._watch.close()
            self._watch = Watch(self._src)
        except FeedError as error:
            self.lose(str(error))
        except sqlite3.Error as error:
            self.lose(f"what has changed could not be stored: {error}")
        state = State(
            self.feed, self._time, self._complete_since, self.gap, self._watch.root, mounts.places(self._watch.mounted)
        )
        self._time += 1
        return state

    def _collect(self) -> None:
        self.names.add(self._watch.changed(), self._time)
        if self.names.is_full():
            raise FeedError("too many files have changed to remember them all")

    def lose(self, why: str) -> None:
        """Forget all changes up to now, and say why."""
        self.gap = why
        self._complete_since = self._time
        self.names.clear()

    def again(self, keys: list[bytes]) -> None:
        """Add keys as if they had changed now."""
        try:
            self.names.add(keys, self._time)
        except sqlite3.Error as error:
            self.lose(f"what has changed could not be stored: {error}")

    def forget(self, until: int) -> None:
        """Remove what has not changed after a time, since somebody has dealt with it."""
        if until <= self._complete_since:
            return
        self._complete_since, self.gap = until, ""
        try:
            self.names.forget(until)
        except sqlite3.Error as error:
            self.lose(f"what has changed could not be stored: {error}")

    def page(self, since: int, after: bytes) -> list[bytes] | None:
        """Return the next keys behind `after` that have changed since a time; None if some of them are not known."""
        if since < self._complete_since:
            return None
        return self.names.page(since, after)

    def close(self) -> None:
        """Stop following."""
        self._watch.close()
        self.names.close()
