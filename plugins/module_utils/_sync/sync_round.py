# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One run between a tree and a bucket: tree -> plan -> journal -> transfer -> journal -> report."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from contextlib import closing
from functools import partial
from itertools import islice
from typing import Callable, NamedTuple, Optional

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.connection.errors import S3Error
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.connection.masking import Masking
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.execution.executor import Executor
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.feed.feed_use import FeedUse
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.journal.clock import Clock
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.journal.journal import Journal
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.model import (
    Action,
    ActionKind,
    CompareWith,
    Exposure,
    ExposureMode,
    Note,
    Outcome,
    PathProblem,
    SourceOfTruth,
    SyncError,
)
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.plan.deferred import DeferredActions
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.plan.plan import (
    MarkedForDeletion,
    Step,
    Unchanged,
)
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.plan.round_plan import RoundPlan
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.plan.safeguards import Safeguards
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.plan.walkers import Walkers
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.processes.stop import Stop
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.report import Report, Tally
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.settings import Settings
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.store.store import DELETE_BATCH, Store
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.transfer.failure_limit import FailureLimit
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.transfer.late_writes import (
    LateWrites,
    drop_unfinished,
)
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.transfer.messages import Job
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.transfer.transfer import (
    InlineTransfer,
    Transfer,
)
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.transfer.workers import (
    ProcessTransfer,
    Workers,
)
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.tree.source import Source

Progress = Callable[[Report], None]
PROGRESS_SECONDS = 1.0
STOP_SECONDS = 20.0  # for actions in progress when a run is stopped


class Watch(NamedTuple):
    """Who is informed about the progress of a run, and who may end it."""

    progress: Optional[Progress]
    stop: Stop


class Round:
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
        watch: Watch,
    ) -> None:
        self._settings = settings
        self._store = store
        self._journal = journal
        self._source = source
        self._masking = Masking(settings.rules.masked, settings.rules.private_prefixes)
        self._tally = Tally(settings.rules)
        self._report = Report(self._tally, journal=settings.journal_path)
        self._failure_limit = FailureLimit(acl=settings.rules.mode is ExposureMode.ACL)
        self._progress = watch.progress
        self._next_progress = 0.0
        self._stop = watch.stop
        self._over = 0.0
        self._deferred = DeferredActions(settings.state_dir)
        self._feed = FeedUse(settings, source, journal)
        self._safeguards = Safeguards(settings, source, journal, self._tally, self._feed)
        self._plan = RoundPlan(settings, store, source, journal, self._report, walkers, self._feed)
        now_ns = time.time_ns()
        broken_off_ns = journal.broken_off_ns(now_ns)
        self._late_writes = LateWrites(broken_off_ns, now_ns)
        # After the switch an unfinished upload may be somebody else's.
        self._resumes = broken_off_ns > 0 and settings.source_of_truth is SourceOfTruth.DISK and not settings.check_mode
        self._transfer = transfer or self._default_transfer(workers)

    def _default_transfer(self, workers: Optional[Workers]) -> Transfer:
        settings = self._settings
        if settings.check_mode:
            return InlineTransfer(Executor.dry_run(self._store, self._source, settings.rules))
        if self._store is None:
            raise SyncError("a run that is not in check mode needs a store")
        executor = Executor.by_boto3(self._store, self._source, settings.rules)
        if workers is None:
            return InlineTransfer(executor)
        shares = len(workers.channels)
        make_job = partial(_job_of, settings, self._store, shares)
        return ProcessTransfer(workers, make_job, self._source, executor, self._report.traffic)

    def go(self) -> Report:
        """Execute the run."""
        settings, report = self._settings, self._report
        started = time.perf_counter()
        number = self._begin()
        report.entries_from, report.entries_because = self._feed.origin, self._feed.why
        if self._progress is not None:
            self._progress(report)
        self._send()
        sent = time.perf_counter()
        all_sent = self._failure_limit.stopped is None and self._tally.failed == 0
        report.error = self._failure_limit.stopped
        if report.error is None and report.stopped is None:
            report.error = self._safeguards.too_many_private() or self._safeguards.no_files() or self._delete()
        if not settings.check_mode:
            self._journal.finish_round(
                number,
                time.time_ns(),
                complete=all_sent and report.error is None and report.stopped is None,
                oldest_left_ns=self._tally.oldest_left_ns,
            )
        ended = time.perf_counter()
        if report.error is None and self._tally.failed:
            report.error = (
                f"{self._tally.failed} of {self._tally.files.count} files or folders failed, all others are done."
                f" The first failure: {self._tally.failures[0]['key']}: {self._tally.failures[0]['error']}."
                " Fix the cause (see failures) and run again"
            )
        report.complete = report.error is None and report.stopped is None
        if report.complete and not settings.check_mode:
            self._feed.finish(self._tally)
        report.source = "present" if self._tally.files.count else "empty" if self._source.present else "missing"
        report.seconds = {
            "walk": self._plan.seconds,
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
        if self._settings.compare_with is not CompareWith.JOURNAL:
            self._journal.distrust()
        self._feed.begin()
        self._journal.note_clock(Clock.now())
        return self._journal.begin_round(self._settings.source_of_truth, time.time_ns(), lag_ns=self._source.lag_ns())

    def _send(self) -> None:
        try:
            if self._store is not None and self._resumes:
                drop_unfinished(self._store, self._journal.row)
            actions = self._actions(self._plan.steps())
            if not self._settings.check_mode:
                actions = self._late_writes.interrupted_last(self._journal.recorded(actions))
            with closing(self._transfer.run(actions)) as outcomes:
                for outcome in outcomes:
                    if outcome is not None:
                        self._take(outcome)
                    if self._failure_limit.stopped is not None or self._is_over():
                        break
        except S3Error as error:
            self._failure_limit.stop(self._masking.text(str(error)))  # of the listing; actions in progress stay pending
        finally:
            self._deferred.close()
            self._feed.close()
        if not self._settings.check_mode:
            self._journal.commit()
            if (
                self._report.compared_with is not CompareWith.JOURNAL
                and self._failure_limit.stopped is None
                and self._tally.walked
            ):
                self._journal.listed()

    def _take(self, outcome: Outcome) -> None:
        if outcome.failure is not None:
            # Before anybody shows or stores it: messages of a library or the store may contain the object's name.
            message = self._masking.text(outcome.failure.message, outcome.action.key)
            outcome = outcome._replace(failure=outcome.failure._replace(message=message))
        if not self._settings.check_mode:
            self._journal.apply(outcome)
        self._tally.outcome(outcome)
        self._failure_limit.watch(outcome)
        self._show_progress()

    def _is_stopped(self) -> bool:
        """Return whether the run has to end early, and say so in the report."""
        if self._report.stopped is None:
            self._report.stopped = self._stop.reason()
            self._over = time.monotonic() + STOP_SECONDS
        return self._report.stopped is not None

    def _is_over(self) -> bool:
        """Return whether the run was stopped and the time for actions in progress is over."""
        return self._is_stopped() and time.monotonic() > self._over

    def _actions(self, steps: Iterable[Step]) -> Iterator[Action]:
        """Yield the actions among the steps, and handle all other steps."""
        for step in steps:
            if self._is_stopped():
                return
            if isinstance(step, Action):
                if self._safeguards.makes_private(step):
                    self._deferred.add(step)
                else:
                    yield step
            elif isinstance(step, Unchanged):
                if step.row is not None and not self._settings.check_mode:
                    self._journal.refresh(step.row)
                self._show_progress()
            elif isinstance(step, Note):
                self._tally.note(step)
            elif isinstance(step, PathProblem):
                self._tally.problem(step)
            else:
                self._mark_for_deletion(step)
        if self._safeguards.too_many_private() is None:
            yield from self._deferred.take()

    def _mark_for_deletion(self, step: MarkedForDeletion) -> None:
        self._tally.mark_for_deletion(step.key, step.size)
        self._safeguards.note_gone(step.key)
        if not self._settings.check_mode:
            self._journal.mark_for_deletion(step.key)

    def _delete(self) -> Optional[str]:
        """Delete objects whose files are gone, unless something prevents it; return the reason if that is an error."""
        settings, tally = self._settings, self._tally
        if not tally.marked_for_deletion.count:
            return None
        if tally.hidden_folders or tally.local_failures:
            hidden = ", ".join(tally.hidden_folders) or tally.failures[0]["key"]
            self._report.deletions_skipped = f"not all of src could be read ({hidden}), so nothing was deleted"
            self._report.warnings.append(self._report.deletions_skipped)
            return None
        problem = self._safeguards.unmounted_folder() or self._safeguards.too_many_gone()
        if problem is not None:
            return problem
        if settings.check_mode:
            tally.foretell_deletions()
            return None
        return self._delete_marked()

    def _delete_marked(self) -> Optional[str]:
        self._journal.commit()
        deletions = self._late_writes.interrupted_last(
            Action(ActionKind.DELETE, key, "gone on disk", Exposure.PRIVATE, row=row)
            for key, row in self._journal.marked_for_deletion()
            if not self._source.exists(key)
        )
        for batch in iter(lambda: list(islice(deletions, DELETE_BATCH)), []):
            self._journal.record(batch)
            for outcome in self._transfer.delete(batch):
                self._take(outcome)
            self._journal.commit()
            if self._failure_limit.stopped is not None:
                return self._failure_limit.stopped
            self._report.stopped = self._stop.reason()
            if self._report.stopped is not None:
                return None
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
        store.endpoint(),
        most=-(-settings.concurrency // shares),
        rate=settings.bandwidth_limit / shares if settings.bandwidth_limit else None,
    )
