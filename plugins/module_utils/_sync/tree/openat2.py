# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The system call openat2 (Linux 5.6), which opens a path in one step without following symlinks."""

from __future__ import annotations

import ctypes
import errno
import os
from functools import lru_cache
from typing import Any, Optional

_SYS_OPENAT2 = 437  # the same on all architectures, uapi/asm-generic/unistd.h
_RESOLVE_NO_SYMLINKS = 0x04  # uapi/linux/openat2.h
_RESOLVE_BENEATH = 0x08
# An old kernel, a container's filter of system calls, or a race that the kernel can't decide.
_NOT_SERVED = (errno.ENOSYS, errno.EPERM, errno.E2BIG, errno.EINVAL, errno.EAGAIN)


class UnknownCallError(Exception):
    """The kernel does not support this call; the path can be opened part by part."""


class _OpenHow(ctypes.Structure):
    _fields_ = (("flags", ctypes.c_uint64), ("mode", ctypes.c_uint64), ("resolve", ctypes.c_uint64))


def _loaded() -> Optional[ctypes.CDLL]:
    try:
        library = ctypes.CDLL(None, use_errno=True)
        library.syscall.argtypes = (
            ctypes.c_long,
            ctypes.c_int,
            ctypes.c_char_p,
            ctypes.POINTER(_OpenHow),
            ctypes.c_size_t,
        )
        library.syscall.restype = ctypes.c_long
    except (OSError, AttributeError):
        return None
    return library


_LIBC = _loaded()


@lru_cache(maxsize=16)
def _how(flags: int) -> Any:
    """Return a reference to a structure that the kernel only reads, so it can be used again."""
    return ctypes.byref(_OpenHow(flags, 0, _RESOLVE_NO_SYMLINKS | _RESOLVE_BENEATH))


def open_beneath(root: int, path: bytes, flags: int) -> int:
    """Open `path` below the folder `root` and return its descriptor.

    Raises:
        UnknownCallError: see there.
        OSError: as open(2); ELOOP where a part of the path is a symlink.
    """
    if _LIBC is None or b"\0" in path:
        raise UnknownCallError
    descriptor = int(_LIBC.syscall(_SYS_OPENAT2, root, path, _how(flags), ctypes.sizeof(_OpenHow)))
    if descriptor >= 0:
        return descriptor
    number = ctypes.get_errno()
    if number in _NOT_SERVED:
        raise UnknownCallError
    raise OSError(number, os.strerror(number))
