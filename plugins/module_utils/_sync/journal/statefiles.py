# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The journal's folder and files, which only their owner can change, and the lock that allows one run at a time.

SQLite opens its files by path. So the whole path has to be safe from other users, and the file at its end is checked
before SQLite opens it: a FIFO would block SQLite, and a symlink or hard link would lead it to another file.
"""

from __future__ import annotations

import errno
import fcntl
import os
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Optional

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._files.errors import (
    FileError,
    MissingError,
    NotRegularError,
    TooLargeError,
    UnsafePathError,
    refused,
)
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._files.folder import Folder, trusted
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._files.private import (
    open_private_file,
    private_folder,
)
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._files.regular import RegularFile, same_file
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._files.walk import open_folder
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.model import SyncError
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.settings import LOCK_SECONDS

_POLL_SECONDS = 0.2
_LOCK, _PROGRESS, _HISTORY = ".lock", ".progress", ".history"
_JOURNAL = re.compile(r"sync-.+\.sqlite\Z")
# SQLite's own side files, see https://www.sqlite.org/tempfiles.html
_SQLITE = ("-wal", "-shm", "-journal")


class StateFolderError(SyncError):
    """The state folder, or a file in it, can't be created or must not be trusted."""


class BusyError(SyncError):
    """Another run uses the same journal: that of `process`, if its PID is known."""

    def __init__(self, message: str, process: Optional[int] = None) -> None:
        super().__init__(message)
        self.process = process


def progress_path(journal: str) -> str:
    """Return the path of the file in which a run with this journal reports its progress."""
    return os.path.splitext(journal)[0] + _PROGRESS


def history_path(journal: str) -> str:
    """Return the path of the file with what the runs of this journal have sent."""
    return os.path.splitext(journal)[0] + _HISTORY


def lock_path(journal: str) -> str:
    """Return the path of the file that a run with this journal locks."""
    return journal + _LOCK


def journals_in(state_dir: str) -> list[str]:
    """Return the paths of all journals in a state folder, none where there is no folder.

    Raises:
        StateFolderError: other users can change the folder.
    """
    with _clear_errors(state_dir):
        try:
            with open_folder(state_dir, private=True) as folder:
                names = folder.names()
        except MissingError:
            return []
    return [os.path.join(state_dir, name) for name in sorted(names) if _JOURNAL.match(name)]


def prepare_folder(state_dir: str) -> Folder:
    """Open the state folder, and create it with mode 0700 if it is missing. The caller closes it.

    Raises:
        StateFolderError: Other users can change it or a folder on its path, or it can't be created.
    """
    with _clear_errors(state_dir):
        return private_folder(state_dir)


def check_files(path: str) -> bool:
    """Check the state folder and all files of the journal at `path`; nothing is written.

    Returns:
        Whether there is a state folder.

    Raises:
        StateFolderError: Other users can change the folder, or one of the files was not created by this module.
    """
    state_dir, name = os.path.split(path)
    with _clear_errors(state_dir):
        try:
            folder = open_folder(state_dir, private=True)
        except MissingError:
            return False
        with folder:
            files = (name + suffix for suffix in ("", *_SQLITE, _LOCK))
            for each in (*files, progress_path(name), history_path(name)):
                if folder.status_of(each) is not None:
                    _check_owner(folder, each)
    return True


def _check_owner(folder: Folder, name: str) -> None:
    with RegularFile(folder, name) as file:
        if file.status.st_uid not in trusted():
            raise UnsafePathError(
                f"{file.path} belongs to the user id {file.status.st_uid}; move it away and run again"
            )


def create_private(path: str) -> bool:
    """Create an empty file with mode 0600 if it is missing; SQLite gives its side files the same mode.

    Returns:
        Whether it was created.

    Raises:
        StateFolderError: It can't be created, or something else is there.
    """
    state_dir, name = os.path.split(path)
    with _clear_errors(state_dir), private_folder(state_dir) as folder:
        made = folder.status_of(name) is None
        os.close(open_private_file(folder, name))
        if made:
            folder.sync()
        return made


def read_private(path: str, most: int) -> bytes:
    """Return the content of a small state file; nothing if it is missing or larger than `most` bytes.

    Raises:
        StateFolderError: It is not a file.
    """
    state_dir, name = os.path.split(path)
    with _clear_errors(state_dir):
        try:
            with open_folder(state_dir, private=True) as folder, RegularFile(folder, name) as file:
                return file.read(most)
        except (MissingError, TooLargeError):
            return b""


class Lock:
    """A lock that ends with its process, on a file next to the journal."""

    def __init__(self, path: str, *, seconds: float = LOCK_SECONDS) -> None:
        """Take the lock of the journal at `path`, waiting up to `seconds`.

        Raises:
            BusyError: Another run still has it.
            StateFolderError: It can't be created, or something else is in its place.
        """
        state_dir, name = os.path.split(path)
        self._path = path
        self._name = name + _LOCK
        self._descriptor = -1
        self._folder = prepare_folder(state_dir)
        try:
            self._take(seconds)
            with _clear_errors(state_dir), _os_errors(self._folder.join(self._name)):
                os.ftruncate(self._descriptor, 0)
                os.pwrite(self._descriptor, f"{os.getpid()}\n".encode(), 0)
        except BaseException:
            self.release()
            raise

    def _take(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while True:
            with _clear_errors(os.path.dirname(self._path)):
                self._descriptor = open_private_file(self._folder, self._name)
            if _try_lock(self._descriptor, fcntl.LOCK_EX):
                if self.is_in_place():
                    return
            elif time.monotonic() >= end:
                holder = _number_in(self._descriptor)
                raise BusyError(
                    f"another run (process {holder or 'unknown'}) has been using the journal {self._path} for more than"
                    f" {seconds:.0f} s: wait until it has ended, or stop it, and run again",
                    holder,
                )
            else:
                time.sleep(_POLL_SECONDS)
            os.close(self._descriptor)
            self._descriptor = -1

    def is_in_place(self) -> bool:
        """Return whether the lock's file is still where other runs look for it: neither removed nor replaced."""
        try:
            there = os.stat(os.path.join(os.path.dirname(self._path), self._name), follow_symlinks=False)
        except OSError:
            return False
        return same_file(there, os.fstat(self._descriptor))

    def release(self) -> None:
        """Allow the next run. The file stays: removing it would let two runs lock two different files."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
        self._folder.close()


def is_locked(path: str) -> bool:
    """Return whether a run is using the journal at `path`; nothing is written."""
    return holder_of(path) is not None


def holder_of(path: str) -> Optional[int]:
    """Return the PID of the process that uses the journal at `path`; 0 if it is not known, None if there is none.

    Raises:
        StateFolderError: The lock can't be trusted.
    """
    state_dir, name = os.path.split(path)
    with _clear_errors(state_dir):
        try:
            with open_folder(state_dir, private=True) as folder, RegularFile(folder, name + _LOCK) as file:
                return None if _try_lock(file.descriptor, fcntl.LOCK_SH) else _number_in(file.descriptor) or 0
        except MissingError:
            return None


def _number_in(descriptor: int) -> Optional[int]:
    """Return the PID in a lock's file; None if it contains something else."""
    said = os.pread(descriptor, 32, 0).strip()
    return int(said) if said.isdigit() and int(said) > 0 else None


def _try_lock(descriptor: int, kind: int) -> bool:
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in (errno.EAGAIN, errno.EACCES):
            return False
        raise
    return True


@contextmanager
def _clear_errors(state_dir: str) -> Iterator[None]:
    """Translate problems with the state folder or a file in it into one clear error."""
    try:
        yield
    except NotRegularError as error:
        raise StateFolderError(
            f"state_dir {state_dir} contains a file that this module did not create: {error}. Move it away and run"
            " again"
        ) from error
    except FileError as error:
        if isinstance(error.__cause__, NotADirectoryError):
            raise StateFolderError(f"state_dir {state_dir} is not a folder: set it to another path") from error
        raise StateFolderError(f"state_dir {state_dir} can't be used: {error}") from error


@contextmanager
def _os_errors(path: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise refused(path, "can't be written", error) from error
