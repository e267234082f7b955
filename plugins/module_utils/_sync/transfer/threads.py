# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Does actions of all kinds through boto3, in threads of a worker process."""

from __future__ import annotations

import socket
import threading
import time
from collections import Counter
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from typing import Callable, Optional

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.http.signature import Credentials
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.execution.executor import Executor
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.model import Action, Outcome, Result
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.report import BOTO3, Traffic
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.rules.rules import Rules
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.senders.flow_control import (
    AdaptiveConcurrency,
    RateLimit,
)
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.store.store import Store
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.tree.source import Source

Connect = Callable[[], Store]

_MOST_THREADS = 16


class OwnStore:
    """The store of one worker process, created when it is first needed. Safe for several threads."""

    def __init__(self, connect: Connect) -> None:
        self._connect = connect
        self._store: Optional[Store] = None
        self._lock = threading.Lock()

    def get(self) -> Store:
        """Return the store."""
        with self._lock:
            if self._store is None:
                self._store = self._connect()
            return self._store

    def keys(self) -> Credentials:
        """Return the current credentials.

        Raises:
            OSError: They are not available.
        """
        return self.get().keys()

    def take_requests(self) -> Counter[str]:
        """Return the requests by operation since the last call."""
        return Counter() if self._store is None else self._store.take_requests()


class Threads:
    """Does actions in threads. The outcomes are reported in the thread that calls `collect`."""

    def __init__(
        self,
        store: OwnStore,
        source: Source,
        rules: Rules,
        most: int,
        rate_limit: RateLimit,
        concurrency: AdaptiveConcurrency,
        traffic: Traffic,
    ) -> None:
        """Do up to `most` actions at once; `concurrency` and `traffic` receive the results."""
        self._store = store
        self._source = source
        self._rules = rules
        self._rate_limit = rate_limit
        self._concurrency = concurrency
        self._traffic = traffic
        self._executor: Optional[Executor] = None
        self._lock = threading.Lock()
        self._pool = ThreadPoolExecutor(min(most, _MOST_THREADS), thread_name_prefix="boto3")
        self._under_way: dict[Future[Outcome], Callable[[Outcome], None]] = {}
        self._wake, self._woken = socket.socketpair()
        self._wake.setblocking(False)
        self._woken.setblocking(False)

    def fileno(self) -> int:
        """Return a descriptor that is ready for reading when `collect` should be called."""
        return self._woken.fileno()

    def send(self, action: Action, done: Callable[[Outcome], None], *, pause: float = 0.0) -> None:
        """Do an action after a pause; `collect` calls `done`."""
        future = self._pool.submit(self._execute, action, pause)
        self._under_way[future] = done
        future.add_done_callback(self._nudge)

    def collect(self) -> None:
        """Report the outcomes of the actions that have ended."""
        try:
            while self._woken.recv(4096):
                pass
        except BlockingIOError:
            pass
        for future in [future for future in self._under_way if future.done()]:
            done = self._under_way.pop(future)
            outcome = future.result()
            now = time.monotonic()
            if outcome.failure is None:
                self._concurrency.done(outcome.sent_bytes, now)
            elif outcome.failure.throttled:
                self._concurrency.slow_down(now)
            if outcome.result is Result.UPLOADED:
                self._traffic.uploads[BOTO3] += 1
            done(outcome)

    def _execute(self, action: Action, pause: float) -> Outcome:
        time.sleep(pause)
        with self._lock:
            executor = self._executor
            if executor is None:
                executor = Executor.by_boto3(self._store.get(), self._source, self._rules, pause=self._pause)
                self._executor = executor
        return executor.execute(action)

    def _pause(self, size: int) -> None:
        """Wait until a piece of a large file may be sent."""
        with self._lock:
            now = time.monotonic()
            self._rate_limit.take(size, now)
            wait = self._rate_limit.wait(now)
        time.sleep(wait)

    def _nudge(self, _future: Future[Outcome]) -> None:
        with suppress(BlockingIOError):  # full: it is awake anyway
            self._wake.send(b"!")
