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
from typing import Callable, Optional, Protocol, Union

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.store.store import Stored

_MD5 = "content-md5"
_CHECKSUM = "x-amz-checksum-"
_QUESTIONS = 3  # as an answer may be lost


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


_MAKERS: dict[str, Callable[[], Sum]] = {"crc32": _Crc32, "sha256": hashlib.sha256}
# Where nobody can come between, damage is all that is to be feared. Elsewhere it takes a digest that can't be forged,
# for the signature covers the digest alone.
_ON_A_TRUSTED_WAY, _ON_ANY_WAY = "crc32", "sha256"


class Proofs:
    """Chooses what is computed of each content and judges the answers, for one worker.

    The first content goes with a checksum beside its MD5, which asks the store whether it repeats it. Until an answer
    has shown that, all others go with their MD5.
    """

    def __init__(self, *, trusted_way: bool) -> None:
        """`trusted_way`: there is TLS, and the store's certificate is checked."""
        self._name = _ON_A_TRUSTED_WAY if trusted_way else _ON_ANY_WAY
        self._header = _CHECKSUM + self._name
        self._questions = _QUESTIONS  # that may still be asked
        self._asking = False
        self._repeats = False

    def sums(self) -> dict[str, Sum]:
        """Return what is to be computed of the next content, by the names of the headers that say it."""
        if self._repeats:
            return {self._header: _MAKERS[self._name]()}
        sums: dict[str, Sum] = {_MD5: hashlib.md5(usedforsecurity=False)}
        if self._questions and not self._asking:
            sums[self._header] = _MAKERS[self._name]()
        return sums

    def sent(self, digests: Mapping[str, str]) -> None:
        """Take note that a content goes out."""
        if self._asks(digests):
            self._asking = True
            self._questions -= 1

    def lost(self, digests: Mapping[str, str]) -> None:
        """Take note that there is no answer that says anything of a content, so that the next one may ask."""
        if self._asks(digests):
            self._asking = False

    def refused(self, digests: Mapping[str, str]) -> bool:
        """Take note that a content was not taken; return whether a checksum may be why. Then no other goes with one."""
        if self._header not in digests:
            return False
        self._questions, self._repeats = 0, False
        return True

    def holds(self, digests: Mapping[str, str], said: Mapping[str, str], stored: Stored) -> bool:
        """Return whether a good answer proves that the store has the content.

        digests: what the content was sent with; said: all headers of the answer; stored: what they say of the object.
        """
        checksum, md5 = digests.get(self._header), md5_of(digests)
        repeated = checksum is not None and said.get(self._header) == checksum
        held = stored.etag != "" and not stored.contradicts(md5) and (repeated or md5 != "")
        if checksum is not None:
            # An answer to the question turns checksums on; any other can only turn them off.
            self._repeats = held and repeated and (self._repeats or self._asks(digests))
            self._questions = 0
        return held

    def _asks(self, digests: Mapping[str, str]) -> bool:
        return self._header in digests and _MD5 in digests


def digests_of(sums: Mapping[str, Sum]) -> dict[str, str]:
    """Return the headers that say what a content came to."""
    return {name: base64.b64encode(each.digest()).decode() for name, each in sums.items()}


def md5_of(digests: Mapping[str, str]) -> str:
    """Return the MD5 among the digests of a content, empty where it was not computed."""
    said = digests.get(_MD5)
    return base64.b64decode(said).hex() if said else ""


def digest_of(digests: Mapping[str, str]) -> str:
    """Return what tells a content from another: its MD5 in hex, or where none was computed its checksum with its name.

    So no ETag has to be a digest for it.
    """
    md5 = md5_of(digests)
    if md5:
        return md5
    ((header, value),) = digests.items()
    return f"{header[len(_CHECKSUM) :]}:{value}"


class NamedSum:
    """A checksum that is computed once more, to hold a content against what `digest_of` said of it."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._sum = _MAKERS[name]()

    @classmethod
    def of(cls, digest: str) -> Optional[NamedSum]:
        """Begin the one that a digest has the name of, None where it has no name."""
        name, colon, _value = digest.partition(":")
        return cls(name) if colon and name in _MAKERS else None

    def update(self, data: Union[bytes, memoryview]) -> None:
        """Add the next piece."""
        self._sum.update(data)

    def told(self) -> str:
        """Return what the content comes to, with the name."""
        return digest_of(digests_of({_CHECKSUM + self._name: self._sum}))
