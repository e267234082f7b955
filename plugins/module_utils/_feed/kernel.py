# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The system calls of fanotify (Linux 5.9) and of file handles, through the C library. See fanotify(7)."""

from __future__ import annotations

import ctypes
import errno
import os
from typing import Optional

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._feed.errors import UnsupportedError

# uapi/linux/fanotify.h
MODIFY, ATTRIB, CLOSE_WRITE = 0x2, 0x4, 0x8
MOVED_FROM, MOVED_TO, CREATE, DELETE = 0x40, 0x80, 0x100, 0x200
Q_OVERFLOW = 0x4000
ONDIR = 0x40000000
# MODIFY, because truncate(2) and files that are never closed cause nothing else.
_FOLLOWED = MODIFY | ATTRIB | CLOSE_WRITE | MOVED_FROM | MOVED_TO | CREATE | DELETE | ONDIR

_CLOEXEC, _NONBLOCK, _UNLIMITED_QUEUE = 0x1, 0x2, 0x10
_REPORT_DIR_FID, _REPORT_NAME = 0x400, 0x800
GROUP_FLAGS = _CLOEXEC | _NONBLOCK | _UNLIMITED_QUEUE | _REPORT_DIR_FID | _REPORT_NAME
_MARK_ADD, _MARK_FILESYSTEM = 0x1, 0x100
_HANDLE_FLAGS = os.O_PATH | os.O_CLOEXEC

_NO_RIGHTS = "it needs root, and in a container the capabilities SYS_ADMIN and DAC_READ_SEARCH"
_NO_GROUP = {
    errno.EPERM: _NO_RIGHTS,
    errno.ENOSYS: "the kernel was built without fanotify",
    errno.EINVAL: "the kernel is older than Linux 5.9",
    errno.EMFILE: "too many fanotify groups are in use, see /proc/sys/fs/fanotify/max_user_groups",
}
_NO_MARK = {
    errno.EPERM: _NO_RIGHTS,
    errno.EXDEV: "it is a btrfs subvolume",
    errno.ENODEV: "its file system has no ID",
    errno.EOPNOTSUPP: "its file system has no file handles",
}


def _loaded() -> Optional[ctypes.CDLL]:
    try:
        library = ctypes.CDLL(None, use_errno=True)
        library.fanotify_init.argtypes = (ctypes.c_uint, ctypes.c_uint)
        library.fanotify_mark.argtypes = (
            ctypes.c_int,
            ctypes.c_uint,
            ctypes.c_uint64,
            ctypes.c_int,
            ctypes.c_char_p,
        )
        library.open_by_handle_at.argtypes = (ctypes.c_int, ctypes.c_char_p, ctypes.c_int)
    except (OSError, AttributeError):
        return None
    return library


_LIBC = _loaded()


def _libc() -> ctypes.CDLL:
    if _LIBC is None:
        raise UnsupportedError("changes can't be followed: the C library does not know fanotify")
    return _LIBC


def open_group() -> int:
    """Return the descriptor of a new group, whose events name a folder by its handle, and a name in it.

    Raises:
        UnsupportedError: The kernel does not allow it.
    """
    descriptor = int(_libc().fanotify_init(GROUP_FLAGS, os.O_RDONLY | os.O_CLOEXEC))
    if descriptor < 0:
        number = ctypes.get_errno()
        raise UnsupportedError(f"changes can't be followed: {_NO_GROUP.get(number, os.strerror(number))}")
    return descriptor


def follow(group: int, folder: int, path: str) -> None:
    """Add the whole file system of an open folder to a group; `path` is for the message.

    Raises:
        UnsupportedError: The file system can't be followed.
    """
    if _libc().fanotify_mark(group, _MARK_ADD | _MARK_FILESYSTEM, _FOLLOWED, folder, b".") < 0:
        number = ctypes.get_errno()
        raise UnsupportedError(f"changes in {path} can't be followed: {_NO_MARK.get(number, os.strerror(number))}")


def open_handle(mount: int, handle: bytes) -> int:
    """Open a folder by its handle, without the right to read it. `mount` is any open folder of its mount.

    Raises:
        OSError: ESTALE if the folder was removed.
    """
    descriptor = int(_libc().open_by_handle_at(mount, handle, _HANDLE_FLAGS))
    if descriptor < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return descriptor
