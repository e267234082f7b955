# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What proves that a store has what was sent to it: a checksum in its response, or else the MD5 in the ETag. Pure.

Either is sent with the body, for the store to check. Most current stores also return the checksum, which shows that
they checked it. A CRC is much faster than an MD5, and so is a SHA-256 on processors with instructions for it. Older
stores ignore a checksum, and a few refuse it.

https://docs.aws.amazon.com/AmazonS3/latest/userguide/checking-object-integrity-upload.html
"""

from __future__ import annotations

import base64
import hashlib
import zlib
from collections.abc import Mapping
from typing import Callable, Optional, Protocol, Union

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.store.store import Stored

MD5 = "content-md5"
_CHECKSUM = "x-amz-checksum-"
_QUESTIONS = 3  # as an answer may be lost


class Hasher(Protocol):
    """A running sum over content."""

    def update(self, data: Union[bytes, memoryview], /) -> None:
        """Add the next piece."""

    def digest(self) -> bytes:
        """Return the result."""


class _Crc32:
    def __init__(self) -> None:
        self._value = 0

    def update(self, data: Union[bytes, memoryview], /) -> None:
        self._value = zlib.crc32(data, self._value)

    def digest(self) -> bytes:
        return self._value.to_bytes(4, "big")


_MAKERS: dict[str, Callable[[], Hasher]] = {"crc32": _Crc32, "sha256": hashlib.sha256}
# Where nobody can come between, damage is all that is to be feared. Elsewhere it takes a digest that can't be forged,
# for the signature covers the digest alone.
_ON_A_TRUSTED_WAY, _ON_ANY_WAY = "crc32", "sha256"


class ChecksumNegotiation:
    """Chooses which sums to compute for each file, and judges the responses, for one worker.

    The first file is sent with a checksum and its MD5, to find out whether the store returns checksums. Until a
    response has shown this, all others are sent with their MD5.
    """

    def __init__(self, *, trusted_way: bool) -> None:
        """`trusted_way`: TLS is used, and the store's certificate is checked. `name` is that of the checksum."""
        self.name = _ON_A_TRUSTED_WAY if trusted_way else _ON_ANY_WAY
        self._header = _CHECKSUM + self.name
        self._questions = _QUESTIONS  # that may still be tried
        self._asking = False
        self._repeats = False

    def hashers(self) -> dict[str, Hasher]:
        """Return the sums to compute for the next file, by the names of their headers."""
        if self._repeats:
            return {self._header: _MAKERS[self.name]()}
        hashers: dict[str, Hasher] = {MD5: hashlib.md5(usedforsecurity=False)}
        if self._questions and not self._asking:
            hashers[self._header] = _MAKERS[self.name]()
        return hashers

    def sent(self, digests: Mapping[str, str]) -> None:
        """Record that content is being sent."""
        if self._asks(digests):
            self._asking = True
            self._questions -= 1

    def lost(self, digests: Mapping[str, str]) -> None:
        """Record that there is no useful response for this content, so that the next one may find out."""
        if self._asks(digests):
            self._asking = False

    def refused(self, digests: Mapping[str, str]) -> bool:
        """Record that content was refused; return whether a checksum may be the reason. Then no more are sent."""
        if self._header not in digests:
            return False
        self._questions, self._repeats = 0, False
        return True

    def confirms(self, digests: Mapping[str, str], said: Mapping[str, str], stored: Stored) -> bool:
        """Return whether a successful response proves that the store has the content.

        digests: what was sent with the content; said: all headers of the response; stored: what they say about the
            object.
        """
        checksum, md5 = digests.get(self._header), md5_of(digests)
        repeated = checksum is not None and said.get(self._header) == checksum
        confirmed = stored.etag != "" and not stored.contradicts(md5) and (repeated or md5 != "")
        if checksum is not None:
            # The response to the trial turns checksums on; any other can only turn them off.
            self._repeats = confirmed and repeated and (self._repeats or self._asks(digests))
            self._questions = 0
        return confirmed

    def _asks(self, digests: Mapping[str, str]) -> bool:
        return self._header in digests and MD5 in digests


def digests_of(hashers: Mapping[str, Hasher]) -> dict[str, str]:
    """Return the headers with the results of the sums."""
    return {name: base64.b64encode(each.digest()).decode() for name, each in hashers.items()}


def md5_of(digests: Mapping[str, str]) -> str:
    """Return the MD5 among the digests; empty if it was not computed."""
    said = digests.get(MD5)
    return base64.b64decode(said).hex() if said else ""


def digest_of(digests: Mapping[str, str]) -> str:
    """Return what identifies the content: its MD5 in hex or, if none was computed, its checksum with its name.

    So no ETag has to be a digest.
    """
    md5 = md5_of(digests)
    if md5:
        return md5
    ((header, value),) = digests.items()
    return f"{header[len(_CHECKSUM) :]}:{value}"


class NamedHasher:
    """A checksum that is computed again, to compare content with the result of `digest_of`."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._sum = _MAKERS[name]()

    @classmethod
    def of(cls, digest: str) -> Optional[NamedHasher]:
        """Begin the checksum that a digest names; None if it names none."""
        name, colon, _value = digest.partition(":")
        return cls(name) if colon and name in _MAKERS else None

    def update(self, data: Union[bytes, memoryview]) -> None:
        """Add the next piece."""
        self._sum.update(data)

    def told(self) -> str:
        """Return the result, with the name."""
        return digest_of(digests_of({_CHECKSUM + self._name: self._sum}))
