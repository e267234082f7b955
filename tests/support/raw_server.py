"""A server that sends exactly the bytes that a test writes, for responses that no HTTP server sends."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
import typing as t


class RawRequest(t.NamedTuple):
    """A received request, with header names in lower case. number: of the request on its connection, from 0."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes
    number: int


class RawConnection:
    """A connection, seen from the server."""

    def __init__(self, server: RawServer, connection: socket.socket) -> None:
        self._server = server
        self._connection = connection

    def send(self, data: bytes) -> None:
        """Send bytes."""
        self._server.sent += len(data)
        self._connection.sendall(data)

    def drip(self, data: bytes, seconds: float) -> None:
        """Send the bytes one by one, with a pause of this many seconds after each."""
        for place in range(len(data)):
            self.send(data[place : place + 1])
            if self._server.over.wait(seconds):
                return

    def flood(self, data: bytes, limit: int = 200 * 1024 * 1024) -> None:
        """Send the same bytes again and again, until the client closes the connection."""
        while self._server.sent < limit and not self._server.over.is_set():
            self.send(data)

    def reset(self) -> None:
        """End the connection."""
        self._connection.close()


Responder = t.Callable[[RawConnection, RawRequest], t.Optional[bool]]


class RawServer:
    """The running server. `answer` is called with each request; where it returns False the connection ends.

    `requests` has all that came, `sent` how many bytes went out, `connections` how many there were.
    """

    def __init__(self, answer: Responder) -> None:
        self.answer = answer
        self.requests: list[RawRequest] = []
        self.sent = self.connections = 0
        self.over = threading.Event()
        self._listening = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port = self._listening.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """Stop it."""
        self.over.set()
        # A blocked accept does not end with the socket's file.
        with contextlib.suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _address = self._listening.accept()
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self.connections += 1
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        # What clients hang up on is no fault here.
        with contextlib.suppress(OSError), connection, connection.makefile("rb") as reader:
            number = 0
            while True:
                head = reader.readline().decode("latin-1").split()
                if len(head) != 3:
                    return
                headers = {}
                while True:
                    name, colon, value = reader.readline().decode("latin-1").partition(":")
                    if not colon:
                        break
                    headers[name.lower()] = value.strip()
                if headers.get("expect") and "no-continue" not in headers:
                    connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
                body = reader.read(int(headers.get("content-length") or 0))
                request = RawRequest(head[0], head[1], headers, body, number)
                self.requests.append(request)
                number += 1
                if self.answer(RawConnection(self, connection), request) is False:
                    return


def plain(status: int, headers: dict[str, str] | None = None, body: bytes = b"") -> bytes:
    """Return a complete, correct response."""
    lines = "".join(f"{name}: {value}\r\n" for name, value in {"Content-Length": len(body), **(headers or {})}.items())
    return f"HTTP/1.1 {status} Some Words\r\n{lines}\r\n".encode() + body


def timed(function: t.Callable[[], t.Any]) -> tuple[t.Any, float]:
    """Return the result of a function, or the exception that it raises, and how many seconds it took."""
    started = time.monotonic()
    try:
        found = function()
    except Exception as error:  # noqa: BLE001 - it is looked at
        found = error
    return found, time.monotonic() - started
