# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Sends small signed requests over kept connections, without boto3.

boto3 needs several times the CPU for such a request, and threads do not make it faster. So every request is tried here
first. If the response is not a plain success, the request is left to boto3, with its retries and its errors.
"""

from __future__ import annotations

import hashlib
import http.client
import threading
import time
import typing as t

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.http.circuit_breaker import CircuitBreaker
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.http.endpoint import Endpoint
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.http.limits import ResponseTooLongError
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.http.pool import (
    ConnectionPool,
    Origin,
    Response,
)
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.http.signature import (
    Credentials,
    RenewableSigner,
    encoded,
    encoded_query,
)

_NO_BODY_SHA256 = hashlib.sha256(b"").hexdigest()
_OK, _NOT_FOUND = 200, 404


class SignedClient:
    """Sends requests about one bucket. Safe for several threads."""

    def __init__(
        self, endpoint: Endpoint, credentials: t.Callable[[], Credentials], count: t.Callable[[str], None] | None = None
    ) -> None:
        """Open no connection yet.

        Args:
            endpoint: Where to send.
            credentials: Returns the current ones, if the endpoint has none.
            count: Called with each operation.
        """
        self._endpoint = endpoint
        self._origin = Origin(endpoint.tls, endpoint.hostname, endpoint.port)
        self._signer = RenewableSigner(endpoint.region, endpoint.credentials, credentials)
        self._count = count
        self._pool = ConnectionPool(
            endpoint.context(),
            connect_seconds=endpoint.connect_timeout,
            read_seconds=endpoint.read_timeout,
            unique_header="x-amz-request-id",
        )
        self._lock = threading.Lock()
        self._breaker = CircuitBreaker()

    def close(self) -> None:
        """Close all connections."""
        self._pool.close()

    def request(
        self,
        operation: str,
        method: str,
        *,
        key: str = "",
        query: t.Mapping[str, str] | None = None,
        headers: t.Mapping[str, str] | None = None,
    ) -> Response | None:
        """Return the response to a request about `key`, or about the bucket; None if it is not a plain success.

        Header names are in lower case.
        """
        if not self._breaker.allows(time.monotonic()):
            return None
        if self._count is not None:
            self._count(operation)
        path, words = self._endpoint.path + encoded(key), encoded_query(query or {})
        # Some stores recognise a request only by the name alone.
        target = f"{path}?{'&'.join(word.rstrip('=') for word in words)}" if words else path
        answer: Response | None = None
        try:
            signed = self._signed(method, path, "&".join(words), headers or {})
            answer = self._pool.request(self._origin, method, target, signed)
        except (OSError, ValueError, http.client.HTTPException, ResponseTooLongError):
            pass  # boto3's error is the best explanation
        finally:
            self._note(answered=answer is not None and answer.status in (_OK, _NOT_FOUND))
        return answer if answer is not None and answer.status == _OK else None

    def _signed(self, method: str, path: str, query: str, headers: t.Mapping[str, str]) -> dict[str, str]:
        """Return all headers of a request.

        Raises:
            OSError: The keys are not available.
        """
        with self._lock:
            signed = self._signer.signer().headers(
                path, self._endpoint.host, headers, _NO_BODY_SHA256, time.time(), method=method, query=query
            )
        signed["user-agent"] = self._endpoint.user_agent
        return signed

    def _note(self, *, answered: bool) -> None:
        with self._lock:
            if answered:
                self._breaker.succeeded()
            else:
                self._breaker.failed(time.monotonic())
