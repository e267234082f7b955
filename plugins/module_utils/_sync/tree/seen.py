# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a walk has met: how many files, of what size, where, and what is wanted for them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Optional

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.model import Entry, Exposure

FOLDERS_SHOWN = 30
OTHER_FOLDERS = "(others)"
EXAMPLES_SHOWN = 10


@dataclass
class Amount:
    """A number of files or objects, their size in bytes, and the first few of their names."""

    count: int = 0
    bytes: int = 0
    examples: list[str] = field(default_factory=list)

    def add(self, size: int, example: Optional[str] = None) -> None:
        """Count one more."""
        self.count += 1
        self.bytes += size
        if example is not None and len(self.examples) < EXAMPLES_SHOWN and example not in self.examples:
            self.examples.append(example)

    def merge(self, other: Amount) -> None:
        """Add what another one counted; it has no examples."""
        self.count += other.count
        self.bytes += other.bytes


class Seen:
    """The running counts of a walk.

    folders: by the first folder of their path, with its slash, and empty for the root itself; what exceeds
    `FOLDERS_SHOWN` goes under one name.
    unchanged: those for which nothing is to be done.
    """

    def __init__(self) -> None:
        self.files = Amount()
        self.unchanged = Amount()
        self.public = self.private = 0
        self.folders: dict[str, Amount] = {}

    def add(self, entry: Entry, exposure: Optional[Exposure], *, unchanged: bool = False) -> None:
        """Count a file and the exposure that is wanted for it, None where it is left out."""
        key, size = entry[:2]
        files = self.files
        files.count += 1
        files.bytes += size
        if exposure is Exposure.PUBLIC:
            self.public += 1
        elif exposure is not None:
            self.private += 1
        name = key[: key.find("/") + 1]
        folder = self.folders.get(name) or self._folder(name)
        folder.count += 1
        folder.bytes += size
        if unchanged:
            self.unchanged.count += 1
            self.unchanged.bytes += size

    def merge(self, other: Seen) -> None:
        """Add what another walk has met."""
        self.files.merge(other.files)
        self.unchanged.merge(other.unchanged)
        self.public += other.public
        self.private += other.private
        for name, amount in other.folders.items():
            self._folder(name).merge(amount)

    def taken(self) -> Seen:
        """Return these counts, and begin anew with zeros."""
        taken = Seen()
        taken.merge(self)
        for amount in (self.files, self.unchanged, *self.folders.values()):
            amount.count = amount.bytes = 0
        self.public = self.private = 0
        return taken

    def _folder(self, name: str) -> Amount:
        if name not in self.folders and len(self.folders) >= FOLDERS_SHOWN:
            name = OTHER_FOLDERS
        return self.folders.setdefault(name, Amount())
