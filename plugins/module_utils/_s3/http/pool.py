# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Kept connections for requests without boto3, signed or anonymous.

They use http.client and not urllib3, which boto3 uses: a full audit sends a request for each object, and with the same
limits urllib3 2 needs about 1.9 times the CPU (460 instead of 240 microseconds on a slow core).
"""

from __future__ import annotations

import http.client
import ssl
import threading
import typing as t

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.http.connections import connection
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.http.limits import (
    MAX_RESPONSE_BYTES,
    ResponseTooLongError,
)


class Origin(t.NamedTuple):
    """The server to connect to."""

    tls: bool
    hostname: str
    port: int

    @property
    def url(self) -> str:
        """Its address without a path."""
        host = f"[{self.hostname}]" if ":" in self.hostname else self.hostname
        port = "" if self.port == (443 if self.tls else 80) else f":{self.port}"
        return f"{'https' if self.tls else 'http'}://{host}{port}"


class Response(t.NamedTuple):
    """A complete response, or one with only the start of its body.

    Header names are in lower case. The values of a header that came several times are joined with commas (RFC 9110).
    """

    status: int
    headers: t.Mapping[str, str]
    body: bytes


class ConnectionPool:
    """Sends requests and keeps as many connections as were in use at once. Safe for several threads."""

    def __init__(
        self,
        context: ssl.SSLContext | None,
        *,
        connect_seconds: float,
        read_seconds: float,
        max_bytes: int = MAX_RESPONSE_BYTES,
        proxy: t.Callable[[Origin], tuple[str, int] | None] | None = None,
        unique_header: str = "",
        repeats: bool = False,
    ) -> None:
        """Open no connection yet.

        Args:
            context: TLS settings.
            connect_seconds: Limits each attempt to connect.
            read_seconds: Limits each wait, and the whole request in addition to the time that its bytes may take.
            max_bytes: Maximum length of a response with its headers.
            proxy: Returns host and port of the proxy for a server; None if there is none.
            unique_header: A header that differs in each response. If its value is repeated, an old response came again.
            repeats: Whether a request that failed on a kept connection is sent again over a new one.
        """
        self._context = context
        self._connect_seconds = connect_seconds
        self._read_seconds = read_seconds
        self._max_bytes = max_bytes
        self._proxy = proxy
        self._unique_header = unique_header
        self._repeats = repeats
        self._idle: dict[Origin, list[_PooledConnection]] = {}
        self._all: set[_PooledConnection] = set()
        self._lock = threading.Lock()

    def close(self) -> None:
        """Close all connections."""
        with self._lock:
            for each in self._all:
                each.plain.close()
            self._all.clear()
            self._idle.clear()

    def request(
        self, origin: Origin, method: str, path: str, headers: t.Mapping[str, str], *, start: int | None = None
    ) -> Response:
        """Send a request without a body and return the response.

        Args:
            origin: The server.
            method: The HTTP method.
            path: The path with the query, escaped.
            headers: Headers; Host is added if it is missing.
            start: How many bytes of the body to read; None: all.

        Raises:
            OSError: There was no connection, or it broke.
            ValueError: An old response came again, or something can't be sent.
            HTTPException: The response is not HTTP.
            ResponseTooLongError: The response is too long.
        """
        used, kept = self._taken(origin)
        try:
            response = self._exchange(used, method, origin.url + path if used.whole_url else path, headers, start)
        except BaseException as error:
            self._drop(used)
            if not (kept and self._repeats and isinstance(error, (http.client.HTTPException, ConnectionError))):
                raise
        else:
            self._give_back(origin, used)
            return response
        # A server may close a kept connection: only a new one shows whether it answers.
        with self._lock:
            idle = self._idle.pop(origin, [])
        for each in idle:
            self._drop(each)
        return self.request(origin, method, path, headers, start=start)

    def _exchange(
        self, used: _PooledConnection, method: str, target: str, headers: t.Mapping[str, str], start: int | None
    ) -> Response:
        used.plain.request(method, target, headers=headers)
        response = used.plain.getresponse()
        if start is None and response.length is not None and response.length > self._max_bytes:
            raise ResponseTooLongError(self._max_bytes)
        found: dict[str, str] = {}
        for written, value in response.getheaders():
            name = written.lower()
            found[name] = f"{found[name]}, {value}" if name in found else value
        body = response.read() if start is None else response.read(start)
        ident = found.get(self._unique_header, "")
        if ident and ident == used.last_ident:
            raise ValueError("the same response came twice")
        used.last_ident = ident
        if response.will_close or not response.isclosed():
            used.plain.close()
        return Response(response.status, found, body)

    def _taken(self, origin: Origin) -> tuple[_PooledConnection, bool]:
        """Return a connection for one request, and whether it was used before."""
        with self._lock:
            idle = self._idle.get(origin)
            if idle:
                return idle.pop(), True
        used = self._opened(origin)
        with self._lock:
            self._all.add(used)
        return used, False

    def _give_back(self, origin: Origin, used: _PooledConnection) -> None:
        if used.plain.sock is None:  # the response was the last one
            self._drop(used)
            return
        with self._lock:
            self._idle.setdefault(origin, []).append(used)

    def _drop(self, used: _PooledConnection) -> None:
        used.plain.close()
        with self._lock:
            self._all.discard(used)

    def _opened(self, origin: Origin) -> _PooledConnection:
        proxy = self._proxy(origin) if self._proxy is not None else None
        host, port = proxy or (origin.hostname, origin.port)
        plain = connection(
            host,
            port,
            self._context if origin.tls else None,
            connect_seconds=self._connect_seconds,
            read_seconds=self._read_seconds,
            most=self._max_bytes,
        )
        if proxy and origin.tls:
            plain.set_tunnel(origin.hostname, origin.port)
        return _PooledConnection(plain, whole_url=bool(proxy) and not origin.tls)


class _PooledConnection:
    """A connection of the pool.

    Attributes:
        whole_url: The request line has the whole URL, as a proxy for plain HTTP needs it.
        last_ident: See `unique_header`.
    """

    def __init__(self, plain: http.client.HTTPConnection, *, whole_url: bool) -> None:
        self.plain = plain
        self.whole_url = whole_url
        self.last_ident = ""
