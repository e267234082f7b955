# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Checks rows of the journal before anything is derived from them."""

from __future__ import annotations

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.journal.database import damaged
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.model import Row, RowState
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.rules.rules import Rules

_MOST_BYTES = 2**63 - 1
_MOST_MODE = 0o7777
_ROW_KINDS = (str, int, int, int, int, str, str, str, str, str, int)
_STATES = frozenset(state.value for state in RowState)


def check_row(row: Row, rules: Rules, journal: str) -> None:
    """Refuse a row that this module can't have written.

    Raises:
        JournalError: Names the row's key.
    """
    sound = (
        all(map(isinstance, row, _ROW_KINDS))
        and 0 <= row.size <= _MOST_BYTES
        and 0 <= row.mode <= _MOST_MODE
        and row.state in _STATES
        and row.ours in (0, 1)
    )
    if not sound:
        raise damaged(journal, f"what it says of {rules.masked(str(row.key))!r} makes no sense")
