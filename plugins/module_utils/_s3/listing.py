# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Lists a bucket page by page.

https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectsV2.html
"""

from __future__ import annotations

import typing as t
from datetime import datetime
from urllib.parse import unquote_plus

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.calls import Calls
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.direct import Direct
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.documents import bare, document

_OPERATION = "ListObjectsV2"


class Found(t.NamedTuple):
    """An object of a page. etag: without quotes; size: in bytes; modified: seconds since the epoch."""

    key: str
    size: int
    etag: str
    modified: float


class ListingPage(t.NamedTuple):
    """Objects and common prefixes, each in the store's order. token: how to go on, None at the end."""

    objects: list[Found]
    prefixes: list[str]
    token: str | None


class Listing:
    """The listing of one bucket. Safe for several threads."""

    def __init__(self, direct: Direct | None, calls: Calls) -> None:
        """Ask `direct` first, None where only boto3 can ask, and by `calls` for what is not plain."""
        self._direct = direct
        self._calls = calls

    def page(self, prefix: str, *, after: str = "", delimiter: str = "", token: str | None = None) -> ListingPage:
        """Return one page of the keys that begin with `prefix`, up to 1,000 of them.

        after: list what comes behind this key. delimiter: list what has it behind the prefix as common prefixes.
        token: that of the page before. Raises S3Error.
        """
        quick = self._quickly(prefix, after, delimiter, token)
        return quick if quick is not None else self._thoroughly(prefix, after, delimiter, token)

    def _quickly(self, prefix: str, after: str, delimiter: str, token: str | None) -> ListingPage | None:
        if self._direct is None:
            return None
        words = {
            "continuation-token": token,
            "delimiter": delimiter,
            "encoding-type": "url",  # XML can't hold all characters that a key can
            "list-type": "2",
            "prefix": prefix,
            "start-after": after,
        }
        answer = self._direct.ask(_OPERATION, "GET", query={name: word for name, word in words.items() if word})
        try:
            return None if answer is None else parsed(answer.body)
        except ValueError:
            return None  # boto3 says best what is the matter

    def _thoroughly(self, prefix: str, after: str, delimiter: str, token: str | None) -> ListingPage:
        arguments = {"ContinuationToken": token, "Delimiter": delimiter, "StartAfter": after}
        given = {name: word for name, word in arguments.items() if word}
        answer = self._calls(_OPERATION, "list_objects_v2", Prefix=prefix, **given)
        objects = [
            Found(one["Key"], one["Size"], str(one.get("ETag", "")).strip('"'), one["LastModified"].timestamp())
            for one in answer.get("Contents") or []
        ]
        prefixes = [one["Prefix"] for one in answer.get("CommonPrefixes") or []]
        return ListingPage(objects, prefixes, answer["NextContinuationToken"] if answer.get("IsTruncated") else None)


def parsed(answer: bytes) -> ListingPage:
    """Return the page that an answer to ListObjectsV2 holds.

    Raises ValueError: it is no such answer, or an incomplete one.
    """
    root = document(answer, "ListBucketResult")
    read = unquote_plus if root.findtext("{*}EncodingType") == "url" else str
    token = root.findtext("{*}NextContinuationToken") or None
    more = root.findtext("{*}IsTruncated")
    if more not in ("true", "false") or (more == "true" and token is None):
        raise ValueError("it does not say whether it is complete, or how to go on")
    objects = []
    for one in root.iterfind("{*}Contents"):
        told = {bare(part.tag): part.text for part in one}
        key, size, modified = (told.get(part) for part in ("Key", "Size", "LastModified"))
        if not key or not size or not modified:
            raise ValueError("an object without key, size or time")
        etag = (told.get("ETag") or "").strip('"')
        objects.append(Found(read(key), int(size), etag, _seconds(modified)))
    prefixes = [read(prefix.text) for prefix in root.iterfind("{*}CommonPrefixes/{*}Prefix") if prefix.text]
    return ListingPage(objects, prefixes, token if more == "true" else None)


def _seconds(text: str) -> float:
    """Return the seconds since the epoch of a time like C(2026-11-29T10:20:30.000Z). Raises ValueError."""
    if not text.endswith("Z"):
        raise ValueError(f"a time without its zone: {text[:40]}")
    return datetime.fromisoformat(f"{text[:-1]}+00:00").timestamp()
