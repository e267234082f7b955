# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Attributes of files beyond owner and mode, always by descriptor: ACLs, SELinux context, the flags of chattr."""

from __future__ import annotations

import errno
import fcntl
import os
import struct
from contextlib import suppress

_IMMUTABLE = 0x10  # uapi/linux/fs.h: FS_IMMUTABLE_FL
_APPEND_ONLY = 0x20  # uapi/linux/fs.h: FS_APPEND_FL
_CONTEXT = "security.selinux"
_ACL = "system.posix_acl_access"
# Attributes that describe the bytes of one file, or belong to the kernel, are not copied to another file.
_NOT_COPIED = ("security.capability", "security.ima", "security.evm", "trusted.")
_NOT_THERE = (errno.ENODATA, errno.ENOTSUP, errno.EOPNOTSUPP)


def _get_flags_request() -> int:
    """Return FS_IOC_GETFLAGS, which some architectures number in another way (asm/ioctl.h)."""
    machine = os.uname().machine
    direction = 0x40000000 if machine.startswith(("alpha", "mips", "parisc", "ppc", "sparc")) else 0x80000000
    return direction | struct.calcsize("l") << 16 | 0x6601


def locked_flag(descriptor: int) -> str | None:
    """Return the letter of the flag that prevents a file or folder from being replaced: i, a, or None."""
    buffer = bytearray(8)
    try:
        fcntl.ioctl(descriptor, _get_flags_request(), buffer)
    except OSError:
        return None
    flags = int(struct.unpack_from("i", buffer)[0])
    return "i" if flags & _IMMUTABLE else "a" if flags & _APPEND_ONLY else None


def copy_extended(source: int, target: int) -> None:
    """Give the file behind `target` the ACL, the SELinux context and the other extended attributes of `source`.

    An ACL that `target` has from its folder is removed. Attributes that the file system or the user's rights do not
    allow are skipped, except the ACL.

    Raises:
        OSError: The ACL can't be set. Without it, mode bits would mean something else.
    """
    drop_acl(target)
    try:
        names = os.listxattr(source)
    except OSError:
        return
    for name in names:
        if name.startswith(_NOT_COPIED):
            continue
        try:
            os.setxattr(target, name, os.getxattr(source, name))
        except OSError:
            if name == _ACL:
                raise


def copy_context(source: int, target: int) -> None:
    """Give the file behind `target` the SELinux context of `source`, if there is one and the user may do so."""
    with suppress(OSError):
        os.setxattr(target, _CONTEXT, os.getxattr(source, _CONTEXT))


def drop_acl(descriptor: int) -> None:
    """Remove the ACL of a file, so that only its mode applies.

    Raises:
        OSError: There is one, and it can't be removed.
    """
    try:
        os.removexattr(descriptor, _ACL)
    except OSError as error:
        if error.errno not in _NOT_THERE:
            raise
