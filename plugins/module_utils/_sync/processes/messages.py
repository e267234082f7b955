# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Messages between a run and its worker processes: what is to be done, and what came of it."""

from __future__ import annotations

import pickle
import socket
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple, Optional

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.address import Address
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

_LENGTH = struct.Struct("!I")
_RECEIVE_BYTES = 256 * 1024


@dataclass(frozen=True)
class Job:
    """What a worker has to know. `address` is None where nothing can go the lean way.

    most: files under way at once; rate: bytes a second, None for no limit.
    """

    src: str
    prefix: str
    rules: Rules
    address: Optional[Address]
    most: int
    rate: Optional[float]


class Order(NamedTuple):
    """One action to do, under a number by which its outcome is known."""

    number: int
    action: Action


class Done(NamedTuple):
    """An outcome without its action, which the one who gave the order still has."""

    number: int
    result: Result
    row: Optional[Row]
    forget: bool
    reason: Optional[Reason]
    failure: Optional[Failure]
    sent_bytes: int

    @classmethod
    def of(cls, number: int, outcome: Outcome) -> Done:
        """Return the outcome of an order."""
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


class News(NamedTuple):
    """What a worker has done since it last told so; `broken` is set by one that can't go on."""

    done: list[Done]
    traffic: Optional[Traffic] = None
    broken: str = ""

    def __reduce__(self) -> tuple[Any, ...]:
        # By pickle alone, a named tuple costs several times what a plain one does, and this is said of each file.
        plain = [(*done[:2], done.row and tuple(done.row), *done[3:]) for done in self.done]
        return _news, (plain, self.traffic, self.broken)


def _news(plain: list[tuple[Any, ...]], traffic: Optional[Traffic], broken: str) -> News:
    return News([Done._make((*done[:2], done[2] and Row._make(done[2]), *done[3:])) for done in plain], traffic, broken)


def packed(message: Any) -> bytes:
    """Return a message as it goes over the wire. Only this program's own processes may be at the other end."""
    content = pickle.dumps(message, protocol=pickle.HIGHEST_PROTOCOL)
    return _LENGTH.pack(len(content)) + content


class Mailbox:
    """One end of a pair of connected sockets, which never blocks."""

    def __init__(self, end: socket.socket) -> None:
        end.setblocking(False)
        self.socket = end
        self._got = bytearray()
        self._out = bytearray()

    @property
    def waiting(self) -> bool:
        """Whether something is still to be sent, for which the socket has to be ready."""
        return bool(self._out)

    def post(self, message: Any) -> None:
        """Send a message, or keep what the other end has no room for yet."""
        self._out += packed(message)
        self.flush()

    def flush(self) -> None:
        """Send as much of what waits as there is room for.

        Raises:
            OSError: the other end is gone.
        """
        while self._out:
            try:
                sent = self.socket.send(self._out)
            except BlockingIOError:
                return
            del self._out[:sent]

    def receive(self) -> Iterator[Any]:
        """Yield the messages that are there.

        Raises:
            EOFError: the other end is gone.
        """
        while True:
            try:
                data = self.socket.recv(_RECEIVE_BYTES)
            except BlockingIOError:
                break
            except OSError as error:
                raise EOFError from error
            if not data:
                raise EOFError
            self._got += data
            if len(data) < _RECEIVE_BYTES:
                break
        while len(self._got) >= _LENGTH.size:
            (length,) = _LENGTH.unpack_from(self._got)
            end = _LENGTH.size + length
            if len(self._got) < end:
                return
            message = pickle.loads(bytes(self._got[_LENGTH.size : end]))  # noqa: S301 - our own process wrote it
            del self._got[:end]
            yield message
