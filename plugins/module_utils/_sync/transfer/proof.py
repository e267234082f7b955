# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What proves that a store holds what was sent to it: a checksum that it repeats, or else the MD5 in its ETag. Pure.

Either is sent with the body, for the store to check. Most stores of today also repeat a checksum in their answer, which
says that they did. A CRC is much quicker to compute than an MD5, and so is a SHA-256 where the processor has
instructions for it. Older stores ignore a checksum, and a few refuse it.

https://docs.aws.amazon.com/AmazonS3/latest/userguide/checking-object-integrity-upload.html
"""

from __future__ import annotations

import base64
import hashlib
import zlib
from collections.abc import Mapping
from typing import Callable, NamedTuple, Protocol, Union

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.store.store import Stored

_MD5 = "content-md5"


class Sum(Protocol):
    """What a content adds up to."""

    def update(self, data: Union[bytes, memoryview], /) -> None:
        """Add the next piece."""

    def digest(self) -> bytes:
        """Return what it came to."""


class _Crc32:
    def __init__(self) -> None:
        self._value = 0

    def update(self, data: Union[bytes, memoryview], /) -> None:
        self._value = zlib.crc32(data, self._value)

    def digest(self) -> bytes:
        return self._value.to_bytes(4, "big")


class _Checksum(NamedTuple):
    header: str
    make: Callable[[], Sum]


# Where nobody can come between, damage is all that is to be feared. Elsewhere it takes a digest that can't be forged,
# for the signature covers the digest alone.
_ON_A_TRUSTED_WAY = _Checksum("x-amz-checksum-crc32", _Crc32)
_ON_ANY_WAY = _Checksum("x-amz-checksum-sha256", hashlib.sha256)


class Proofs:
    """Chooses what is computed of each content and judges the answers, for one worker.

    The first content goes with a checksum beside its MD5, which asks the store whether it repeats it. Until the answer
    has shown that, and that the ETag is the MD5, all others go with their MD5.
    """

    def __init__(self, *, trusted_way: bool) -> None:
        """`trusted_way`: there is TLS, and the store's certificate is checked."""
        self._checksum = _ON_A_TRUSTED_WAY if trusted_way else _ON_ANY_WAY
        self._asked = False
        self._repeats = False

    def sums(self) -> dict[str, Sum]:
        """Return what is to be computed of the next content, by the names of the headers that say it."""
        if self._repeats:
            return {self._checksum.header: self._checksum.make()}
        sums: dict[str, Sum] = {_MD5: hashlib.md5(usedforsecurity=False)}
        if not self._asked:
            self._asked = True
            sums[self._checksum.header] = self._checksum.make()
        return sums

    def holds(self, digests: Mapping[str, str], said: Mapping[str, str], stored: Stored) -> bool:
        """Return whether a good answer proves that the store has the content.

        digests: what the content was sent with; said: all headers of the answer; stored: what they say of the object.
        """
        checksum, md5 = digests.get(self._checksum.header), md5_of(digests)
        if not stored.etag or (stored.digest and md5 not in ("", stored.etag)):
            self.doubt(digests)
            return False
        if checksum is None:
            return True
        repeated = said.get(self._checksum.header) == checksum and stored.digest
        if md5:
            self._repeats = repeated  # the answer to the question, which is asked once
        elif not repeated:
            self.doubt(digests)
        return repeated or md5 != ""

    def doubt(self, digests: Mapping[str, str]) -> None:
        """Take note that a content was refused or not proven: if it went with a checksum, no other one will."""
        if self._checksum.header in digests:
            self._repeats = False


def digests_of(sums: Mapping[str, Sum]) -> dict[str, str]:
    """Return the headers that say what a content came to."""
    return {name: base64.b64encode(each.digest()).decode() for name, each in sums.items()}


def md5_of(digests: Mapping[str, str]) -> str:
    """Return the MD5 among the digests of a content, empty where it was not computed."""
    said = digests.get(_MD5)
    return base64.b64decode(said).hex() if said else ""
