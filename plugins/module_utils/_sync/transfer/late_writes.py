# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Prevents late requests of the previous run from overwriting what this run sends.

A store may complete a request after its client is gone. Ceph RGW was seen to finish the PUT of a killed process after a
later PUT of the same key, and so restored the old content and its ACL. So actions that repeat an interrupted one are
done last, and only when such a request must have ended.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from typing import Callable, Optional

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.model import Action, Row, RowState
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.store.store import Store

LATE_WRITE_SECONDS = 5.0
_MOST_POSTPONED = 10_000


class LateWrites:
    """Knows until when requests of the previous run may still be in progress."""

    def __init__(self, ended_ns: int, now_ns: int) -> None:
        """`ended_ns` is when the previous run was interrupted, `now_ns` is now, both since the epoch."""
        left = LATE_WRITE_SECONDS - (now_ns - ended_ns) / 10**9
        self._until = time.monotonic() + max(0.0, min(left, LATE_WRITE_SECONDS))

    def wait(self) -> None:
        """Return when none is in progress any more."""
        time.sleep(max(0.0, self._until - time.monotonic()))

    def interrupted_last(self, actions: Iterable[Action]) -> Iterator[Action]:
        """Yield `actions`, with those that repeat an interrupted one last and after the wait."""
        postponed: list[Action] = []
        for action in actions:
            if len(postponed) < _MOST_POSTPONED and time.monotonic() < self._until and _was_interrupted(action.row):
                postponed.append(action)
                continue
            if len(postponed) == _MOST_POSTPONED:
                self.wait()  # so that no more of them have to be postponed
            yield action
        if postponed:
            self.wait()
            yield from postponed


def drop_unfinished(store: Store, row_of: Callable[[str], Optional[Row]]) -> None:
    """Remove the parts of large files that the previous run was sending, whatever happened to these files since.

    Raises:
        S3Error: See there.
    """
    for key, upload_id in list(store.unfinished()):
        row = row_of(key)
        if row is not None and (row.state != RowState.DONE.value or not row.applied):
            store.abort(key, upload_id)


def _was_interrupted(row: Optional[Row]) -> bool:
    return row is not None and (
        row.state == RowState.PENDING.value or (row.state == RowState.DONE.value and not row.applied)
    )
