# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Reads below one root folder without ever following a symlink out of it.

The tree belongs to a service account, and the reader may be root. A folder that is replaced with a link to `/etc`
between two calls must lead nowhere. So every path is opened part by part, each part relative to the one before it.
"""

from __future__ import annotations

import errno
import os
import stat
from typing import Optional

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._files.errors import FileError, MissingError
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._files.walk import open_folder
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.model import Entry, SyncError
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.tree import stamps
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.tree.openat2 import (
    UnknownCallError,
    open_beneath,
)

_FOLDER_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC | getattr(os, "O_NOATIME", 0)

_REPAIRED = "lost+found"


class SourceMissingError(SyncError):
    """The source folder does not exist."""


class NotAFolderError(SyncError):
    """The source is not a folder."""


class NotAFileError(OSError):
    """The path is not a regular file (any more), or a part of it is a symlink."""


class Source:
    """The root folder of a tree, opened once.

    The root itself, and folders on the path to it, may be symlinks, as `public/system` often is. A link is followed
    only if nobody but its target's owner, or root, can have created it: see `_files`.
    """

    def __init__(self, path: str) -> None:
        """Open `path`.

        Raises:
            SourceMissingError: There is nothing.
            NotAFolderError: There is something else.
            SyncError: It can't be opened, or somebody else may have created a symlink on the path.
        """
        self.path = path
        self.present = True
        self._lag_ns: Optional[int] = None
        if not path:
            # It would mean the current folder.
            raise SyncError("src is empty: name the folder that holds the files")
        try:
            with open_folder(path) as folder:
                self._root = os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=folder.descriptor)
        except MissingError:
            raise SourceMissingError(f"src {path} does not exist: name the folder that holds the files") from None
        except FileError as error:
            if isinstance(error.__cause__, NotADirectoryError):
                raise NotAFolderError(f"src {path} is not a folder: set it to the folder with the files") from None
            raise SyncError(f"src {path} can't be used: {error}") from error
        except OSError as error:
            raise SyncError(f"src {path} can't be read: {error.strerror}. Run as root or as the owner") from error

    @classmethod
    def inherited(cls, path: str, descriptor: int) -> Source:
        """Return the source whose root folder another process has opened and passed on."""
        source = cls.__new__(cls)
        source.path = path
        source.present = True
        source._lag_ns = None  # noqa: SLF001 - its own class
        source._root = descriptor  # noqa: SLF001
        return source

    @classmethod
    def missing(cls, path: str) -> Source:
        """Return the source of a folder that does not exist: it has no files."""
        source = cls.inherited(path, -1)
        source.present = False
        return source

    @property
    def descriptor(self) -> int:
        """The root folder's descriptor, for passing on."""
        return self._root

    def lag_ns(self) -> int:
        """Return by how much the time of a new file may lag behind this host's clock."""
        if self._lag_ns is None:
            self._lag_ns = stamps.lag_ns(os.path.realpath(self.path))
        return self._lag_ns

    def as_read(self, entry: Entry, since_ns: int) -> Entry:
        """Return what may be remembered about a file that was read from `since_ns` on.

        A file that was written just before may be written once more within the same tick of its file system's clock,
        and would then look unchanged. So its ctime is left unknown (0), which makes the next run read it again, as git
        does.
        """
        age_ns = abs(since_ns - entry.ctime_ns)
        if age_ns > stamps.REMOTE_NS + stamps.COARSE_NS:
            return entry
        doubt_ns = stamps.step_ns(entry.ctime_ns)
        if self.lag_ns() >= stamps.REMOTE_NS:
            doubt_ns += stamps.REMOTE_NS
        return entry._replace(ctime_ns=0) if age_ns <= doubt_ns else entry

    def close(self) -> None:
        """Release the root folder."""
        if self.present:
            os.close(self._root)

    def is_bare(self, folder: str) -> bool:
        """Return whether there is a folder with this path, and nothing in it, as if its disk were not mounted.

        `folder` ends with a slash. A new file system contains `lost+found`, which does not count.
        """
        try:
            parent, name = self._folder_of(folder[:-1].encode())
        except OSError:
            return False
        try:
            descriptor = os.open(name, _FOLDER_FLAGS, dir_fd=parent)
        except OSError:
            return False
        finally:
            os.close(parent)
        try:
            with os.scandir(descriptor) as found:
                return all(entry.name == _REPAIRED for entry in found)
        finally:
            os.close(descriptor)

    def open_folder(self, parent: int | None, name: str) -> int:
        """Open folder `name` in `parent` (None: the root) without following a link; the caller closes it."""
        native = name.encode(errors="surrogateescape") or b"."
        return os.open(native, _FOLDER_FLAGS, dir_fd=self._root if parent is None else parent)

    def open_path(self, path: bytes) -> int:
        """Open the folder at a path from the root without following a link; the caller closes it.

        Raises:
            FileNotFoundError: It is gone.
            NotAFileError: It is no folder, or a part of the path is a symlink or no folder.
            OSError: It can't be opened.
        """
        path = path.rstrip(b"/")
        if not path:
            return self.open_folder(None, "")
        try:
            return open_beneath(self._root, path, _FOLDER_FLAGS)
        except UnknownCallError:
            parent, name = self._folder_of(path)
        except OSError as error:
            raise _told_apart(error) from error
        try:
            return os.open(name, _FOLDER_FLAGS, dir_fd=parent)
        except OSError as error:
            raise _told_apart(error) from error
        finally:
            os.close(parent)

    def open_file(self, key: str) -> int:
        """Open the regular file of `key` as `opened` does, and return its descriptor."""
        return self.opened(key)[0]

    def opened(self, key: str) -> tuple[int, os.stat_result]:
        """Open the regular file of `key` for reading and return its descriptor, which the caller closes, and its state.

        Raises:
            FileNotFoundError: it is gone.
            NotAFileError: It is not a regular file, or a folder on its way is a symlink.
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
            raise NotAFileError(errno.EINVAL, "not a regular file any more")
        return descriptor, status

    def _opened_by_parts(self, key: str) -> int:
        folder, name = self._folder_of(key.encode())
        try:
            return _open_quietly(name, folder)
        except OSError as error:
            raise _told_apart(error) from error
        finally:
            os.close(folder)

    def exists(self, key: str) -> bool:
        """Return whether anything is at `key`, or may be. A folder does not count, since it is no file of that key."""
        try:
            folder, name = self._folder_of(key.encode())
        except FileNotFoundError:
            return False
        except NotAFileError:
            return self._is_behind_link(key)
        except OSError:
            return True
        try:
            status = os.stat(name, dir_fd=folder, follow_symlinks=False)
        except FileNotFoundError:
            return False
        except OSError:
            return True
        finally:
            os.close(folder)
        return not stat.S_ISDIR(status.st_mode)

    def _is_behind_link(self, key: str) -> bool:
        """Return whether a part of the path of `key` is a symlink, so that the file may be behind it."""
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

    def _folder_of(self, key: bytes) -> tuple[int, bytes]:
        """Open the folder of `key`, and return it with the file's name."""
        *folders, name = key.split(b"/")
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


def _told_apart(error: OSError) -> OSError:
    if error.errno in (errno.ELOOP, errno.ENOTDIR, errno.ENXIO):
        return NotAFileError(error.errno, "not a regular file any more")
    return error


def _open_quietly(name: bytes, folder: int) -> int:
    """Open a file without changing its access time if this is allowed (only for its owner and root)."""
    try:
        return os.open(name, _FILE_FLAGS, dir_fd=folder)
    except PermissionError:
        return os.open(name, _FILE_FLAGS & ~getattr(os, "O_NOATIME", 0), dir_fd=folder)
