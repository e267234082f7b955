# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Finds out which folders belong to the tree, by the handles in events, and remembers it."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Mapping, Sequence

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._feed.errors import FeedError
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._feed.kernel import open_handle
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.tree.source import NotAFileError, Source

_SYSTEM_BYTES = 8
_KEPT = 200_000  # folders; about 150 bytes each
_ATTEMPTS = 20
# The folder was removed. What that means is told by the event of the topmost folder that was.
_GONE = (errno.ESTALE, errno.ENOENT)


class Folders:
    """The folders of one tree and, in `foreign`, folders that are known not to belong to it."""

    def __init__(self, source: Source, mounts: Mapping[int, Sequence[int]]) -> None:
        """`mounts` are the open tops of all mounts of the tree, by the ID of their file system."""
        self._source = source
        self._mounts = mounts
        self._ours: dict[bytes, tuple[bytes, ...]] = {}
        self.foreign: set[bytes] = set()

    def forget(self) -> None:
        """Forget all that is remembered, since folders were moved."""
        self._ours.clear()
        self.foreign.clear()

    def keys(self, folder: bytes) -> tuple[bytes, ...]:
        """Return how keys in a folder begin: empty for the root itself, otherwise with a slash at the end.

        There are none if it is not in the tree, and several if it is mounted at several places there.

        Raises:
            FeedError: This can't be found out.
        """
        known = self._ours.get(folder)
        if known is not None:
            return known
        if len(self._ours) + len(self.foreign) >= _KEPT:
            self.forget()
        found: list[bytes] = []
        gone = False
        for mount in self._mounts.get(int.from_bytes(folder[:_SYSTEM_BYTES], "little"), ()):
            try:
                key = self._key_through(mount, folder[_SYSTEM_BYTES:])
            except OSError as error:
                if error.errno not in _GONE:
                    raise FeedError(f"a folder that was changed can't be found: {error.strerror}") from error
                gone = True
            else:
                if key is not None and key not in found:
                    found.append(key)
        if found:
            self._ours[folder] = tuple(found)
        elif not gone:
            self.foreign.add(folder)
        return tuple(found)

    def _key_through(self, mount: int, handle: bytes) -> bytes | None:
        """Return how keys in a folder begin, as seen through a mount; None if it is not in the tree.

        Raises:
            FeedError, OSError: See `_key_of`.
        """
        descriptor = open_handle(mount, handle)
        try:
            return self._key_of(descriptor)
        except OSError as error:
            if error.errno == errno.ENAMETOOLONG:
                return None  # the path is longer than the kernel can tell, and keys are shorter than that
            raise
        finally:
            os.close(descriptor)

    def _key_of(self, descriptor: int) -> bytes | None:
        """Return how keys in an open folder begin; None if it is not in the tree.

        Raises:
            OSError: This can't be found out; ENOENT if it was removed.
            FeedError: It is moved again and again.
        """
        wanted = os.fstat(descriptor)
        for _attempt in range(_ATTEMPTS):
            if os.fstat(descriptor).st_nlink == 0:
                raise FileNotFoundError(errno.ENOENT, "it was removed")
            top, path = _path_of(self._source.descriptor), _path_of(descriptor)
            if path == top:
                found: os.stat_result | None = os.fstat(self._source.descriptor)
                key = b""
            elif path.startswith(top.rstrip(b"/") + b"/"):
                key = path[len(top.rstrip(b"/")) + 1 :] + b"/"
                found = self._status_of(key)
            else:
                return None
            if found is not None and (found.st_dev, found.st_ino) == (wanted.st_dev, wanted.st_ino):
                return key
            if found is not None and found.st_dev != wanted.st_dev:
                return None  # another file system is mounted above it
        raise FeedError("a folder that was changed can't be found: it is moved all the time")

    def _status_of(self, key: bytes) -> os.stat_result | None:
        """Return the status of the folder at a path from the root of the tree; None if there is none now."""
        try:
            descriptor = self._source.open_path(key)
        except (FileNotFoundError, NotAFileError):
            return None
        try:
            status = os.fstat(descriptor)
        finally:
            os.close(descriptor)
        return status if stat.S_ISDIR(status.st_mode) else None


def _path_of(descriptor: int) -> bytes:
    return os.readlink(f"/proc/self/fd/{descriptor}".encode())
