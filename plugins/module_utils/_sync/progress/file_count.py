# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Counts a tree in a separate process, while the first files are already being sent.

A run's walk is never far ahead of the transfer, so on a first run nothing else shows how many files there are.
"""

from __future__ import annotations

import multiprocessing
import os
import stat
from contextlib import suppress
from typing import NamedTuple, Optional

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.model import SyncError
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.processes.child import tie_to
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.tree.source import Source

_LOWEST_PRIORITY = 19


class Totals(NamedTuple):
    """Number of regular files in a tree, and their size in bytes."""

    files: int
    bytes: int


class FileCount:
    """A count in progress. It has the lowest priority, and ends with the process that started it."""

    def __init__(self, src: str) -> None:
        """Start to count below `src`. Call this while the process has a single thread and no client."""
        self._reading, writing = os.pipe()
        os.set_blocking(self._reading, False)
        self._process = multiprocessing.get_context("fork").Process(
            target=_report_totals, args=(src, writing, os.getpid()), daemon=True
        )
        self._process.start()
        os.close(writing)
        self._totals: Optional[Totals] = None

    def totals(self) -> Optional[Totals]:
        """Return the result when it is available."""
        if self._totals is None:
            with suppress(BlockingIOError, ValueError):
                files, size = os.read(self._reading, 64).split()
                self._totals = Totals(int(files), int(size))
        return self._totals

    def close(self) -> None:
        """End the count, even if it is not finished."""
        os.close(self._reading)
        self._process.kill()
        self._process.join()


def count(src: str) -> Totals:
    """Return how many regular files there are below `src`. What can't be read is not counted.

    Symlinks are never followed, even if one replaces a folder during the count.
    """
    files = size = 0
    try:
        source = Source(src)
    except SyncError:
        return Totals(0, 0)
    for _path, _folders, names, folder in os.fwalk(b".", dir_fd=source.descriptor):
        for name in names:
            with suppress(OSError):
                status = os.stat(name, dir_fd=folder, follow_symlinks=False)
                if stat.S_ISREG(status.st_mode):
                    size += status.st_size
                    files += 1
    source.close()
    return Totals(files, size)


def _report_totals(src: str, writing: int, parent: int) -> None:
    tie_to(parent)
    with suppress(OSError):
        os.nice(_LOWEST_PRIORITY)
    totals = count(src)
    with suppress(OSError):
        os.write(writing, b"%d %d\n" % totals)
    os._exit(0)
