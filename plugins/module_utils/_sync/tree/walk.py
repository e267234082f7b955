# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The walk: a folder's files in the byte order of their keys, with the memory of one folder at a time."""

from __future__ import annotations

import os
import stat
import sys
from bisect import bisect_right
from collections.abc import Iterator
from itertools import islice
from typing import Optional

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.model import (
    MOST_NS,
    Entry,
    Item,
    PathProblem,
    PathProblemKind,
    storable_ns,
)
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.tree.source import NotAFileError, Source
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.tree.span import EVERYTHING, Span

MAX_KEY_BYTES = 1024  # https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-keys.html
# Names of one folder that are sorted at once. Where there are more, they are kept as a few long texts: a million of
# them would take as much memory as all the rest of a run.
_SORTED_AT_ONCE = 10_000
_BETWEEN = "\0"
_MERGED_AT_ONCE = 8_000  # characters of each of those texts
_NAMES_ARE_UTF8 = sys.getfilesystemencoding().lower() == "utf-8"

# An open folder: its descriptor, its path as it begins keys, and the names in it that are still to come.
_Open = tuple[int, str, Iterator[str]]


class Tree:
    """All regular files below a source, as `Entry`, and everything that can't be offered as one, as `PathProblem`.

    No symlink is followed, not even one to a file inside the tree: the same file would be sent under two names, and a
    link's mode does not show who may read it. Each one is a problem.

    Attributes:
        linked: Whether a file with several names (hard links) was met.
    """

    complete = True

    def __init__(self, source: Source, *, prefix_bytes: int = 0, span: Span = EVERYTHING, below: bytes = b"") -> None:
        """Walk the part of `source` whose keys are in `span`, and below the folder `below`, which ends with a slash.

        `prefix_bytes` is the length of the key prefix, which counts against the maximum length of a key.
        """
        self.linked = False
        self._below = below
        self._source = source
        self._span = span
        self._limit = MAX_KEY_BYTES - prefix_bytes

    def __iter__(self) -> Iterator[Item]:
        """Yield items in the byte order of their keys.

        A folder is sorted as `name/`, as S3 sorts: `a-b` comes before `a/b`, though `a` comes before `a-b`. Names are
        sorted as text, which is the order of their bytes in UTF-8. Names that are not UTF-8 can't be keys.
        """
        # A run without changes spends most of its time here, so it does as little as possible per file.
        stack: list[_Open] = []
        limit, lstat, new = self._limit, os.lstat, tuple.__new__
        least, most = -MOST_NS, MOST_NS
        other_names = 0
        try:
            problem = self._enter(None, self._below.decode(errors="surrogateescape"), stack)
            if problem is not None:
                yield problem
            while stack:
                folder, path, names = stack[-1]
                for name in names:
                    key = path + name
                    if name[-1] == "/":
                        problem = self._enter(folder, key, stack)
                        if problem is not None:
                            yield problem
                        break
                    if len(key) > limit or not key.isascii():
                        problem = bad_key(key, limit)
                        if problem is not None:
                            yield problem
                            continue
                    try:
                        status = lstat(name if _NAMES_ARE_UTF8 else _native(name), dir_fd=folder)
                    except FileNotFoundError:
                        continue
                    except OSError as error:
                        yield PathProblem(key, PathProblemKind.UNREADABLE, error.strerror or "", folder=False)
                        continue
                    mode = status.st_mode
                    if not stat.S_ISREG(mode):
                        yield no_file(folder, name, key, mode)
                        continue
                    mtime_ns = status.st_mtime_ns
                    other_names |= status.st_nlink - 1
                    # Like entry_of, but without a call.
                    yield (
                        new(Entry, (key, status.st_size, mtime_ns, status.st_ctime_ns, mode & 0o7777))
                        if least < mtime_ns < most
                        else entry_of(key, status)
                    )
                else:
                    os.close(folder)
                    stack.pop()
        finally:
            self.linked = other_names > 0
            for folder, _path, _names in stack:
                os.close(folder)

    def _enter(self, parent: int | None, path: str, stack: list[_Open]) -> Optional[PathProblem]:
        """Open a folder and put it on the stack, or return why that is not possible; a missing folder is no problem."""
        if not self._source.present:
            return None
        if not path.isascii() and not _is_text(path):
            return PathProblem(_shown(path), PathProblemKind.BAD_NAME, "the name is not UTF-8", folder=True)
        if len(path) > self._limit or (not path.isascii() and len(path.encode()) > self._limit):
            # No file below it has a key. Each level keeps a folder open, so a deep one would take all descriptors.
            return _long(path, folder=True)
        try:
            if parent is None:
                folder = self._source.open_path(self._below)
            else:
                folder = self._source.open_folder(parent, path[path.rfind("/", 0, -1) + 1 : -1])
        except (FileNotFoundError, NotAFileError):
            return None
        except OSError as error:
            return PathProblem(path, PathProblemKind.UNREADABLE, error.strerror or "", folder=True)
        try:
            names = _sorted_names(folder, path, self._span)
        except OSError as error:
            os.close(folder)
            return PathProblem(path, PathProblemKind.UNREADABLE, error.strerror or "", folder=True)
        stack.append((folder, path, names))
        return None


def bad_key(key: str, limit: int) -> Optional[PathProblem]:
    """Return why a path can't be a key of at most `limit` bytes; None if it can."""
    if not _is_text(key):
        return PathProblem(_shown(key), PathProblemKind.BAD_NAME, "the name is not UTF-8", folder=False)
    return _long(key, folder=False) if len(key.encode()) > limit else None


def _long(path: str, *, folder: bool) -> PathProblem:
    detail = f"the key is longer than {MAX_KEY_BYTES} bytes"
    return PathProblem(path, PathProblemKind.LONG_KEY, detail, folder=folder)


def entry_of(key: str, status: os.stat_result) -> Entry:
    """Return the entry of `key` from the lstat or fstat of its file."""
    mtime_ns, ctime_ns = storable_ns(status.st_mtime_ns), storable_ns(status.st_ctime_ns)
    return Entry(key, status.st_size, mtime_ns, ctime_ns, stat.S_IMODE(status.st_mode))


def _sorted_names(folder: int, path: str, span: Span) -> Iterator[str]:
    """Return the names in a folder that are in a span, in order, with a slash after names of folders."""
    packed: list[str] = []
    with os.scandir(folder) as found:
        while True:
            names = [
                entry.name + "/" if entry.is_dir(follow_symlinks=False) else entry.name
                for entry in islice(found, _SORTED_AT_ONCE)
            ]
            if not _NAMES_ARE_UTF8:
                names = [os.fsencode(name).decode(errors="surrogateescape") for name in names]
            names.sort()
            last = len(names) < _SORTED_AT_ONCE
            if span is not EVERYTHING:
                names = span.part_of(path, names)
            if last and not packed:
                return iter(names)
            if names:
                packed.append(_BETWEEN.join(names))
            if last:
                return _merged(packed)


def _merged(packed: list[str]) -> Iterator[str]:
    """Yield the names of texts, each of which is in order, in the order of all of them."""
    texts = [_Unpacking(text) for text in packed]
    while texts:
        # Up to here, all of them have been unpacked: so the rest of no text comes before it.
        last = min(text.names[-1] for text in texts)
        names = [name for text in texts for name in text.take(last)]
        names.sort()
        yield from names
        texts = [text for text in texts if text.names]


class _Unpacking:
    """A packed text, of which `names` are the next ones: at least one until all are taken."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._start = 0
        self.names: list[str] = []
        self._refill()

    def take(self, last: str) -> list[str]:
        """Return those of the next names that come up to `last`, and go on behind them."""
        end = bisect_right(self.names, last)
        taken, self.names = self.names[:end], self.names[end:]
        if not self.names:
            self._refill()
        return taken

    def _refill(self) -> None:
        if self._start < len(self._text):
            end = self._text.find(_BETWEEN, self._start + _MERGED_AT_ONCE)
            piece = self._text[self._start : end] if end >= 0 else self._text[self._start :]
            self._start = end + 1 if end >= 0 else len(self._text)
            self.names = piece.split(_BETWEEN)


def _native(name: str) -> bytes:
    return name.encode(errors="surrogateescape")


def no_file(folder: int, name: str, key: str, mode: int) -> PathProblem:
    """Return what a path is that is neither a file nor a folder. A link to a folder hides everything below its name.

    So may a broken link: its target may be on a disk that is not mounted.
    """
    if not stat.S_ISLNK(mode):
        return PathProblem(key, PathProblemKind.SPECIAL_FILE, "neither a file nor a folder", folder=False)
    try:
        leads_to_folder = stat.S_ISDIR(os.stat(_native(name), dir_fd=folder).st_mode)
    except OSError as error:
        return PathProblem(key + "/", PathProblemKind.BROKEN_SYMLINK, error.strerror or "", folder=True)
    if leads_to_folder:
        return PathProblem(key + "/", PathProblemKind.SYMLINKED_FOLDER, "symlinks are not followed", folder=True)
    return PathProblem(key, PathProblemKind.SYMLINK, "symlinks are not followed", folder=False)


def _is_text(path: str) -> bool:
    """Return whether a path is UTF-8 on disk."""
    try:
        path.encode()
    except UnicodeEncodeError:
        return False
    return True


def _shown(path: str) -> str:
    return path.encode(errors="surrogateescape").decode(errors="backslashreplace")
