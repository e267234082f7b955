# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Keeps two switches of one bucket apart, and lets other tasks wait until a switch has ended."""

from __future__ import annotations

import os
import typing as t
from contextlib import contextmanager

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._files.errors import FileError, MissingError
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._files.locking import wait_for_lock
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._files.private import (
    open_private_file,
    private_folder,
)
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._files.walk import open_folder
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._migration.store import StateError


def lock_name(bucket: str) -> str:
    """Return the name of the lock's file in the state folder."""
    return f"{bucket}.switch.lock"


@contextmanager
def switch_lock(state_dir: str, bucket: str, seconds: float) -> t.Iterator[None]:
    """Hold the lock until the end of the block, or of this process.

    Args:
        state_dir: The state folder.
        bucket: The bucket's name.
        seconds: How long to wait for another process.

    Raises:
        StateError: Another process still holds it, or the state folder can't be used.
    """
    try:
        with private_folder(state_dir) as folder:
            descriptor = open_private_file(folder, lock_name(bucket))
    except FileError as error:
        raise StateError(f"state_dir: {error}") from error
    try:
        _wait(descriptor, os.path.join(state_dir, lock_name(bucket)), seconds)
        yield
    finally:
        os.close(descriptor)


def wait_for_switch(state_dir: str, bucket: str, seconds: float) -> bool:
    """Wait until no process holds the lock, and return whether one did. Creates nothing.

    Raises:
        StateError: A process still holds it, or the state folder can't be used.
    """
    if "/" in bucket:
        return False
    try:
        with open_folder(state_dir, private=True) as folder:
            if folder.status_of(lock_name(bucket)) is None:
                return False
            descriptor = open_private_file(folder, lock_name(bucket))
    except MissingError:
        return False
    except FileError as error:
        raise StateError(f"state_dir: {error}") from error
    try:
        return _wait(descriptor, os.path.join(state_dir, lock_name(bucket)), seconds)
    finally:
        os.close(descriptor)


def _wait(descriptor: int, path: str, seconds: float) -> bool:
    """Take the lock, and return whether that took waiting."""
    try:
        return wait_for_lock(descriptor, seconds)
    except TimeoutError as error:
        raise StateError(
            f"an earlier run is still switching this instance on the host, and did not end within {seconds:.0f} s;"
            f" wait for its end and run this again (lslocks shows the process that holds {path})"
        ) from error
