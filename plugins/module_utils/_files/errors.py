# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The errors of files and folders; each message names the path and the remedy, and never contains file content."""

from __future__ import annotations

import errno
import os


class FileError(Exception):
    """Base of all errors of this package; `str()` is one sentence with its remedy, fit for the user."""


class MissingError(FileError):
    """There is nothing."""


class UnsafePathError(FileError):
    """The path leads through an unsafe symlink, or through a folder that other users can change."""


class NotRegularError(FileError):
    """It is not a regular file with one name, but a folder, a FIFO, a device, or a file with several hard links."""


class TooLargeError(FileError):
    """The file is larger than the caller allows."""


class ChangedError(FileError):
    """Another program changed or replaced the file in the meantime."""


class LockedError(FileError):
    """Another process has locked the folder."""


class AccessError(FileError):
    """The operating system refuses: permission, a full disk, a read-only file system and so on."""


_REMEDIES = {
    errno.EACCES: "run it as root or as the owner",
    errno.EPERM: "run it as root or as the owner",
    errno.ENOSPC: "free some space and run it again",
    errno.EDQUOT: "raise the quota or free some space, and run it again",
    errno.EROFS: "mount the file system writable, or choose another path",
    errno.EFBIG: "raise the limit of the size of files (ulimit -f)",
    errno.ENAMETOOLONG: "choose a shorter path",
    errno.ENOTDIR: "check the path: a part of it is not a folder",
    errno.EISDIR: "name a file, not a folder",
    errno.EBUSY: "it is a mount point, which can only be changed by writing in place",
    errno.EWOULDBLOCK: "another process holds a lease on it; end that process",
    errno.EMFILE: "raise the limit of open files (ulimit -n)",
    errno.EIO: "check the disk",
}


def refused(path: str, what: str, error: OSError) -> FileError:
    """Return the error for a failed system call.

    Args:
        path: The file or folder.
        what: What could not be done, as the rest of a sentence that begins with the path: "can't be read".
        error: The system's error.
    """
    if error.errno == errno.ENOENT:
        return MissingError(f"{path} does not exist; check the path")
    if error.errno in (errno.ELOOP, errno.ENXIO):
        return NotRegularError(f"{path} {what}: it is not a regular file; name the file itself")
    reason = os.strerror(error.errno) if error.errno else str(error)
    remedy = _REMEDIES.get(error.errno or 0, "correct this and run it again")
    return AccessError(f"{path} {what}: {reason}; {remedy}")
