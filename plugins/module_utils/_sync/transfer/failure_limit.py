# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Stops a run if every request is bound to fail, so that a million files do not fail with the same error."""

from __future__ import annotations

from typing import Optional

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.model import (
    ActionKind,
    Exposure,
    Outcome,
    Result,
)

# Long enough that a store that randomly refuses one file in twenty does not end a run of millions.
MOST_IN_A_ROW = 10

_ACL_REMEDY = (
    " If only public files are refused, the key lacks s3:PutObjectAcl or the bucket blocks public ACLs"
    " (BlockPublicAcls): allow them, or use exposure=policy"
)


class FailureLimit:
    """Watches outcomes. `stopped` contains the cause when the run has to end."""

    def __init__(self, *, acl: bool) -> None:
        self.stopped: Optional[str] = None
        self._acl = acl
        # Public and private uploads are watched separately: a bucket may refuse one kind and accept the other.
        self._streaks: dict[tuple[ActionKind, Exposure], tuple[str, int]] = {}

    def watch(self, outcome: Outcome) -> None:
        """Record one outcome."""
        kind = (outcome.action.kind, outcome.action.exposure)
        failure = outcome.failure
        if failure is None:
            if outcome.result is not Result.SKIPPED:
                self._streaks.pop(kind, None)
            return
        if not failure.systemic:
            return
        code, length = self._streaks.get(kind, ("", 0))
        length = length + 1 if code == failure.code else 1
        self._streaks[kind] = (failure.code, length)
        if length >= MOST_IN_A_ROW:
            denied_public = self._acl and outcome.action.exposure is Exposure.PUBLIC and "Denied" in failure.code
            self.stop(f"{failure.message}{_ACL_REMEDY if denied_public else ''} ({length} times in a row)")

    def stop(self, cause: str) -> None:
        """End the run for `cause`; the first cause is kept."""
        if self.stopped is None:
            self.stopped = cause
