# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Sends many small files at once without boto3, each over a kept connection, in one thread that never blocks."""

from __future__ import annotations

import select
import time
from operator import attrgetter
from typing import Callable, NamedTuple, Optional

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.http.endpoint import Endpoint
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.report import Traffic
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.senders.flow_control import (
    AdaptiveConcurrency,
)
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.senders.put_connection import (
    PutConnection,
    PutConnectionError,
    PutResponse,
)
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.senders.put_connections import (
    PutConnections,
    may_be_alike,
)
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.senders.request_builder import RequestBuilder
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.senders.sender import (
    CHANGED,
    CONNECTION,
    Content,
    OpenFile,
    Sending,
    Unsent,
)

TOO_MANY = (429, 503)
_TICK_SECONDS = 0.5
_ID = "x-amz-request-id"  # different in every response
_FEW = 4  # requests whose responses are not worth waiting for
_ASKS = attrgetter("asks")
_NOT_TAKEN = Unsent(begun=False)
_NO_CONNECTION = Unsent(CONNECTION, begun=False)


class _Pending(NamedTuple):
    """A file whose request is in progress."""

    file: OpenFile
    done: Callable[[Sending], None]


class FastSender:
    """A `Sender` for small files. Its owner polls, and calls `step` for the connections that are ready."""

    def __init__(
        self,
        endpoint: Endpoint,
        builder: RequestBuilder,
        poll: select.epoll,
        concurrency: AdaptiveConcurrency,
        traffic: Traffic,
    ) -> None:
        """Register new connections with `poll`; `concurrency` and `traffic` receive the results of requests."""
        self._endpoint = endpoint
        self._builder = builder
        self._poll = poll
        self._concurrency = concurrency
        self._traffic = traffic
        self._connections = PutConnections(endpoint)
        self._watched: dict[int, PutConnection] = {}
        self._pending: dict[PutConnection, _Pending] = {}
        self._next_look = time.monotonic() + _TICK_SECONDS

    def read(self, file: OpenFile) -> Optional[Content]:
        """Read a small file; see `Sender`."""
        return self._builder.read(file)

    def send(self, file: OpenFile, done: Callable[[Sending], None]) -> None:
        """Begin to send a file; see `Sender`. In most cases a later `step` calls `done`."""
        request = self._builder.request(file)
        if request is None:
            done(_NOT_TAKEN)
            return
        try:
            connection = self._connections.take(file.content.digests)
        except PutConnectionError:
            done(_NO_CONNECTION)
            return
        self._traffic.requests["PutObject"] += 1
        self._builder.sent(file.content)
        self._pending[connection] = _Pending(file, done)
        connection.put(request.path, request.headers, request.body)
        if connection.connected:
            self._go_on(connection)
        else:
            self._watch(connection)

    def step(self, descriptor: int) -> None:
        """Continue with the connection of a descriptor that is ready."""
        self._go_on(self._watched[descriptor])

    def gather(self) -> None:
        """Wait a moment if this lets more responses arrive at once."""
        seconds = self._concurrency.gather_seconds()
        if seconds and len(self._pending) >= max(self._concurrency.allowed, _FEW) and all(map(_ASKS, self._pending)):
            time.sleep(seconds)

    def end_stalled(self) -> None:
        """Abort requests that take too long. Call this now and then."""
        now = time.monotonic()
        if now < self._next_look:
            return
        self._next_look = now + _TICK_SECONDS
        for connection in list(self._pending):
            if connection.is_overdue(now, self._endpoint.connect_timeout, self._endpoint.read_timeout):
                if connection.connected:
                    self._concurrency.slow_down(now)
                self._end(connection, None)

    def _watch(self, connection: PutConnection) -> None:
        """Make the kernel report when a connection is ready. Most stay registered for reading between requests."""
        descriptor = connection.socket.fileno()
        if not connection.watched:
            self._poll.register(descriptor, connection.wants)
            self._watched[descriptor] = connection
        elif connection.watched != connection.wants:
            self._poll.modify(descriptor, connection.wants)
        connection.watched = connection.wants

    def _go_on(self, connection: PutConnection) -> None:
        if connection not in self._pending:
            self._connections.drop(connection)  # idle, and now closed or with unrequested data
            return
        try:
            response = connection.step()
        except PutConnectionError:
            self._end(connection, None)
            return
        if connection.watched != connection.wants:
            self._watch(connection)
        if response is not None:
            self._end(connection, response)

    def _end(self, connection: PutConnection, response: Optional[PutResponse]) -> None:
        file, done = self._pending.pop(connection)
        content = file.content
        sent, told_apart = None, False
        if response is not None:
            ident = response.headers.get(_ID, "")
            if not may_be_alike(connection, content.digests) or ident != connection.last_id:
                sent, told_apart = self._builder.proven(content, response)
            connection.last_digests, connection.last_id = content.digests, ident
        self._connections.give_back(connection, keep=told_apart)
        if sent is not None:
            now = time.monotonic()
            self._concurrency.done(sent.size, now, now - connection.asked)
            done(sent)
        else:
            done(self._unsent(content, response))

    def _unsent(self, content: Content, response: Optional[PutResponse]) -> Unsent:
        if self._builder.declined(content, response):
            return Unsent(as_is=True)
        if response is None:
            return Unsent(CONNECTION)
        if response.status in TOO_MANY:
            self._concurrency.slow_down(time.monotonic())
        return Unsent(CHANGED if response.status == 200 else str(response.status))
