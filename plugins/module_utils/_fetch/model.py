# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a run of s3_fetch is asked to do, and what it did."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from enum import Enum
from typing import Any, NamedTuple, Optional

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.model import Row
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.rules.rules import Rules

# Lines of a diff.
_MOST_CHANGES = 100


class FetchError(Exception):
    """The run can't begin or go on. The text says what to do."""


class Fate(str, Enum):
    """What happens to an object."""

    FETCHED = "fetched"  # there was no file
    REPLACED = "replaced"  # there was an older file with other content
    SAME = "same"  # the file has the object's content
    NEWER_ON_DISK = "newer_on_disk"  # the file has other content, and was written after the object
    VANISHED = "vanished"  # the object was deleted in the meantime
    SET_ASIDE = "set_aside"  # the object that the file was sent as is gone, so the file was moved away
    CLOSED = "closed"  # visitors can't read the object, so they can't read the file any more either
    OPENED = "opened"  # visitors can read the object, so they can read the file again
    OUT_OF_SCOPE = "out_of_scope"  # outside the public and private folders
    REFUSED = "refused"  # the key can't be the path of a file here
    FAILED = "failed"


@dataclass(frozen=True)
class FetchSettings:
    """A run.

    Attributes:
        dest: The folder for the files.
        set_aside_dir: The folder for files that are replaced, or whose objects were deleted.
        rules: Which keys are wanted, and whose names are masked.
        newer_than: Only objects that were written after this moment, in seconds since the epoch of the store's clock.
        journal: The path of s3_sync's journal, if files are moved away whose objects were deleted.
        max_change_percent: How many of the objects in the journal may be gone, and how many of all may be private.
        all_acls: The ACL of each object decides who may read its file, not only of those that are downloaded.
        modes_until: Files that were changed later keep their mode, in seconds since the epoch of the host's clock.
        mode: Permissions of files that visitors may read.
        directory_mode: Permissions of new folders.
        concurrency: How many objects are downloaded at once.
        limit: How many examples the result names for each fate.
        check_mode: Nothing is written.
    """

    dest: str
    set_aside_dir: str
    rules: Rules
    newer_than: Optional[float]
    journal: Optional[str]
    max_change_percent: int
    all_acls: bool
    modes_until: Optional[float]
    mode: int
    directory_mode: int
    concurrency: int
    limit: int
    check_mode: bool


# What changes a file.
_CHANGES = (Fate.FETCHED, Fate.REPLACED, Fate.SET_ASIDE, Fate.CLOSED, Fate.OPENED)


class FetchOutcome(NamedTuple):
    """What happened to one object. `reason` is empty unless it was refused or failed. `verified`: by a checksum.

    `row` is what tree and bucket have in common now, if that is new to the journal.
    """

    key: str
    fate: Fate
    size: int
    reason: str = ""
    verified: bool = True
    row: Optional[Row] = None


@dataclass
class FetchReport:
    """The result of a run. Its size does not depend on the number of objects."""

    counts: dict[str, int] = field(default_factory=lambda: {fate.value: 0 for fate in Fate})
    bytes: int = 0
    unverified: int = 0
    set_aside_dir: str = ""
    listing_seconds: float = 0.0
    examples: dict[str, list[dict[str, str]]] = field(default_factory=dict)
    error: Optional[str] = None
    _changes: list[str] = field(default_factory=list)

    def add(self, outcome: FetchOutcome, settings: FetchSettings) -> None:
        """Count an outcome."""
        fate = outcome.fate
        self.counts[fate.value] += 1
        shown = settings.rules.masked(outcome.key)
        if fate in (Fate.FETCHED, Fate.REPLACED):
            self.bytes += outcome.size
            self.unverified += not outcome.verified
        if fate in _CHANGES and len(self._changes) < _MOST_CHANGES:
            self._changes.append(f"{fate.value} {shown}")
        if fate is not Fate.SAME:
            examples = self.examples.setdefault(fate.value, [])
            if len(examples) < settings.limit:
                examples.append({"key": shown, "reason": outcome.reason} if outcome.reason else {"key": shown})

    @property
    def changed(self) -> bool:
        """Whether files were written, moved, or got another mode."""
        return self._number_of_changes > 0

    @property
    def _number_of_changes(self) -> int:
        return sum(self.counts[fate.value] for fate in _CHANGES)

    def as_dict(self) -> dict[str, Any]:
        """Return the module's result."""
        result = {name: value for name, value in asdict(self).items() if not name.startswith("_") and name != "error"}
        return {"changed": self.changed, **result}

    def diff(self) -> dict[str, str]:
        """Return the changes as Ansible's `diff`, limited in number."""
        total = self._number_of_changes
        more = [f"... and {total - len(self._changes)} more"] if total > len(self._changes) else []
        return {"prepared": "".join(f"{line}\n" for line in [*self._changes, *more])}
