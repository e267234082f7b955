# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Talks to the feed of a tree."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from typing import Any, NamedTuple

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._feed import mounts, protocol
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._feed.errors import FeedError, NoFeedError
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._feed.reader import State
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._files.errors import FileError, MissingError
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._files.walk import open_folder


class GapError(FeedError):
    """Not all changes since a time are known."""


class Status(NamedTuple):
    """A feed at one moment.

    process: its PID.
    seconds_left: after these it ends by itself.
    changes: how many names have changed that no run has dealt with yet.
    gap: why earlier changes are not known; empty if nobody missed any.
    file_systems: those that are followed, each as its place and its type.
    """

    process: int
    seconds_left: int
    changes: int
    gap: str
    file_systems: list[list[str]]


class Client:
    """The feed of one tree, which may or may not be running. All methods raise `FeedError`."""

    def __init__(self, src: str, state_dir: str) -> None:
        self._src = src
        self._state_dir = state_dir

    def status(self) -> Status:
        """Return what the feed says of itself."""
        return Status(**self._ask({"do": "status"}))

    def drain(self) -> State:
        """Have every change collected that was made before this call."""
        answer = self._ask({"do": "drain"})
        answer["root"] = tuple(answer["root"])
        return State(**answer)

    def names(self, feed: str, since: int) -> Iterator[bytes]:
        """Yield all keys that have changed after a time, in order; `feed` is the ID of the feed that is meant.

        Raises:
            GapError: Some of them are not known.
        """
        after = ""
        while True:
            page = self._ask({"do": "names", "feed": feed, "since": since, "after": after})["names"]
            if page is None:
                raise GapError("the feed is not complete any more")
            yield from map(protocol.as_bytes, page)
            if not page:
                return
            after = page[-1]

    def again(self, feed: str, keys: list[bytes]) -> None:
        """Have the next run look at these keys again."""
        for start in range(0, len(keys), protocol.NAMES_AT_ONCE):
            some = keys[start : start + protocol.NAMES_AT_ONCE]
            self._ask({"do": "again", "feed": feed, "names": list(map(protocol.as_text, some))})

    def forget(self, feed: str, until: int) -> None:
        """Say that all changes up to a time were dealt with."""
        self._ask({"do": "forget", "feed": feed, "until": until})

    def renew(self, seconds: int) -> Status:
        """Have the feed end this many seconds from now, and return its status."""
        return Status(**self._ask({"do": "renew", "seconds": seconds}))

    def end(self) -> None:
        """Ask the feed to end."""
        self._ask({"do": "end"})

    def _ask(self, message: dict[str, Any]) -> dict[str, Any]:
        try:
            with open_folder(self._state_dir, private=True) as folder, socket.socket(socket.AF_UNIX) as connection:
                connection.settimeout(protocol.SECONDS)
                connection.connect(protocol.socket_path(folder.descriptor, self._src))
                protocol.send(connection, message)
                return protocol.receive(connection)
        except (MissingError, FileNotFoundError, ConnectionError):
            raise NoFeedError(f"no feed of {self._src} is running") from None
        except FileError as error:
            raise FeedError(f"the feed of {self._src} can't be asked: {error}") from error
        except OSError as error:
            reason = error.strerror or str(error)
            raise FeedError(f"the feed of {self._src} does not answer: {reason}") from error


def is_same_tree(state: State, root: int, src: str) -> bool:
    """Return whether a feed follows the very tree whose open root is `root`, as this process sees it."""
    status = os.fstat(root)
    try:
        from_here = mounts.places(mounts.mounts_at(os.path.realpath(src)))
    except OSError:
        return False
    return state.root == (status.st_dev, status.st_ino) and state.mounted == from_here
