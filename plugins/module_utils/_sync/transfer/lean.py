# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The lean way of sending a small file: hashed, signed and written to a kept connection without boto3. No network here.

Only the ordinary case is served. Whatever is not is left to `Performer`, which does the action from its beginning.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from functools import lru_cache
from typing import Callable, NamedTuple, Optional

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.address import Address
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.objects import hides_digest
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.signature import (
    UNSIGNED_PAYLOAD,
    Keys,
    Signing,
    encoded,
)
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.model import (
    Action,
    ActionKind,
    Entry,
    Exposure,
    ExposureMode,
    Headers,
    Outcome,
    Result,
)
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.rules.rules import Rules
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.store.store import CANNED_ACL, stored_as
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.transfer.content import is_rewritten, sniffed
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.transfer.proof import (
    Proofs,
    Sum,
    digest_of,
    digests_of,
)
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.transfer.upload import (
    PART_BYTES,
    exposure_now,
    sent_row,
)
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.transfer.wire import Answer, Body
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.tree.source import Source
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.tree.walk import entry_of

# Without TLS the kernel sends a file without a copy of it; with TLS a small one is not read twice.
_HELD_BYTES = 128 * 1024
_READ_BYTES = 256 * 1024
_NOT_TAKEN = (400, 501)  # as of a header that a store does not know


class Parcel(NamedTuple):
    """A file that is opened, judged and signed for. Whoever has it closes its descriptor.

    digests: the headers that say what its content comes to, which are among `headers`, too.
    """

    action: Action
    entry: Entry
    exposure: Exposure
    digests: dict[str, str]
    path: str
    headers: dict[str, str]
    body: Body

    def close(self) -> None:
        """Let go of the file."""
        os.close(self.body.descriptor)


class Packer:
    """Makes parcels of actions and outcomes of their answers. `keys` gives the credentials of the moment."""

    def __init__(
        self, address: Address, prefix: str, source: Source, rules: Rules, keys: Optional[Callable[[], Keys]] = None
    ) -> None:
        self._address = address
        self._prefix = prefix
        self._source = source
        self._rules = rules
        self._signing = Signing(address.region, address.keys, keys)
        self._proofs = Proofs(trusted_way=address.tls and address.ca_file is not None)
        self._buffer = memoryview(bytearray(_READ_BYTES))

    def pack(self, action: Action) -> Optional[Parcel]:
        """Return the parcel of an action, None where the ordinary way has to be taken."""
        if action.kind is not ActionKind.UPLOAD or action.size > PART_BYTES:
            return None
        try:
            descriptor, status = self._source.opened(action.key)
        except OSError:
            return None
        parcel = None
        try:
            parcel = self._packed(action, descriptor, entry_of(action.key, status))
        except OSError:
            pass
        finally:
            if parcel is None:
                os.close(descriptor)
        return parcel

    def _packed(self, action: Action, descriptor: int, before: Entry) -> Optional[Parcel]:
        exposure = exposure_now(self._rules, action, before)
        if exposure is None or before.size > PART_BYTES:
            return None
        sums = self._proofs.sums()
        seen, content = self._digest(descriptor, before.size, sums.values())
        after = os.fstat(descriptor)
        if seen != before.size or is_rewritten(before, after):
            return None
        if self._rules.hides(after.st_mode) and exposure is Exposure.PUBLIC:
            return None
        path = self._address.path + encoded(self._prefix + action.key)
        headers = sniffed(action.headers or self._rules.headers(action.key), descriptor)
        described = _described(headers, CANNED_ACL[exposure] if self._rules.mode is ExposureMode.ACL else None)
        if described is None:
            return None
        digests = digests_of(sums)
        # They are signed, and the body by them: one more digest would protect nothing more.
        signed = self._signing.signer().headers(
            path, self._address.host, {**described, **digests}, UNSIGNED_PAYLOAD, time.time()
        )
        signed["user-agent"] = self._address.user_agent
        body = Body(before.size, content, descriptor)
        return Parcel(action, before, exposure, digests, path, signed, body)

    def sent(self, parcel: Parcel) -> None:
        """Take note that a parcel goes out."""
        self._proofs.sent(parcel.digests)

    def outcome(self, parcel: Parcel, answer: Answer) -> Optional[Outcome]:
        """Return what came of a parcel, None where the ordinary way has to see to its file once more."""
        if answer.status != 200:
            return None
        said = answer.headers
        customer_key = "x-amz-server-side-encryption-customer-algorithm" in said
        encrypted = hides_digest(said.get("x-amz-server-side-encryption", ""), customer_key)
        stored = stored_as(said.get("etag", ""), encrypted)
        if not self._proofs.holds(parcel.digests, said, stored):
            return None
        action, before = parcel.action, parcel.entry
        after = os.fstat(parcel.body.descriptor)
        if is_rewritten(before, after) or after.st_nlink == 0:
            return None
        if self._rules.hides(after.st_mode) and parcel.exposure is Exposure.PUBLIC:
            return None
        digest = digest_of(parcel.digests)
        row = sent_row(self._rules, action, before, parcel.exposure, digest=digest, etag=stored.etag)
        return Outcome(action, Result.UPLOADED, row, sent_bytes=before.size)

    def declined(self, parcel: Parcel, answer: Optional[Answer]) -> bool:
        """Take note that nothing came of a parcel; return whether packed anew, without a checksum, it may be taken."""
        if answer is not None and answer.status in _NOT_TAKEN:
            return self._proofs.refused(parcel.digests)
        self._proofs.lost(parcel.digests)
        return False

    def _digest(self, descriptor: int, size: int, sums: Iterable[Sum]) -> tuple[int, Optional[bytes]]:
        """Feed the sums; return how much there was and, where that is to be held until it is sent, the content."""
        if self._address.tls and size <= _HELD_BYTES:
            content = os.pread(descriptor, size + 1, 0)
            for each in sums:
                each.update(content)
            return len(content), content
        seen, count = 0, _READ_BYTES
        while count == _READ_BYTES:
            count = os.preadv(descriptor, [self._buffer], seen)
            for each in sums:
                each.update(self._buffer[:count])
            seen += count
        return seen, None


@lru_cache(maxsize=256)
def _described(headers: Headers, acl: Optional[str]) -> Optional[dict[str, str]]:
    """Return what goes with a body but its digest, None where a value is not signed as it is written."""
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
