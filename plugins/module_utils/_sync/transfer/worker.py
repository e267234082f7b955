# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A worker process: executes tasks, as many at once and as fast as store and limits allow."""

from __future__ import annotations

import select
import time
from collections import deque
from collections.abc import Iterable
from functools import partial
from itertools import chain

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.http.endpoint import Endpoint
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.content.content import PART_BYTES
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.model import ActionKind, ExposureMode, Outcome
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.processes.channel import Channel
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.report import Traffic
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.senders.checked import CheckedSender
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.senders.fast_sender import FastSender
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.senders.flow_control import (
    AdaptiveConcurrency,
    RateLimit,
)
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.senders.put_connection import READ
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.senders.request_builder import RequestBuilder
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.transfer.fallback import Fallback
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.transfer.messages import (
    Job,
    ResultBatch,
    Task,
    TaskResult,
)
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.transfer.threads import (
    Connect,
    OwnStore,
    Threads,
)
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.tree.source import Source

_TICK_SECONDS = 0.5
_RESULTS_AT_ONCE = 16

_SENDING = (ActionKind.UPLOAD, ActionKind.SEND_IF_MISSING)


class Worker:
    """Executes the tasks from a channel until its other end is closed."""

    def __init__(
        self, channel: Channel, job: Job, source: Source, connect: Connect, early: Iterable[list[Task]]
    ) -> None:
        """`connect` creates this process's own store, when one is needed; `early` tasks came with the job."""
        now = time.monotonic()
        self._channel = channel
        self._job = job
        self._source = source
        self._store = OwnStore(connect)
        self._poll = select.epoll()
        self._tasks = deque(chain.from_iterable(early))
        self._under_way = 0
        self._concurrency = AdaptiveConcurrency(job.most, now=now)
        self._rate_limit = RateLimit(job.rate)
        self._traffic = Traffic()
        self._threads = Threads(
            self._store, source, job.rules, job.most, self._rate_limit, self._concurrency, self._traffic
        )
        self._fast = self._make_fast(job.endpoint) if job.endpoint else None
        self._sender = self._threads if self._fast is None else self._with_fallback(self._fast)
        self._results: list[TaskResult] = []
        self._sent_at = now

    def _make_fast(self, endpoint: Endpoint) -> FastSender:
        keys = None if endpoint.credentials else self._store.keys
        acl = self._job.rules.mode is ExposureMode.ACL
        builder = RequestBuilder(endpoint, self._job.prefix, acl=acl, keys=keys)
        return FastSender(endpoint, builder, self._poll, self._concurrency, self._traffic)

    def _with_fallback(self, fast: FastSender) -> Fallback:
        return Fallback(CheckedSender(self._source, self._job.rules, fast), self._threads, self._traffic)

    def run(self) -> None:
        """Work until the other end of the channel is closed."""
        incoming, ended = self._channel.socket.fileno(), self._threads.fileno()
        fast = self._fast
        self._poll.register(incoming, READ)
        self._poll.register(ended, READ)
        try:
            while True:
                self._begin_tasks()
                self._send_results()
                if fast is not None:
                    fast.gather()
                for descriptor, _events in self._poll.poll(self._idle_seconds()):
                    if descriptor == incoming:
                        self._tasks.extend(chain.from_iterable(self._channel.receive()))
                    elif descriptor == ended:
                        self._threads.collect()
                    elif fast is not None:
                        fast.step(descriptor)
                if fast is not None:
                    fast.end_stalled()
        except EOFError:
            return

    def _begin_tasks(self) -> None:
        while self._tasks and self._under_way < self._concurrency.allowed:
            now = time.monotonic()
            if self._rate_limit.wait(now):
                return
            number, action = self._tasks.popleft()
            if action.kind in _SENDING and action.size <= PART_BYTES:
                self._rate_limit.take(action.size, now)
            self._under_way += 1
            self._sender.send(action, partial(self._note, number))

    def _note(self, number: int, outcome: Outcome) -> None:
        self._under_way -= 1
        self._results.append(TaskResult.of(number, outcome))

    def _idle_seconds(self) -> float:
        if not self._tasks:
            return _TICK_SECONDS
        return min(_TICK_SECONDS, self._rate_limit.wait(time.monotonic()) or _TICK_SECONDS)

    def _send_results(self) -> None:
        if self._channel.waiting:
            self._channel.flush()
        now = time.monotonic()
        more = self._under_way and self._tasks and now - self._sent_at < _TICK_SECONDS
        if not self._results or (len(self._results) < _RESULTS_AT_ONCE and more):
            return
        self._channel.send(ResultBatch(self._results, self._take_traffic()))
        self._results, self._sent_at = [], now

    def _take_traffic(self) -> Traffic:
        traffic = self._traffic.taken()
        traffic.requests.update(self._store.take_requests())
        return traffic
