# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One kept connection to the store that sends PUT requests without ever blocking; knows HTTP, but nothing of S3.

A worker holds many of them and asks each to go on whenever its socket is ready. Whatever is not a plain, complete
answer ends the connection, and the request is for others to repeat.
"""

from __future__ import annotations

import errno
import os
import re
import select
import socket
import ssl
import struct
import time
from collections.abc import Mapping
from enum import Enum
from typing import Any, NamedTuple, Optional

READ, WRITE = select.EPOLLIN, select.EPOLLOUT
Target = tuple[int, Any]
_PIECE_BYTES = 256 * 1024
_RECEIVE_BYTES = 16 * 1024
_MOST_ANSWER_BYTES = 256 * 1024
_RESET = struct.pack("ii", 1, 0)  # struct linger, socket(7)
_IN_PROGRESS = (errno.EINPROGRESS, errno.EALREADY, errno.EWOULDBLOCK)
_STATUS = re.compile(rb"HTTP/1\.1 (\d{3})(?: |\r)")


class WireError(Exception):
    """The connection broke or answered in a way that is not understood; whether the request arrived is not known."""


class Answer(NamedTuple):
    """A complete answer. Names of headers are in lower case."""

    status: int
    headers: Mapping[str, str]


class Body(NamedTuple):
    """What is sent after the headers: `content` or, where that is None, the first `size` bytes of a file."""

    size: int
    content: Optional[bytes]
    descriptor: int = -1


_NOTHING = Body(0, b"")


class _Phase(Enum):
    CONNECT = "connect"
    HANDSHAKE = "handshake"
    SEND = "send"
    RECEIVE = "receive"
    IDLE = "idle"


class Wire:
    """One connection. `wants` is what its socket has to be ready for before `step` is called.

    `watched` is for whoever waits for it: what he has asked the kernel to watch. `asked` is when the last request was
    sent whole, on the monotonic clock.
    """

    def __init__(self, target: Target, hostname: str, context: Optional[ssl.SSLContext]) -> None:
        """Begin to connect, with TLS where there is a context.

        Raises:
            WireError: not even that can be done.
        """
        family, where = target
        try:
            plain = socket.socket(family, socket.SOCK_STREAM)
        except OSError as error:
            raise WireError(str(error)) from error
        self.socket: socket.socket = plain
        try:
            plain.setblocking(False)
            plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            # What is closed, or dies with its process, is reset: else the kernel would go on to send what it has.
            plain.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            refused = plain.connect_ex(where)
            if refused and refused not in _IN_PROGRESS:
                raise OSError(refused, os.strerror(refused))
        except OSError as error:
            plain.close()
            raise WireError(str(error)) from error
        self.wants = WRITE
        self.watched = 0
        self.moved = self.asked = time.monotonic()
        self._tls = context
        self._hostname = hostname
        self._phase = _Phase.CONNECT
        self._out = memoryview(b"")
        self._body = _NOTHING
        self._sent = 0
        self._got = b""

    def close(self) -> None:
        """End the connection at once."""
        self.socket.close()

    @property
    def connected(self) -> bool:
        """Whether a request can be, or was being, sent."""
        return self._phase not in (_Phase.CONNECT, _Phase.HANDSHAKE)

    @property
    def asks(self) -> bool:
        """Whether a request was sent whole and its answer is all that it waits for."""
        return self._phase is _Phase.RECEIVE

    def hung_up(self) -> bool:
        """Return whether the idle connection was ended by the store, or says something unasked."""
        try:
            self.socket.recv(1)
        except (BlockingIOError, ssl.SSLWantReadError):
            return False
        except OSError:
            pass
        return True

    def put(self, path: str, headers: Mapping[str, str], body: Body) -> None:
        """Begin a PUT; the file of a body has to stay open until the answer is there."""
        lines = "".join([f"{name}: {value}\r\n" for name, value in headers.items()])
        head = f"PUT {path} HTTP/1.1\r\n{lines}content-length: {body.size}\r\n\r\n".encode("latin-1")
        self._out = memoryview(head if body.content is None else head + body.content)
        self._body, self._sent, self._got = body, 0 if body.content is None else body.size, b""
        if self.connected:
            self._phase = _Phase.SEND
        self.wants = WRITE
        self.moved = time.monotonic()

    def step(self) -> Optional[Answer]:
        """Go on as far as it goes without waiting; return the answer once it is complete.

        Raises:
            WireError: see there. The connection is of no more use.
        """
        try:
            if self._phase is _Phase.CONNECT:
                self._connect()
            if self._phase is _Phase.HANDSHAKE:
                self._handshake()
            if self._phase is _Phase.SEND:
                self._send()
                self.wants = READ  # no answer can be there yet
                return None
            return self._receive()
        except ssl.SSLWantReadError:
            self.wants = READ
        except ssl.SSLWantWriteError:
            self.wants = WRITE
        except BlockingIOError:
            self.wants = READ if self._phase is _Phase.RECEIVE else WRITE
        except (OSError, ValueError) as error:
            raise WireError(str(error)) from error
        return None

    def _connect(self) -> None:
        refused = self.socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if refused:
            raise OSError(refused, os.strerror(refused))
        if self._tls is not None:
            self.socket = self._tls.wrap_socket(
                self.socket, server_hostname=self._hostname, do_handshake_on_connect=False
            )
        self._phase = _Phase.SEND if self._tls is None else _Phase.HANDSHAKE

    def _handshake(self) -> None:
        if isinstance(self.socket, ssl.SSLSocket):
            self.socket.do_handshake()
        self._phase = _Phase.SEND

    def _send(self) -> None:
        body = self._body
        while self._out or self._sent < body.size:
            if self._out:
                more = socket.MSG_MORE if self._tls is None and self._sent < body.size else 0
                self._out = self._out[self.socket.send(self._out, more) :]
            elif self._tls is None:
                self._sent += self._count(os.sendfile(self.socket.fileno(), body.descriptor, self._sent, self._left()))
            else:
                self._out = memoryview(os.pread(body.descriptor, min(self._left(), _PIECE_BYTES), self._sent))
                self._sent += self._count(len(self._out))
            self.moved = time.monotonic()
        self.asked = self.moved
        self._phase = _Phase.RECEIVE

    def _left(self) -> int:
        return self._body.size - self._sent

    def _count(self, moved: int) -> int:
        if not moved:
            raise WireError("the file has become shorter while it was sent")
        return moved

    def _receive(self) -> Optional[Answer]:
        while True:
            data = self.socket.recv(_RECEIVE_BYTES)
            if not data:
                raise WireError("the store ended the connection without a complete answer")
            self.moved = time.monotonic()
            self._got += data
            answer = self._parsed()
            if answer is not None:
                self._phase = _Phase.IDLE
                self._body = _NOTHING  # an idle connection holds no content
                return answer
            if len(self._got) > _MOST_ANSWER_BYTES:
                raise WireError("the answer is too long")

    def _parsed(self) -> Optional[Answer]:
        head, end, rest = self._got.partition(b"\r\n\r\n")
        if not end:
            return None
        status = _STATUS.match(head)
        if status is None:
            raise WireError("the answer is not HTTP/1.1")
        headers: dict[str, str] = {}
        for line in head.decode("latin-1").split("\r\n")[1:]:
            name, _colon, value = line.partition(":")
            headers[name.lower()] = value.strip()
        length = headers.get("content-length", "")
        if "transfer-encoding" in headers or not length.isdecimal():
            raise WireError("the answer does not say its length")
        if len(rest) < int(length):
            return None
        return Answer(int(status.group(1)), headers)
