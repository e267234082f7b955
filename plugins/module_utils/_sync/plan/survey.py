# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Finds out what a run has to do: from tree, journal and, where it counts, the bucket's listing to steps."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Optional, TypeVar

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.errors import (
    NotFoundError,
    PermissionDeniedError,
    S3Error,
)
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.journal.journal import Journal
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.model import (
    Authority,
    DeleteMode,
    Entries,
    Listed,
    Row,
    RowState,
    Trust,
)
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.plan.authority import missing_journal
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

_UNLISTED = "the bucket can't be listed (yet), so it is taken to be empty"
_Each = TypeVar("_Each")


class Survey:
    """What a run has to do. `seconds` is how long it waited for the walk so far."""

    def __init__(
        self,
        settings: Settings,
        store: Optional[Store],
        source: Source,
        journal: Journal,
        report: Report,
        walkers: Optional[Walkers],
    ) -> None:
        """`report` takes what was seen, what the run goes by, and warnings."""
        self.seconds = 0.0
        self._settings = settings
        self._store = store
        self._source = source
        self._journal = journal
        self._report = report
        self._walkers = walkers
        self._prefix_bytes = len(settings.prefix.encode())

    def steps(self) -> Iterator[Step]:
        """Yield the steps; all are known at the end of the walk.

        Raises:
            S3Error: the listing can't be had.
            SyncError: the journal can't be read, or the walk can't be ended.
        """
        entries: Entries = Tree(self._source, prefix_bytes=self._prefix_bytes)
        tally, settings = self._report.tally, self._settings
        if settings.authority is Authority.TREE:
            delete = settings.delete if entries.complete else DeleteMode.NEVER
            listing = self._listing(delete)
            planner: Planner = TreePlanner(
                settings.rules, delete, trust=self._report.trusted, converge=settings.converge
            )
        else:
            listing, planner = None, self._planner_after_switch()
        steps = self._steps_of_walkers(planner) if listing is None else None
        if steps is None:
            steps = planner.steps(self._timed(entries), self._rows(), listing, tally.seen)
        yield from steps
        tally.walked = True

    def _steps_of_walkers(self, planner: Planner) -> Optional[Iterator[Step]]:
        if self._walkers is None or not self._walkers.mailboxes or self._settings.check_mode:
            return None
        walks = [
            Walk(self._settings.src, self._prefix_bytes, self._journal.path, planner, span)
            for span in Span.between(self._journal.cuts(len(self._walkers.mailboxes)))
        ]
        return self._timed(self._walkers.steps(walks, self._source, self._report.tally.seen))

    def _planner_after_switch(self) -> BucketPlanner:
        watermark_ns = self._journal.watermark_ns
        if watermark_ns is None:
            # Only in check mode: the rounds before the switch would have been made by the very play that is checked.
            self._report.warnings.append(missing_journal(self._settings))
            watermark_ns = time.time_ns()
        return BucketPlanner(self._settings.rules, watermark_ns, self._journal.settled_ns is not None)

    def _rows(self) -> Iterable[Row]:
        rows = self._journal.rows()
        if self._settings.check_mode and self._settings.reopen and self._journal.switched_ns is not None:
            return (row._replace(state=RowState.DOUBTED.value, applied="") for row in rows)
        return rows

    def _listing(self, delete: DeleteMode) -> Optional[Iterator[Listed]]:
        """Return the bucket's listing where one is needed, and note what the run goes by."""
        settings, asked = self._settings, self._settings.trust
        trust = Trust.LISTING if asked is Trust.JOURNAL and self._journal.needs_listing else asked
        if trust is Trust.JOURNAL and delete is not DeleteMode.ALL:
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
            if not self._goes_without_listing(error, needed=delete is DeleteMode.ALL or asked is not Trust.JOURNAL):
                raise
            return iter(()) if delete is DeleteMode.ALL else None
        self._report.trusted = trust
        if first is None:
            # Where rows are known that the bucket lacks, it counts as listed only once they are sent again.
            if not settings.check_mode and not self._journal.count():
                self._journal.listed()
            return objects
        return chain((first,), objects)

    def _goes_without_listing(self, error: S3Error, *, needed: bool) -> bool:
        """Return whether a run can do without the listing that was refused, and say so."""
        if self._settings.check_mode and (not needed or isinstance(error, NotFoundError)):
            self._report.warnings.append(_UNLISTED)
            return True
        if isinstance(error, PermissionDeniedError) and not needed:
            self._report.warnings.append(
                "the journal is new and this key may not list the bucket: what is there already is sent once more"
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
