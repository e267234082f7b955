# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Sends files on the fast path if possible. Everything else, and every failure there, goes through boto3."""

from __future__ import annotations

import time
from functools import partial
from typing import Callable, Optional, Union

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.http.circuit_breaker import CircuitBreaker
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.content.content import PART_BYTES
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.model import (
    Action,
    ActionKind,
    Outcome,
    Row,
    RowState,
)
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.report import FAST, Traffic
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.senders.checked import CheckedSender
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.senders.fast_sender import TOO_MANY
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.senders.flow_control import jittered
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.senders.sender import CHANGED, Unsent
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.transfer.threads import Threads

_PAUSE_SECONDS = 0.3
_OWN_FAULTS = (CHANGED, *map(str, TOO_MANY))  # which do not show whether the fast path works


class Fallback:
    """Does actions with `fast` or, if that is not possible, with `threads`."""

    def __init__(self, fast: CheckedSender, threads: Threads, traffic: Traffic) -> None:
        self._fast = fast
        self._threads = threads
        self._traffic = traffic
        self._breaker = CircuitBreaker()

    def send(self, action: Action, done: Callable[[Outcome], None]) -> None:
        """Do an action, and call `done` once with the outcome: before this returns, or later."""
        small = action.kind is ActionKind.UPLOAD and action.size <= PART_BYTES
        if small and self._breaker.allows(time.monotonic()):
            self._send_fast(action, done)
        else:
            self._threads.send(action, done)

    def _send_fast(self, action: Action, done: Callable[[Outcome], None]) -> None:
        try:
            self._fast.send(action, partial(self._after, action, done))
        except OSError:
            self._threads.send(action, done)  # which explains the problem

    def _after(self, action: Action, done: Callable[[Outcome], None], result: Union[Outcome, Unsent]) -> None:
        if isinstance(result, Outcome):
            self._breaker.succeeded()
            self._traffic.uploads[FAST] += 1
            done(result)
            return
        if result.cause:
            self._traffic.retries[result.cause] += 1
            if result.cause not in _OWN_FAULTS:
                self._breaker.failed(time.monotonic())
        if not result.begun:
            self._threads.send(action, done)
            return
        # It may be in the bucket: so it is repeated like an interrupted action, as the journal now has it.
        action = action._replace(row=_as_recorded(action))
        if result.as_is:
            self._send_fast(action, done)
            return
        pause = 0.0 if result.cause == CHANGED else jittered(_PAUSE_SECONDS)
        self._threads.send(action, done, pause=pause)


def _as_recorded(action: Action) -> Optional[Row]:
    if action.entry is None:
        return action.row
    return Row(*action.entry, "", "", "", "", RowState.PENDING.value, True)
