# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the journal records about an action before it begins, so that nothing of a killed run is forgotten. Pure."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any, Optional

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.model import Action, ActionKind, RowState

BATCH_ACTIONS = 256
BATCH_SECONDS = 1.0
PUT_ROW = "INSERT OR REPLACE INTO objects VALUES (?,?,?,?,?,?,?,?,?,?,?)"
_REPAIRS = (ActionKind.COMPARE, ActionKind.REPAIR)


def intent(action: Action) -> Optional[tuple[str, tuple[Any, ...]]]:
    """Return the SQL statement and its parameters that mark an action as about to begin; None if there is none.

    Whatever the action may change is no longer considered known. So if the run dies, the next one repeats the action.
    """
    if action.row is not None and action.row.state == RowState.LISTED.value and action.kind in _REPAIRS:
        return PUT_ROW, tuple(action.row)
    if action.kind is ActionKind.REPAIR:
        return "UPDATE objects SET applied='', headers='' WHERE key=?", (action.key,)
    if action.kind is ActionKind.COMPARE:
        # It may end with an upload, so nothing is known about the content until the comparison is complete.
        return "UPDATE objects SET applied='', digest='', etag='' WHERE key=?", (action.key,)
    if action.kind in (ActionKind.SET_ACL, ActionKind.VERIFY):
        return "UPDATE objects SET applied='' WHERE key=?", (action.key,)
    if action.kind in (ActionKind.DELETE, ActionKind.DELETE_PRIVATE):
        return "UPDATE objects SET state=? WHERE key=?", (RowState.PENDING.value, action.key)
    entry = action.entry
    if entry is None:
        return None
    return (
        (
            "INSERT INTO objects VALUES (?,?,?,?,?,'','','','',?,1)"
            " ON CONFLICT(key) DO UPDATE SET state=excluded.state, applied='', ours=1"
        ),
        (entry.key, entry.size, entry.mtime_ns, entry.ctime_ns, entry.mode, RowState.PENDING.value),
    )


def next_batch(actions: Iterator[Action]) -> list[Action]:
    """Take the next actions, limited in number and in the time to collect them; an empty list at the end."""
    batch: list[Action] = []
    end = 0.0
    for action in actions:
        if not batch:
            end = time.monotonic() + BATCH_SECONDS
        batch.append(action)
        if len(batch) >= BATCH_ACTIONS or time.monotonic() > end:
            break
    return batch
