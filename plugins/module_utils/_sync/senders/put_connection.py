# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A kept connection to the store that sends PUT requests without ever blocking. It knows HTTP, but nothing about S3.

A worker has many of them and continues each when its socket is ready. Any response that is not plain and complete ends
the connection, and somebody else repeats the request.
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

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.http.limits import too_slow

READ, WRITE = select.EPOLLIN, select.EPOLLOUT
Address = tuple[int, Any]
_PIECE_BYTES = 256 * 1024
_RECEIVE_BYTES = 16 * 1024
_MOST_ANSWER_BYTES = 64 * 1024
_MOST_DIGITS = 10  # of a length
_RESET = struct.pack("ii", 1, 0)  # struct linger, socket(7)
_IN_PROGRESS = (errno.EINPROGRESS, errno.EALREADY, errno.EWOULDBLOCK)
_STATUS = re.compile(rb"HTTP/1\.1 (\d{3})(?: |\r)")


class PutConnectionError(Exception):
    """The connection broke or answered in an unknown way; it is not known whether the request arrived."""


class PutResponse(NamedTuple):
    """A complete response. Header names are in lower case."""

    status: int
    headers: Mapping[str, str]


class Body(NamedTuple):
    """What is sent after the headers: `content` or, if that is None, the first `size` bytes of a file."""

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


class PutConnection:
    """One connection. `wants` is what its socket has to be ready for before `step` is called.

    `watched` is for the code that polls: what it asked the kernel to report. `asked` is when the last request was sent
    completely, on the monotonic clock. `last_digests` and `last_id` are for the sender: the digests to which the last
    response belonged, and its own ID.
    """

    def __init__(self, address: Address, hostname: str, context: Optional[ssl.SSLContext]) -> None:
        """Begin to connect, with TLS if there is a context.

        Raises:
            PutConnectionError: This is not possible.
        """
        family, where = address
        try:
            plain = socket.socket(family, socket.SOCK_STREAM)
        except OSError as error:
            raise PutConnectionError(str(error)) from error
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
            raise PutConnectionError(str(error)) from error
        self.wants = WRITE
        self.watched = 0
        self.last_digests: Mapping[str, str] = {}
        self.last_id = ""
        self.moved = self.asked = self._began = time.monotonic()
        self._tls = context
        self._hostname = hostname
        self._phase = _Phase.CONNECT
        self._out = memoryview(b"")
        self._body = _NOTHING
        self._sent = 0
        self._got = b""
        self._length = 0  # bytes of the body to send
        self._ends = False

    def close(self) -> None:
        """End the connection at once."""
        self.socket.close()

    @property
    def connected(self) -> bool:
        """Whether a request can be sent or is being sent."""
        return self._phase not in (_Phase.CONNECT, _Phase.HANDSHAKE)

    @property
    def asks(self) -> bool:
        """Whether a request was sent completely and only its response is missing."""
        return self._phase is _Phase.RECEIVE

    @property
    def ends(self) -> bool:
        """Whether the last response ends the connection, because the store said so or sent more than was requested."""
        return self._ends

    def is_overdue(self, now: float, connect_seconds: float, read_seconds: float) -> bool:
        """Return whether the request takes too long: one of its waits, or the whole request for its size."""
        if not self.connected:
            return now - self.moved > connect_seconds
        return now - self.moved > read_seconds or too_slow(now - self._began, read_seconds, self._length)

    def hung_up(self) -> bool:
        """Return whether the store has closed the idle connection or sent unrequested data."""
        try:
            self.socket.recv(1)
        except (BlockingIOError, ssl.SSLWantReadError):
            return False
        except OSError:
            pass
        return True

    def put(self, path: str, headers: Mapping[str, str], body: Body) -> None:
        """Begin a PUT. The file of a body has to stay open until the response has arrived."""
        lines = "".join([f"{name}: {value}\r\n" for name, value in headers.items()])
        head = f"PUT {path} HTTP/1.1\r\n{lines}content-length: {body.size}\r\n\r\n".encode("latin-1")
        self._out = memoryview(head if body.content is None else head + body.content)
        self._body, self._sent, self._got = body, 0 if body.content is None else body.size, b""
        if self.connected:
            self._phase = _Phase.SEND
        self._length = body.size
        self.wants = WRITE
        self.moved = self._began = time.monotonic()

    def step(self) -> Optional[PutResponse]:
        """Continue as far as possible without waiting; return the response when it is complete.

        Raises:
            PutConnectionError: See there. The connection can't be used any more.
        """
        try:
            if self._phase is _Phase.CONNECT:
                self._connect()
            if self._phase is _Phase.HANDSHAKE:
                self._handshake()
            if self._phase is _Phase.SEND:
                self._send()
                self.wants = READ  # there can't be a response yet
                return None
            return self._receive()
        except ssl.SSLWantReadError:
            self.wants = READ
        except ssl.SSLWantWriteError:
            self.wants = WRITE
        except BlockingIOError:
            self.wants = READ if self._phase is _Phase.RECEIVE else WRITE
        except (OSError, ValueError) as error:
            raise PutConnectionError(str(error)) from error
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
            raise PutConnectionError("the file has become shorter while it was sent")
        return moved

    def _receive(self) -> Optional[PutResponse]:
        while True:
            data = self.socket.recv(_RECEIVE_BYTES)
            if not data:
                raise PutConnectionError("the store ended the connection without a complete answer")
            self.moved = time.monotonic()
            self._got += data
            answer = self._parsed()
            if answer is not None:
                self._phase = _Phase.IDLE
                self._body = _NOTHING  # an idle connection holds no content
                return answer
            if len(self._got) > _MOST_ANSWER_BYTES:
                raise PutConnectionError("the answer is too long")

    def _parsed(self) -> Optional[PutResponse]:
        head, end, rest = self._got.partition(b"\r\n\r\n")
        if not end:
            return None
        status = _STATUS.match(head)
        if status is None:
            raise PutConnectionError("the answer is not HTTP/1.1")
        headers: dict[str, str] = {}
        lines = head.decode("latin-1").split("\r\n")
        for line in lines[1:]:
            name, _colon, value = line.partition(":")
            headers[name.lower()] = value.strip()
        length = headers.get("content-length", "")
        if "transfer-encoding" in headers or not length.isdecimal() or len(length) > _MOST_DIGITS:
            raise PutConnectionError("the answer does not say its length")
        if len(headers) < len(lines) - 1 and sum(line[:15].lower() == "content-length:" for line in lines) > 1:
            raise PutConnectionError("the answer says its length more than once")
        if len(rest) < int(length):
            return None
        self._ends = len(rest) > int(length) or headers.get("connection", "keep-alive").lower() != "keep-alive"
        return PutResponse(int(status.group(1)), headers)
