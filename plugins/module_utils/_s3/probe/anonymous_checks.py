# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Checks what everybody can read of a probe's objects, at the store itself and at the public address."""

from __future__ import annotations

import time
import typing as t

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.http.anonymous_client import (
    AnonymousClient,
    AnonymousResponse,
    public_address,
)
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.http.transport_errors import TIMED_OUT
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.probe.probe_client import (
    ProbeClient,
    StoreSilentError,
)

# The places where visitors may read.
STORE = "store"
PUBLIC = "public"

# A changed ACL may take a moment.
_CHECK_PAUSES = (0.0, 0.3, 1.0)
_LISTING = "?list-type=2&max-keys=1"

# By place, whether everybody can read an object there; None where the answer does not show it.
Readable = dict[str, t.Optional[bool]]


class AnonymousChecks:
    """Sends requests without credentials. If the public address does not respond, it is not tried again.

    All methods raise StoreSilentError if the store does not respond or the time is over.
    """

    def __init__(
        self,
        client: ProbeClient,
        visitor: AnonymousClient,
        unsigned_client: t.Any,
        public_url: str | None,
        key_prefix: str,
    ) -> None:
        """Take a client that signs nothing, and the address below which keys without `key_prefix` are public."""
        self._client = client
        self._visitor = visitor
        self._unsigned_client = unsigned_client
        self._public_url = self._media_address = public_url
        self._key_prefix = key_prefix

    def check(self, key: str, body: bytes) -> Readable:
        """Return where everybody can read an object."""
        found: Readable = {STORE: _readable(self._get(STORE, self._store_address(key)), body)}
        if self._public_url is not None:
            found[PUBLIC] = _readable(self._get(PUBLIC, self._public_address(self._public_url, key)), body)
        return found

    def check_until(self, key: str, body: bytes, *, readable: bool) -> Readable:
        """Return the same, but wait some seconds for a recent change."""
        found: Readable = {}
        for pause in _CHECK_PAUSES:
            time.sleep(pause)
            found = self.check(key, body)
            if readable is (True in found.values()):
                break
        return found

    def check_listing(self) -> bool | None:
        """Return whether the public address shows a listing; None if there is no address or no response."""
        if self._public_url is None:
            return None
        answer = self._get(PUBLIC, f"{self._public_url}/{_LISTING}")
        return None if answer.status is None else b"<ListBucketResult" in answer.start

    def fetch_as_page(self, place: str, key: str, origin: str) -> tuple[AnonymousResponse, AnonymousResponse]:
        """Return what a page of `origin` gets: an object from an address that works, and the preflight's response."""
        if place == PUBLIC and self._public_url is not None:
            url = signed = self._public_address(self._public_url, key)
        else:
            url, signed = self._store_address(key), self._client.presigned(key)
        answer = self._get(place, signed, {"Origin": origin})
        self._client.check_time()
        return answer, self._checked(place, self._visitor.preflight(url, origin))

    def fetch_media_address(self, key: str, origin: str) -> tuple[str, AnonymousResponse] | None:
        """Return the address below which objects are public, and what a page of `origin` gets there.

        None if there is no such address. It is tried even if it did not respond before.
        """
        if self._media_address is None:
            return None
        self._client.check_time()
        url = self._public_address(self._media_address, key)
        return self._media_address, self._visitor.get(url, {"Origin": origin})

    def _store_address(self, key: str) -> str:
        found: str = self._unsigned_client.generate_presigned_url(
            "get_object", Params={"Bucket": self._client.bucket, "Key": key}
        )
        return found

    def _public_address(self, base: str, key: str) -> str:
        return public_address(base, key[len(self._key_prefix) :])

    def _get(self, place: str, url: str, headers: t.Mapping[str, str] | None = None) -> AnonymousResponse:
        self._client.check_time()
        return self._checked(place, self._visitor.get(url, headers))

    def _checked(self, place: str, answer: AnonymousResponse) -> AnonymousResponse:
        if answer.status is None and place == PUBLIC:
            self._public_url = None
        elif answer.reason == TIMED_OUT:
            raise StoreSilentError
        return answer


def _readable(answer: AnonymousResponse, body: bytes) -> bool | None:
    """Judge by the content: a web server may have its own page for anything that it does not know."""
    if answer.status is None or answer.status >= 500:
        return None
    return answer.readable and answer.start == body
