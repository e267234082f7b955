# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Up to where a run has dealt with the changes of a feed, and whether the next run can continue from there. Pure."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from re import Pattern
from typing import Optional

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._feed.reader import State
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.model import (
    CompareWith,
    DeleteMode,
    SourceOfTruth,
)
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.settings import Settings
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.tree.counts import Part, WalkCounts


@dataclass(frozen=True)
class Position:
    """What the journal says after a complete run: everything before this position is in the bucket.

    feed, time: See `State`.
    wanted: What that run wanted for each file, see `wanted_by`.
    source_of_truth: On which side it was.
    delete: Which objects it deleted.
    known: What the last walk counted.
    """

    feed: str
    time: int
    wanted: str
    source_of_truth: SourceOfTruth
    delete: DeleteMode
    known: WalkCounts

    def as_text(self) -> str:
        """Return this for the journal."""
        return json.dumps(
            {
                "feed": self.feed,
                "time": self.time,
                "wanted": self.wanted,
                "source_of_truth": self.source_of_truth.value,
                "delete": self.delete.value,
                "private": self.known.private,
                "parts": {name: [part.public, part.hidden] for name, part in self.known.parts.items()},
            }
        )

    @classmethod
    def parsed(cls, text: str) -> Optional[Position]:
        """Return what `as_text` turned into text; None for any other text."""
        try:
            said = json.loads(text)
            known = WalkCounts()
            known.private = int(said["private"])
            for name, (public, hidden) in said["parts"].items():
                known.parts[name] = Part(int(public), int(hidden))
            return cls(
                str(said["feed"]),
                int(said["time"]),
                str(said["wanted"]),
                SourceOfTruth(said["source_of_truth"]),
                DeleteMode(said["delete"]),
                known,
            )
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            return None


def wanted_by(settings: Settings) -> str:
    """Return a fingerprint of the rules, which decide what is wanted for a file that has not changed.

    The minimum age is none of them: the files that it concerns are looked at again.
    """
    wanted = {
        # The text of a pattern shows only its beginning.
        name: value.pattern if isinstance(value, Pattern) else value
        for name, value in vars(settings.rules).items()
        if name != "minimum_age_ns"
    }
    return hashlib.sha256(repr(wanted).encode()).hexdigest()[:16]


def why_all(settings: Settings, position: Optional[Position], state: State, *, needs_listing: bool) -> str:
    """Return why a run has to look at all files; empty if those that have changed are enough."""
    if settings.compare_with is not CompareWith.JOURNAL or settings.repair or needs_listing:
        return "all objects are to be compared"
    if settings.delete is DeleteMode.ALL:
        return "delete=all compares all objects"
    if position is None:
        return "no run was complete since the feed was started"
    return _why_not_since(position, state) or _why_other(settings, position)


def _why_not_since(position: Position, state: State) -> str:
    """Return why not all changes since a position are known; empty if they are."""
    if position.feed != state.feed:
        return "the feed was started again since the last complete run"
    if position.time < state.complete_since:
        return state.gap or "another run has dealt with changes since the last complete run"
    return ""


def _why_other(settings: Settings, position: Position) -> str:
    """Return why something else may be wanted for files that have not changed; empty if that is not so."""
    if position.wanted != wanted_by(settings):
        return "other options decide what is wanted than in the last complete run"
    if settings.source_of_truth is SourceOfTruth.BUCKET:
        return ""
    if position.source_of_truth is SourceOfTruth.BUCKET:
        return "the disk is the source of truth again"
    return "" if position.delete is settings.delete else "the last complete run deleted other objects"
