# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Counts a tree in a process of its own, while the first files are already being sent.

The walk of a run is never far ahead of what is sent, so on a first run nobody else knows how much there is.
"""

from __future__ import annotations

import multiprocessing
import os
from contextlib import suppress
from typing import NamedTuple, Optional

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.processes.child import tie_to

_LOWEST_PRIORITY = 19


class Totals(NamedTuple):
    """Number of regular files in a tree, and their size."""

    files: int
    bytes: int


class Census:
    """A count under way. It has the lowest priority, and ends with the process that began it."""

    def __init__(self, src: str) -> None:
        """Begin to count below `src`; to be called while the process has a single thread and no client."""
        self._reading, writing = os.pipe()
        os.set_blocking(self._reading, False)
        self._process = multiprocessing.get_context("fork").Process(
            target=_report_totals, args=(src, writing, os.getpid()), daemon=True
        )
        self._process.start()
        os.close(writing)
        self._totals: Optional[Totals] = None

    def totals(self) -> Optional[Totals]:
        """Return the result once there is one."""
        if self._totals is None:
            with suppress(BlockingIOError, ValueError):
                files, size = os.read(self._reading, 64).split()
                self._totals = Totals(int(files), int(size))
        return self._totals

    def close(self) -> None:
        """End the count, whether it is finished or not."""
        os.close(self._reading)
        self._process.kill()
        self._process.join()


def count(src: str) -> Totals:
    """Return how many regular files there are below `src`; what can't be read is not counted."""
    files = size = 0
    folders = [os.fsencode(src)]
    while folders:
        with suppress(OSError), os.scandir(folders.pop()) as found:
            for entry in found:
                if entry.is_dir(follow_symlinks=False):
                    folders.append(entry.path)
                elif entry.is_file(follow_symlinks=False):
                    with suppress(OSError):
                        size += entry.stat(follow_symlinks=False).st_size
                        files += 1
    return Totals(files, size)


def _report_totals(src: str, writing: int, parent: int) -> None:
    tie_to(parent)
    with suppress(OSError):
        os.nice(_LOWEST_PRIORITY)
    totals = count(src)
    with suppress(OSError):
        os.write(writing, b"%d %d\n" % totals)
    os._exit(0)
