# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Decides what to do with an object. Pure: no file is opened, no request sent."""

from __future__ import annotations

import os
import stat
import unicodedata
from enum import Enum
from typing import Optional

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.model import (
    Listed,
    Row,
    RowState,
    storable_ns,
)

# NAME_MAX and PATH_MAX of limits.h. A path below the folder has to leave room for the folder's own.
_MOST_NAME_BYTES = 255
_MOST_KEY_BYTES = 3000


class UnusableKeyError(Exception):
    """A key that can't be the path of a file below a folder. The text says why."""


class Decision(str, Enum):
    """What comes next for an object."""

    FETCH = "fetch"  # there is no file
    COMPARE = "compare"  # the file has the object's size
    REPLACE = "replace"  # the file has another size and is older
    LEAVE = "leave"  # the file has another size and is newer
    NOTHING = "nothing"  # this module wrote the file from this object
    REFUSE = "refuse"  # something that is no regular file is there


def parts_of(key: str) -> list[str]:
    """Return the folders and the name of the file for a key.

    Raises:
        UnusableKeyError: The key leads out of the folder, or has a name that no file should have.
    """
    parts = key.split("/")
    if "" in parts:
        raise UnusableKeyError("an absolute path or an empty name: two slashes, or one at the beginning or end")
    if "." in parts or ".." in parts:
        raise UnusableKeyError("'.' or '..' as a name")
    if any(unicodedata.category(character) in ("Cc", "Zl", "Zp") for character in key):
        raise UnusableKeyError("a control character")
    try:
        longest, whole = max(len(part.encode()) for part in parts), len(key.encode())
    except UnicodeEncodeError:
        raise UnusableKeyError("not valid UTF-8") from None
    if longest > _MOST_NAME_BYTES or whole > _MOST_KEY_BYTES:
        raise UnusableKeyError(
            f"a name of more than {_MOST_NAME_BYTES} bytes, or a path of more than {_MOST_KEY_BYTES}"
        )
    return parts


def decide(found: Listed, status: Optional[os.stat_result]) -> Decision:
    """Return what to do with an object, given the status of the file with its name (None: there is nothing)."""
    if status is None:
        return Decision.FETCH
    if not stat.S_ISREG(status.st_mode):
        return Decision.REFUSE
    if status.st_size == found.size:
        return Decision.NOTHING if int(found.modified) == status.st_mtime_ns // 10**9 else Decision.COMPARE
    return decide_by_age(found, status)


def decide_by_age(found: Listed, status: os.stat_result) -> Decision:
    """Return what to do with an object whose content differs from that of its file: the newer one stays."""
    return Decision.REPLACE if found.modified > status.st_mtime_ns / 10**9 else Decision.LEAVE


def is_as_sent(row: Optional[Row], found: Listed) -> bool:
    """Return whether an object is still the one that the journal knows."""
    return row is not None and row.state == RowState.DONE and (row.size, row.etag) == (found.size, found.etag)


def was_deleted(row: Row) -> bool:
    """Return whether a key of the journal that the bucket does not have was deleted there."""
    return row.state == RowState.DONE


def is_file_as_sent(row: Row, status: os.stat_result) -> bool:
    """Return whether a file is still the one that the journal knows."""
    return (
        stat.S_ISREG(status.st_mode) and row.size == status.st_size and row.mtime_ns == storable_ns(status.st_mtime_ns)
    )
