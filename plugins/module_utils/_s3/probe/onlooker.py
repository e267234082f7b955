# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Looks at a probe's objects as anybody would, at the store itself and at the public address."""

from __future__ import annotations

import time
import typing as t

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.anonymous import (
    Answer,
    Visitor,
    public_address,
)
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.probe.hand import Hand, StoreSilentError
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.problems import TIMED_OUT

# The places where visitors may read.
STORE = "store"
PUBLIC = "public"

# A changed ACL may take a moment.
_LOOKS = (0.0, 0.3, 1.0)
_LISTING = "?list-type=2&max-keys=1"

# By place, whether everybody can read an object there; None where the answer does not show it.
Seen = dict[str, t.Optional[bool]]


class Onlooker:
    """Asks without credentials. A public address that does not answer is left alone from then on.

    All methods raise StoreSilentError where the store does not answer, or the time is over.
    """

    def __init__(
        self, hand: Hand, visitor: Visitor, anonymous_client: t.Any, public_url: str | None, key_prefix: str
    ) -> None:
        """Take a client that signs nothing, and the address below which keys without `key_prefix` are public."""
        self._hand = hand
        self._visitor = visitor
        self._anonymous_client = anonymous_client
        self._public_url = public_url
        self._key_prefix = key_prefix

    def sees(self, key: str, body: bytes) -> Seen:
        """Return where everybody can read an object."""
        found: Seen = {STORE: _readable(self._get(STORE, self._store_address(key)), body)}
        if self._public_url is not None:
            found[PUBLIC] = _readable(self._get(PUBLIC, self._public_address(self._public_url, key)), body)
        return found

    def awaits(self, key: str, body: bytes, *, readable: bool) -> Seen:
        """Return the same, with some patience for a change that has just been made."""
        found: Seen = {}
        for pause in _LOOKS:
            time.sleep(pause)
            found = self.sees(key, body)
            if readable is (True in found.values()):
                break
        return found

    def sees_public_listing(self) -> bool | None:
        """Return whether the public address shows a listing, None where there is none or no answer."""
        if self._public_url is None:
            return None
        answer = self._get(PUBLIC, f"{self._public_url}/{_LISTING}")
        return None if answer.status is None else b"<ListBucketResult" in answer.start

    def as_page(self, place: str, key: str, origin: str) -> tuple[Answer, Answer]:
        """Return what a page of `origin` gets, an object by an address that works, and the preflight's answer."""
        if place == PUBLIC and self._public_url is not None:
            url = signed = self._public_address(self._public_url, key)
        else:
            url, signed = self._store_address(key), self._hand.presigned(key)
        answer = self._get(place, signed, {"Origin": origin})
        self._hand.check_time()
        return answer, self._checked(place, self._visitor.preflight(url, origin))

    def _store_address(self, key: str) -> str:
        found: str = self._anonymous_client.generate_presigned_url(
            "get_object", Params={"Bucket": self._hand.bucket, "Key": key}
        )
        return found

    def _public_address(self, base: str, key: str) -> str:
        return public_address(base, key[len(self._key_prefix) :])

    def _get(self, place: str, url: str, headers: t.Mapping[str, str] | None = None) -> Answer:
        self._hand.check_time()
        return self._checked(place, self._visitor.get(url, headers))

    def _checked(self, place: str, answer: Answer) -> Answer:
        if answer.status is None and place == PUBLIC:
            self._public_url = None
        elif answer.reason == TIMED_OUT:
            raise StoreSilentError
        return answer


def _readable(answer: Answer, body: bytes) -> bool | None:
    """Judge by the content: a web server may have a page of its own for whatever it does not know."""
    if answer.status is None or answer.status >= 500:
        return None
    return answer.readable and answer.start == body
