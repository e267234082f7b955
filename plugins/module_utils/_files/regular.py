# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Regular files, opened so that a symlink, a FIFO, a device or another file's second name is never mistaken for one."""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from types import TracebackType
from typing import final

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._files.attributes import locked_flag
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._files.errors import (
    AccessError,
    ChangedError,
    FileError,
    NotRegularError,
    TooLargeError,
    refused,
)
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._files.folder import Folder

TEMPORARY_PREFIX = ".mastodon_s3-"
_READ_ATTEMPTS = 3


def same_file(one: os.stat_result, other: os.stat_result) -> bool:
    """Return whether both are the same file, whatever its name."""
    return (one.st_dev, one.st_ino) == (other.st_dev, other.st_ino)


def check_kind(path: str, status: os.stat_result) -> None:
    """Refuse everything but a regular file.

    Raises:
        NotRegularError: Says what it is.
    """
    if not stat.S_ISREG(status.st_mode):
        raise NotRegularError(f"{path} is {_kind(status.st_mode)}, not a regular file; name the file itself")


def check_opened(folder: Folder, name: str, descriptor: int) -> os.stat_result:
    """Refuse everything but a regular file with a single name, and return its status.

    A new file has two names for a moment, and keeps both if its run is killed then. The temporary one is removed here.

    Args:
        folder: The file's folder.
        name: Its name there.
        descriptor: The open file.

    Raises:
        NotRegularError: Says what it is.
    """
    path = folder.join(name)
    status = os.fstat(descriptor)
    check_kind(path, status)
    if status.st_nlink > 1:
        _remove_temporary_names(folder, name, status)
        status = os.fstat(descriptor)
    if status.st_nlink > 1:
        raise NotRegularError(
            f"{path} has {status.st_nlink} hard links, so it may be another user's file; "
            f"replace it by a copy: cp -p {path} {path}.new && mv {path}.new {path}"
        )
    return status


def _remove_temporary_names(folder: Folder, name: str, status: os.stat_result) -> None:
    with suppress(FileError, OSError):
        for other in folder.names():
            if other != name and other.startswith(TEMPORARY_PREFIX):
                now = folder.status_of(other)
                if now is not None and same_file(now, status):
                    os.unlink(other, dir_fd=folder.descriptor)


def _kind(mode: int) -> str:
    kinds = (
        (stat.S_ISLNK, "a symlink"),
        (stat.S_ISDIR, "a folder"),
        (stat.S_ISFIFO, "a FIFO"),
        (stat.S_ISSOCK, "a socket"),
    )
    return next((text for test, text in kinds if test(mode)), "a device")


@final
class RegularFile:
    """An open regular file with one name; a context manager that closes it.

    While it is open, its inode number is not given to another file, so `is_still` can't be deceived.

    Attributes:
        folder: Its open folder, which has to stay open as long.
        name: Its name there.
        path: Its path, for messages.
        descriptor: The file, open for reading.
        status: Its status when it was opened.
    """

    def __init__(self, folder: Folder, name: str, *, writable: bool = False) -> None:
        """Open the file `name`.

        Args:
            folder: Its folder.
            name: Its name, without a slash.
            writable: Open it for reading and writing.

        Raises:
            MissingError: There is none.
            NotRegularError: It is something else, or has several names.
            FileError: It can't be opened.
        """
        self.folder = folder
        self.name = name
        self.path = folder.join(name)
        seen = folder.status_of(name)
        if seen is not None:
            # Opening a device may have an effect.
            check_kind(self.path, seen)
        access = os.O_RDWR if writable else os.O_RDONLY
        try:
            self.descriptor = os.open(
                name, access | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC, dir_fd=folder.descriptor
            )
        except OSError as error:
            raise refused(self.path, "can't be written" if writable else "can't be read", error) from error
        try:
            self.status = check_opened(folder, name, self.descriptor)
        except NotRegularError:
            self.close()
            raise

    def __enter__(self) -> RegularFile:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        os.close(self.descriptor)

    def read(self, limit: int) -> bytes:
        """Return the whole content of the file.

        Args:
            limit: Maximum number of bytes.

        Raises:
            TooLargeError: It is longer.
            ChangedError: It was changed during each attempt.
            FileError: It can't be read.
        """
        for _attempt in range(_READ_ATTEMPTS):
            before = os.fstat(self.descriptor)
            try:
                data = self._bytes(limit)
            except OSError as error:
                raise refused(self.path, "can't be read", error) from error
            if len(data) > limit:
                size = f"{limit // 1024} KiB" if limit >= 1024 else f"{limit} bytes"
                raise TooLargeError(f"{self.path} is larger than {size}; check the path")
            after = os.fstat(self.descriptor)
            if _stamp(before) == _stamp(after) and after.st_size == len(data):
                return data
        raise ChangedError(f"{self.path} is being written to by another program; run it again later")

    def is_still(self, data: bytes) -> bool:
        """Return whether the name still belongs to this file, it has no other name, and its content is still `data`."""
        now = self.folder.status_of(self.name)
        if now is None or not same_file(now, self.status) or now.st_nlink != 1:
            return False
        try:
            return self.read(len(data)) == data
        except (ChangedError, TooLargeError):
            return False

    def check_changeable(self) -> None:
        """Refuse a file that the attribute i or a protects.

        Raises:
            AccessError: Names the attribute.
        """
        flag = locked_flag(self.descriptor)
        if flag:
            raise AccessError(
                f"{self.path} can't be changed, as it has the file attribute {flag}; "
                f"remove it with chattr -{flag} {self.path}"
            )

    def _bytes(self, limit: int) -> bytes:
        parts = []
        offset = 0
        while offset <= limit:
            part = os.pread(self.descriptor, min(limit + 1 - offset, 1 << 20), offset)
            if not part:
                break
            parts.append(part)
            offset += len(part)
        return b"".join(parts)


def _stamp(status: os.stat_result) -> tuple[int, int, int]:
    return status.st_size, status.st_mtime_ns, status.st_ctime_ns
