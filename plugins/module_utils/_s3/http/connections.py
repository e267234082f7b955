# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Connections of http.client, and of libraries that use it, with limits for each request."""

from __future__ import annotations

import http.client
import io
import select
import ssl
import typing as t

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.http.limits import (
    MAX_RESPONSE_BYTES,
    RequestLimits,
    is_slow_operation,
)

_PIECE_BYTES = 64 * 1024
# Fixed, since what is read ahead counts as received, and Python 3.14 would read 128 KiB.
_BUFFER_BYTES = 8 * 1024


class _LimitedReader(io.RawIOBase):
    """Reads a socket and counts bytes."""

    def __init__(self, raw: t.Any, limits: RequestLimits) -> None:
        super().__init__()
        self._raw = raw
        self._limits = limits

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: t.Any) -> int | None:
        size: int | None = self._raw.readinto(buffer)
        self._limits.received(size)
        return size

    def close(self) -> None:
        if not self.closed:
            self._raw.close()
        super().close()


class _LimitedSocket:
    """A socket that counts the bytes it sends and receives; otherwise the same as the socket."""

    def __init__(self, plain: t.Any, limits: RequestLimits) -> None:
        self.plain = plain
        self._limits = limits

    def __getattr__(self, name: str) -> t.Any:
        return getattr(self.plain, name)

    def makefile(self, _mode: str = "rb", buffering: int | None = None) -> io.RawIOBase | io.BufferedReader:
        """Return a reader of the socket, as http.client needs it: bytes, with a buffer unless `buffering` is 0."""
        reader = _LimitedReader(self.plain.makefile("rb", buffering=0), self._limits)
        return reader if buffering == 0 else io.BufferedReader(reader, _BUFFER_BYTES)

    def sendall(self, data: t.Any, *flags: int) -> None:
        """Send all of the data, however much; the socket's timeout counts for each piece of it."""
        with memoryview(data) as whole, whole.cast("B") as view:
            for place in range(0, len(view), _PIECE_BYTES):
                piece = view[place : place + _PIECE_BYTES]
                self.plain.sendall(piece, *flags)
                self._limits.sent(len(piece))


class LimitedConnection:
    """A mixin for connection classes, such as http.client's, whose sockets it wraps.

    The wait for each piece may take `wait_seconds`; None: as long as the connection's own timeout.
    """

    limits: RequestLimits
    wait_seconds: float | None = None

    def connect(self) -> None:
        """Connect, and wrap the socket."""
        self.limits.restart()
        own: t.Any = self
        super().connect()  # type: ignore[misc]
        if self.wait_seconds is not None:
            own.sock.settimeout(self.wait_seconds)
        own.sock = _LimitedSocket(own.sock, self.limits)

    def putrequest(self, method: str, url: str, *arguments: t.Any, **others: t.Any) -> t.Any:
        """Begin a request."""
        self.limits.begin(slow=is_slow_operation(method, url, ()))
        return super().putrequest(method, url, *arguments, **others)  # type: ignore[misc]

    def putheader(self, header: t.Any, *values: t.Any) -> t.Any:
        """Add a header."""
        if is_slow_operation("PUT", "", (header if isinstance(header, str) else header.decode("latin-1"),)):
            self.limits.begin(slow=True)
        return super().putheader(header, *values)  # type: ignore[misc]

    def _tunnel(self) -> None:
        """Ask a proxy for a tunnel. Its response is limited too."""
        own: t.Any = self
        plain = own.sock
        own.sock = _LimitedSocket(plain, self.limits)
        try:
            super()._tunnel()  # type: ignore[misc]
        finally:
            if own.sock is not None:  # closed
                own.sock = plain


class _KeptConnection(LimitedConnection):
    """A mixin for the classes of connections that C(pool) keeps."""

    def request(self, method: str, url: str, body: t.Any = None, headers: t.Any = None, **others: t.Any) -> t.Any:
        """Send a request. If the old connection has ended or received unrequested data, use a new one."""
        own: t.Any = self
        if own.sock is not None and _has_unread_data(own.sock):
            own.close()
        return super().request(method, url, body, headers or {}, **others)  # type: ignore[misc]


def _has_unread_data(sock: t.Any) -> bool:
    """Return whether an idle connection has ended or received unrequested data."""
    if isinstance(getattr(sock, "plain", sock), ssl.SSLSocket) and sock.pending():
        return True
    poll = select.poll()
    poll.register(sock.fileno(), select.POLLIN)
    return bool(poll.poll(0))


class _Connection(_KeptConnection, http.client.HTTPConnection):
    pass


class _TlsConnection(_KeptConnection, http.client.HTTPSConnection):
    pass


def connection(
    host: str,
    port: int,
    context: ssl.SSLContext | None,
    *,
    connect_seconds: float,
    read_seconds: float,
    most: int = MAX_RESPONSE_BYTES,
) -> http.client.HTTPConnection:
    """Return a connection that is not established yet, with TLS if there is a `context`.

    `read_seconds` limits each wait, and the whole request in addition to the time that its bytes may take. `most` is
    the maximum length of a response with its headers.
    """
    found: _Connection | _TlsConnection = (
        _Connection(host, port, timeout=connect_seconds)
        if context is None
        else _TlsConnection(host, port, timeout=connect_seconds, context=context)
    )
    found.limits = RequestLimits(read_seconds, most)
    found.wait_seconds = read_seconds
    return found
