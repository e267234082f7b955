# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Holds back the actions that make files private until their number is known.

They are stored in an unnamed temporary file, so that a tree in which every file looks private needs no memory, and a
killed run leaves nothing behind.
"""

from __future__ import annotations

import pickle
import tempfile
from collections.abc import Iterator
from typing import IO, Optional

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.model import Action, SyncError


class DeferredActions:
    """Actions of one run, in the order in which they were added."""

    def __init__(self, folder: str) -> None:
        """`folder`: where the file is created with the first action."""
        self._folder = folder
        self._file: Optional[IO[bytes]] = None
        self._count = 0

    def add(self, action: Action) -> None:
        """Hold back an action.

        Raises:
            SyncError: It can't be written.
        """
        try:
            if self._file is None:
                self._file = tempfile.TemporaryFile(dir=self._folder)  # noqa: SIM115 - it lives as long as the run
            pickle.dump(action, self._file, protocol=pickle.HIGHEST_PROTOCOL)
        except OSError as error:
            raise self._unwritable(error) from error
        self._count += 1

    def take(self) -> Iterator[Action]:
        """Yield all actions, and stop holding them.

        Raises:
            SyncError: Not all of them could be written.
        """
        file, count = self._file, self._count
        self._file, self._count = None, 0
        if file is None:
            return
        try:
            file.seek(0)
        except OSError as error:
            raise self._unwritable(error) from error
        with file:
            for _each in range(count):
                yield pickle.load(file)  # noqa: S301 - this process wrote it

    def _unwritable(self, error: OSError) -> SyncError:
        return SyncError(
            f"state_dir {self._folder} can't be written: {error.strerror}. Free some space there and run again. The run"
            " continues where it stopped"
        )

    def close(self) -> None:
        """Discard the actions."""
        if self._file is not None:
            self._file.close()
            self._file = None
