# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Hands actions to those who do them. The engine knows only the protocol, so that other ways of sending fit in."""

from __future__ import annotations

import os
from collections.abc import Generator, Iterable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import Optional, Protocol

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.errors import S3Error
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.model import (
    Action,
    ActionKind,
    Entry,
    Outcome,
    Reason,
    Result,
    Row,
)
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.rules.rules import Rules
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.store.store import Store
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.transfer.content import unchanged_row
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.transfer.converge import Examiner
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.transfer.send import Performer, failure_of
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.transfer.upload import (
    exposure_now,
    failed,
    unreadable,
)
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.tree.source import NotRegularError, Source

_QUEUED_PER_WORKER = 4


class Transfer(Protocol):
    """Does actions, several at a time, and yields an outcome for each, in any order.

    `run` takes from `actions` no more than it has room for, in the caller's thread. Where it is closed early, what was
    not begun is dropped, and what is under way ends unseen: the journal has it as pending.
    """

    def run(self, actions: Iterable[Action]) -> Generator[Outcome, None, None]: ...

    def delete(self, actions: list[Action]) -> list[Outcome]: ...


class ThreadTransfer:
    """Does actions in threads of this process."""

    def __init__(self, performer: Performer, *, workers: int) -> None:
        self._performer = performer
        self._workers = workers

    def run(self, actions: Iterable[Action]) -> Generator[Outcome, None, None]:
        """Do all actions; see `Transfer`."""
        source = iter(actions)
        room = self._workers * _QUEUED_PER_WORKER
        under_way: set[Future[Outcome]] = set()
        with ThreadPoolExecutor(self._workers, thread_name_prefix="sync") as pool:
            try:
                while True:
                    while len(under_way) < room:
                        action = next(source, None)
                        if action is None:
                            room = 0
                            break
                        under_way.add(pool.submit(self._performer.perform, action))
                    if not under_way:
                        return
                    done, under_way = wait(under_way, return_when=FIRST_COMPLETED)
                    for future in done:
                        yield future.result()
            finally:
                for future in under_way:
                    future.cancel()

    def delete(self, actions: list[Action]) -> list[Outcome]:
        """Delete one batch of objects."""
        return self._performer.delete(actions)


class PlanTransfer:
    """Says what would come of actions and changes nothing, neither in the bucket nor on disk.

    What depends on a file's content is read from it; what depends on the bucket is asked there, if it can be.
    """

    def __init__(self, store: Optional[Store], source: Source, rules: Rules) -> None:
        self._store = store
        self._source = source
        self._rules = rules
        self._examiner = Examiner(store, source, rules)

    def run(self, actions: Iterable[Action]) -> Generator[Outcome, None, None]:
        """Foretell all outcomes; see `Transfer`."""
        for action in actions:
            try:
                yield self._foretell(action)
            except (FileNotFoundError, NotRegularError):
                yield Outcome(action, Result.SKIPPED, reason=Reason.VANISHED)
            except OSError as error:
                yield failed(action, unreadable(error))
            except S3Error as error:
                yield failed(action, failure_of(error))

    def delete(self, actions: list[Action]) -> list[Outcome]:
        """Foretell the deletion of one batch."""
        return [Outcome(action, Result.DELETED) for action in actions]

    def _foretell(self, action: Action) -> Outcome:
        if action.kind is ActionKind.SET_ACL:
            return Outcome(action, Result.ACL_SET)
        if action.kind is ActionKind.WITHDRAW:
            return Outcome(action, Result.WITHDRAWN)
        if action.kind is ActionKind.SEND_IF_MISSING and self._store and self._store.head(action.key):
            return Outcome(action, Result.SKIPPED, reason=Reason.IN_BUCKET)
        if action.kind is ActionKind.VERIFY and self._store and action.row:
            stored = self._store.head(action.key)
            if stored is not None and stored.etag == action.row.etag:
                return self._compared(action)
        if action.kind is ActionKind.COMPARE:
            return self._compared(action)
        if action.kind is ActionKind.CONVERGE and action.row and action.entry:
            return self._converged(action, action.row._replace(**action.entry._asdict()))
        os.close(self._source.open_file(action.key))
        return Outcome(action, Result.UPLOADED, sent_bytes=action.size)

    def _compared(self, action: Action) -> Outcome:
        row = unchanged_row(self._source, action)
        if row is None:
            return Outcome(action, Result.UPLOADED, sent_bytes=action.size)
        return self._converged(action, row)

    def _converged(self, action: Action, row: Row) -> Outcome:
        exposure = exposure_now(self._rules, action, Entry(*row[:5]))
        if exposure is None:
            return Outcome(action, Result.WITHDRAWN)
        need = self._examiner.need(action, row, exposure)
        if need is None:
            return Outcome(action, Result.UPLOADED, sent_bytes=action.size)
        if need.headers is not None:
            return Outcome(action, Result.HEADERS_SET)
        return Outcome(action, Result.ACL_SET if need.acl else Result.SAME)
