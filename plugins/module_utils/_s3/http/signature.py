# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Signs requests with AWS Signature Version 4, without botocore. Pure.

https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html
"""

from __future__ import annotations

import hashlib
import hmac
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Callable, Optional
from urllib.parse import quote

UNSIGNED_PAYLOAD = "UNSIGNED-PAYLOAD"
_ALGORITHM = "AWS4-HMAC-SHA256"


@dataclass(frozen=True)
class Credentials:
    """The credentials to sign with. The repr contains no secret."""

    access_key: str
    secret_key: str = field(repr=False)
    session_token: Optional[str] = field(default=None, repr=False)


class Signer:
    """Signs with one pair of keys for one region; the key of a day is derived once. Not for several threads."""

    def __init__(self, credentials: Credentials, region: str) -> None:
        self.credentials = credentials
        self._region = region
        self._second = -1
        self._stamp = ""
        self._date = ""
        self._scope = ""
        self._key = b""

    def headers(
        self,
        path: str,
        host: str,
        headers: Mapping[str, str],
        payload_sha256: str,
        now: float,
        *,
        method: str = "PUT",
        query: str = "",
    ) -> dict[str, str]:
        """Return all headers of a signed request except Content-Length.

        Args:
            method: The HTTP method.
            host: Value of the Host header.
            path: As in the request line, see `encoded`.
            headers: Names in lower case; values without leading, trailing or double spaces.
            payload_sha256: In hexadecimal digits, or `UNSIGNED_PAYLOAD`.
            now: Seconds since the epoch.
            query: Sorted and encoded, with an equals sign after each name.
        """
        if int(now) != self._second:
            self._second, self._stamp = int(now), time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(now))
        stamp = self._stamp
        if not stamp.startswith(self._date) or not self._date:
            self._derive(stamp[:8])
        signed = {**headers, "host": host, "x-amz-content-sha256": payload_sha256, "x-amz-date": stamp}
        if self.credentials.session_token:
            signed["x-amz-security-token"] = self.credentials.session_token
        names = sorted(signed)
        listed = ";".join(names)
        lines = "".join([f"{name}:{signed[name]}\n" for name in names])
        request = f"{method}\n{path}\n{query}\n{lines}\n{listed}\n{payload_sha256}"
        text = f"{_ALGORITHM}\n{stamp}\n{self._scope}\n{hashlib.sha256(request.encode()).hexdigest()}"
        signature = hmac.digest(self._key, text.encode(), "sha256").hex()
        signed["authorization"] = (
            f"{_ALGORITHM} Credential={self.credentials.access_key}/{self._scope}, SignedHeaders={listed},"
            f" Signature={signature}"
        )
        return signed

    def _derive(self, date: str) -> None:
        key = f"AWS4{self.credentials.secret_key}".encode()
        for part in (date, self._region, "s3", "aws4_request"):
            key = hmac.digest(key, part.encode(), "sha256")
        self._date, self._key = date, key
        self._scope = f"{date}/{self._region}/s3/aws4_request"


class RenewableSigner:
    """Returns the current signer. Not for several threads."""

    def __init__(
        self, region: str, lasting: Optional[Credentials], renewed: Optional[Callable[[], Credentials]] = None
    ) -> None:
        """Sign with `lasting` or, if that is None, with the credentials that `renewed` returns each time."""
        self._region = region
        self._renewed = None if lasting else renewed
        self._signer = Signer(lasting, region) if lasting else None

    def signer(self) -> Signer:
        """Return the current signer. Errors of `renewed` are raised unchanged."""
        if self._renewed is not None:
            credentials = self._renewed()
            if self._signer is None or self._signer.credentials != credentials:
                self._signer = Signer(credentials, self._region)
        if self._signer is None:
            raise AssertionError("neither lasting credentials nor a way to renew them")
        return self._signer


def encoded(key: str) -> str:
    """Return a key as it appears in a path, encoded as botocore does: all except unreserved characters and slashes."""
    return quote(key, safe="/~")


def encoded_query(words: Mapping[str, str]) -> list[str]:
    """Return a query as it is signed: encoded, sorted, with an equals sign after each name."""
    return sorted(f"{quote(name, safe='~')}={quote(value, safe='~')}" for name, value in words.items())
