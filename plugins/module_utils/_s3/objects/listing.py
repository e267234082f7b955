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

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.connection.bucket_client import BucketClient
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.http.signed_client import SignedClient
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.http.xml import is_size, local_name, root_of

_OPERATION = "ListObjectsV2"


class ListedObject(t.NamedTuple):
    """An object on a page.

    Attributes:
        key: The key.
        etag: Without quotes.
        size: In bytes.
        modified: Seconds since the epoch.
    """

    key: str
    size: int
    etag: str
    modified: float


class ListingPage(t.NamedTuple):
    """Objects and common prefixes, each in the store's order, and the token of the next page (None at the end)."""

    objects: list[ListedObject]
    prefixes: list[str]
    token: str | None


class Listing:
    """The listing of one bucket. Safe for several threads."""

    def __init__(self, signed: SignedClient | None, boto3_client: BucketClient) -> None:
        """List through `signed` (None if only boto3 can), and through `boto3_client` if that is not a plain success."""
        self._signed = signed
        self._boto3 = boto3_client

    def page(self, prefix: str, *, after: str = "", delimiter: str = "", token: str | None = None) -> ListingPage:
        """Return one page of the keys that begin with `prefix`, up to 1,000 of them.

        Args:
            prefix: The beginning of the keys.
            after: Begin after this key.
            delimiter: Return keys that contain it after the prefix only as common prefixes.
            token: The token from the previous page.

        Raises:
            S3Error: The page can't be listed.
        """
        quick = self._by_http(prefix, after, delimiter, token)
        return quick if quick is not None else self._by_boto3(prefix, after, delimiter, token)

    def _by_http(self, prefix: str, after: str, delimiter: str, token: str | None) -> ListingPage | None:
        if self._signed is None:
            return None
        words = {
            "continuation-token": token,
            "delimiter": delimiter,
            "encoding-type": "url",  # XML can't hold all characters that a key can
            "list-type": "2",
            "prefix": prefix,
            "start-after": after,
        }
        answer = self._signed.request(_OPERATION, "GET", query={name: word for name, word in words.items() if word})
        try:
            return None if answer is None else parsed(answer.body)
        except ValueError:
            return None  # boto3's error is the best explanation

    def _by_boto3(self, prefix: str, after: str, delimiter: str, token: str | None) -> ListingPage:
        arguments = {"ContinuationToken": token, "Delimiter": delimiter, "StartAfter": after}
        given = {name: word for name, word in arguments.items() if word}
        answer = self._boto3(_OPERATION, "list_objects_v2", Prefix=prefix, **given)
        objects = [
            ListedObject(one["Key"], one["Size"], str(one.get("ETag", "")).strip('"'), one["LastModified"].timestamp())
            for one in answer.get("Contents") or []
        ]
        prefixes = [one["Prefix"] for one in answer.get("CommonPrefixes") or []]
        return ListingPage(objects, prefixes, answer["NextContinuationToken"] if answer.get("IsTruncated") else None)


def parsed(answer: bytes) -> ListingPage:
    """Return the page in a response to ListObjectsV2.

    Raises:
        ValueError: It is not such a response, or is incomplete.
    """
    root = root_of(answer, "ListBucketResult")
    read = unquote_plus if root.findtext("{*}EncodingType") == "url" else str
    token = root.findtext("{*}NextContinuationToken") or None
    more = root.findtext("{*}IsTruncated")
    if more not in ("true", "false") or (more == "true" and token is None):
        raise ValueError("it does not say whether it is complete, or how to continue")
    objects = []
    for one in root.iterfind("{*}Contents"):
        told = {local_name(part.tag): part.text for part in one}
        key, size, modified = (told.get(part) for part in ("Key", "Size", "LastModified"))
        if not key or not size or not modified:
            raise ValueError("an object without key, size or time")
        if not is_size(size):
            raise ValueError("an invalid size")
        etag = (told.get("ETag") or "").strip('"')
        objects.append(ListedObject(read(key), int(size), etag, _seconds(modified)))
    prefixes = [read(prefix.text) for prefix in root.iterfind("{*}CommonPrefixes/{*}Prefix") if prefix.text]
    return ListingPage(objects, prefixes, token if more == "true" else None)


def _seconds(text: str) -> float:
    """Return the seconds since the epoch of a time such as C(2026-11-29T10:20:30.000Z); ValueError if it is invalid."""
    if not text.endswith("Z"):
        raise ValueError(f"a time without a time zone: {text[:40]}")
    return datetime.fromisoformat(f"{text[:-1]}+00:00").timestamp()
