# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Passes actions to what executes them. The engine knows only the protocol, so other ways to send can be added."""

from __future__ import annotations

from collections.abc import Generator, Iterable
from typing import Optional, Protocol

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.execution.executor import Executor
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.model import (
    Action,
    Outcome,
)

IDLE_SECONDS = 0.5


class Transfer(Protocol):
    """Does actions, several at a time, and yields an outcome for each, in any order.

    `run` takes from `actions` no more than it has room for, in the caller's thread. If it is closed early, actions that
    have not begun are dropped. Actions in progress end without a report; they are pending in the journal. If no action
    ends for a while, it yields None, so that the caller can check other things.
    """

    def run(self, actions: Iterable[Action]) -> Generator[Optional[Outcome], None, None]: ...

    def delete(self, actions: list[Action]) -> list[Outcome]: ...


class InlineTransfer:
    """Does actions one by one, in the caller's thread: for dry runs, which do little for each."""

    def __init__(self, executor: Executor) -> None:
        self._executor = executor

    def run(self, actions: Iterable[Action]) -> Generator[Optional[Outcome], None, None]:
        """Do all actions; see `Transfer`."""
        yield from map(self._executor.execute, actions)

    def delete(self, actions: list[Action]) -> list[Outcome]:
        """Delete one batch of objects."""
        return self._executor.delete(actions)
