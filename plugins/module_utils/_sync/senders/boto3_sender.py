# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Sends files through boto3: small ones in one request, large ones in parts while they are read."""

from __future__ import annotations

import errno
import hashlib
import os
import threading
from contextlib import nullcontext
from typing import Callable, Optional

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.connection.errors import S3Error
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.content.checksums import (
    MD5,
    digests_of,
    md5_of,
)
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.content.content import (
    MOST_BYTES,
    PART_BYTES,
    PartReader,
    part_bytes_of,
)
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.senders.sender import (
    CHANGED,
    Content,
    OpenFile,
    Sending,
    Sent,
    Unsent,
)
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.store.store import Store

_DAMAGED = Unsent(CHANGED)


class Boto3Sender:
    """A `Sender` for files of any size. Safe for several threads."""

    def __init__(self, store: Store, *, pause: Optional[Callable[[int], None]] = None) -> None:
        """`pause` is called with the size of each piece that is read from a large file, and may wait."""
        self._store = store
        self._pause = pause
        self._large = threading.Lock()

    def read(self, file: OpenFile) -> Content:
        """Read a small file; a large one is read while it is sent."""
        size = file.entry.size
        if size > MOST_BYTES:
            raise OSError(errno.EFBIG, "it is larger than 5 TiB, which no object may be")
        if size > PART_BYTES:
            return Content(size, {}, None)
        content = _read(file.descriptor, size + 1)
        return Content(len(content), digests_of({MD5: hashlib.md5(content, usedforsecurity=False)}), content)

    def send(self, file: OpenFile, done: Callable[[Sending], None]) -> None:
        """Send a file; see `Sender`. `done` is called before this returns."""
        in_memory = file.content.in_memory
        done(self._send_parts(file) if in_memory is None else self._send(file, in_memory))

    def _send(self, file: OpenFile, content: bytes) -> Sending:
        md5 = md5_of(file.content.digests)
        try:
            stored = self._store.put(file.action.key, content, bytes.fromhex(md5), file.headers, file.exposure)
        except S3Error as error:
            if error.code == "BadDigest":
                return _DAMAGED
            raise
        return _DAMAGED if stored.contradicts(md5) else Sent(len(content), md5, stored.etag)

    def _send_parts(self, file: OpenFile) -> Sending:
        sending = self._sent_parts(file)
        if isinstance(sending, Sent) and not file.action.after_switch:
            # Left by a killed run, or by a lost response to the start of the upload.
            self._store.drop_unfinished(file.action.key)
        return sending

    def _sent_parts(self, file: OpenFile) -> Sending:
        part_bytes = part_bytes_of(file.entry.size, PART_BYTES)
        with os.fdopen(os.dup(file.descriptor), "rb") as body:
            # One byte more shows that the file has grown.
            reader = PartReader(body, part_bytes, self._pause, most=file.entry.size + 1)
            # Each part stays in memory until it is sent: parts that are larger than usual, one at a time.
            with self._large if part_bytes > PART_BYTES else nullcontext():
                stored = self._store.put_stream(file.action.key, reader, file.headers, file.exposure, part_bytes)
        if stored is None or stored.size not in (None, reader.size):
            return _DAMAGED
        md5 = reader.md5.hexdigest()
        # Some stores put the parts together and take the MD5 of the whole.
        if stored.contradicts(reader.etag()) or stored.contradicts(md5):
            return _DAMAGED
        return Sent(reader.size, md5, stored.etag)


def _read(descriptor: int, most: int) -> bytes:
    """Return a file's content up to its end, at most so many bytes."""
    content = os.pread(descriptor, most, 0)
    while len(content) < most:
        piece = os.pread(descriptor, most - len(content), len(content))
        if not piece:
            break
        content += piece
    return content
