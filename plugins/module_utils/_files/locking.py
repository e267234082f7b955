# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Waits for the lock of an open file or folder."""

from __future__ import annotations

import errno
import fcntl
import time

_POLL_SECONDS = 0.05


def wait_for_lock(descriptor: int, seconds: float) -> bool:
    """Take the exclusive lock, and return whether another process had it. It ends when the descriptor is closed.

    Args:
        descriptor: The open file or folder.
        seconds: How long to wait for another process.

    Raises:
        TimeoutError: Another process still has it.
        OSError: This file system can't lock it.
    """
    end, waited = time.monotonic() + seconds, False
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno not in (errno.EWOULDBLOCK, errno.EACCES, errno.EINTR):
                raise
        else:
            return waited
        if time.monotonic() >= end:
            raise TimeoutError
        waited = True
        time.sleep(_POLL_SECONDS)
