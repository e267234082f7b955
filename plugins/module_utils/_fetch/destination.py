# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The folder for the files. Symlinks below it are never followed, and every file appears whole or not at all.

The caller must not be root where others own folders below it: see `become_owner`.
"""

from __future__ import annotations

import errno
import os
import stat
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Optional

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._fetch.model import FetchError
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._files.folder import Folder
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._files.temporary import (
    Temporary,
    remove_stale,
)

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC
_COPY_BYTES = 1 << 20
# By how much the times of new files may lag behind the clock: the kernel takes them from its last tick.
_CLOCK_TICK_SECONDS = 0.05


class PathError(Exception):
    """No file can have this path here. The text says why; it names no path."""


class Destination:
    """A folder that is kept open. Safe for several threads."""

    def __init__(self, descriptor: int, directory_mode: int) -> None:
        """Work below an open folder; new folders get this mode."""
        self._root = descriptor
        self._directory_mode = directory_mode
        self._since = time.time() - _CLOCK_TICK_SECONDS

    def status(self, parts: Sequence[str]) -> Optional[os.stat_result]:
        """Return the status of what has this path; None if there is nothing.

        Raises:
            PathError: See there.
            OSError: The system refuses.
        """
        try:
            with self._folder(parts[:-1], create=False) as folder:
                return os.stat(parts[-1], dir_fd=folder, follow_symlinks=False)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise _explained(error) from error

    @contextmanager
    def new_file(self, parts: Sequence[str]) -> Iterator[NewFile]:
        """Create a file without a name, and the folders on its path. It is removed unless it takes its name.

        Raises:
            PathError: See there.
            FileError: The system refuses.
            OSError: The system refuses.
        """
        with self._folder(parts[:-1], create=True) as descriptor:
            folder = Folder(descriptor, "/".join(parts[:-1]), ())
            # Of a run that was killed: only one runs at a time, and it returns to the folders where it was killed.
            remove_stale(folder, before=self._since)
            with Temporary(folder, "/".join(parts)) as temporary:
                yield NewFile(folder, temporary, parts[-1])

    def set_mode(self, parts: Sequence[str], mode: int) -> None:
        """Set the permissions of a regular file.

        Raises:
            PathError: See there.
            OSError: The system refuses.
        """
        with self._folder(parts[:-1], create=False) as folder:
            try:
                descriptor = os.open(parts[-1], _FILE, dir_fd=folder)
            except OSError as error:
                raise _explained(error) from error
            try:
                if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                    raise PathError("something that is no regular file has its name")
                os.fchmod(descriptor, mode)
            finally:
                os.close(descriptor)

    def move(self, parts: Sequence[str], other: Destination, new_parts: Sequence[str]) -> None:
        """Move a file into another folder on the same file system, where it replaces what has its name.

        Raises:
            PathError: See there.
            OSError: The system refuses; EXDEV if the folders are not on one file system.
        """
        with self._folder(parts[:-1], create=False) as source, other._folder(new_parts[:-1], create=True) as target:
            os.rename(parts[-1], new_parts[-1], src_dir_fd=source, dst_dir_fd=target)

    @contextmanager
    def _folder(self, parts: Sequence[str], *, create: bool) -> Iterator[int]:
        current = os.dup(self._root)
        try:
            for part in parts:
                below = self._below(current, part, create=create)
                os.close(current)
                current = below
            yield current
        finally:
            os.close(current)

    def _below(self, folder: int, name: str, *, create: bool) -> int:
        try:
            if create:
                with suppress(FileExistsError):
                    os.mkdir(name, self._directory_mode, dir_fd=folder)
                    os.fsync(folder)
            return os.open(name, _FOLDER, dir_fd=folder)
        except OSError as error:
            raise _explained(error) from error


class NewFile:
    """A file that has no name yet. Create it with `Destination.new_file`."""

    def __init__(self, folder: Folder, temporary: Temporary, name: str) -> None:
        self._folder = folder
        self._temporary = temporary
        self._name = name
        self.descriptor = temporary.descriptor

    def take_name(self, mode: int, modified: float, *, replace: bool) -> None:
        """Set mode and modification time, write everything to the disk, and give the file its name.

        Args:
            mode: Its permissions.
            modified: Its modification time, in seconds since the epoch.
            replace: Whether a file of this name is replaced.

        Raises:
            FileError: There is one in spite of `replace` being false, or the system refuses.
            OSError: The system refuses.
        """
        os.fchmod(self.descriptor, mode)
        os.utime(self.descriptor, (modified, modified))
        os.fsync(self.descriptor)
        if replace:
            self._temporary.rename(self._name)
        else:
            self._temporary.link(self._name)
        self._folder.sync()


def copy(source: int, target: int) -> None:
    """Copy the content of an open file into another, from the beginning.

    Raises:
        OSError: The system refuses, as with a full disk.
    """
    offset = 0
    while piece := os.pread(source, _COPY_BYTES, offset):
        offset += len(piece)
        write(target, piece)


def write(descriptor: int, data: bytes) -> None:
    """Write all the data.

    Raises:
        OSError: The system refuses, as with a full disk.
    """
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def same_content(one: int, other: int) -> bool:
    """Return whether two open files have the same content.

    Raises:
        OSError: One can't be read.
    """
    offset = 0
    while True:
        piece = os.pread(one, _COPY_BYTES, offset)
        if piece != os.pread(other, _COPY_BYTES, offset):
            return False
        if not piece:
            return True
        offset += len(piece)


def free_bytes(descriptor: int) -> int:
    """Return how much room the calling user has on the file system of an open folder."""
    there = os.fstatvfs(descriptor)
    return there.f_bavail * there.f_frsize


def become_owner(descriptor: int, dest: str) -> None:
    """Give up the rights of root for those of a folder's owner, so that nothing that owner does can harm root's files.

    Does nothing if the caller is not root, or if the folder is root's.

    Raises:
        FetchError: Root's rights can't be given up.
    """
    status = os.fstat(descriptor)
    if os.geteuid() != 0 or status.st_uid == 0:
        return
    try:
        os.setgroups([])
        os.setresgid(status.st_gid, status.st_gid, status.st_gid)
        os.setresuid(status.st_uid, status.st_uid, status.st_uid)
    except OSError as error:
        raise FetchError(f"can't work as the owner of {dest} ({error.strerror}); run the task as that user") from error


_REASONS = {
    errno.ELOOP: "a folder or file on its path is a symlink",
    errno.ENOTDIR: "a file or symlink is where a folder is needed",
    errno.ENAMETOOLONG: "its name is too long for the file system",
}


def _explained(error: OSError) -> Exception:
    """Return the PathError for an error that comes of the path; any other error is returned as it is."""
    reason = _REASONS.get(error.errno or 0)
    return PathError(reason) if reason else error
