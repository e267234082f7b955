# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Replaces a dotenv file on disk: atomically, never readable by more users than it is meant for."""

from __future__ import annotations

import os
import shlex
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._dotenv.errors import (
    DotenvReadError,
    DotenvWriteError,
)
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._dotenv.reader import read_bytes


@dataclass(frozen=True)
class Target:
    """The file as it was when it was read.

    Attributes:
        path: Its real path, symbolic links resolved.
        data: What it held; empty if it was not there.
        status: What the file system said of it; None if it was not there.
    """

    path: str
    data: bytes
    status: os.stat_result | None


def read_target(path: str) -> Target:
    """Read the file that `path` leads to.

    Raises:
        DotenvReadError: It can't be read, or is no regular file.
    """
    real = os.path.realpath(path)
    if not os.path.lexists(real):
        return Target(real, b"", None)
    data, status = read_bytes(real)
    return Target(real, data, status)


def write_target(
    module: AnsibleModule, target: Target, data: bytes, arguments: dict[str, Any], *, backup: bool, validate: str | None
) -> str | None:
    """Put `data` in the place of the file that was read and return the backup's path, if one was asked for.

    Owner, group, mode, ACLs and SELinux context of an existing file are kept; a new one has mode 0600. What is written
    passes through a file of its own in the same folder, as only a rename within one file system is atomic.

    Args:
        module: The module; its `unsafe_writes` is heeded.
        target: The file as it was read.
        data: What it is to hold.
        arguments: The file attributes that were asked for, as `load_file_common_arguments` returns them. They are tried
            on a new file before it is in its place; setting them there is left to the caller.
        backup: Keep what was read.
        validate: A command that has to accept the new file, `%s` being its path.

    Raises:
        DotenvWriteError: The file was changed in the meantime, is refused by `validate`, or can't be written.
    """
    temporary = _write_temporary(module, target.path, data)
    try:
        if validate:
            _validate(module, validate, temporary)
        _check_unchanged(target)
        if target.status:
            _keep_owner(temporary, target)
        else:
            module.set_fs_attributes_if_different({**arguments, "path": temporary, "attributes": None}, False)
        backup_file = _back_up(target) if backup and target.status else None
        _move(module, temporary, target.path)
    except OSError as error:
        raise DotenvWriteError(f"{target.path} can't be written: {error.strerror or error}") from error
    finally:
        with suppress(FileNotFoundError):
            os.unlink(temporary)
    return backup_file


def _write_temporary(module: AnsibleModule, path: str, data: bytes) -> str:
    # One fixed name, so that what a killed run has left is cleared away by the next.
    folder, name = os.path.split(path)
    temporary = os.path.join(folder, f".{name}.ansible_tmp")
    try:
        _write_new(temporary, data)
    except OSError as error:
        if not module.params["unsafe_writes"]:
            remedy = "the folder has to exist, and be writable for the user that the task runs as"
            raise DotenvWriteError(f"no file can be made in {folder}: {error.strerror or error}; {remedy}") from error
        temporary = os.path.join(module.tmpdir, name)
        _write_new(temporary, data)
    return temporary


def _write_new(path: str, data: bytes) -> None:
    with suppress(FileNotFoundError):
        os.unlink(path)
    with open(
        os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600), "wb"
    ) as stream:
        stream.write(data)
        stream.flush()
        os.fsync(stream.fileno())


def _validate(module: AnsibleModule, command: str, path: str) -> None:
    code, _out, _err = module.run_command(command.replace("%s", shlex.quote(path)))
    if code != 0:
        raise DotenvWriteError(
            f"the command given as validate refused the new file (exit code {code}), so nothing was changed; "
            "its output is not shown, as it may hold values"
        )


def _check_unchanged(target: Target) -> None:
    """Compare the file with what was read, as somebody may have replaced or changed it since."""
    changed = f"{target.path} was changed by somebody else in the meantime; nothing was written, run the task again"
    if target.status is None:
        if os.path.lexists(target.path):
            raise DotenvWriteError(changed)
        return
    try:
        data, status = read_bytes(target.path)
    except DotenvReadError as error:
        raise DotenvWriteError(changed) from error
    if data != target.data or (status.st_dev, status.st_ino) != (target.status.st_dev, target.status.st_ino):
        raise DotenvWriteError(changed)


def _keep_owner(temporary: str, target: Target) -> None:
    # atomic_move would go on without, and leave a file behind that the service can't read.
    status = os.stat(target.path)
    try:
        os.chown(temporary, status.st_uid, status.st_gid)
    except PermissionError as error:
        raise DotenvWriteError(
            f"the user that the task runs as can't keep owner and group of {target.path}; "
            "run it with become as root or as the file's owner"
        ) from error


def _move(module: AnsibleModule, temporary: str, path: str) -> None:
    unsafe_writes = bool(module.params["unsafe_writes"])
    # A new file gets what the umask leaves.
    with _umask(0o077):
        try:
            module.atomic_move(temporary, path, unsafe_writes=unsafe_writes)
        except Exception as error:
            cause = error.__cause__.strerror if isinstance(error.__cause__, OSError) else error
            raise DotenvWriteError(
                f"{path} can't be replaced: {cause}; a file that is mounted by itself, as into a container, needs "
                "unsafe_writes, and one with the attribute i has to lose it first"
            ) from error


def _back_up(target: Target) -> str:
    """Keep what was read next to the file, with its owner, group, ACLs and mode, but for other users' permissions."""
    status = os.stat(target.path)
    backup = f"{target.path}.{os.getpid()}.{time.strftime('%Y-%m-%d@%H:%M:%S')}~"
    _write_new(backup, target.data)
    try:
        with suppress(PermissionError):
            os.chown(backup, status.st_uid, status.st_gid)
        _copy_extended_attributes(target.path, backup)
        os.chmod(backup, stat.S_IMODE(status.st_mode) & ~0o007)
        os.utime(backup, ns=(status.st_atime_ns, status.st_mtime_ns))
    except OSError:
        os.unlink(backup)
        raise
    return backup


def _copy_extended_attributes(source: str, target: str) -> None:
    # POSIX ACLs and the SELinux context are such attributes.
    if not hasattr(os, "listxattr"):
        return
    with suppress(OSError):
        for name in os.listxattr(source):
            with suppress(OSError):
                os.setxattr(target, name, os.getxattr(source, name))


@contextmanager
def _umask(mask: int) -> Iterator[None]:
    old = os.umask(mask)
    try:
        yield
    finally:
        os.umask(old)
