# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""State files that only root or the calling user can read, in folders that no other user can replace."""

from __future__ import annotations

import os
import stat

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._files.errors import UnsafePathError, refused
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._files.folder import Folder, trusted
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._files.regular import (
    RegularFile,
    check_kind,
    check_opened,
)
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._files.replace import create, replace
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._files.temporary import Access
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._files.walk import open_folder

_OWN = Access(mode=0o600)
_LIMIT = 64 * 1024 * 1024


def private_folder(path: str) -> Folder:
    """Open a folder for state; missing parts of the path are created with mode 0700.

    Raises:
        UnsafePathError: Others can change or replace it, or a folder on its path.
        FileError: It is not a folder, or can't be created.
    """
    return open_folder(path, private=True, create=True)


def open_private_file(folder: Folder, name: str) -> int:
    """Open a file for reading and writing, create it with mode 0600 if it is missing, and return its descriptor.

    The caller closes it. `folder` must come from `private_folder`.

    Raises:
        NotRegularError: There is a symlink, a FIFO, a folder, or a file with several names.
        UnsafePathError: It belongs to another user.
        FileError: It can't be opened.
    """
    path = folder.join(name)
    seen = folder.status_of(name)
    if seen is not None:
        check_kind(path, seen)
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
    try:
        descriptor = os.open(name, flags, 0o600, dir_fd=folder.descriptor)
    except OSError as error:
        raise refused(path, "can't be opened", error) from error
    try:
        status = check_opened(folder, name, descriptor)
        if status.st_uid not in trusted():
            raise UnsafePathError(f"{path} belongs to the user id {status.st_uid}; remove it and run it again")
        if stat.S_IMODE(status.st_mode) & 0o077:
            os.fchmod(descriptor, 0o600)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def read_private_file(folder: Folder, name: str, limit: int) -> bytes:
    """Return the content of a file that nobody but root and the caller can have written.

    Args:
        folder: Its folder, opened as private.
        name: Its name there.
        limit: Maximum number of bytes.

    Raises:
        MissingError: There is none.
        NotRegularError: There is something other than a regular file with one name.
        UnsafePathError: It belongs to another user, or others can write to it.
        FileError: It can't be read, or is longer than `limit` bytes.
    """
    with RegularFile(folder, name) as file:
        check_own(file.path, file.status)
        return file.read(limit)


def check_own(path: str, status: os.stat_result) -> None:
    """Refuse a file that others can have written.

    Raises:
        UnsafePathError: Says why.
    """
    if status.st_uid not in trusted():
        raise UnsafePathError(f"{path} belongs to the user id {status.st_uid}; move it away and run again")
    if status.st_mode & 0o022:
        mode = stat.S_IMODE(status.st_mode)
        raise UnsafePathError(
            f"{path} can be written by others, as its mode is {mode:04o}; check its content, run chmod 600 {path},"
            " and run again"
        )


def write_private_file(folder: Folder, name: str, data: bytes) -> None:
    """Write a file with mode 0600 atomically: readers find the old content or the new, also after a crash.

    `folder` must come from `private_folder`.

    Raises:
        NotRegularError: There is something other than a regular file with one name.
        FileError: It can't be written, for example because the disk is full. The old content is still there.
    """
    if folder.status_of(name) is None:
        create(folder, name, data, _OWN)
        return
    with RegularFile(folder, name) as file:
        replace(file, file.read(_LIMIT), data, Access(uid=os.geteuid(), gid=os.getegid(), mode=0o600))
