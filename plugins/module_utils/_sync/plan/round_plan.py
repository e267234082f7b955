# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Finds out what a run has to do: from the tree, the journal and, if needed, the bucket's listing to steps."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Optional, TypeVar

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.connection.errors import (
    NotFoundError,
    PermissionDeniedError,
    S3Error,
)
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.feed.feed_use import FeedUse
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.journal.database import damaged
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.journal.journal import Journal
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.journal.opening import missing_journal
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.model import (
    CompareWith,
    DeleteMode,
    Entries,
    Listed,
    Row,
    RowState,
    SourceOfTruth,
)
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.plan.plan import (
    BucketPlanner,
    Planner,
    Step,
    TreePlanner,
)
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.plan.walker import Walk
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.plan.walkers import Walkers
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.report import Report
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.settings import Settings
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.store.store import Store
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.tree.source import Source
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.tree.span import Span
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.tree.walk import Tree

_MOST_AHEAD_NS = 60 * 10**9
_UNLISTED = "the bucket can't be listed (yet), so it is assumed to be empty"
_Each = TypeVar("_Each")


class RoundPlan:
    """What a run has to do. `seconds` is how long it has waited for the walk so far."""

    def __init__(
        self,
        settings: Settings,
        store: Optional[Store],
        source: Source,
        journal: Journal,
        report: Report,
        walkers: Optional[Walkers],
        feed: FeedUse,
    ) -> None:
        """`report` receives what was seen, what files were compared with, and warnings."""
        self.seconds = 0.0
        self._settings = settings
        self._store = store
        self._source = source
        self._journal = journal
        self._report = report
        self._walkers = walkers
        self._feed = feed
        self._prefix_bytes = len(settings.prefix.encode())

    def steps(self) -> Iterator[Step]:
        """Yield the steps; all of them are known at the end of the walk.

        Raises:
            S3Error: The bucket can't be listed.
            SyncError: The journal can't be read, or the walk can't be completed.
        """
        changed = self._feed.changed
        tree = Tree(self._source, prefix_bytes=self._prefix_bytes)
        entries: Entries = tree if changed is None else changed
        tally, settings = self._report.tally, self._settings
        if settings.source_of_truth is SourceOfTruth.DISK:
            delete = settings.delete if entries.complete else DeleteMode.NEVER
            listing = self._listing(delete)
            planner: Planner = TreePlanner(
                settings.rules,
                delete,
                compare_with=self._report.compared_with,
                repair=settings.repair,
                journal=self._journal.path,
            )
        else:
            listing, planner = None, self._planner_after_switch()
        steps = self._steps_of_walkers(planner) if listing is None and changed is None else None
        if steps is None:
            rows = self._rows() if changed is None else changed.rows(self._journal)
            steps = planner.steps(self._timed(entries), rows, listing, tally.counts)
        yield from steps
        tally.counts.linked = tally.counts.linked or tree.linked
        tally.walked = True

    def _steps_of_walkers(self, planner: Planner) -> Optional[Iterator[Step]]:
        if self._walkers is None or not self._walkers.channels or self._settings.check_mode:
            return None
        if not self._source.present:
            return None
        walks = [
            Walk(self._settings.src, self._prefix_bytes, self._journal.path, planner, span)
            for span in Span.between(self._journal.cuts(len(self._walkers.channels)))
        ]
        return self._timed(self._walkers.steps(walks, self._source, self._report.tally.counts))

    def _planner_after_switch(self) -> BucketPlanner:
        watermark_ns = self._journal.watermark_ns
        if watermark_ns is None:
            # Only in check mode: in a real run, the same play would have made the rounds before the switch.
            self._report.warnings.append(missing_journal(self._settings))
            watermark_ns = time.time_ns()
        elif watermark_ns > time.time_ns() + _MOST_AHEAD_NS and not self._settings.check_mode:
            # Otherwise nothing would be new. A clock that was set back has already been handled.
            raise damaged(self._journal.path, "its last completed round is in the future")
        settled = self._journal.settled_ns is not None
        return BucketPlanner(self._settings.rules, watermark_ns, settled, journal=self._journal.path)

    def _rows(self) -> Iterable[Row]:
        rows = self._journal.rows()
        if self._settings.check_mode and self._settings.reopen and self._journal.switched_ns is not None:
            return (row._replace(state=RowState.DOUBTED.value, applied="") for row in rows)
        return rows

    def _listing(self, delete: DeleteMode) -> Optional[Iterator[Listed]]:
        """Return the bucket's listing if it is needed, and record what files are compared with."""
        settings, asked = self._settings, self._settings.compare_with
        compare_with = CompareWith.LISTING if asked is CompareWith.JOURNAL and self._journal.needs_listing else asked
        if compare_with is CompareWith.JOURNAL and delete is not DeleteMode.ALL:
            return None
        if self._store is None:
            if delete is not DeleteMode.ALL:
                return None
            self._report.warnings.append(_UNLISTED)
            return iter(())
        try:
            objects = self._store.listing()
            first = next(objects, None)
        except S3Error as error:
            if not self._goes_without_listing(
                error, needed=delete is DeleteMode.ALL or asked is not CompareWith.JOURNAL
            ):
                raise
            return iter(()) if delete is DeleteMode.ALL else None
        self._report.compared_with = compare_with
        if first is None:
            # If the bucket lacks known rows, it counts as listed only when they are sent again.
            if not settings.check_mode and not self._journal.count():
                self._journal.listed()
            return objects
        return chain((first,), objects)

    def _goes_without_listing(self, error: S3Error, *, needed: bool) -> bool:
        """Return whether a run can do without the refused listing, and report it."""
        if self._settings.check_mode and (not needed or isinstance(error, NotFoundError)):
            self._report.warnings.append(_UNLISTED)
            return True
        if isinstance(error, PermissionDeniedError) and not needed:
            self._report.warnings.append(
                "the journal is new and this key may not list the bucket: objects that are already there are sent again"
            )
            return True
        return False

    def _timed(self, steps: Iterable[_Each]) -> Iterator[_Each]:
        iterator = iter(steps)
        while True:
            before = time.perf_counter()
            item = next(iterator, None)
            self.seconds += time.perf_counter() - before
            if item is None:
                return
            yield item
