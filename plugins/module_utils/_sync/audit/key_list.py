# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Writes a list of objects to a file that only its owner can read, as one line of JSON per object."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
from types import TracebackType
from typing import Optional, final

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._files.errors import FileError, refused
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._files.private import private_folder
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.model import Listed, SyncError


class KeyListError(SyncError):
    """The list can't be written."""


@final
class KeyList:
    """A list that replaces an older one only when it is complete. After a failure the older one is still there."""

    def __init__(self, path: str) -> None:
        """Begin the list for `path`. If its folder is missing, it is created for its owner only.

        Raises:
            KeyListError: Others can change the folder, or nothing can be written there.
        """
        self._path = path
        self._name = os.path.basename(path)
        self._temporary = f".{self._name}.{secrets.token_hex(8)}.tmp"
        self._done = False
        try:
            self._folder = private_folder(os.path.dirname(os.path.abspath(path)))
        except FileError as error:
            raise KeyListError(f"extra_file: {error}") from error
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        try:
            descriptor = os.open(self._temporary, flags, 0o600, dir_fd=self._folder.descriptor)
        except OSError as error:
            self._folder.close()
            raise self._refused(error) from error
        self._stream = open(descriptor, "w", encoding="utf-8", errors="surrogateescape")  # noqa: SIM115 - closed below

    def __enter__(self) -> KeyList:
        return self

    def __exit__(
        self,
        kind: Optional[type[BaseException]],
        error: Optional[BaseException],
        trace: Optional[TracebackType],
    ) -> None:
        try:
            if not self._done:
                with contextlib.suppress(OSError):
                    os.unlink(self._temporary, dir_fd=self._folder.descriptor)
        finally:
            with contextlib.suppress(OSError):
                self._stream.close()
            self._folder.close()

    def add(self, stored: Listed) -> None:
        """Add an object.

        Raises:
            KeyListError: The disk is full, for example.
        """
        line = {"key": stored.key, "size": stored.size, "modified": stored.modified}
        try:
            self._stream.write(json.dumps(line) + "\n")
        except OSError as error:
            raise self._refused(error) from error

    def finish(self) -> None:
        """Flush the list to disk and give it its name.

        Raises:
            KeyListError: The disk is full, for example.
        """
        folder = self._folder.descriptor
        try:
            self._stream.flush()
            os.fsync(self._stream.fileno())
            os.rename(self._temporary, self._name, src_dir_fd=folder, dst_dir_fd=folder)
            self._done = True
            self._folder.sync()
        except OSError as error:
            raise self._refused(error) from error
        except FileError as error:
            raise KeyListError(f"extra_file: {error}") from error

    def _refused(self, error: OSError) -> KeyListError:
        cause = refused(self._path, "can't be written", error)
        return KeyListError(f"extra_file: {cause}")
