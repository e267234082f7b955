# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Where the journal lies: a folder and files that only their owner can read, and one run at a time."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import re
import stat
import time
from typing import Optional

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.model import SyncError

LOCK_SECONDS = 30.0
_POLL_SECONDS = 0.2


class StateFolderError(SyncError):
    """The state folder can't be made or must not be trusted."""


class BusyError(SyncError):
    """Another run works with the same journal: the one of `process`, where its number is known."""

    def __init__(self, message: str, process: Optional[int] = None) -> None:
        super().__init__(message)
        self.process = process


def journal_path(state_dir: str, *, endpoint: str, bucket: str, prefix: str, src: str) -> str:
    """Return the journal's path for one pair of tree and place in a bucket: a readable name that can't clash."""
    identity = "\0".join((endpoint.rstrip("/").lower(), bucket, prefix, os.path.abspath(src)))
    readable = re.sub(r"[^A-Za-z0-9.-]+", "_", bucket)[:63]
    return os.path.join(state_dir, f"sync-{readable}-{hashlib.sha256(identity.encode()).hexdigest()[:12]}.sqlite")


def prepare_folder(state_dir: str) -> None:
    """Make the state folder where it is missing (mode 0700), and refuse one that others can write to.

    Raises:
        StateFolderError: see above, or no permission.
    """
    try:
        os.makedirs(state_dir, mode=0o700, exist_ok=True)
        status = os.stat(state_dir)
    except FileExistsError:
        raise StateFolderError(f"state_dir {state_dir} is not a folder: name another one") from None
    except OSError as error:
        raise StateFolderError(
            f"state_dir {state_dir} can't be made: {error.strerror}. Run as root, or name a folder of your own"
        ) from error
    if status.st_uid not in (0, os.geteuid()) or stat.S_IMODE(status.st_mode) & 0o022:
        raise StateFolderError(
            f"state_dir {state_dir} can be changed by other users: use a folder that belongs to root or to"
            " the user who runs this, with mode 0700"
        )


def create_private(path: str) -> None:
    """Make an empty file with mode 0600 where there is none; SQLite gives its side files the same mode."""
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600))


class Lock:
    """A lock that dies with its process, on a file beside the journal."""

    def __init__(self, path: str, *, seconds: float = LOCK_SECONDS) -> None:
        """Take the lock of the journal at `path`, waiting up to `seconds`.

        Raises:
            BusyError: another run has it still.
        """
        self._descriptor = os.open(f"{path}.lock", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            self._take(path, seconds)
        except BaseException:
            os.close(self._descriptor)
            raise
        os.ftruncate(self._descriptor, 0)
        os.pwrite(self._descriptor, f"{os.getpid()}\n".encode(), 0)

    def _take(self, path: str, seconds: float) -> None:
        end = time.monotonic() + seconds
        while not _try_lock(self._descriptor, fcntl.LOCK_EX):
            if time.monotonic() >= end:
                holder = os.pread(self._descriptor, 32, 0).decode(errors="replace").strip()
                raise BusyError(
                    f"another run (process {holder or 'unknown'}) has been working with the journal {path} for more"
                    f" than {seconds:.0f} s: wait until it has ended, or end it, and run again",
                    int(holder) if holder.isdigit() else None,
                )
            time.sleep(_POLL_SECONDS)

    def release(self) -> None:
        """Let the next run in. The file stays: removing it would let two runs lock two different files."""
        os.close(self._descriptor)


def is_locked(path: str) -> bool:
    """Return whether a run works with the journal at `path` now; nothing is written."""
    try:
        descriptor = os.open(f"{path}.lock", os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        return not _try_lock(descriptor, fcntl.LOCK_SH)
    finally:
        os.close(descriptor)


def _try_lock(descriptor: int, kind: int) -> bool:
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in (errno.EAGAIN, errno.EACCES):
            return False
        raise
    return True
