# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The names that have changed, each with the time of its last change: limited in memory and on disk.

They are in a temporary database without a name in any folder. Until it is large, SQLite keeps it in memory. When the
process ends, however it ends, nothing is left.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterable

MOST_BYTES = 256 * 1024 * 1024
PAGE_NAMES = 1000
_CACHE_KIB = 8 * 1024


class Names:
    """Keys that have changed, as bytes. One with a slash at the end means all keys that begin with it.

    Times are numbers that only grow. All methods can raise sqlite3.Error.
    """

    def __init__(self, folder: str) -> None:
        """`folder`: where the temporary file is, once it is needed."""
        os.environ["SQLITE_TMPDIR"] = folder  # SQLite has no other way to say this
        self._database = _new()

    def add(self, keys: Iterable[bytes], time: int) -> None:
        """Add keys that have changed at a time."""
        self._database.execute("BEGIN")
        self._database.executemany(
            "INSERT INTO names VALUES (?, ?) ON CONFLICT(key) DO UPDATE SET time=excluded.time",
            ((key, time) for key in keys),
        )
        self._database.execute("COMMIT")

    def page(self, since: int, after: bytes) -> list[bytes]:
        """Return the next keys behind `after` that have changed after the time `since`, in order; none at the end."""
        found = self._database.execute(
            "SELECT key FROM names WHERE key > ? AND time > ? ORDER BY key LIMIT ?", (after, since, PAGE_NAMES)
        )
        return [key for (key,) in found]

    def forget(self, until: int) -> None:
        """Remove all keys that have not changed after a time."""
        self._database.execute("DELETE FROM names WHERE time <= ?", (until,))
        if self._database.execute("SELECT NOT EXISTS (SELECT 1 FROM names)").fetchone()[0]:
            self.clear()

    def clear(self) -> None:
        """Remove all keys, and release the space on disk."""
        self._database.close()
        self._database = _new()

    def count(self) -> int:
        """Return how many keys there are."""
        return int(self._database.execute("SELECT count(*) FROM names").fetchone()[0])

    def is_full(self) -> bool:
        """Return whether they take all the space that they may."""
        used, size = (
            int(self._database.execute(f"PRAGMA {name}").fetchone()[0]) for name in ("page_count", "page_size")
        )
        free = int(self._database.execute("PRAGMA freelist_count").fetchone()[0])
        return (used - free) * size > MOST_BYTES

    def close(self) -> None:
        """Remove everything."""
        self._database.close()


def _new() -> sqlite3.Connection:
    database = sqlite3.connect("", isolation_level=None)
    database.execute("PRAGMA journal_mode=OFF")
    database.execute(f"PRAGMA cache_size=-{_CACHE_KIB}")
    database.execute("CREATE TABLE names(key BLOB PRIMARY KEY, time INTEGER NOT NULL) WITHOUT ROWID")
    return database
