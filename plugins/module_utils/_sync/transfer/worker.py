# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A worker process: does orders, many at once. Small files go the lean way, all else through boto3 in threads."""

from __future__ import annotations

import select
import socket
import threading
import time
from collections import deque
from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from itertools import chain
from operator import attrgetter
from typing import Callable, NamedTuple, Optional

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.address import Address
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.shortcut import Shortcut
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.signature import Keys
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.model import (
    Action,
    ActionKind,
    Outcome,
    Result,
    Row,
    RowState,
)
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.processes.messages import (
    Done,
    Job,
    Mailbox,
    News,
    Order,
)
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.report import BOTO3, LEAN, Traffic
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.store.store import Store
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.transfer.lean import Packer, Parcel
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.transfer.pace import Pace, Throttle, jittered
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.transfer.send import Performer
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.transfer.upload import PART_BYTES
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.transfer.wire import (
    READ,
    Answer,
    Target,
    Wire,
    WireError,
)
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.tree.source import Source

Connect = Callable[[], Store]

_MOST_THREADS = 16
_TICK_SECONDS = 0.5
_TOLD_AT_ONCE = 16
_TOO_MANY = (429, 503)
_NAME_SECONDS = 60.0
_FRESH_SECONDS = 1.0  # for which an idle connection, that is watched anyway, is taken to be whole
_PAUSE_SECONDS = 0.3

_FEW = 4  # requests, whose answers are not worth waiting for
_ASKS = attrgetter("asks")

_SENDING = (ActionKind.UPLOAD, ActionKind.SEND_IF_MISSING)


class _Flight(NamedTuple):
    """A parcel on its way."""

    order: Order
    parcel: Parcel


class Worker:
    """Does the orders that come through a mailbox until its other end is gone."""

    def __init__(
        self, mailbox: Mailbox, job: Job, source: Source, connect: Connect, early: Iterable[list[Order]]
    ) -> None:
        """`connect` makes a store of this process' own, when one is needed; `early` orders came with the job."""
        now = time.monotonic()
        self._mailbox = mailbox
        self._job = job
        self._source = source
        self._connect = connect
        self._store: Optional[Store] = None
        self._performer: Optional[Performer] = None
        self._pool = ThreadPoolExecutor(min(job.most, _MOST_THREADS), thread_name_prefix="boto3")
        self._poll = select.epoll()
        self._watched: dict[int, Wire] = {}
        self._next_look = now + _TICK_SECONDS
        self._orders = deque(chain.from_iterable(early))
        self._in_threads: dict[Future[Outcome], Order] = {}
        self._wires = _Wires(job.address) if job.address else None
        self._flights: dict[Wire, _Flight] = {}
        self._packer = self._make_packer(job.address) if job.address else None
        self._pace = Pace(job.most, now=now)
        self._throttle = Throttle(job.rate)
        self._shortcut = Shortcut()
        self._done: list[Done] = []
        self._told = now
        self._traffic = Traffic()
        self._lock = threading.Lock()
        self._wake, self._woken = socket.socketpair()
        self._wake.setblocking(False)
        self._woken.setblocking(False)

    def run(self) -> None:
        """Work until the other end of the mailbox is closed."""
        orders, woken = self._mailbox.socket.fileno(), self._woken.fileno()
        self._poll.register(orders, READ)
        self._poll.register(woken, READ)
        try:
            while True:
                self._begin_orders()
                self._tell()
                self._gather()
                for descriptor, _events in self._poll.poll(self._idle_seconds()):
                    if descriptor == orders:
                        self._orders.extend(chain.from_iterable(self._mailbox.receive()))
                    elif descriptor == woken:
                        self._take_from_threads()
                    else:
                        self._step(self._watched[descriptor])
                self._end_stalled()
        except EOFError:
            return

    def _gather(self) -> None:
        seconds = self._pace.gather_seconds()
        if seconds and len(self._flights) >= max(self._pace.allowed, _FEW) and all(map(_ASKS, self._flights)):
            time.sleep(seconds)

    # What is begun.

    def _begin_orders(self) -> None:
        while self._orders and len(self._flights) + len(self._in_threads) < self._pace.allowed:
            now = time.monotonic()
            if self._throttle.wait(now):
                return
            order = self._orders.popleft()
            if order.action.kind in _SENDING and order.action.size <= PART_BYTES:
                self._throttle.take(order.action.size, now)
            parcel = self._packer.pack(order.action) if self._packer and self._shortcut.is_open(now) else None
            if parcel is None or not self._launch(order, parcel):
                self._by_boto3(order, order.action)

    def _launch(self, order: Order, parcel: Parcel) -> bool:
        if self._wires is None or self._packer is None:
            return False
        try:
            wire = self._wires.take()
        except WireError:
            parcel.close()
            self._strange("connection")
            return False
        self._traffic.requests["PutObject"] += 1
        self._packer.sent(parcel)
        self._flights[wire] = _Flight(order, parcel)
        wire.put(parcel.path, parcel.headers, parcel.body)
        if wire.connected:
            self._step(wire)
        else:
            self._watch(wire)
        return True

    def _watch(self, wire: Wire) -> None:
        """Have the kernel tell when a connection can go on. Most stay watched for what they read between requests."""
        descriptor = wire.socket.fileno()
        if not wire.watched:
            self._poll.register(descriptor, wire.wants)
            self._watched[descriptor] = wire
        elif wire.watched != wire.wants:
            self._poll.modify(descriptor, wire.wants)
        wire.watched = wire.wants

    def _by_boto3(self, order: Order, action: Action, pause: float = 0.0) -> None:
        future = self._pool.submit(self._perform, action, pause)
        self._in_threads[future] = order
        future.add_done_callback(lambda _future: self._nudge())

    def _perform(self, action: Action, pause: float) -> Outcome:
        time.sleep(pause)
        with self._lock:
            performer = self._performer
            if performer is None:
                store = self._own_store()
                performer = self._performer = Performer(store, self._source, self._job.rules, pause=self._pause)
        return performer.perform(action)

    def _own_store(self) -> Store:
        if self._store is None:
            self._store = self._connect()
        return self._store

    def _keys(self) -> Keys:
        with self._lock:
            return self._own_store().keys()

    def _make_packer(self, address: Address) -> Packer:
        keys = None if address.keys else self._keys
        return Packer(address, self._job.prefix, self._source, self._job.rules, keys)

    def _pause(self, size: int) -> None:
        """Make room for a piece of a large file."""
        with self._lock:
            now = time.monotonic()
            self._throttle.take(size, now)
            wait = self._throttle.wait(now)
        time.sleep(wait)

    # What goes on.

    def _step(self, wire: Wire) -> None:
        flight = self._flights.get(wire)
        if flight is None:
            if self._wires is not None:
                self._wires.drop(wire)  # idle, and now it has ended or says something unasked
            return
        try:
            answer = wire.step()
        except WireError:
            self._land(wire, flight, None)
            return
        if wire.watched != wire.wants:
            self._watch(wire)
        if answer is not None:
            self._land(wire, flight, answer)

    def _land(self, wire: Wire, flight: _Flight, answer: Optional[Answer]) -> None:
        del self._flights[wire]
        if self._wires is not None:
            self._wires.give_back(wire, answer)
        order, parcel = flight.order, flight.parcel
        outcome = self._packer.outcome(parcel, answer) if self._packer and answer else None
        parcel.close()
        now = time.monotonic()
        if outcome is not None:
            self._shortcut.worked()
            self._traffic.uploads[LEAN] += 1
            self._pace.done(outcome.sent_bytes, now, now - wire.asked)
            self._done.append(Done.of(order.number, outcome))
            return
        # It may be in the bucket: so it is done as the journal has it by now, as one that was interrupted.
        action = order.action._replace(row=_as_recorded(order.action))
        if self._packer and self._packer.declined(parcel, answer):
            self._orders.appendleft(order._replace(action=action))
            return
        pause = jittered(_PAUSE_SECONDS)
        if answer is not None and answer.status in _TOO_MANY:
            self._pace.slow_down(now)
            self._traffic.retries[str(answer.status)] += 1
        elif answer is None or answer.status != 200:
            self._strange(str(answer.status) if answer else "connection")
        else:
            pause = 0.0
            self._traffic.retries["changed"] += 1
        self._by_boto3(order, action, pause)

    def _strange(self, why: str) -> None:
        self._traffic.retries[why] += 1
        self._shortcut.failed(time.monotonic())

    def _take_from_threads(self) -> None:
        try:
            while self._woken.recv(4096):
                pass
        except BlockingIOError:
            pass
        for future in [future for future in self._in_threads if future.done()]:
            order = self._in_threads.pop(future)
            outcome = future.result()
            now = time.monotonic()
            if outcome.failure is None:
                self._pace.done(outcome.sent_bytes, now)
            elif outcome.failure.throttled:
                self._pace.slow_down(now)
            if outcome.result is Result.UPLOADED:
                self._traffic.uploads[BOTO3] += 1
            self._done.append(Done.of(order.number, outcome))

    def _nudge(self) -> None:
        with suppress(BlockingIOError):  # full: it is awake anyway
            self._wake.send(b"!")

    def _end_stalled(self) -> None:
        address = self._job.address
        if address is None:
            return
        now = time.monotonic()
        if now < self._next_look:
            return
        self._next_look = now + _TICK_SECONDS
        for wire, flight in list(self._flights.items()):
            limit = address.read_timeout if wire.connected else address.connect_timeout
            if now - wire.moved > limit:
                if wire.connected:
                    self._pace.slow_down(now)
                self._land(wire, flight, None)

    def _idle_seconds(self) -> float:
        if not self._orders:
            return _TICK_SECONDS
        return min(_TICK_SECONDS, self._throttle.wait(time.monotonic()) or _TICK_SECONDS)

    # What is told.

    def _tell(self) -> None:
        if self._mailbox.waiting:
            self._mailbox.flush()
        idle = not self._flights and not self._in_threads
        now = time.monotonic()
        more = not idle and self._orders and now - self._told < _TICK_SECONDS
        if not self._done or (len(self._done) < _TOLD_AT_ONCE and more):
            return
        self._mailbox.post(News(self._done, self._take_traffic()))
        self._done, self._told = [], now

    def _take_traffic(self) -> Traffic:
        traffic, self._traffic = self._traffic, Traffic()
        if self._store is not None:
            traffic.requests.update(self._store.take_requests())
        return traffic


class _Wires:
    """The connections of one worker to one address."""

    def __init__(self, address: Address) -> None:
        self._address = address
        self._context = address.context()
        self._idle: list[Wire] = []
        self._targets: list[Target] = []
        self._known_until = 0.0

    def take(self) -> Wire:
        """Return a connection that is free, or one that is being made.

        Raises:
            WireError: the host's name has no address, or no socket can be had.
        """
        while self._idle:
            wire = self._idle.pop()
            if time.monotonic() - wire.moved < _FRESH_SECONDS or not wire.hung_up():
                return wire
            wire.close()
        if time.monotonic() > self._known_until:
            self._look_up()
        return Wire(self._targets[0], self._address.hostname, self._context)

    def give_back(self, wire: Wire, answer: Optional[Answer]) -> None:
        """Keep a connection for the next request, or close it where it ended or may do so."""
        if answer is not None and answer.status == 200 and answer.headers.get("connection", "").lower() != "close":
            self._idle.append(wire)
            return
        if not wire.connected:
            self._targets.append(self._targets.pop(0))
        wire.close()

    def drop(self, wire: Wire) -> None:
        """Close an idle connection."""
        if wire in self._idle:
            self._idle.remove(wire)
        wire.close()

    def _look_up(self) -> None:
        try:
            found = socket.getaddrinfo(self._address.hostname, self._address.port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:
            raise WireError(str(error)) from error
        self._targets = [(family, where) for family, _kind, _protocol, _name, where in found]
        self._known_until = time.monotonic() + _NAME_SECONDS


def _as_recorded(action: Action) -> Optional[Row]:
    if action.entry is None:
        return action.row
    return Row(*action.entry, "", "", "", "", RowState.PENDING.value, True)
