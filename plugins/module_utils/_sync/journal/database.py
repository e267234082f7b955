# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The journal's file as a database: created, opened for a run or for reading, with clear errors."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.journal.statefiles import (
    check_files,
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
CREATE TABLE marked_for_deletion(key TEXT PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE rounds(
    id INTEGER PRIMARY KEY, source_of_truth TEXT NOT NULL, started_ns INTEGER NOT NULL, finished_ns INTEGER,
    watermark_ns INTEGER NOT NULL, complete INTEGER NOT NULL
);
CREATE TABLE meta(name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
"""
_DISTRUSTED = "INSERT OR REPLACE INTO meta VALUES ('needs_listing', '1');"
_LEAST_ROOM = 1024 * 1024  # bytes


DAMAGED = (
    "it is damaged; restore it from a backup or, if Mastodon was not switched to the bucket yet, move it away: the next"
    " run then lists the bucket instead"
)


class JournalError(SyncError):
    """The journal can't be read or written."""


def open_for_run(path: str, identity: Mapping[str, str]) -> sqlite3.Connection:
    """Open the journal's file for writing, and create it if it is missing. The caller holds its lock.

    Raises:
        JournalError: It is damaged, of another program, newer than this module, or its disk is full.
        StateFolderError: It can't be created, or something else is in its place.
    """
    made = create_private(path)
    try:
        return _opened_for_run(path, identity)
    except BaseException:
        if made:
            _remove(path)  # since it is empty
        raise


def _opened_for_run(path: str, identity: Mapping[str, str]) -> sqlite3.Connection:
    with clear_errors(path):
        connection = sqlite3.connect(path, isolation_level=None)
        try:
            connection.execute("PRAGMA journal_mode=WAL")
            # Recorded intents must also survive a power failure.
            connection.execute("PRAGMA synchronous=FULL")
            if _is_blank(connection):
                marks = f"PRAGMA application_id={_APPLICATION_ID};PRAGMA user_version={SCHEMA_VERSION};"
                connection.executescript(f"BEGIN;{_SCHEMA}{_DISTRUSTED}{marks}")
                # In the same transaction: a journal without its identity could not be found again.
                connection.executemany("INSERT INTO meta VALUES (?,?)", list(identity.items()))
                connection.execute("COMMIT")
            _renew_old(connection, path)
            _check_version(connection, path)
        except BaseException:
            connection.close()
            raise
    return connection


def open_for_looking(path: str) -> sqlite3.Connection:
    """Open the journal's file without writing anything at all; if it is missing, open an empty one in memory.

    Raises:
        JournalError, StateFolderError: See `open_for_run`.
    """
    if not check_files(path):
        return _empty()
    logged = _has_content(f"{path}-wal")
    if not _has_content(path) and not logged:
        return _empty()
    # Without a running writer and a write-ahead log, SQLite does not need its side files.
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
    """Translate errors of SQLite and of the file system into `JournalError`, with their remedy."""
    try:
        yield
    except sqlite3.Error as error:
        if isinstance(error, sqlite3.OperationalError) and "UTF-8" in str(error):
            remedy = DAMAGED
        elif "full" in str(error) or ("I/O" in str(error) and _has_no_room(path)):
            remedy = "make room on its file system and run again, nothing that was done is lost"
        elif isinstance(error, sqlite3.OperationalError):
            remedy = "check the folder's permissions and its file system"
        else:
            remedy = DAMAGED
        raise JournalError(f"the journal {path} can't be used ({error}): {remedy}") from error
    except (OverflowError, UnicodeError) as error:
        raise damaged(path, str(error)) from error
    except OSError as error:
        raise JournalError(f"the journal {path} can't be used: {error.strerror}. Check state_dir") from error


def damaged(path: str, what: str) -> JournalError:
    """Return the error for a journal that contains something this module never writes."""
    return JournalError(f"the journal {path} can't be used ({what}): {DAMAGED}")


def _remove(path: str) -> None:
    for suffix in ("-wal", "-shm", "-journal", ""):
        with suppress(OSError):
            os.unlink(path + suffix)


def _has_no_room(path: str) -> bool:
    """Return whether the disk is so full that SQLite may report an I/O error, as it does for its side files."""
    try:
        found = os.statvfs(os.path.dirname(path))
    except OSError:
        return False
    return found.f_bavail * found.f_frsize < _LEAST_ROOM


def _tables(connection: sqlite3.Connection) -> set[tuple[str, str]]:
    found = connection.execute("SELECT name, sql FROM sqlite_master WHERE type != 'index' OR sql IS NOT NULL")
    return {(name, " ".join(sql.split())) for name, sql in found if not name.startswith("sqlite_")}


def _own_tables() -> set[tuple[str, str]]:
    connection = _empty()
    try:
        return _tables(connection)
    finally:
        connection.close()


def number(connection: sqlite3.Connection, statement: str) -> int:
    """Return the single number that a statement returns, or 0 for anything else."""
    found = connection.execute(statement).fetchone()[0]
    return found if isinstance(found, int) else 0


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
    """Start a new journal in place of an older release's; a listing of the bucket shows what the old one knew.

    This is not possible after the switch, when the bucket no longer shows what was sent to it.
    """
    if not _is_old(connection):
        return
    _refuse_switched(connection, path)
    tables = ("objects", "marked_for_deletion", "rounds")
    drop = "".join(f"DROP TABLE IF EXISTS {name};" for name in tables)
    schema = _SCHEMA.replace("CREATE TABLE meta", "CREATE TABLE IF NOT EXISTS meta")
    marks = f"PRAGMA user_version={SCHEMA_VERSION};"
    connection.executescript(f"BEGIN;{drop}{schema}{_DISTRUSTED}{marks}COMMIT;")


def _check_version(connection: sqlite3.Connection, path: str) -> None:
    if number(connection, "PRAGMA application_id") != _APPLICATION_ID:
        raise JournalError(f"{path} is not a journal of this module: move it away, or name another state_dir")
    version = number(connection, "PRAGMA user_version")
    if version == SCHEMA_VERSION and _tables(connection) != _own_tables():
        raise damaged(path, "it has unexpected tables")
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
