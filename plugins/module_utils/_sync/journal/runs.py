# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the journal remembers of earlier runs."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from typing import NamedTuple

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.journal.clock import Clock
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.journal.database import clear_errors, damaged
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.model import SourceOfTruth

_MOST_NS = 2**63 - 1  # which SQLite can hold


class CompleteRun(NamedTuple):
    """A complete run before the switch: it may have missed files with this ctime or a later one."""

    number: int
    watermark_ns: int


class PastRuns:
    """The runs that a journal remembers. Its methods raise `JournalError`."""

    def __init__(self, connection: sqlite3.Connection, path: str) -> None:
        self._connection = connection
        self._path = path

    def complete(self) -> Iterator[CompleteRun]:
        """Yield the complete runs before the switch, from new to old."""
        with clear_errors(self._path):
            found = self._connection.execute(
                "SELECT id, watermark_ns FROM rounds WHERE source_of_truth=? AND complete=1 ORDER BY id DESC",
                (SourceOfTruth.DISK.value,),
            ).fetchall()
        for number, watermark_ns in found:
            yield CompleteRun(number, nanoseconds(self._path, "rounds.watermark_ns", watermark_ns))

    def set_back_ns(self, clock: Clock) -> int:
        """Return by how much the host's clock was set back since the last run began."""
        with clear_errors(self._path):
            found = self._connection.execute("SELECT value FROM meta WHERE name='clock'").fetchone()
        before = Clock.parsed(str(found[0])) if found else None
        return clock.set_back_ns(before) if before is not None else 0


def nanoseconds(path: str, where: str, found: object) -> int:
    """Return a number from the journal at `path` as it was written: a time since the epoch.

    Raises:
        JournalError: It is something else.
    """
    if isinstance(found, str) and len(found) < 20 and found.isascii() and found.isdecimal():
        found = int(found)
    if not isinstance(found, int) or not 0 <= found <= _MOST_NS:
        raise damaged(path, f"{where} is {str(found)[:40]!r}, which is not a time")
    return found
