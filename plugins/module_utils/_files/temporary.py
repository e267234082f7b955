# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The temporary file that will replace another one, and leftovers of killed runs."""

from __future__ import annotations

import errno
import os
import secrets
import stat
import time
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType
from typing import final

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._files.attributes import copy_extended, drop_acl
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._files.errors import (
    AccessError,
    ChangedError,
    FileError,
    refused,
)
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._files.folder import Folder
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._files.regular import (
    TEMPORARY_PREFIX,
    RegularFile,
    same_file,
)

# Set-user-ID and the like: on a file whose owner changes, they would give away the rights of the new owner.
_PERMISSIONS = 0o777
_STALE_SECONDS = 3600
_NO_HARD_LINKS = (errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK)


@dataclass(frozen=True)
class Access:
    """The wanted owner, group and mode of a file; None means those of the file that it is modelled on.

    Without such a file, None means the calling user, that user's group, and mode 0600.
    """

    uid: int | None = None
    gid: int | None = None
    mode: int | None = None

    def differs(self, status: os.stat_result) -> bool:
        """Return whether a file with this status would have to be changed."""
        return (
            self.uid not in (None, status.st_uid)
            or self.gid not in (None, status.st_gid)
            or self.mode not in (None, stat.S_IMODE(status.st_mode))
        )


KEEP = Access()


@final
class Temporary:
    """The temporary file that will replace another one. It is removed unless it did so."""

    def __init__(self, folder: Folder, path: str) -> None:
        self._folder = folder
        self._path = path
        self._name = f"{TEMPORARY_PREFIX}{secrets.token_hex(8)}.tmp"
        self._moved = False
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        try:
            self.descriptor = os.open(self._name, flags, 0o600, dir_fd=folder.descriptor)
        except FileNotFoundError as error:
            raise AccessError(f"{path} can't be written: its folder was removed; run it again") from error
        except OSError as error:
            raise refused(path, f"can't be written, because no file can be created in {folder.path}", error) from error

    def __enter__(self) -> Temporary:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if not self._moved:
                with suppress(FileError):
                    remove(self._folder, self._name, os.fstat(self.descriptor))
        finally:
            os.close(self.descriptor)

    def write(self, data: bytes) -> None:
        """Write the content and flush it to disk.

        Raises:
            AccessError: The system refuses, as with a full disk.
        """
        try:
            overwrite(self.descriptor, data)
        except OSError as error:
            raise refused(self._path, "can't be written", error) from error

    def set_access(self, access: Access, like: RegularFile | None) -> None:
        """Set the owner, the group, the mode, and the extended attributes of `like`.

        Raises:
            AccessError: The system refuses.
        """
        status = os.fstat(like.descriptor) if like else None
        own = os.fstat(self.descriptor)
        wanted = Access(
            uid=access.uid if access.uid is not None else status.st_uid if status else own.st_uid,
            gid=access.gid if access.gid is not None else status.st_gid if status else os.getegid(),
        )
        try:
            set_owner_and_mode(self.descriptor, self._path, own, wanted)
            if like:
                copy_extended(like.descriptor, self.descriptor)
            else:
                drop_acl(self.descriptor)
            mode = access.mode if access.mode is not None else status.st_mode & _PERMISSIONS if status else 0o600
            os.fchmod(self.descriptor, mode)
        except OSError as error:
            raise refused(self._path, "can't be written, as its mode or ACL can't be kept", error) from error

    def rename(self, name: str) -> None:
        """Replace whatever is called `name`.

        Raises:
            ChangedError: Another program replaced one of the two.
            AccessError: The system refuses.
        """
        self._check_name()
        try:
            os.rename(self._name, name, src_dir_fd=self._folder.descriptor, dst_dir_fd=self._folder.descriptor)
        except OSError as error:
            raise refused(self._path, "can't be replaced", error) from error
        self._moved = True
        self._check_arrived(name)

    def link(self, name: str) -> None:
        """Take a name that does not exist yet.

        Raises:
            ChangedError: It exists, or another program replaced the file.
            AccessError: The system refuses.
        """
        self._check_name()
        folder = self._folder.descriptor
        try:
            os.link(self._name, name, src_dir_fd=folder, dst_dir_fd=folder, follow_symlinks=False)
        except FileExistsError as error:
            raise self._appeared() from error
        except OSError as error:
            if error.errno not in _NO_HARD_LINKS:
                raise refused(self._path, "can't be created", error) from error
            if self._folder.status_of(name) is not None:
                raise self._appeared() from error
            self.rename(name)
            return
        self._check_arrived(name)

    def _check_name(self) -> None:
        now = self._folder.status_of(self._name)
        if now is None or not same_file(now, os.fstat(self.descriptor)) or now.st_nlink != 1:
            raise ChangedError(
                f"another program replaced the temporary file while {self._path} was being written; nothing was"
                f" changed, find out who can write to {self._folder.path}"
            )

    def _check_arrived(self, name: str) -> None:
        now = self._folder.status_of(name)
        if now is None or not same_file(now, os.fstat(self.descriptor)):
            raise ChangedError(
                f"{self._path} was replaced by another program while it was being written; check its content, and "
                f"run it again"
            )

    def _appeared(self) -> ChangedError:
        return ChangedError(
            f"{self._path} was created by another program in the meantime; nothing was written, run it again"
        )


def set_owner_and_mode(descriptor: int, path: str, status: os.stat_result, access: Access) -> None:
    """Set owner, group and mode of an open file; `status` is its current one.

    Raises:
        AccessError: The user may not set this owner or group.
        OSError: The system refuses.
    """
    uid = -1 if access.uid in (None, status.st_uid) else access.uid
    gid = -1 if access.gid in (None, status.st_gid) else access.gid
    if (uid, gid) != (-1, -1):
        try:
            os.fchown(descriptor, -1 if uid is None else uid, -1 if gid is None else gid)
        except PermissionError as error:
            raise AccessError(
                f"{path} can't be written, as the calling user can't keep or set its owner and group; "
                f"run it as root or as the file's owner"
            ) from error
    if access.mode is not None:
        os.fchmod(descriptor, access.mode)


def overwrite(descriptor: int, data: bytes) -> None:
    """Replace the whole content of an open file and flush it to disk.

    Raises:
        OSError: The system refuses, as with a full disk.
    """
    offset = 0
    while offset < len(data):
        offset += os.pwrite(descriptor, data[offset:], offset)
    os.ftruncate(descriptor, len(data))
    os.fsync(descriptor)


def remove(folder: Folder, name: str, status: os.stat_result) -> None:
    """Remove the file with this `status` if it still has this name; otherwise do nothing.

    Raises:
        AccessError: The system refuses.
    """
    now = folder.status_of(name)
    if now is None or not same_file(now, status):
        return
    try:
        os.unlink(name, dir_fd=folder.descriptor)
    except FileNotFoundError:
        return
    except OSError as error:
        raise refused(folder.join(name), "can't be removed", error) from error


def remove_stale(folder: Folder, *owners: int, before: float | None = None) -> None:
    """Remove files of the caller or these owners that runs left in a folder when they were killed.

    Args:
        folder: The folder.
        owners: Further owners.
        before: Only files whose status last changed before this moment, in seconds since the epoch. None: only files
            that were last written more than an hour ago.
    """
    with suppress(FileError):
        for name in folder.names():
            if not name.startswith(TEMPORARY_PREFIX):
                continue
            status = folder.status_of(name)
            if (
                status is not None
                and stat.S_ISREG(status.st_mode)
                and status.st_uid in (os.geteuid(), *owners)
                and (status.st_mtime < time.time() - _STALE_SECONDS if before is None else status.st_ctime < before)
            ):
                remove(folder, name, status)
