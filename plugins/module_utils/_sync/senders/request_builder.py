# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Builds and signs the PUT of a small file without boto3, and judges the response. No network here.

It handles only ordinary cases; everything else is for boto3.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from functools import lru_cache
from typing import Callable, NamedTuple, Optional

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.http.endpoint import Endpoint
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.http.signature import (
    UNSIGNED_PAYLOAD,
    Credentials,
    RenewableSigner,
    encoded,
)
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.objects.objects import hides_digest
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.content.checksums import (
    ChecksumNegotiation,
    Hasher,
    digest_of,
    digests_of,
)
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.content.content import PART_BYTES
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.model import Headers
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.senders.put_connection import (
    Body,
    PutResponse,
)
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.senders.sender import (
    Content,
    OpenFile,
    Sent,
)
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.store.store import CANNED_ACL, stored_as

# Without TLS the kernel sends a file without a copy of it; with TLS a small one is not read twice.
_HELD_BYTES = 128 * 1024
_READ_BYTES = 256 * 1024
_NOT_TAKEN = (400, 501)  # as for a header that a store does not know


class PreparedRequest(NamedTuple):
    """A PUT that is signed and ready to send."""

    path: str
    headers: dict[str, str]
    body: Body


class RequestBuilder:
    """Builds the requests of one worker."""

    def __init__(
        self, endpoint: Endpoint, prefix: str, *, acl: bool, keys: Optional[Callable[[], Credentials]] = None
    ) -> None:
        """With `acl`, each object gets a canned ACL. `keys` returns the current credentials, if they expire."""
        self._endpoint = endpoint
        self._prefix = prefix
        self._acl = acl
        self._signer = RenewableSigner(endpoint.region, endpoint.credentials, keys)
        self._checksums = ChecksumNegotiation(trusted_way=endpoint.tls and endpoint.ca_file is not None)
        self._buffer = memoryview(bytearray(_READ_BYTES))

    def read(self, file: OpenFile) -> Optional[Content]:
        """Read a file and compute the sums that are sent with its content; None for a large file.

        Raises:
            OSError: It can't be read.
        """
        if file.entry.size > PART_BYTES:
            return None
        hashers = self._checksums.hashers()
        size, in_memory = self._digest(file.descriptor, file.entry.size, hashers.values())
        return Content(size, digests_of(hashers), in_memory)

    def request(self, file: OpenFile) -> Optional[PreparedRequest]:
        """Return the request for a file that was read; None if one of its headers can't be signed as it is written.

        Raises:
            OSError: The credentials are not available.
        """
        described = _described(file.headers, CANNED_ACL[file.exposure] if self._acl else None)
        if described is None:
            return None
        content = file.content
        path = self._endpoint.path + encoded(self._prefix + file.action.key)
        # The digests are signed, and the body by them: one more digest would protect nothing more.
        headers = self._signer.signer().headers(
            path, self._endpoint.host, {**described, **content.digests}, UNSIGNED_PAYLOAD, time.time()
        )
        headers["user-agent"] = self._endpoint.user_agent
        return PreparedRequest(path, headers, Body(content.size, content.in_memory, file.descriptor))

    def sent(self, content: Content) -> None:
        """Record that content is being sent."""
        self._checksums.sent(content.digests)

    def proven(self, content: Content, response: PutResponse) -> tuple[Optional[Sent], bool]:
        """Return what a response proves to be in the store; None if it proves nothing.

        Also returns whether the response identifies the content, so that no other response can be mistaken for it.
        """
        if response.status != 200:
            return None, False
        said = response.headers
        customer_key = "x-amz-server-side-encryption-customer-algorithm" in said
        encrypted = hides_digest(said.get("x-amz-server-side-encryption", ""), customer_key)
        stored = stored_as(said.get("etag", ""), encrypted)
        if not self._checksums.confirms(content.digests, said, stored):
            return None, False
        digest = digest_of(content.digests)
        told_apart = stored.etag == digest or digest.startswith(self._checksums.name)  # which the store returned
        return Sent(content.size, digest, stored.etag), told_apart

    def declined(self, content: Content, response: Optional[PutResponse]) -> bool:
        """Record that nothing is proven about content; return whether it may be accepted without a checksum."""
        if response is not None and response.status in _NOT_TAKEN:
            return self._checksums.refused(content.digests)
        self._checksums.lost(content.digests)
        return False

    def _digest(self, descriptor: int, size: int, hashers: Iterable[Hasher]) -> tuple[int, Optional[bytes]]:
        """Feed the hashers; return the size and, if it has to stay in memory until it is sent, the content."""
        if self._endpoint.tls and size <= _HELD_BYTES:
            content = os.pread(descriptor, size + 1, 0)
            for each in hashers:
                each.update(content)
            return len(content), content
        seen, count = 0, _READ_BYTES
        while count == _READ_BYTES:
            count = os.preadv(descriptor, [self._buffer], seen)
            for each in hashers:
                each.update(self._buffer[:count])
            seen += count
        return seen, None


@lru_cache(maxsize=256)
def _described(headers: Headers, acl: Optional[str]) -> Optional[dict[str, str]]:
    """Return the headers of a body except its digest; None if a value can't be signed as it is written."""
    described = {
        "cache-control": headers.cache_control,
        "content-type": headers.content_type,
        "x-amz-acl": acl,
        "x-amz-storage-class": headers.storage_class,
    }
    said = {name: value for name, value in described.items() if value}
    return said if all(map(_is_plain, said.values())) else None


def _is_plain(value: str) -> bool:
    return value.isascii() and value.isprintable() and value == " ".join(value.split())
