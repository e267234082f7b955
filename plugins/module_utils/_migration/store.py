# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Reads and writes the record of a migration in the state folder, and rebuilds a damaged record."""

from __future__ import annotations

import os
import re
import sqlite3
import typing as t
from dataclasses import dataclass
from datetime import datetime, timezone

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._files.errors import FileError, MissingError
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._files.folder import Folder
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._files.private import (
    private_folder,
    read_private_file,
    write_private_file,
)
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._files.walk import open_folder
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._migration.record import (
    NewerRecordError,
    Record,
    RecordError,
    parse,
    rebuilt,
    successor,
)
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.journal.database import open_for_looking
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.model import SyncError

_LIMIT = 1024 * 1024
_META = "SELECT name, value FROM meta WHERE name IN ('bucket', 'prefix', 'switched_ns')"


class StateError(Exception):
    """The state folder or the record in it can't be used. The text names the path and the remedy."""


@dataclass(frozen=True)
class StoredState:
    """The content of the state folder.

    Attributes:
        record: The record; None if there is none yet.
        damage: What is wrong with the record's file, if it was rebuilt; otherwise an empty string.
    """

    record: Record | None
    damage: str = ""


@dataclass(frozen=True)
class RecordLocation:
    """Whose record it is, and what the env file says.

    Attributes:
        state_dir: The state folder.
        bucket: The bucket's name.
        key_prefix: What all keys begin with.
        uses_bucket: The env file has Mastodon use this bucket.
        permission: S3_PERMISSION of the env file; None where it is not set.
    """

    state_dir: str
    bucket: str
    key_prefix: str = ""
    uses_bucket: bool = False
    permission: str | None = None

    @property
    def name(self) -> str:
        """The name of the record's file in the state folder."""
        return f"{self.bucket}.switch.json"

    @property
    def path(self) -> str:
        """The record's file, for messages."""
        return os.path.join(self.state_dir, self.name)


def create_folder(state_dir: str) -> None:
    """Create the state folder if it is missing, for root only.

    Raises:
        StateError: It can't be created, or others can change it.
    """
    try:
        private_folder(state_dir).close()
    except FileError as error:
        raise StateError(f"state_dir: {error}") from error


def folder_is_missing(state_dir: str) -> bool:
    """Return whether there is no state folder yet.

    Raises:
        StateError: Others can change it, or it is no folder.
    """
    folder = _opened(state_dir)
    if folder is not None:
        folder.close()
    return folder is None


def read(location: RecordLocation) -> StoredState:
    """Return the record, rebuilt from the journal of the copy and the env file where it is damaged. Writes nothing.

    Raises:
        StateError: Others can change the folder, or the record is damaged and nothing tells what it said.
    """
    folder = _opened(location.state_dir)
    if folder is None:
        return StoredState(None)
    if "/" in location.bucket:
        # No bucket has such a name, which would lead to another folder; so no record can have been written.
        folder.close()
        return StoredState(None)
    with folder:
        try:
            if folder.status_of(location.name) is None:
                return StoredState(None)
            data = read_private_file(folder, location.name, _LIMIT)
        except FileError as error:
            raise StateError(f"The record of the migration can't be used: {error}") from error
        try:
            return StoredState(parse(data))
        except RecordError as error:
            return StoredState(_rebuilt(location, error), str(error))


def write(location: RecordLocation, record: Record) -> Record:
    """Write the record atomically and durably; return it with the time of its state.

    Raises:
        StateError: See `read`, or the disk is full or read-only, or this is no name of a bucket.
    """
    if "/" in location.bucket:
        raise StateError(f"bucket {location.bucket!r} is not a bucket's name, as it contains a slash; correct it")
    written = successor(read(location).record, record, datetime.now(timezone.utc))
    try:
        with private_folder(location.state_dir) as folder:
            write_private_file(folder, location.name, written.serialized())
    except FileError as error:
        raise StateError(f"The record of the migration can't be written: {error}") from error
    return written


def _opened(state_dir: str) -> Folder | None:
    try:
        return open_folder(state_dir, private=True)
    except MissingError:
        return None
    except FileError as error:
        raise StateError(f"state_dir: {error}") from error


def _rebuilt(location: RecordLocation, damage: RecordError) -> Record:
    if isinstance(damage, NewerRecordError):
        raise StateError(f"The record {location.path} {damage}") from damage
    found = rebuilt(
        location.bucket,
        location.key_prefix,
        uses_bucket=location.uses_bucket,
        switched=_switched(location),
        permission=location.permission,
    )
    if found is None:
        raise StateError(
            f"The record {location.path} {damage}, and it can't be determined from other files whether this role moved"
            f" the media to the bucket '{location.bucket}' of the env file. Restore the folder {location.state_dir}"
            " from a backup. If the media are still on disk, set S3_ENABLED=false, restart Mastodon and remove the"
            " record instead"
        ) from damage
    return found


def _switched(location: RecordLocation) -> bool | None:
    """Return whether a journal of this bucket and prefix has seen the switch; None where there is no such journal."""
    readable = re.sub(r"[^A-Za-z0-9.-]+", "_", location.bucket)[:63]
    pattern = re.compile(rf"sync-{re.escape(readable)}-[0-9a-f]{{12}}\.sqlite")
    prefix = location.key_prefix.strip("/")
    switched = [
        "switched_ns" in meta
        for name in sorted(os.listdir(location.state_dir))
        if pattern.fullmatch(name)
        for meta in [_meta(os.path.join(location.state_dir, name))]
        if meta.get("bucket") == location.bucket and str(meta.get("prefix", "")).strip("/") == prefix
    ]
    return any(switched) if switched else None


def _meta(path: str) -> dict[str, t.Any]:
    # The folder is safe from other users, so the path leads where it did.
    try:
        connection = open_for_looking(path)
        try:
            return dict(connection.execute(_META).fetchall())
        finally:
            connection.close()
    except (sqlite3.Error, SyncError):
        return {}
