# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Reads below one root folder without ever following a symlink out of it.

The tree belongs to a service account, and the reader may be root: a folder that is swapped for a link to `/etc` between
two calls must lead nowhere. So every path is opened part by part, each part relative to the one before it.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterable

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.model import SyncError
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.tree.openat2 import (
    UnknownCallError,
    open_beneath,
)

_FOLDER_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC | getattr(os, "O_NOATIME", 0)

_LOCAL = ("bcachefs", "btrfs", "ext2", "ext3", "ext4", "f2fs", "overlay", "tmpfs", "xfs", "zfs")
_LOCAL_SLACK_NS = 50 * 10**6
_REMOTE_SLACK_NS = 600 * 10**9


class SourceMissingError(SyncError):
    """The source folder does not exist."""


class NotAFolderError(SyncError):
    """The source is something else than a folder."""


class NotRegularError(OSError):
    """The path is no regular file (any more), or a part of it is a symlink."""


class Source:
    """The root folder of a tree, opened once. The root itself may be a symlink, as `public/system` often is."""

    def __init__(self, path: str) -> None:
        """Open `path`.

        Raises:
            SourceMissingError: nothing is there.
            NotAFolderError: something else is there.
            SyncError: it can't be opened.
        """
        self.path = path
        if not path:
            # It would stand for the current folder.
            raise SyncError("src is empty: name the folder that holds the files")
        try:
            self._root = os.open(os.path.realpath(path), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except FileNotFoundError:
            raise SourceMissingError(f"src {path} does not exist: name the folder that holds the files") from None
        except NotADirectoryError:
            raise NotAFolderError(f"src {path} is not a folder: name the folder that holds the files") from None
        except OSError as error:
            raise SyncError(f"src {path} can't be read: {error.strerror}. Run as root or as the owner") from error

    @classmethod
    def inherited(cls, path: str, descriptor: int) -> Source:
        """Return the source whose root folder another process has opened and handed on."""
        source = cls.__new__(cls)
        source.path = path
        source._root = descriptor  # noqa: SLF001 - its own class
        return source

    @property
    def descriptor(self) -> int:
        """The root folder's descriptor, to be handed on."""
        return self._root

    def clock_slack_ns(self) -> int:
        """Return by how much the file system's stamps may lag behind this host's clock.

        A local one ticks up to 10 ms behind. A server of files has a clock of its own.
        """
        try:
            with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as mounts:
                kind = _file_system(os.path.realpath(self.path), mounts)
        except OSError:
            kind = ""
        return _LOCAL_SLACK_NS if kind in _LOCAL else _REMOTE_SLACK_NS

    def close(self) -> None:
        """Let go of the root folder."""
        os.close(self._root)

    def open_folder(self, parent: int | None, name: str) -> int:
        """Open folder `name` in `parent` (None: the root) without following a link; the caller closes it."""
        native = name.encode(errors="surrogateescape") or b"."
        return os.open(native, _FOLDER_FLAGS, dir_fd=self._root if parent is None else parent)

    def open_file(self, key: str) -> int:
        """Open the regular file of `key` as `opened` does, and return its descriptor."""
        return self.opened(key)[0]

    def opened(self, key: str) -> tuple[int, os.stat_result]:
        """Open the regular file of `key` for reading and return its descriptor, which the caller closes, and its state.

        Raises:
            FileNotFoundError: it is gone.
            NotRegularError: it is no regular file, or a folder on its way is a symlink.
            OSError: it can't be read.
        """
        try:
            descriptor = open_beneath(self._root, key.encode(), _FILE_FLAGS)
        except UnknownCallError:
            descriptor = self._opened_by_parts(key)
        except OSError as error:
            raise _told_apart(error) from error
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            os.close(descriptor)
            raise NotRegularError(errno.EINVAL, "no regular file any more")
        return descriptor, status

    def _opened_by_parts(self, key: str) -> int:
        folder, name = self._folder_of(key)
        try:
            return _open_quietly(name, folder)
        except OSError as error:
            raise _told_apart(error) from error
        finally:
            os.close(folder)

    def exists(self, key: str) -> bool:
        """Return whether anything is at `key`, or may be."""
        try:
            folder, name = self._folder_of(key)
        except FileNotFoundError:
            return False
        except NotRegularError:
            return self._is_behind_link(key)
        except OSError:
            return True
        try:
            os.stat(name, dir_fd=folder, follow_symlinks=False)
        except FileNotFoundError:
            return False
        except OSError:
            return True
        finally:
            os.close(folder)
        return True

    def _is_behind_link(self, key: str) -> bool:
        """Return whether a part of the way to `key` is a symlink, behind which it may be."""
        end = key.find("/")
        while end >= 0:
            try:
                mode = os.stat(key[:end].encode(), dir_fd=self._root, follow_symlinks=False).st_mode
            except OSError:
                return True
            if not stat.S_ISDIR(mode):
                return stat.S_ISLNK(mode)
            end = key.find("/", end + 1)
        return True

    def _folder_of(self, key: str) -> tuple[int, bytes]:
        """Open the folder that `key` is in, and return it with the file's name."""
        *folders, name = key.encode().split(b"/")
        current = os.dup(self._root)
        try:
            for part in folders:
                below = os.open(part, _FOLDER_FLAGS, dir_fd=current)
                os.close(current)
                current = below
        except OSError as error:
            os.close(current)
            raise _told_apart(error) from error
        return current, name


def _file_system(path: str, mounts: Iterable[str]) -> str:
    """Return the type of the file system that holds `path`, from the lines of /proc/self/mountinfo (proc(5))."""
    longest, kind = "", ""
    for line in mounts:
        before, _dash, after = line.partition(" - ")
        point = before.split(" ")[4].replace("\\040", " ")
        if (path == point or path.startswith(point.rstrip("/") + "/")) and len(point) >= len(longest):
            longest, kind = point, after.split(" ")[0]
    return kind


def _told_apart(error: OSError) -> OSError:
    if error.errno in (errno.ELOOP, errno.ENOTDIR, errno.ENXIO):
        return NotRegularError(error.errno, "no regular file any more")
    return error


def _open_quietly(name: bytes, folder: int) -> int:
    """Open a file without touching its access time where that is allowed (only to its owner and to root)."""
    try:
        return os.open(name, _FILE_FLAGS, dir_fd=folder)
    except PermissionError:
        return os.open(name, _FILE_FLAGS & ~getattr(os, "O_NOATIME", 0), dir_fd=folder)
