# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Folders that are kept open, so that all access uses their descriptors, even if a path changes in the meantime."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import final

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._files.attributes import locked_flag
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._files.errors import (
    AccessError,
    LockedError,
    UnsafePathError,
    refused,
)
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._files.locking import wait_for_lock

LOCK_SECONDS = 30.0


def trusted() -> frozenset[int]:
    """Return the IDs of users who are trusted: root, and the calling user."""
    return frozenset((0, os.geteuid()))


def only_trusted_write(status: os.stat_result) -> bool:
    """Return whether only root and the calling user can create, rename and remove files in this folder.

    The group's bit also covers the users in an ACL: there it is the mask of their rights.
    """
    return status.st_uid in trusted() and not status.st_mode & 0o022


@dataclass(frozen=True)
class Step:
    """A folder on a path: its location, and its status when it was opened."""

    path: str
    status: os.stat_result

    def weakness(self, *, last: bool) -> str | None:
        """Return how others could replace what is in this folder; None if they can't.

        Args:
            last: New files will be created in this very folder. Elsewhere a sticky folder such as /tmp is safe, since
                only the owner can rename what it contains.
        """
        mode = stat.S_IMODE(self.status.st_mode)
        if self.status.st_uid not in trusted():
            return f"it belongs to the user id {self.status.st_uid}"
        if mode & 0o022 and (last or not mode & stat.S_ISVTX):
            return f"its mode is {mode:04o}"
        return None


@final
class Folder:
    """An open folder; a context manager that closes it.

    Attributes:
        path: Its real path, with symlinks resolved. Only for messages: nothing is ever opened with it.
        descriptor: The folder, opened with O_PATH: usable as `dir_fd`, not for reading its content.
        steps: All folders on the path, including those that contain a symlink; this one comes last.
    """

    def __init__(self, descriptor: int, path: str, steps: tuple[Step, ...]) -> None:
        self.descriptor = descriptor
        self.path = path
        self.steps = steps

    def __enter__(self) -> Folder:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the folder."""
        os.close(self.descriptor)

    def join(self, name: str) -> str:
        """Return the path of `name` in this folder, for messages."""
        return os.path.join(self.path, name)

    def check_private(self) -> None:
        """Refuse a folder that users other than root and the caller could change or replace.

        Raises:
            UnsafePathError: Names the folder on the path that others can change.
        """
        for step in self.steps:
            weakness = step.weakness(last=step is self.steps[-1])
            if weakness:
                raise UnsafePathError(
                    f"{self.path} is not safe from other users, who can change {step.path}: {weakness}; "
                    f"choose a folder below ones that only root can write to, or run "
                    f"chown root {step.path} and chmod go-w {step.path}"
                )

    def status_of(self, name: str) -> os.stat_result | None:
        """Return the status of `name` in this folder without following symlinks; None if there is nothing.

        Raises:
            FileError: The system refuses.
        """
        try:
            return os.stat(name, dir_fd=self.descriptor, follow_symlinks=False)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise refused(self.join(name), "can't be examined", error) from error

    def names(self) -> list[str]:
        """Return the names of everything in the folder.

        Raises:
            FileError: It can't be read.
        """
        with self._readable() as descriptor:
            return os.listdir(descriptor)

    def check_changeable(self) -> None:
        """Refuse a folder in which the attribute i or a prevents files from being replaced.

        Raises:
            AccessError: Names the folder and the attribute.
        """
        try:
            with self._readable() as descriptor:
                flag = locked_flag(descriptor)
        except AccessError:
            # A folder that can't be read may still be writable.
            return
        if flag:
            raise AccessError(
                f"nothing can be replaced in {self.path}, which has the file attribute {flag}; "
                f"remove it with chattr -{flag} {self.path}"
            )

    def sync(self) -> None:
        """Flush renames, new and removed files in this folder to disk, so that they survive a power failure.

        Raises:
            FileError: The disk reports an error.
        """
        try:
            with self._readable() as descriptor:
                os.fsync(descriptor)
        except AccessError:
            # Only somebody who can read a folder can flush it.
            if os.geteuid() == 0:
                raise
        except OSError as error:
            # Some network and FUSE file systems do not serve this for folders.
            if error.errno not in (errno.EINVAL, errno.ENOTSUP, errno.EBADF):
                raise refused(self.path, "can't be written out", error) from error

    @contextmanager
    def lock(self, seconds: float = LOCK_SECONDS) -> Iterator[None]:
        """Let only one process at a time into the block, among those that lock this folder.

        The lock ends with its process. There is no lock on file systems that can't lock folders, or if the caller can't
        read the folder. So always compare what is there before replacing it.

        Args:
            seconds: How long to wait for another process.

        Raises:
            LockedError: Another process still has the lock.
        """
        try:
            readable = os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=self.descriptor)
        except OSError:
            yield
            return
        try:
            _wait_for(readable, self.path, seconds)
            yield
        finally:
            os.close(readable)

    @contextmanager
    def _readable(self) -> Iterator[int]:
        try:
            descriptor = os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=self.descriptor)
        except OSError as error:
            raise refused(self.path, "can't be read", error) from error
        try:
            yield descriptor
        finally:
            os.close(descriptor)


def _wait_for(descriptor: int, path: str, seconds: float) -> None:
    try:
        wait_for_lock(descriptor, seconds)
    except TimeoutError as error:
        raise LockedError(
            f"another process has kept the folder {path} locked for {seconds:.0f} s; wait until it has ended, or "
            f"find it with lslocks and stop it"
        ) from error
    except OSError:
        return  # there are no locks here
