# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The files of a tree that have changed, as a source of entries: what a walk of the whole tree would find of them."""

from __future__ import annotations

import os
import stat
import tempfile
from collections.abc import Iterable, Iterator
from typing import IO, Optional

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.journal.journal import Journal
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.model import (
    Item,
    PathProblem,
    PathProblemKind,
    Row,
)
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.tree.source import NotAFileError, Source
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.tree.span import Span
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.tree.walk import (
    MAX_KEY_BYTES,
    Tree,
    bad_key,
    entry_of,
    no_file,
)

_IN_MEMORY = 1024 * 1024  # bytes
_AT_ONCE = 64 * 1024
_END = b"\0"


class ChangedKeys:
    """Keys in order, in memory or, if there are many, in an unnamed temporary file."""

    def __init__(self, keys: Iterable[bytes], folder: str) -> None:
        """Take all of `keys`; `folder` is where the file is created.

        Raises:
            OSError: It can't be written.
        """
        self._file: IO[bytes] = tempfile.SpooledTemporaryFile(_IN_MEMORY, dir=folder)  # noqa: SIM115 - until `close`
        try:
            self._file.writelines(key + _END for key in keys)
        except BaseException:
            self._file.close()
            raise

    def __iter__(self) -> Iterator[bytes]:
        """Yield the keys. Entries and rows are read at the same time, so each iterator has its own place."""
        at, rest = 0, b""
        while True:
            self._file.seek(at)
            data = self._file.read(_AT_ONCE)
            if not data:
                return
            at += len(data)
            *keys, rest = (rest + data).split(_END)
            yield from keys

    def close(self) -> None:
        """Remove them."""
        self._file.close()


def without_covered(keys: Iterable[bytes]) -> Iterator[bytes]:
    """Leave out what is below a key with a slash at its end, which comes first in the order of bytes."""
    folder = _END
    for key in keys:
        if not key.startswith(folder):
            if key.endswith(b"/"):
                folder = key
            yield key


class ChangedEntries:
    """The entries of a list of keys, in the byte order of keys. A key with a slash at its end means all below it.

    Attributes:
        linked: Whether a file with several names (hard links) was met.
    """

    complete = True  # as far as it goes: rows are offered only for these keys, too

    def __init__(self, source: Source, keys: ChangedKeys, *, prefix_bytes: int = 0) -> None:
        """`prefix_bytes` is the length of the key prefix, which counts against the maximum length of a key."""
        self.linked = False
        self._source = source
        self._keys = keys
        self._prefix_bytes = prefix_bytes
        self._folder: tuple[bytes, int] = (_END, -1)  # the one that is open: most keys are in the same one

    def __iter__(self) -> Iterator[Item]:
        """Yield what is at these keys now."""
        try:
            for key in without_covered(self._keys):
                if key.endswith(b"/"):
                    below = Tree(self._source, prefix_bytes=self._prefix_bytes, below=key)
                    yield from below
                    self.linked = self.linked or below.linked
                else:
                    item = self._look(key)
                    if item is not None:
                        yield item
        finally:
            self._leave()

    def rows(self, journal: Journal) -> Iterator[Row]:
        """Yield what a journal knows of these keys, in the same order."""
        for key in without_covered(self._keys):
            try:
                text = key.decode()
            except UnicodeDecodeError:
                continue  # it can't be a key in the bucket
            if text.endswith("/"):
                # The character behind a slash is 0.
                yield from (row for row in journal.rows(Span(text, f"{text[:-1]}0")) if row.key.startswith(text))
            else:
                row = journal.row(text)
                if row is not None:
                    yield row

    def close(self) -> None:
        """Remove the list."""
        self._keys.close()

    def _look(self, key: bytes) -> Optional[Item]:
        text = key.decode(errors="surrogateescape")
        end = key.rfind(b"/") + 1
        try:
            status = os.lstat(key[end:], dir_fd=self._enter(key[:end]))
        except (FileNotFoundError, NotAFileError):
            return None
        except OSError as error:
            if len(key) > MAX_KEY_BYTES:
                return bad_key(text, MAX_KEY_BYTES)  # even if its path is longer than the kernel allows
            return PathProblem(text, PathProblemKind.UNREADABLE, error.strerror or "", folder=False)
        if stat.S_ISDIR(status.st_mode):
            return None  # what happens in it is told by itself
        problem = bad_key(text, MAX_KEY_BYTES - self._prefix_bytes)
        if problem is not None:
            return problem
        if not stat.S_ISREG(status.st_mode):
            return no_file(self._folder[1], text[text.rfind("/") + 1 :], text, status.st_mode)
        self.linked = self.linked or status.st_nlink > 1
        return entry_of(text, status)

    def _enter(self, folder: bytes) -> int:
        if folder != self._folder[0]:
            self._leave()
            self._folder = (folder, self._source.open_path(folder))
        return self._folder[1]

    def _leave(self) -> None:
        if self._folder[1] >= 0:
            os.close(self._folder[1])
        self._folder = (_END, -1)
