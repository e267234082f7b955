# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Replaces a dotenv file on disk, safely even if the owner of its folder is hostile."""

from __future__ import annotations

import errno
import os
import shlex
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._dotenv.errors import DotenvWriteError
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._dotenv.reader import (
    MAX_BYTES,
    check_text,
    check_utf8,
)
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._files.errors import (
    AccessError,
    FileError,
    MissingError,
)
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._files.moved_in import check_not_moved_in
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._files.regular import RegularFile
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._files.replace import (
    create,
    replace,
    write_in_place,
)
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._files.temporary import Access, remove
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._files.walk import Place, locate

# If the folder can't be written to, or the file is a mount point itself.
_ONLY_IN_PLACE = (errno.EACCES, errno.EBUSY, errno.EPERM, errno.EROFS, errno.EXDEV)


@dataclass(frozen=True)
class Target:
    """The file as it was when it was read; it stays open.

    Attributes:
        path: Its real path, with symbolic links resolved.
        data: Its content; empty if it did not exist.
        place: Its open folder; None if the folder is missing.
        file: The open file; None if it did not exist.
    """

    path: str
    data: bytes
    place: Place | None
    file: RegularFile | None


@contextmanager
def open_target(path: str, *, lock: bool) -> Iterator[Target]:
    """Open and read the file at `path`, and close it after the block.

    Args:
        path: The file; symlinks are followed if they are safe (see `_files.walk`).
        lock: Lock the folder against other tasks of this kind until the end of the block.

    Raises:
        DotenvReadError: It is not UTF-8 text.
        FileError: It can't be opened safely, or another process has locked the folder.
    """
    try:
        place = locate(path)
    except MissingError:
        yield Target(os.path.abspath(path), b"", None, None)
        return
    with place, place.folder.lock() if lock else nullcontext():
        place.refresh()
        if place.status is None:
            yield Target(place.path, b"", place, None)
            return
        with place.open() as file:
            data = file.read(MAX_BYTES)
            check_text(place.path, data)
            check_utf8(place.path, data)
            yield Target(place.path, data, place, file)


@dataclass(frozen=True)
class Writing:
    """How to write a file.

    Attributes:
        access: The requested owner, group and mode.
        backup: Keep a copy of the old file next to it.
        in_place: Write to the file itself if it can't be replaced.
        validate: Called with the new content; raises a DotenvError if it is not acceptable.
    """

    access: Access
    backup: bool = False
    in_place: bool = False
    validate: Callable[[bytes], None] | None = None

    def with_validation(self, validate: Callable[[bytes], None]) -> Writing:
        """Return a copy with this check."""
        return Writing(self.access, self.backup, self.in_place, validate)


def write_target(target: Target, data: bytes, how: Writing) -> str | None:
    """Replace the file that was read with `data`, and return the backup's path, if one was requested.

    Unless requested otherwise, owner, group, mode, ACLs and SELinux context are kept. A new file has mode 0600.

    Raises:
        DotenvWriteError: The folder is missing.
        FileError: The file was changed in the meantime, or can't be written.
    """
    if target.place is None:
        raise DotenvWriteError(
            f"{target.path} can't be created, because its folder does not exist; create the folder first"
        )
    if how.validate:
        how.validate(data)
    if target.file is None:
        create(target.place.folder, target.place.name, data, how.access)
        return None
    if how.access.differs(os.fstat(target.file.descriptor)):
        check_not_moved_in(target.file)
    backup = _back_up(target.place, target.file, target.data) if how.backup and data != target.data else None
    try:
        _write(target.file, target.data, data, how)
    except BaseException:
        if backup:
            _remove_backup(target.place, backup)
        raise
    return target.place.folder.join(backup) if backup else None


def _write(file: RegularFile, old: bytes, new: bytes, how: Writing) -> None:
    try:
        replace(file, old, new, how.access)
    except AccessError as error:
        cause = error.__cause__
        if not isinstance(cause, OSError) or cause.errno not in _ONLY_IN_PLACE:
            raise
        if not how.in_place:
            if cause.errno != errno.EBUSY:
                raise
            raise DotenvWriteError(
                f"{file.path} can't be replaced, because it is a mount point, as in a container; set "
                "unsafe_writes to true to write it in place"
            ) from error
        write_in_place(file, old, new, how.access)


def _back_up(place: Place, file: RegularFile, data: bytes) -> str:
    """Keep a copy of the old file next to it, with its attributes except permissions for others; return its name."""
    name = f"{place.name}.{os.getpid()}.{time.strftime('%Y-%m-%d@%H:%M:%S')}~"
    mode = os.fstat(file.descriptor).st_mode & 0o770
    create(place.folder, name, data, Access(mode=mode), like=file, mtime=True)
    return name


def _remove_backup(place: Place, name: str) -> None:
    with suppress(FileError):
        status = place.folder.status_of(name)
        if status is not None:
            remove(place.folder, name, status)


def validate_with(run: Callable[[str], int], command: str, path: str) -> Callable[[bytes], None]:
    """Return a function that checks new content with a command, in a file that only the caller can reach.

    Args:
        run: Runs a command and returns its exit code.
        command: The command, with `%s` in place of the path.
        path: Where to put the content, in a folder of the caller.
    """

    def validate(data: bytes) -> None:
        try:
            with open(
                os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600), "wb"
            ) as stream:
                stream.write(data)
            code = run(command.replace("%s", shlex.quote(path)))
        except OSError as error:
            raise DotenvWriteError(f"{path} can't be written: {error.strerror or error}; free some space") from error
        finally:
            with suppress(FileNotFoundError):
                os.unlink(path)
        if code != 0:
            raise DotenvWriteError(
                f"the validate command rejected the new file (exit code {code}), so nothing was changed; its output is "
                "not shown, since it may contain values"
            )

    return validate
