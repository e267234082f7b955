# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The walk: a folder's files in the byte order of their keys, with the memory of one folder at a time."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.model import (
    Entry,
    Item,
    Problem,
    ProblemKind,
)
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.source import Source

MAX_KEY_BYTES = 1024  # https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-keys.html


class Tree:
    """All regular files below a source, as `Entry`, and what could not be offered as one, as `Problem`.

    No symlink is followed, not even one to a file inside the tree: the same file would be sent under two names, and a
    link's mode says nothing of who may read it. Each one comes up as a problem.
    """

    complete = True

    def __init__(self, source: Source, *, prefix_bytes: int = 0) -> None:
        """Walk `source`; `prefix_bytes` is the length of the key prefix, which counts against the limit of a key."""
        self._source = source
        self._limit = MAX_KEY_BYTES - prefix_bytes

    def __iter__(self) -> Iterator[Item]:
        """Yield items in the byte order of their keys.

        A folder is sorted as `name/`, as S3 sorts: `a-b` comes before `a/b`, though `a` comes before `a-b`.
        """
        stack: list[tuple[int, bytes, Iterator[bytes]]] = []
        try:
            yield from self._enter(None, b"", stack)
            while stack:
                folder, path, names = stack[-1]
                name = next(names, None)
                if name is None:
                    os.close(folder)
                    stack.pop()
                elif name.endswith(b"/"):
                    yield from self._enter(folder, path + name, stack)
                else:
                    yield from self._file(folder, path + name, name)
        finally:
            for folder, _path, _names in stack:
                os.close(folder)

    def _enter(
        self, parent: int | None, path: bytes, stack: list[tuple[int, bytes, Iterator[bytes]]]
    ) -> Iterator[Problem]:
        key = _text(path)
        if key is None:
            yield Problem(_shown(path), ProblemKind.BAD_NAME, "the name is not UTF-8", folder=True)
            return
        try:
            folder = self._source.open_folder(parent, os.fsdecode(path.rstrip(b"/").rpartition(b"/")[2]))
        except FileNotFoundError:
            return
        except OSError as error:
            yield Problem(key, ProblemKind.UNREADABLE, error.strerror or "", folder=True)
            return
        try:
            names = _sorted_names(folder)
        except OSError as error:
            os.close(folder)
            yield Problem(key, ProblemKind.UNREADABLE, error.strerror or "", folder=True)
            return
        stack.append((folder, path, iter(names)))

    def _file(self, folder: int, path: bytes, name: bytes) -> Iterator[Item]:
        key = _text(path)
        if key is None:
            yield Problem(_shown(path), ProblemKind.BAD_NAME, "the name is not UTF-8", folder=False)
            return
        if len(path) > self._limit:
            yield Problem(key, ProblemKind.LONG_KEY, f"the key is longer than {MAX_KEY_BYTES} bytes", folder=False)
            return
        try:
            status = os.stat(name, dir_fd=folder, follow_symlinks=False)
        except FileNotFoundError:
            return
        except OSError as error:
            yield Problem(key, ProblemKind.UNREADABLE, error.strerror or "", folder=False)
            return
        if stat.S_ISREG(status.st_mode):
            yield entry_of(key, status)
        elif stat.S_ISLNK(status.st_mode):
            yield _link(folder, name, key)
        else:
            yield Problem(key, ProblemKind.SPECIAL_FILE, "neither a file nor a folder", folder=False)


def entry_of(key: str, status: os.stat_result) -> Entry:
    """Return the entry of `key` from what lstat or fstat says of its file."""
    return Entry(key, status.st_size, status.st_mtime_ns, status.st_ctime_ns, stat.S_IMODE(status.st_mode))


def _sorted_names(folder: int) -> list[bytes]:
    with os.scandir(folder) as found:
        names = [
            os.fsencode(entry.name) + b"/" if entry.is_dir(follow_symlinks=False) else os.fsencode(entry.name)
            for entry in found
        ]
    names.sort()
    return names


def _link(folder: int, name: bytes, key: str) -> Problem:
    """Tell a link to a folder, which hides whatever was below its name, from all others."""
    try:
        leads_to_folder = stat.S_ISDIR(os.stat(name, dir_fd=folder).st_mode)
    except OSError:
        leads_to_folder = False
    if leads_to_folder:
        return Problem(key + "/", ProblemKind.SYMLINKED_FOLDER, "symlinks are not followed", folder=True)
    return Problem(key, ProblemKind.SYMLINK, "symlinks are not followed", folder=False)


def _text(path: bytes) -> str | None:
    try:
        return path.decode()
    except UnicodeDecodeError:
        return None


def _shown(path: bytes) -> str:
    return path.decode(errors="backslashreplace")
