# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Downloads the content of one object, and proves that it is complete."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from contextlib import closing
from typing import Any, Callable, NamedTuple, Optional

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._fetch.destination import write
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.connection.bucket_client import BucketClient
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.connection.errors import NotFoundError, S3Error
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.connection.translation import translate
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.content.content import candidates_for, is_md5
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.store.store import Store, Stored, stored_of

_PIECE_BYTES = 1 << 20
_RANGE_BYTES = 8 << 20
# botocore repeats a request that fails, but not a response that ends early.
_TRIES = 3


class DamagedError(Exception):
    """What arrived is not what the store reports. The text says what differs."""


class Contents:
    """Reads the contents of a bucket's objects below a key prefix. Safe for several threads."""

    def __init__(self, make_client: Callable[[], Any], bucket: str, prefix: str) -> None:
        """Send requests through the boto3 client that `make_client` returns."""
        self._call = BucketClient(make_client, bucket)
        self._prefix = prefix

    def get(self, key: str, first: int = 0, length: Optional[int] = None, etag: str = "") -> tuple[Stored, Any]:
        """Return what the store reports about an object, and botocore's stream of its content, which must be closed.

        Args:
            key: The object.
            first: Where the content begins, if there is a `length`.
            length: How many bytes; None: all.
            etag: Fail if the object has another ETag by now.

        Raises:
            S3Error: The store does not send it.
        """
        arguments = {"IfMatch": f'"{etag}"'} if etag else {}
        if length is not None:
            arguments["Range"] = f"bytes={first}-{first + length - 1}"
        answer = self._call("GetObject", "get_object", Key=self._prefix + key, **arguments)
        whole = str(answer.get("ContentRange", "")).rpartition("/")[2] or str(answer.get("ContentLength", ""))
        return stored_of(answer)._replace(size=int(whole) if whole.isdigit() else None), answer["Body"]


class Bucket(NamedTuple):
    """A bucket: its objects, and their contents."""

    store: Store
    contents: Contents


class Download(NamedTuple):
    """A complete download: its size in bytes, and whether a checksum proves it."""

    size: int
    verified: bool


def download(contents: Contents, key: str, size: int, descriptor: int) -> Download:
    """Write an object's content to an open file.

    An ETag that is no checksum of the content, although it looks like one, is made up by the store. Then two downloads
    with the same content are enough.

    Args:
        contents: The bucket's.
        key: The object.
        size: Its size in bytes as it was listed.
        descriptor: The file, which is written from its beginning.

    Raises:
        NotFoundError: The object is gone.
        S3Error: The store does not send it.
        DamagedError: It did not arrive as the store reports it.
        OSError: The file can't be written.
    """
    earlier: Optional[str] = None
    for left in reversed(range(_TRIES)):
        os.ftruncate(descriptor, 0)
        os.lseek(descriptor, 0, os.SEEK_SET)
        try:
            received = _receive(contents, key, size, descriptor)
        except NotFoundError:
            raise
        except (S3Error, DamagedError):
            if not left:
                raise
            continue
        if received.proven is not False:
            return Download(received.size, verified=received.proven is True)
        if received.digest == earlier:
            return Download(received.size, verified=False)
        earlier = received.digest
    raise DamagedError("its content does not match its ETag")


class _Received(NamedTuple):
    """What arrived: its size and digest, and whether the ETag proves or disproves it (None: neither)."""

    size: int
    digest: str
    proven: Optional[bool]


def _receive(contents: Contents, key: str, size: int, descriptor: int) -> _Received:
    # In pieces, as the clients refuse long responses, and as a connection that breaks then costs only one.
    length = _RANGE_BYTES if size > _RANGE_BYTES else None
    stored, body = contents.get(key, 0, length)
    total = stored.size or 0
    known = not stored.encrypted and (is_md5(stored.etag) or "-" in stored.etag)
    sums = candidates_for(stored.etag, total) if known else []
    whole, arrived = hashlib.sha256(), 0
    while True:
        for piece in _pieces(body):
            arrived += len(piece)
            whole.update(piece)
            for each in sums:
                each.update(piece)
            write(descriptor, piece)
        if length is None or arrived >= total or arrived % length:
            break
        _same, body = contents.get(key, arrived, length, stored.etag)
    if arrived != total:
        raise DamagedError(f"{arrived} of {total} bytes arrived")
    proven = any(each.told() == stored.etag for each in sums)
    # A sum of parts proves something only if it matches: the parts may have had any size.
    return _Received(arrived, whole.hexdigest(), True if proven else (False if is_md5(stored.etag) and known else None))


def _pieces(body: Any) -> Iterator[bytes]:
    with closing(body):
        while True:
            try:
                piece = body.read(_PIECE_BYTES)
            except Exception as error:  # noqa: BLE001 - what is not translated is raised as it is
                raise translate(error, "GetObject") from None
            if not piece:
                return
            yield piece
