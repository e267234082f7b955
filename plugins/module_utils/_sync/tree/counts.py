# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a walk has found: how many files, of what size, where, and what is wanted for them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Optional

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.model import Entry, Exposure

FOLDERS_SHOWN = 30
OTHER_FOLDERS = "(others)"
PARTS_KEPT = 300
_NOWHERE = "\0"  # no key contains it
EXAMPLES_SHOWN = 10
PART_LEVELS = 2
HIDDEN_SHOWN = 3
HIDDEN_ALLOWED = 10


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
        """Add the counts of another one, which has no examples."""
        self.count += other.count
        self.bytes += other.bytes


@dataclass
class Part:
    """How many files below one folder of the tree are in a public location, and how many of these look private."""

    public: int = 0
    hidden: int = 0
    examples: list[str] = field(default_factory=list)

    def merge(self, other: Part) -> None:
        """Add the counts of another one."""
        self.public += other.public
        self.hidden += other.hidden
        self.examples += other.examples[: HIDDEN_SHOWN - len(self.examples)]


class WalkCounts:
    """The running counts of a walk.

    folders: By the first folder of the path, with its slash, and empty for the root itself; more than `FOLDERS_SHOWN`
        are
    counted under one name.
    parts: By the first two folders, as far as a path has them.
    unchanged: Files for which nothing has to be done.
    linked: Whether a file with several names (hard links) was met.
    """

    def __init__(self) -> None:
        self.files = Amount()
        self.unchanged = Amount()
        self.private = 0
        self.linked = False
        self.folders: dict[str, Amount] = {}
        self.parts: dict[str, Part] = {}
        # The location of the last file: most files are in the same one.
        self._within = _NOWHERE
        self._folder = Amount()
        self._part = Part()

    def add(self, entry: Entry, exposure: Optional[Exposure], *, unchanged: bool = False, hidden: bool = False) -> None:
        """Count a file and the exposure that is wanted for it; None if it is left out.

        `hidden`: It is in a public location, but its mode makes it private.
        """
        key, size = entry[:2]
        if not key.startswith(self._within):
            self._enter(key)
        files, folder = self.files, self._folder
        files.count += 1
        files.bytes += size
        folder.count += 1
        folder.bytes += size
        if exposure is Exposure.PUBLIC:
            self._part.public += 1
        elif exposure is not None:
            self.private += 1
        if unchanged:
            self.unchanged.count += 1
            self.unchanged.bytes += size
        if hidden:
            part = self._part
            part.hidden += 1
            if len(part.examples) < HIDDEN_SHOWN:
                part.examples.append(key)

    @property
    def public(self) -> int:
        """How many files should be public."""
        return sum(part.public for part in self.parts.values())

    def hidden(self, limit_percent: int) -> Optional[tuple[str, Part]]:
        """Return where too many files look private, and how many: a part of the tree, or all of it with an empty name.

        Up to `HIDDEN_ALLOWED` of them are never too many.
        """
        whole = Part()
        for part in self.parts.values():
            whole.merge(part)
        for name, part in (("", whole), *sorted(self.parts.items())):
            if part.hidden > HIDDEN_ALLOWED and part.hidden * 100 > limit_percent * (part.public + part.hidden):
                return name, part
        return None

    def merge(self, other: WalkCounts) -> None:
        """Add the counts of another walk."""
        self.files.merge(other.files)
        self.unchanged.merge(other.unchanged)
        self.private += other.private
        self.linked = self.linked or other.linked
        for name, amount in other.folders.items():
            self._folder_of(name).merge(amount)
        for name, part in other.parts.items():
            self._part_of(name).merge(part)

    def taken(self) -> WalkCounts:
        """Return these counts, and start again from zero."""
        taken = WalkCounts()
        taken.merge(self)
        for amount in (self.files, self.unchanged, *self.folders.values()):
            amount.count = amount.bytes = 0
        for part in self.parts.values():
            part.public = part.hidden = 0
            part.examples.clear()
        self.private = 0
        return taken

    def _enter(self, key: str) -> None:
        """Note in which folder and part a file is, for itself and for those that follow it there."""
        name = part_of(key)
        self._folder, self._part = self._folder_of(key[: key.find("/") + 1]), self._part_of(name)
        # What is right below a first folder is followed by what is in the folders there.
        self._within = name if name.count("/") == PART_LEVELS else _NOWHERE

    def _folder_of(self, name: str) -> Amount:
        if name not in self.folders and len(self.folders) >= FOLDERS_SHOWN:
            name = OTHER_FOLDERS
        return self.folders.setdefault(name, Amount())

    def _part_of(self, name: str) -> Part:
        if name not in self.parts and len(self.parts) >= PARTS_KEPT:
            name = OTHER_FOLDERS
        return self.parts.setdefault(name, Part())


def part_of(key: str) -> str:
    """Return the first two folders of a key, or one if it has no more, with the last slash; empty for the root."""
    first = key.find("/") + 1
    second = key.find("/", first) + 1 if first else 0
    return key[: second or first]
