# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Follows all file systems of one tree, and turns the kernel's events into keys."""

from __future__ import annotations

import array
import fcntl
import os
import termios
from collections.abc import Iterator
from contextlib import suppress

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._feed import events, kernel, mounts
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._feed.errors import FeedError, UnsupportedError
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._feed.folders import Folders
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.model import SyncError
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.tree.source import Source

READ_BYTES = 256 * 1024
_LEAST_EVENT_BYTES = 24
_MOST_EVENT_BYTES = 24 + 12 + 8 + 128 + 256  # with the longest handle and name
_OF_A_FOLDER = kernel.MOVED_FROM | kernel.MOVED_TO | kernel.CREATE | kernel.DELETE
_MOVES = kernel.MOVED_FROM | kernel.MOVED_TO


class ReplacedError(FeedError):
    """The root folder or what is mounted below it is not what is being followed."""


class Watch:
    """One group of events, for the file systems that are mounted at and below the root of a tree.

    Attributes:
        descriptor: of the group; it can be polled.
        path: the real path of the root.
        mounted: what was mounted there at the start.
    """

    def __init__(self, src: str) -> None:
        """Follow the tree at `src` from now on.

        Raises:
            UnsupportedError: That is not possible.
        """
        self._open: list[int] = []
        self._src = src
        try:
            self._source = Source(src)
        except SyncError as error:
            raise UnsupportedError(str(error)) from error
        try:
            self.descriptor = kernel.open_group()
        except BaseException:
            self._source.close()
            raise
        self._open.append(self.descriptor)
        try:
            self.path = os.path.realpath(src)
            self.mounted = mounts.mounts_at(self.path)
            self._folders = Folders(self._source, self._follow())
            self.check()
        except OSError as error:
            self.close()
            raise UnsupportedError(f"changes in {src} can't be followed: {error.strerror}") from error
        except BaseException:
            self.close()
            raise

    def _follow(self) -> dict[int, list[int]]:
        """Add all file systems to the group, and return the open tops of their mounts."""
        found: dict[int, list[int]] = {}
        for mount in self.mounted:
            top = mounts.open_mount(mount, self._source.descriptor, self.path)
            if top < 0:
                continue
            self._open.append(top)
            mounts.check_kind(mount)
            kernel.follow(self.descriptor, top, os.fsdecode(mount.point))
            found.setdefault(os.fstatvfs(top).f_fsid, []).append(top)
        return found

    @property
    def root(self) -> tuple[int, int]:
        """The device and number of the root folder."""
        status = os.fstat(self._source.descriptor)
        return status.st_dev, status.st_ino

    def check(self) -> None:
        """Check that the tree is still the one that is followed.

        Raises:
            ReplacedError: It is not.
        """
        try:
            there = os.stat(self._src)
            mounted = mounts.mounts_at(os.path.realpath(self._src))
        except OSError as error:
            raise ReplacedError(f"{self._src} can't be found any more: {error.strerror}") from error
        if (there.st_dev, there.st_ino) != self.root:
            raise ReplacedError(f"{self._src} is another folder than before")
        if mounted != self.mounted:
            raise ReplacedError(f"what is mounted at or below {self._src} has changed")

    def changed(self) -> Iterator[bytes]:
        """Yield what has changed before this call, as keys; see `Names`.

        Raises:
            LostEventsError: Changes were lost; the rest is still to be read.
            FeedError: It is not possible to tell what has changed.
        """
        waiting = array.array("i", [0])
        fcntl.ioctl(self.descriptor, termios.FIONREAD, waiting)
        # This counts only the shortest form of each event. The limit is for writers that are as fast as this reader.
        left = waiting[0] // _LEAST_EVENT_BYTES * _MOST_EVENT_BYTES
        while left > 0:
            try:
                buffer = os.read(self.descriptor, READ_BYTES)
            except BlockingIOError:
                return
            except OSError as error:
                raise FeedError(f"the kernel's changes can't be read: {error.strerror}") from error
            left -= len(buffer)
            for event in events.parse(buffer, self._folders.foreign):
                yield from self._keys(event)

    def _keys(self, event: events.Event) -> Iterator[bytes]:
        kinds = event.kinds
        of_folder = kinds & kernel.ONDIR
        if of_folder and not kinds & _OF_A_FOLDER:
            return  # its mode, which concerns no file
        for folder in self._folders.keys(event.folder):
            key = folder + event.name
            yield key
            if of_folder:
                yield key + b"/"
        if of_folder and kinds & _MOVES:
            self._folders.forget()

    def close(self) -> None:
        """Stop following. A second call does nothing."""
        if self._open:
            self._source.close()
        while self._open:
            with suppress(OSError):
                os.close(self._open.pop())
