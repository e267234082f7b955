# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Finds out how exact file times are: the file system's granularity, and how far its clock may differ from the host's.

No system call reports the granularity. A time with a fraction of a second shows that the file system stores fractions.
Until such a time is seen, whole seconds are assumed, as on ext4 with inodes of 128 bytes.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
from itertools import islice

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._mountinfo import MOUNTINFO, at_and_below

_SECOND_NS = 10**9
# The kernel's clock for files goes on once in 10 ms at least (CONFIG_HZ=100).
TICK_NS = 50 * 10**6
_LAG_NS = 50 * 10**6
# The coarsest that is in use: FAT. Most round to one second, and some up.
COARSE_NS = 2 * _SECOND_NS
# A file server has its own clock.
REMOTE_NS = 600 * _SECOND_NS

_LOCAL = ("bcachefs", "btrfs", "ext2", "ext3", "ext4", "f2fs", "overlay", "tmpfs", "xfs", "zfs")
_LOOKED_AT = 100


def step_ns(stamp_ns: int) -> int:
    """Return how long a file that is changed again may keep the same time."""
    return COARSE_NS if stamp_ns % _SECOND_NS == 0 else TICK_NS


def lag_ns(path: str) -> int:
    """Return by how much the time of a new file below `path` may lag behind the host's clock.

    `path` is a real one. The worst of all file systems that are mounted at or below `path` counts.
    """
    try:
        with open(MOUNTINFO, "rb") as lines:
            mounts = list(mounts_of(path, lines))
    except OSError:
        return REMOTE_NS
    if any(kind not in _LOCAL for _point, kind in mounts):
        return REMOTE_NS
    return max((_LAG_NS if keeps_parts(point) else _LAG_NS + COARSE_NS for point, _kind in mounts), default=REMOTE_NS)


def mounts_of(path: str, lines: Iterable[bytes]) -> Iterator[tuple[str, str]]:
    """Yield where a walk of `path` enters a file system, and its type: at `path` itself, and what is mounted below it.

    lines: those of /proc/self/mountinfo, see proc(5).
    """
    here, found = at_and_below(lines, os.fsencode(path))
    below = {os.fsdecode(mount.point): mount.kind for mount in found}  # the last one covers those before it
    yield path, here.kind if here is not None else ""
    yield from below.items()


def keeps_parts(path: str) -> bool:
    """Return whether a folder of a file system and its content show that it stores fractions of a second."""
    with suppress(OSError):
        here = os.lstat(path)
        if here.st_ctime_ns % _SECOND_NS:
            return True
        with os.scandir(path) as found:
            for entry in islice(found, _LOOKED_AT):
                status = entry.stat(follow_symlinks=False)
                if status.st_dev == here.st_dev and status.st_ctime_ns % _SECOND_NS:
                    return True
    return False
