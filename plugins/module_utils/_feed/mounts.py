# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is mounted at and below a folder, and an open folder of each mount."""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import suppress

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._feed.errors import UnsupportedError
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._mountinfo import MOUNTINFO, Mount, at_and_below

# Others are remote, have several writers, or were not tried.
_FOLLOWED = ("btrfs", "ext2", "ext3", "ext4", "tmpfs", "xfs")
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def parse(lines: Iterable[bytes], path: bytes) -> list[Mount]:
    """Return the mount that `path` is on, first, and all below it, see `at_and_below`."""
    around, below = at_and_below(lines, path)
    return [around, *below] if around is not None else below


def mounts_at(path: str) -> list[Mount]:
    """Return what is mounted at and below a real path now.

    Raises:
        OSError: /proc is not mounted.
    """
    with open(MOUNTINFO, "rb") as lines:
        return parse(lines, os.fsencode(path))


def places(mounted: list[Mount]) -> list[list[str]]:
    """Return what identifies the mounts in every mount namespace: device, mounted folder, and place of each."""
    return [[mount.device, os.fsdecode(mount.root), os.fsdecode(mount.point)] for mount in mounted]


def check_kind(mount: Mount) -> None:
    """Refuse a file system whose changes can't be followed.

    Raises:
        UnsupportedError: Names it.
    """
    if mount.kind not in _FOLLOWED:
        raise UnsupportedError(
            f"changes in {os.fsdecode(mount.point)} can't be followed: its file system is {mount.kind}, and only"
            f" {', '.join(_FOLLOWED)} are known to report all changes"
        )


def open_mount(mount: Mount, root: int, path: str) -> int:
    """Open the top of a mount below `path`, whose descriptor is `root`; -1 if another mount hides it."""
    if os.fsencode(path).rstrip(b"/").startswith(mount.point.rstrip(b"/")):
        return os.dup(root)
    with suppress(FileNotFoundError, NotADirectoryError):
        descriptor = os.open(mount.point, _FOLDER)
        if mount_number(descriptor) == mount.number:
            return descriptor
        os.close(descriptor)
    return -1


def mount_number(descriptor: int) -> int:
    """Return the number of the mount through which a file is open.

    Raises:
        OSError: /proc is not mounted.
    """
    with open(f"/proc/self/fdinfo/{descriptor}", encoding="ascii") as lines:
        for line in lines:
            name, _colon, value = line.partition(":")
            if name == "mnt_id":
                return int(value)
    return -1
