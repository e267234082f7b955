# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Keeps a run from being overtaken by requests of the one before it.

A store goes on with a request whose client is gone: Ceph RGW was seen to finish a PUT of a killed process after a later
one of the same key, and so to bring back the old content and its ACL. So what continues an interrupted action is done
last, and not before such a request must have ended.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from typing import Callable, Optional

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.model import Action, Row, RowState
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.store.store import Store

STRAGGLE_SECONDS = 5.0
_MOST_HELD = 10_000


class Stragglers:
    """Knows until when requests of the run before may still be under way."""

    def __init__(self, ended_ns: int, now_ns: int) -> None:
        """`ended_ns` is when the run before was broken off, `now_ns` is now, both since the epoch."""
        left = STRAGGLE_SECONDS - (now_ns - ended_ns) / 10**9
        self._until = time.monotonic() + max(0.0, min(left, STRAGGLE_SECONDS))

    def wait(self) -> None:
        """Return when none is under way any more."""
        time.sleep(max(0.0, self._until - time.monotonic()))

    def last(self, actions: Iterable[Action]) -> Iterator[Action]:
        """Yield `actions`, those that continue an interrupted one last and after the wait."""
        held: list[Action] = []
        for action in actions:
            if len(held) < _MOST_HELD and time.monotonic() < self._until and _was_interrupted(action.row):
                held.append(action)
                continue
            if len(held) == _MOST_HELD:
                self.wait()  # so that no more of them have to be held
            yield action
        if held:
            self.wait()
            yield from held


def drop_unfinished(store: Store, row_of: Callable[[str], Optional[Row]]) -> None:
    """Remove the parts of large files that the run before was sending, whatever has become of these files since.

    Raises:
        S3Error: see there.
    """
    for key, upload_id in list(store.unfinished()):
        row = row_of(key)
        if row is not None and (row.state != RowState.DONE.value or not row.applied):
            store.abort(key, upload_id)


def _was_interrupted(row: Optional[Row]) -> bool:
    return row is not None and (
        row.state == RowState.PENDING.value or (row.state == RowState.DONE.value and not row.applied)
    )
