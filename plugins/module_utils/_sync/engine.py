# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Ties the rooms together: source -> tree -> plan -> journal -> transfer -> journal -> report."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from contextlib import closing
from functools import partial
from itertools import islice
from typing import Callable, Optional

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.errors import (
    S3Error,
)
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.journal.clock import Clock
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.journal.journal import Journal
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.model import (
    Action,
    ActionKind,
    Authority,
    Exposure,
    ExposureMode,
    Note,
    Outcome,
    Problem,
    Reason,
    SyncError,
    Trust,
)
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.plan.authority import (
    refuse,
    refuse_unopened,
    without_source,
)
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.plan.plan import (
    Doomed,
    Step,
    Unchanged,
)
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.plan.survey import Survey
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.plan.walkers import Walkers
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.processes.messages import Job
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.report import Report, Tally
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.settings import Settings
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.store.store import DELETE_BATCH, Store
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.transfer.breaker import Breaker
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.transfer.send import Performer
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.transfer.stragglers import (
    Stragglers,
    drop_unfinished,
)
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.transfer.transfer import (
    PlanTransfer,
    ThreadTransfer,
    Transfer,
)
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.transfer.workers import (
    ProcessTransfer,
    Workers,
)
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.tree.source import Source, SourceMissingError

Progress = Callable[[Report], None]
PROGRESS_SECONDS = 1.0
# What is left out though it belongs to the tree, and not just lies in it, as a mark of an empty mount point does.
_OF_THE_TREE = (Reason.KEPT_HOME, Reason.SETTLING)


def sync(
    settings: Settings,
    store: Optional[Store],
    *,
    workers: Optional[Workers] = None,
    walkers: Optional[Walkers] = None,
    transfer: Optional[Transfer] = None,
    progress: Optional[Progress] = None,
) -> Report:
    """Do one run and report on it. A report with an `error` is one of a run that failed, with true counts.

    `store` may be None in check mode only, where the bucket can't be asked (yet). Without `workers` the actions are
    done in threads, and without `walkers` this process walks the tree alone; `transfer` replaces the way actions are
    done. `progress` is called with the report as it grows, about once a second, and while the journal is locked; once
    more at the end, when `seconds` is there.

    Raises:
        SyncError: the run can't begin: the source, the journal or the order of things is not right. Nothing was done
            then. Or it can't go on: the journal can't be written, or a process that walks was lost.
    """
    refuse_unopened(settings)
    try:
        source = Source(settings.src)
    except SourceMissingError:
        return without_source(settings)
    try:
        journal = _open_journal(settings)
        try:
            refuse(settings, journal)
            return _Run(settings, store, source, journal, workers, walkers, transfer, progress).go()
        finally:
            if walkers is not None:
                walkers.close()  # the last one to close the journal has to clear it up, and they only read it
            journal.close()
    finally:
        source.close()


def _open_journal(settings: Settings) -> Journal:
    if settings.check_mode:
        return Journal.peek(settings.journal_path)
    identity = {
        "endpoint": settings.endpoint,
        "bucket": settings.bucket,
        "prefix": settings.prefix,
        "src": settings.src,
    }
    return Journal.open(settings.journal_path, identity, lock_seconds=settings.lock_seconds)


class _Run:
    """One run, from the walk to the report."""

    def __init__(
        self,
        settings: Settings,
        store: Optional[Store],
        source: Source,
        journal: Journal,
        workers: Optional[Workers],
        walkers: Optional[Walkers],
        transfer: Optional[Transfer],
        progress: Optional[Progress],
    ) -> None:
        self._settings = settings
        self._store = store
        self._journal = journal
        self._source = source
        self._tally = Tally(settings.rules)
        self._report = Report(self._tally, journal=settings.journal_path)
        self._breaker = Breaker(acl=settings.rules.mode is ExposureMode.ACL)
        self._progress = progress
        self._next_progress = 0.0
        self._survey = Survey(settings, store, source, journal, self._report, walkers)
        now_ns = time.time_ns()
        broken_off_ns = journal.broken_off_ns(now_ns)
        self._stragglers = Stragglers(broken_off_ns, now_ns)
        # After the switch an unfinished upload may be somebody else's.
        self._resumes = broken_off_ns > 0 and settings.authority is Authority.TREE and not settings.check_mode
        self._transfer = transfer or self._default_transfer(workers)

    def _default_transfer(self, workers: Optional[Workers]) -> Transfer:
        settings = self._settings
        if settings.check_mode:
            return PlanTransfer(self._store, self._source, settings.rules)
        if self._store is None:
            raise SyncError("a run that changes something needs a store")
        performer = Performer(self._store, self._source, settings.rules)
        if workers is None:
            return ThreadTransfer(performer, workers=settings.concurrency)
        shares = len(workers.mailboxes)
        make_job = partial(_job_of, settings, self._store, shares)
        return ProcessTransfer(workers, make_job, self._source, performer, self._report.traffic)

    def go(self) -> Report:
        """Do the run."""
        settings, report = self._settings, self._report
        started = time.perf_counter()
        number = self._begin()
        if self._progress is not None:
            self._progress(report)
        self._send()
        sent = time.perf_counter()
        all_sent = self._breaker.stopped is None and self._tally.failed == 0
        report.error = self._breaker.stopped or self._misses_its_files()
        if report.error is None:
            report.error = self._delete()
        if not settings.check_mode:
            self._journal.finish_round(
                number,
                time.time_ns(),
                complete=all_sent and report.error is None,
                oldest_left_ns=self._tally.oldest_left_ns,
            )
        ended = time.perf_counter()
        if report.error is None and self._tally.failed:
            report.error = (
                f"{self._tally.failed} of {self._tally.files.count} files or folders could not be dealt with, the rest"
                f" was; the first: {self._tally.failures[0]['key']}: {self._tally.failures[0]['error']}."
                " See failures, mend the cause and run again"
            )
        report.complete = report.error is None
        report.source = "present" if self._tally.files.count else "empty"
        report.seconds = {
            "walk": self._survey.seconds,
            "transfer": sent - started,
            "delete": ended - sent,
            "total": ended - started,
        }
        if self._store:
            report.traffic.requests.update(self._store.take_requests())
        if self._progress is not None:
            self._progress(report)
        return report

    def _begin(self) -> int:
        if self._settings.check_mode:
            return 0
        if self._settings.reopen and self._journal.switched_ns is not None:
            self._journal.reopen()
        if self._settings.trust is not Trust.JOURNAL:
            self._journal.distrust()
        self._journal.note_clock(Clock.now())
        slack_ns = self._source.clock_slack_ns()
        return self._journal.begin_round(self._settings.authority, time.time_ns(), slack_ns=slack_ns)

    def _send(self) -> None:
        try:
            if self._store is not None and self._resumes:
                drop_unfinished(self._store, self._journal.row)
            actions = self._actions(self._survey.steps())
            if not self._settings.check_mode:
                actions = self._stragglers.last(self._journal.recorded(actions))
            with closing(self._transfer.run(actions)) as outcomes:
                for outcome in outcomes:
                    self._take(outcome)
                    if self._breaker.stopped is not None:
                        break
        except S3Error as error:
            self._breaker.stop(str(error))  # of the listing; what was under way stays pending
        if not self._settings.check_mode:
            self._journal.commit()
            if self._report.trusted is not Trust.JOURNAL and self._breaker.stopped is None:
                self._journal.listed()

    def _take(self, outcome: Outcome) -> None:
        if not self._settings.check_mode:
            self._journal.apply(outcome)
        self._tally.outcome(outcome)
        self._breaker.watch(outcome)
        self._show_progress()

    def _actions(self, steps: Iterable[Step]) -> Iterator[Action]:
        """Yield the actions among the steps, and see to all others."""
        for step in steps:
            if isinstance(step, Action):
                yield step
            elif isinstance(step, Unchanged):
                if step.row is not None and not self._settings.check_mode:
                    self._journal.refresh(step.row)
                self._show_progress()
            elif isinstance(step, Note):
                self._tally.note(step)
            elif isinstance(step, Problem):
                self._tally.problem(step)
            else:
                self._doom(step)

    def _doom(self, step: Doomed) -> None:
        self._tally.doom(step.key, step.size)
        if not self._settings.check_mode:
            self._journal.doom(step.key)

    def _misses_its_files(self) -> Optional[str]:
        """Return an error where the source looks like an empty mount point."""
        tally = self._tally
        left = sum(tally.skipped[reason].count for reason in _OF_THE_TREE if reason in tally.skipped)
        if tally.seen.public + tally.seen.private + left + tally.actions["withdraw"].count:
            return None
        known = tally.doomed.count
        if self._settings.authority is Authority.BUCKET and self._journal.settled_ns is None:
            known = self._journal.count()
        if not known:
            return None
        return (
            f"src {self._settings.src} holds no file at all that belongs into the bucket, though {known} were sent"
            " from it: is its disk mounted? Nothing was deleted"
        )

    def _delete(self) -> Optional[str]:
        """Delete what is gone on disk, unless something speaks against it; return why that is an error."""
        settings, tally = self._settings, self._tally
        if not tally.doomed.count:
            return None
        if tally.hidden_folders or tally.local_failures:
            hidden = ", ".join(tally.hidden_folders) or tally.failures[0]["key"]
            self._report.deletions_skipped = f"not all of src could be read ({hidden}), so nothing was deleted"
            self._report.warnings.append(self._report.deletions_skipped)
            return None
        if settings.max_delete is not None and tally.doomed.count > settings.max_delete:
            return (
                f"{tally.doomed.count} objects are to be deleted, more than max_delete={settings.max_delete}: nothing"
                " was deleted. See what is gone with --check --diff, then raise max_delete"
            )
        if settings.check_mode:
            tally.foretell_deletions()
            return None
        return self._delete_doomed()

    def _delete_doomed(self) -> Optional[str]:
        self._journal.commit()
        doomed = self._stragglers.last(
            Action(ActionKind.DELETE, key, "gone on disk", Exposure.PRIVATE, row=row)
            for key, row in self._journal.doomed()
            if not self._source.exists(key)
        )
        for batch in iter(lambda: list(islice(doomed, DELETE_BATCH)), []):
            self._journal.record(batch)
            for outcome in self._transfer.delete(batch):
                self._take(outcome)
            self._journal.commit()
            if self._breaker.stopped is not None:
                return self._breaker.stopped
        return None

    def _show_progress(self) -> None:
        if self._progress is not None and time.monotonic() >= self._next_progress:
            self._next_progress = time.monotonic() + PROGRESS_SECONDS
            self._progress(self._report)


def _job_of(settings: Settings, store: Store, shares: int) -> Job:
    """Return what each of `shares` workers has to know."""
    return Job(
        settings.src,
        settings.prefix,
        settings.rules,
        store.address(),
        most=-(-settings.concurrency // shares),
        rate=settings.bandwidth_limit / shares if settings.bandwidth_limit else None,
    )
