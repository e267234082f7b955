# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the journal keeps for the next run about a change feed, see `feed.position`."""

from __future__ import annotations

import sqlite3
from typing import Optional

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.journal.database import clear_errors

NAME = "feed_position"


class FeedPosition:
    """Up to where the last complete run has dealt with the changes of a feed, as text. Use it outside of transactions.

    Its methods raise `JournalError`.
    """

    def __init__(self, connection: sqlite3.Connection, path: str) -> None:
        self._connection = connection
        self._path = path

    def get(self) -> Optional[str]:
        """Return the position; None if it is not known."""
        with clear_errors(self._path):
            found = self._connection.execute("SELECT value FROM meta WHERE name=?", (NAME,)).fetchone()
        return str(found[0]) if found else None

    def set(self, position: str) -> None:
        """Record a position durably."""
        with clear_errors(self._path):
            self._connection.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (NAME, position))

    def remove(self) -> None:
        """Record durably that the position is not known."""
        with clear_errors(self._path):
            self._connection.execute("DELETE FROM meta WHERE name=?", (NAME,))
