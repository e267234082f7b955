# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Messages between a run and its worker processes: actions to do, and their outcomes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple, Optional

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.http.endpoint import Endpoint
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.model import (
    Action,
    Failure,
    Outcome,
    Reason,
    Result,
    Row,
)
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.report import Traffic
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.rules.rules import Rules


@dataclass(frozen=True)
class Job:
    """What a worker has to know. `endpoint` is None if nothing can be sent on the fast path.

    most: Maximum number of files at once; rate: bytes per second, None for no limit.
    """

    src: str
    prefix: str
    rules: Rules
    endpoint: Optional[Endpoint]
    most: int
    rate: Optional[float]


class Task(NamedTuple):
    """An action to do, and the number under which its outcome is reported."""

    number: int
    action: Action


class TaskResult(NamedTuple):
    """An outcome without its action, which the parent still has."""

    number: int
    result: Result
    row: Optional[Row]
    forget: bool
    reason: Optional[Reason]
    failure: Optional[Failure]
    sent_bytes: int

    @classmethod
    def of(cls, number: int, outcome: Outcome) -> TaskResult:
        """Return the outcome of a task."""
        return cls(
            number,
            outcome.result,
            outcome.row,
            outcome.forget,
            outcome.reason,
            outcome.failure,
            outcome.sent_bytes,
        )

    def outcome(self, action: Action) -> Outcome:
        """Return the outcome as that of `action`."""
        return Outcome(action, *self[1:])


class ResultBatch(NamedTuple):
    """What a worker has done since its last report. `broken` is set by a worker that can't continue."""

    results: list[TaskResult]
    traffic: Optional[Traffic] = None
    broken: str = ""

    def __reduce__(self) -> tuple[Any, ...]:
        # A pickled named tuple costs several times as much as a plain one, and there is one for each file.
        plain = [(*each[:2], each.row and tuple(each.row), *each[3:]) for each in self.results]
        return _unpacked, (plain, self.traffic, self.broken)


def _unpacked(plain: list[tuple[Any, ...]], traffic: Optional[Traffic], broken: str) -> ResultBatch:
    return ResultBatch(
        [TaskResult._make((*each[:2], each[2] and Row._make(each[2]), *each[3:])) for each in plain], traffic, broken
    )
