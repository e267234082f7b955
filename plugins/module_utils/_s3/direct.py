# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Small signed requests over kept connections, without boto3.

boto3 spends several times more on such a request than it takes, and threads make it no faster. So each is tried in this
way first; whatever is not plainly answered is left to boto3, with its retries and its errors.
"""

from __future__ import annotations

import hashlib
import http.client
import threading
import time
import typing as t

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.address import Address
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.shortcut import Shortcut
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.signature import (
    Keys,
    Signing,
    encoded,
    encoded_query,
)

_NO_BODY_SHA256 = hashlib.sha256(b"").hexdigest()
_MOST_ANSWER_BYTES = 16 * 1024 * 1024  # a listing has a thousand keys of up to a kilobyte, three times that in its code
_OK, _NOT_FOUND = 200, 404


class Answer(t.NamedTuple):
    """A complete answer. Names of headers are in lower case."""

    status: int
    headers: t.Mapping[str, str]
    body: bytes


class Direct:
    """Asks about one bucket. Safe for several threads; as many connections are kept as were in use at once."""

    def __init__(
        self, address: Address, keys: t.Callable[[], Keys], count: t.Callable[[str], None] | None = None
    ) -> None:
        """`keys` gives those of the moment, where the address has none; `count` is called with each operation."""
        self._address = address
        self._keys = keys
        self._count = count
        self._context = address.context()
        self._idle: list[_Line] = []
        self._lines: list[_Line] = []
        self._lock = threading.Lock()
        self._shortcut = Shortcut()

    def close(self) -> None:
        """Close all connections."""
        for line in self._lines:
            line.close()

    def ask(
        self,
        operation: str,
        method: str,
        *,
        key: str = "",
        query: t.Mapping[str, str] | None = None,
        headers: t.Mapping[str, str] | None = None,
    ) -> Answer | None:
        """Return the answer to a request about `key`, or about the bucket, None where it is no plain success.

        headers: names in lower case.
        """
        if not self._shortcut.is_open(time.monotonic()):
            return None
        if self._count is not None:
            self._count(operation)
        line = self._taken()
        answer: Answer | None = None
        try:
            answer = line.exchange(method, key, query or {}, headers or {})
        except (OSError, ValueError, http.client.HTTPException):
            line.close()
        finally:
            self._give_back(line, answered=answer is not None and answer.status in (_OK, _NOT_FOUND))
        return answer if answer is not None and answer.status == _OK else None

    def _give_back(self, line: _Line, *, answered: bool) -> None:
        with self._lock:
            self._idle.append(line)
            if answered:
                self._shortcut.worked()
            else:
                self._shortcut.failed(time.monotonic())

    def _taken(self) -> _Line:
        with self._lock:
            if self._idle:
                return self._idle.pop()
            line = _Line(self._address, self._context, self._keys)
            self._lines.append(line)
            return line


class _Line:
    """One connection and its signature, for one request at a time."""

    def __init__(self, address: Address, context: t.Any, keys: t.Callable[[], Keys]) -> None:
        self._address = address
        self._signing = Signing(address.region, address.keys, keys)
        host, port, timeout = address.hostname, address.port, address.connect_timeout
        self._connection = (
            http.client.HTTPSConnection(host, port, timeout=timeout, context=context)
            if address.tls
            else http.client.HTTPConnection(host, port, timeout=timeout)
        )

    def close(self) -> None:
        """End the connection; the next request makes a new one."""
        self._connection.close()

    def exchange(self, method: str, key: str, query: t.Mapping[str, str], headers: t.Mapping[str, str]) -> Answer:
        """Send a request and return the answer.

        Raises OSError, ValueError or HTTPException; the connection is of no more use then.
        """
        path = self._address.path + encoded(key)
        words = encoded_query(query)
        signed = self._signing.signer().headers(
            path,
            self._address.host,
            headers,
            _NO_BODY_SHA256,
            time.time(),
            method=method,
            query="&".join(words),
        )
        signed["user-agent"] = self._address.user_agent
        # Some stores know a request by the bare name.
        where = f"{path}?{'&'.join(word.rstrip('=') for word in words)}" if words else path
        if self._connection.sock is None:
            self._connection.connect()
            plain: t.Any = self._connection.sock
            plain.settimeout(self._address.read_timeout)
        self._connection.request(method, where, headers=signed)
        response = self._connection.getresponse()
        # Not more than there is: Python 3.9 makes room for all that is asked for.
        length = _MOST_ANSWER_BYTES if response.length is None else min(response.length, _MOST_ANSWER_BYTES)
        body = response.read(length)
        if not response.isclosed():
            self.close()
        return Answer(response.status, {name.lower(): value for name, value in response.getheaders()}, body)
