# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Asks runs in other processes to stop, and waits for them. Never signals an unrelated process that reuses a PID."""

from __future__ import annotations

import os
import signal
import time
from typing import NamedTuple, Optional

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.journal.statefiles import (
    holder_of,
    journals_in,
    lock_path,
)
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.model import SyncError

_POLL_SECONDS = 0.2


class AskedRun(NamedTuple):
    """A run that was found. `ended` is None if it was not asked to end."""

    journal: str
    process: int
    ended: Optional[bool]


def stop_runs(state_dir: str, seconds: float, *, check: bool = False) -> list[AskedRun]:
    """Ask all runs with a journal in `state_dir` to end, and wait for them up to `seconds` in total.

    check: Only report which runs there are.

    Raises:
        StateFolderError: The folder can't be trusted.
        SyncError: The process of a run can't be identified with certainty, or can't be signalled.
    """
    found = [
        (journal, process)
        for journal in journals_in(state_dir)
        for process in [holder_of(journal)]
        if process is not None
    ]
    if check:
        return [AskedRun(journal, process, None) for journal, process in found]
    for journal, process in found:
        _ask(journal, process)
    end = time.monotonic() + seconds
    return [AskedRun(journal, process, _has_ended(journal, process, end)) for journal, process in found]


def _ask(journal: str, process: int) -> None:
    """Send SIGTERM to the process that holds the lock of `journal`."""
    try:
        handle = os.pidfd_open(process) if process else -1
    except ProcessLookupError:
        return
    except (OSError, AttributeError) as error:
        raise SyncError(
            f"process {process} can't be signalled safely ({error}): this needs Linux 5.3. Stop it manually:"
            f" kill {process}"
        ) from error
    if handle < 0:
        raise SyncError(
            f"the lock of {journal} does not contain a PID: find the process with lslocks, and stop it manually"
        )
    try:
        # From here on the number can't pass to another process unnoticed, so what is found out now holds.
        if holder_of(journal) != process:
            return
        if not _has_open(process, lock_path(journal)):
            raise SyncError(
                f"the lock of {journal} contains the PID {process}, but that process does not have the file open, so it"
                " is a different one. Find the right process with lslocks, and stop it manually"
            )
        signal.pidfd_send_signal(handle, signal.SIGTERM)
    except ProcessLookupError:
        pass
    except PermissionError as error:
        raise SyncError(
            f"process {process} can't be signalled: {error.strerror}. Run as root or as its user"
        ) from error
    finally:
        os.close(handle)


def _has_open(process: int, path: str) -> bool:
    try:
        wanted = os.stat(path, follow_symlinks=False)
        descriptors = os.listdir(f"/proc/{process}/fd")
    except FileNotFoundError:
        return False
    for descriptor in descriptors:
        try:
            found = os.stat(f"/proc/{process}/fd/{descriptor}")
        except OSError:
            continue
        if (found.st_dev, found.st_ino) == (wanted.st_dev, wanted.st_ino):
            return True
    return False


def _has_ended(journal: str, process: int, end: float) -> bool:
    while holder_of(journal) == process:
        left = end - time.monotonic()
        if left <= 0:
            return False
        time.sleep(min(left, _POLL_SECONDS))
    return True
