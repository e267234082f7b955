# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The journal's file as a database: made, opened for a run or only for looking, and its troubles in clear words."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.journal.statefiles import (
    create_private,
    is_locked,
)
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.model import SyncError

SCHEMA_VERSION = 2
_APPLICATION_ID = 0x4D533353  # "MS3S", so that a foreign database is never mistaken for a journal

_SCHEMA = """
CREATE TABLE objects(
    key TEXT PRIMARY KEY, size INTEGER NOT NULL, mtime_ns INTEGER NOT NULL, ctime_ns INTEGER NOT NULL,
    mode INTEGER NOT NULL, digest TEXT NOT NULL, etag TEXT NOT NULL, applied TEXT NOT NULL, headers TEXT NOT NULL,
    state TEXT NOT NULL, ours INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE doomed(key TEXT PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE rounds(
    id INTEGER PRIMARY KEY, authority TEXT NOT NULL, started_ns INTEGER NOT NULL, finished_ns INTEGER,
    watermark_ns INTEGER NOT NULL, complete INTEGER NOT NULL
);
CREATE TABLE meta(name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
"""
_DISTRUSTED = "INSERT OR REPLACE INTO meta VALUES ('needs_listing', '1');"
_LEAST_ROOM = 1024 * 1024  # bytes


class JournalError(SyncError):
    """The journal can't be read or written."""


def open_for_run(path: str, identity: Mapping[str, str]) -> sqlite3.Connection:
    """Open the journal's file for writing, and make it where there is none. The caller holds its lock.

    Raises:
        JournalError: it is damaged, foreign or newer than this module, or its disk is full.
    """
    with clear_errors(path):
        create_private(path)
        connection = sqlite3.connect(path, isolation_level=None)
        try:
            connection.execute("PRAGMA journal_mode=WAL")
            # The write-ahead promise must also hold after a power failure.
            connection.execute("PRAGMA synchronous=FULL")
            if _is_blank(connection):
                marks = f"PRAGMA application_id={_APPLICATION_ID};PRAGMA user_version={SCHEMA_VERSION};"
                connection.executescript(f"BEGIN;{_SCHEMA}{_DISTRUSTED}{marks}COMMIT;")
                connection.executemany("INSERT INTO meta VALUES (?,?)", list(identity.items()))
            _renew_old(connection, path)
            _check_version(connection, path)
        except BaseException:
            connection.close()
            raise
    return connection


def open_for_looking(path: str) -> sqlite3.Connection:
    """Open the journal's file so that nothing at all is written; where there is none, an empty one in memory.

    Raises:
        JournalError: as `open_for_run`.
    """
    logged = _has_content(f"{path}-wal")
    if not _has_content(path) and not logged:
        return _empty()
    # Without a running writer and a write-ahead log, even SQLite's own side files can be done without.
    quiet = not logged and not is_locked(path)
    escaped = path.replace("%", "%25").replace("?", "%3f").replace("#", "%23")
    with clear_errors(path):
        location = f"file:{escaped}?mode=ro{'&immutable=1' if quiet else ''}"
        connection = sqlite3.connect(location, uri=True, isolation_level=None)
        try:
            if not _is_blank(connection):
                if _is_old(connection):
                    _refuse_switched(connection, path)
                    connection.close()
                    return _empty()
                _check_version(connection, path)
                return connection
        except BaseException:
            connection.close()
            raise
    connection.close()
    return _empty()


@contextmanager
def clear_errors(path: str) -> Iterator[None]:
    """Turn the errors of SQLite and of the file system into `JournalError`, with their remedy."""
    try:
        yield
    except sqlite3.Error as error:
        if "full" in str(error) or ("I/O" in str(error) and _has_no_room(path)):
            remedy = "make room on its file system and run again, nothing that was done is lost"
        elif isinstance(error, sqlite3.OperationalError):
            remedy = "check the folder's permissions and its file system"
        else:
            remedy = "it is damaged; before the switch it can be moved away, then everything is sent once more"
        raise JournalError(f"the journal {path} can't be used ({error}): {remedy}") from error
    except OSError as error:
        raise JournalError(f"the journal {path} can't be used: {error.strerror}. Check state_dir") from error


def _has_no_room(path: str) -> bool:
    """Return whether the disk is so full that SQLite may call it an I/O error, as it does for its side files."""
    try:
        found = os.statvfs(os.path.dirname(path))
    except OSError:
        return False
    return found.f_bavail * found.f_frsize < _LEAST_ROOM


def number(connection: sqlite3.Connection, statement: str) -> int:
    """Return the one number that a statement yields."""
    return int(connection.execute(statement).fetchone()[0])


def _empty() -> sqlite3.Connection:
    connection = sqlite3.connect(":memory:", isolation_level=None)
    connection.executescript(_SCHEMA + _DISTRUSTED)
    return connection


def _is_blank(connection: sqlite3.Connection) -> bool:
    made = number(connection, "PRAGMA user_version")
    return made == 0 and number(connection, "SELECT count(*) FROM sqlite_master") == 0


def _is_old(connection: sqlite3.Connection) -> bool:
    ours = number(connection, "PRAGMA application_id") == _APPLICATION_ID
    return ours and number(connection, "PRAGMA user_version") < SCHEMA_VERSION


def _refuse_switched(connection: sqlite3.Connection, path: str) -> None:
    if number(connection, "SELECT count(*) FROM meta WHERE name='switched_ns'"):
        raise JournalError(
            f"the journal {path} was made by an older release of the collection, and the bucket is the truth by now: go"
            " on with that release"
        )


def _renew_old(connection: sqlite3.Connection, path: str) -> None:
    """Begin anew what an older release wrote; a listing of the bucket tells what it knew.

    Not after the switch, when the bucket can't tell any more what was sent to it.
    """
    if not _is_old(connection):
        return
    _refuse_switched(connection, path)
    tables = ("objects", "doomed", "rounds")
    drop = "".join(f"DROP TABLE IF EXISTS {name};" for name in tables)
    schema = _SCHEMA.replace("CREATE TABLE meta", "CREATE TABLE IF NOT EXISTS meta")
    marks = f"PRAGMA user_version={SCHEMA_VERSION};"
    connection.executescript(f"BEGIN;{drop}{schema}{_DISTRUSTED}{marks}COMMIT;")


def _check_version(connection: sqlite3.Connection, path: str) -> None:
    if number(connection, "PRAGMA application_id") != _APPLICATION_ID:
        raise JournalError(f"{path} is not a journal of this module: move it away, or name another state_dir")
    version = number(connection, "PRAGMA user_version")
    if version != SCHEMA_VERSION:
        raise JournalError(
            f"the journal {path} has version {version}, this module knows {SCHEMA_VERSION}: it was made by a newer"
            " release of the collection, use that one"
        )


def _has_content(path: str) -> bool:
    try:
        return os.path.getsize(path) > 0
    except OSError:
        return False
