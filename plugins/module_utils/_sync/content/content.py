# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A file's content: whether it matches what the store has, and the sums that are computed from it."""

from __future__ import annotations

import hashlib
import os
import re
import time
from typing import BinaryIO, Callable, NamedTuple, Optional

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.content.checksums import NamedHasher
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.model import (
    Action,
    Entry,
    Headers,
    Row,
    storable_ns,
)
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.rules.content_types import (
    SNIFF_BYTES,
    by_content,
)
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.tree.source import Source
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.tree.walk import entry_of

_READ_BYTES = 1024 * 1024
_MEBIBYTE = 1024 * 1024
PART_BYTES = 8 * _MEBIBYTE
# Scaleway takes no more: https://www.scaleway.com/en/docs/object-storage/concepts/. Others take ten times as many.
_MOST_PARTS = 1000
_MOST_PARTS_ELSEWHERE = 10_000
MOST_BYTES = 5 * 1024**4  # https://docs.aws.amazon.com/AmazonS3/latest/userguide/qfacts.html
# A part is in memory while it is sent, and any user of the tree can make a huge file without content.
_LARGE_PART_BYTES = 256 * _MEBIBYTE
# The sizes of parts by which this module and common tools (boto3, aws, rclone, s3cmd, s5cmd, mc) split an upload.
_USUAL_PARTS = tuple(size * _MEBIBYTE for size in (8, 5, 15, 16, 32, 50, 64, 100, 128, 10, 20, 25))
_MULTIPART = re.compile(r"([0-9a-f]{32})-([0-9]{1,5})\Z")  # 10,000 parts at most
_PLAIN = re.compile(r"[0-9a-f]{32}\Z")


class PartReader:
    """Reads a file forward and computes its MD5 and the ETag of its multipart upload at the same time."""

    def __init__(
        self, body: BinaryIO, part_bytes: int, pause: Optional[Callable[[int], None]] = None, *, most: int = MOST_BYTES
    ) -> None:
        """Read nothing yet.

        Args:
            body: The file.
            part_bytes: The size of a part.
            pause: Called with the size of each piece; it may wait.
            most: How many bytes to read at most; a file that grows meanwhile may have no end.
        """
        self.md5 = hashlib.md5(usedforsecurity=False)
        self.size = 0
        self._most = most
        self._body = body
        self._pause = pause
        self._parts = _PartDigests(part_bytes)

    def read(self, amount: int = -1) -> bytes:
        """Return the next bytes of the file."""
        left = self._most - self.size
        data = self._body.read(left if amount < 0 else min(amount, left))
        if self._pause is not None:
            self._pause(len(data))
        self.md5.update(data)
        self.size += len(data)
        self._parts.update(data)
        return data

    def etag(self) -> str:
        """Return the ETag after everything is read: the MD5 of the parts' digests, and their number."""
        return self._parts.etag()


class _PartDigests:
    """What the ETag of a multipart upload is made of."""

    def __init__(self, part_bytes: int) -> None:
        self._part_bytes = part_bytes
        self._digests = b""
        self._part = hashlib.md5(usedforsecurity=False)
        self._size = 0

    def update(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            piece = view[: self._part_bytes - self._size % self._part_bytes]
            self._part.update(piece)
            self._size += len(piece)
            if self._size % self._part_bytes == 0:
                self._digests += self._part.digest()
                self._part = hashlib.md5(usedforsecurity=False)
            view = view[len(piece) :]

    def etag(self) -> str:
        digests = self._digests + (self._part.digest() if self._size % self._part_bytes else b"")
        whole = hashlib.md5(digests, usedforsecurity=False).hexdigest()
        return f"{whole}-{len(digests) // 16}"


def part_bytes_of(size: int, least: int = PART_BYTES) -> int:
    """Return the size of the parts for a file of `size` bytes: few enough parts for every store.

    Above 250 GiB there are more, which not every store takes, so that one part fits into memory.
    """
    few, many = -(-size // _MOST_PARTS), -(-size // _MOST_PARTS_ELSEWHERE)
    return max(least, min(few, _LARGE_PART_BYTES), many)


def is_md5(etag: str) -> bool:
    """Return whether an ETag looks like the MD5 of content that was sent in one piece."""
    return _PLAIN.match(etag) is not None


class _Hashed(NamedTuple):
    """The result of hashing a file: the file `before` and `after`, and whether its content `matches` the digest."""

    before: Entry
    after: Entry
    matches: bool


class Candidate(NamedTuple):
    """A sum that may equal the wanted digest: fed with `update`, and `told` after everything is read."""

    update: Callable[[bytes], None]
    told: Callable[[], str]


class ContentUnknownError(Exception):
    """It is not known whether file and object have the same content; the text says why."""


def unchanged_row(source: Source, action: Action) -> Optional[Row]:
    """Return the action's row with the file's current metadata if its content is what the store has; otherwise None.

    An object that was sent in parts is recognised if the parts had a common size.

    Raises:
        OSError: The file can't be read, or is gone.
    """
    row = action.row
    if row is None or not row.known_digest:
        return None
    since_ns = time.time_ns()
    before, after, matches = _hashed(source, action.key, row.known_digest, row.size)
    if after != before or not matches:
        return None
    after = source.as_read(after, since_ns)
    return row._replace(size=after.size, mtime_ns=after.mtime_ns, ctime_ns=after.ctime_ns, mode=after.mode)


def is_same(source: Source, entry: Entry, etag: str) -> bool:
    """Return whether the file of `entry` has the content that an object's ETag describes. The object is not read.

    https://docs.aws.amazon.com/AmazonS3/latest/userguide/checking-object-integrity-upload.html

    Raises:
        ContentUnknownError: The ETag does not show it, or the file can't be read or has changed since the walk.
    """
    in_parts = _MULTIPART.match(etag) is not None
    if not in_parts and not is_md5(etag):
        raise ContentUnknownError("the ETag is not a digest of the content")
    try:
        _before, after, matches = _hashed(source, entry.key, etag, entry.size)
    except OSError as error:
        raise ContentUnknownError(f"the file can't be read: {error.strerror}") from error
    if _content_of(after) != _content_of(entry):
        raise ContentUnknownError("the file has changed in the meantime")
    if in_parts and not matches:
        raise ContentUnknownError("the object has different content, or was sent in parts of another size")
    return matches


def _hashed(source: Source, key: str, digest: str, size: int) -> _Hashed:
    candidates = candidates_for(digest, size)
    with os.fdopen(source.open_file(key), "rb", buffering=0) as body:
        before = entry_of(key, os.fstat(body.fileno()))
        for piece in iter(lambda: body.read(_READ_BYTES), b""):
            for each in candidates:
                each.update(piece)
        after = entry_of(key, os.fstat(body.fileno()))
    return _Hashed(before, after, any(each.told() == digest for each in candidates))


def candidates_for(digest: str, size: int) -> list[Candidate]:
    """Return the sums that equal `digest`, an ETag or a journal's digest, if the content of this size is the right one.

    For an object that was sent in parts there is one for each common size of parts, or none.
    """
    parts = _MULTIPART.match(digest)
    if parts is None:
        checksum = NamedHasher.of(digest)
        if checksum is not None:
            return [Candidate(checksum.update, checksum.told)]
        md5 = hashlib.md5(usedforsecurity=False)
        return [Candidate(md5.update, md5.hexdigest)]
    number = int(parts.group(2))
    sizes = dict.fromkeys((*_USUAL_PARTS, part_bytes_of(size)))
    made = [_PartDigests(each) for each in sizes if -(-size // each) == number]
    return [Candidate(each.update, each.etag) for each in made]


def _content_of(entry: Entry) -> tuple[int, int]:
    """Return the metadata that shows, without reading it, whether a file's content may have changed."""
    return entry.size, entry.mtime_ns


def is_rewritten(before: Entry, after: os.stat_result) -> bool:
    """Return whether a file's content may have changed since it was seen."""
    return (after.st_size, storable_ns(after.st_mtime_ns)) != _content_of(before)


def sniffed(headers: Headers, descriptor: int) -> Headers:
    """Return the headers with a content type, found in the opened file if its name does not show it."""
    if headers.content_type is not None:
        return headers
    return headers._replace(content_type=by_content(os.pread(descriptor, SNIFF_BYTES, 0)))
