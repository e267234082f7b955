# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The limits of one request: a time that fits its size, and a maximum length of the response.

A socket's own timeout limits each wait, but not their sum: one byte every few seconds could go on forever.
"""

from __future__ import annotations

import socket
import time
import typing as t

MIN_BYTES_PER_SECOND = 4096  # bytes per second: anything slower overall is aborted
MAX_RESPONSE_BYTES = 16 * 1024 * 1024  # a listing has a thousand keys of up to a kilobyte, three times that in its code
# A store that copies or puts together a large object answers when it has done so, and sends white space until then:
# https://docs.aws.amazon.com/AmazonS3/latest/API/API_CompleteMultipartUpload.html
SLOW_OPERATION_SECONDS = 15 * 60.0
_MOST_ENDS = 100


class ResponseTooLongError(Exception):
    """The response is longer than any that can be expected."""

    def __init__(self, most: int) -> None:
        super().__init__(f"the answer is longer than {most} bytes")


def too_slow(elapsed: float, seconds: float, size: int) -> bool:
    """Return whether a request that has moved `size` bytes, or has so many to move, takes too long."""
    return elapsed > seconds + size / MIN_BYTES_PER_SECOND


class RequestLimits:
    """Counts what the requests on a connection cost, one after another, and raises if it is too much."""

    def __init__(self, seconds: float, most: int = MAX_RESPONSE_BYTES) -> None:
        """Allow `seconds` in addition to the time for the bytes, and `most` bytes for a response with its headers."""
        self._usual = seconds
        self._most = most
        self.begin()

    def begin(self, *, slow: bool = False) -> None:
        """Begin a new request.

        Args:
            slow: The store has to work for a long time before it answers.
        """
        self._seconds = max(self._usual, SLOW_OPERATION_SECONDS) if slow else self._usual
        self.restart()

    def restart(self) -> None:
        """Begin the same request again, over a new connection."""
        self._began = time.monotonic()
        self._sent = self._received = self._ends = 0

    def sent(self, size: int) -> None:
        """Count bytes that were sent.

        Raises:
            TimeoutError: The request is too slow; on Python 3.9 it is socket.timeout.
        """
        self._sent += size
        self._check_time()

    def received(self, size: int | None) -> None:
        """Count bytes that were read, none at the end of the connection.

        Raises:
            TimeoutError: The request is too slow; on Python 3.9 it is socket.timeout.
            ResponseTooLongError: The response is too long.
            ConnectionResetError: The caller keeps reading after the end.
        """
        self._received += size or 0
        if self._received > self._most:
            raise ResponseTooLongError(self._most)
        self._ends = 0 if size else self._ends + 1
        if self._ends > _MOST_ENDS:
            raise ConnectionResetError("the connection ended within the answer")
        self._check_time()

    def _check_time(self) -> None:
        elapsed = time.monotonic() - self._began
        if too_slow(elapsed, self._seconds, self._sent + self._received):
            raise socket.timeout(f"the request took more than {elapsed:.0f} seconds")


def is_slow_operation(method: str, target: str, headers: t.Iterable[str]) -> bool:
    """Return whether the store has to work for a long time: to copy an object, or to complete an upload."""
    if method == "POST":
        return "uploadId=" in target
    return method == "PUT" and any(name.lower() == "x-amz-copy-source" for name in headers)
