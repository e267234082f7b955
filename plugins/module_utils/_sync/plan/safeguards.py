# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Stops a run before it does harm: a tree that looks wrong, too many private files, too many deletions."""

from __future__ import annotations

import os
from collections import Counter
from shlex import quote
from typing import Optional

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.feed.feed_use import FeedUse
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.journal.journal import Journal
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.model import (
    Action,
    Exposure,
    Reason,
    SourceOfTruth,
)
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.report import Tally
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.settings import Settings
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.tree.counts import (
    PARTS_KEPT,
    WalkCounts,
    part_of,
)
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.tree.source import Source

GONE_ALLOWED = 10  # objects that may be deleted from a folder that is empty now
DELETE_ALLOWED = 1000  # objects that may be deleted regardless of their percentage
# What is left out although it is part of the tree, unlike the marker files that people put on an empty mount point.
_OF_THE_TREE = (Reason.LOCAL_ONLY, Reason.TOO_NEW)


class Safeguards:
    """Checks what a run has found so far. Each check returns an error with its remedy, or None."""

    def __init__(self, settings: Settings, source: Source, journal: Journal, tally: Tally, feed: FeedUse) -> None:
        self._settings = settings
        self._source = source
        self._journal = journal
        self._tally = tally
        self._feed = feed
        self._gone_below: Counter[str] = Counter()
        # When everything is settled after the switch, modes on disk no longer mean anything.
        self._checks_modes = settings.max_private_percent < 100 and (
            settings.source_of_truth is SourceOfTruth.DISK or journal.settled_ns is None
        )

    def _counts(self) -> WalkCounts:
        """Return what is in the tree, as far as it is known: what has changed counts twice."""
        if self._feed.known is None:
            return self._tally.counts
        counts = WalkCounts()
        counts.merge(self._feed.known)
        counts.merge(self._tally.counts)
        return counts

    def note_gone(self, key: str) -> None:
        """Count a key whose file is gone, by its folder."""
        part = part_of(key)
        for folder in {part, part[: part.find("/") + 1]} - {""}:
            if folder in self._gone_below or len(self._gone_below) < PARTS_KEPT:
                self._gone_below[folder] += 1

    def makes_private(self, action: Action) -> bool:
        """Return whether an action must wait until it is known how many files look private."""
        if action.exposure is not Exposure.PRIVATE or not self._checks_modes or self._settings.check_mode:
            return False
        return action.entry is not None and self._settings.rules.hides_public(action.entry)

    def too_many_private(self) -> Optional[str]:
        """Check that the files that look private can be those of suspended accounts."""
        found = self._counts().hidden(self._settings.max_private_percent) if self._checks_modes else None
        if found is None:
            return None
        name, part = found
        where = f"{self._settings.src.rstrip('/')}/{name}"
        return (
            f"{part.hidden} of {part.public + part.hidden} files in public folders of {where} can be read by neither"
            f" their group nor others (mode & 0o044 == 0), such as {', '.join(part.examples)}. Nothing was made private"
            " or deleted because of that. Mastodon sets such modes for suspended accounts, but so many files suggest"
            " that a backup, a copy or a umask has changed them. Check the UMask of Mastodon's services, and restore"
            f" the modes: chmod -R go+rX {quote(where)} (this also makes files of suspended accounts public: suspend"
            " these accounts again afterwards). If all these files should be private, raise max_private_percent"
            f" (now {self._settings.max_private_percent})"
        )

    def no_files(self) -> Optional[str]:
        """Check that the source has files, which an empty mount point or the wrong folder does not."""
        settings, tally = self._settings, self._tally
        gone = tally.marked_for_deletion.count
        if self._feed.known is not None and (not gone or gone < self._journal.count()):
            return None  # the last walk has found files
        left = sum(tally.skipped[reason].count for reason in _OF_THE_TREE if reason in tally.skipped)
        if tally.counts.public + tally.counts.private + left + tally.actions["delete_private"].count:
            return None
        if settings.source_of_truth is SourceOfTruth.BUCKET and self._journal.settled_ns is not None:
            return None
        known = tally.marked_for_deletion.count or self._journal.count()
        if known:
            return (
                f"src {settings.src} contains no file for the bucket, although {known} files were sent from it"
                " earlier: is its disk mounted? Nothing was deleted"
            )
        if settings.allow_empty or tally.failed:
            return None
        return (
            f"src {settings.src} contains no file for the bucket: set it to the folder that Mastodon writes to, and"
            " check that its disk is mounted. If this is a new server without media, set allow_empty=true"
        )

    def unmounted_folder(self) -> Optional[str]:
        """Check that no folder whose objects would be deleted looks like an empty mount point.

        Mastodon leaves no folder empty.
        """
        for folder, gone in sorted(self._gone_below.items()):
            if gone > GONE_ALLOWED and self._source.is_bare(folder):
                path = os.path.join(self._settings.src, folder)
                return (
                    f"{path} is empty, although {gone} objects in the bucket were sent from it: is its disk mounted?"
                    " Nothing was deleted. If its files were really deleted, remove the empty folder"
                )
        return None

    def too_many_gone(self) -> Optional[str]:
        """Check that the share of objects to delete is within `max_delete_percent`."""
        limit, gone = self._settings.max_delete_percent, self._tally.marked_for_deletion.count
        counts = self._counts()
        known = gone + counts.public + counts.private
        if (limit and gone <= DELETE_ALLOWED) or gone * 100 <= limit * known:
            return None
        return (
            f"{gone} of {known} objects would be deleted because their files are gone. This is more than"
            f" max_delete_percent={limit} allows, so nothing was deleted. Use --check --diff to see which files are"
            " gone. If they were really deleted, raise max_delete_percent"
        )
