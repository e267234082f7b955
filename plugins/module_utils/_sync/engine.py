# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Starts a run: creates its processes, client, source and journal, in the only order that works."""

from __future__ import annotations

from contextlib import ExitStack, closing
from dataclasses import replace
from typing import Callable, Optional

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.connection.errors import (
    Boto3MissingError,
    S3Error,
)
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.connection.options import NotThereYetError
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.journal.journal import Journal
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.journal.opening import (
    known_journal,
    open_journal,
)
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.journal.statefiles import (
    check_files,
    history_path,
    progress_path,
)
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.model import SourceOfTruth
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.plan.walkers import Walkers
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.processes.stop import Stop, asked_by_sigterm
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.progress.file_count import FileCount
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.progress.history import History
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.progress.progress import (
    ProgressWriter,
    known_totals,
    own_folder,
    register,
)
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.report import Report, Tally
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.settings import Settings
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.store.store import NO_CLIENT, Store
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.sync_round import Progress, Round, Watch
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.transfer.transfer import Transfer
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.transfer.workers import Workers
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.tree.source import Source, SourceMissingError

Connect = Callable[[], Store]

# If another run is in progress, the watcher waits for it and shows its progress.
_BRIEFLY = 0.5


def run(settings: Settings, connect: Connect, *, time_limit: Optional[float] = None, progress: bool = True) -> Report:
    """Run one sync as this process's only task, and return its report as `sync` does.

    `connect` creates a store, in this process and in others; `time_limit` is in seconds. With `progress`, a file next
    to the journal shows how far the run is. Another one records what the journal's runs have sent.

    The order in which everything is created:

    1. The state files are checked before anybody is told to read one of them.
    2. Processes are forked before there is any thread, client or journal. A fork would copy locks that a thread holds,
       connections and SQLite's handles, and each process would have boto3, which is large, in its memory.
    3. The client. If there are walkers, there is most likely nothing to send, and boto3 need not even be loaded.
    4. SIGTERM asks this process to stop. The others were forked before, and end together with it.
    5. The source and the journal (`sync`). The journal is closed last: the last process to close it has to clean up,
       and walkers only read it.

    Raises:
        SyncError: See `sync`.
        S3Error, Boto3MissingError, ConnectionOptionsError: There is no client for the store.
    """
    if settings.check_mode:
        return _checked(settings, connect)
    check_files(settings.journal_path)
    path, folder = progress_path(settings.journal_path), own_folder()
    totals, file_count = known_totals(path), None
    if folder:
        register(folder, path)
        settings = replace(settings, lock_seconds=_BRIEFLY)
    with ExitStack() as stack:
        if folder and totals is None:
            file_count = stack.enter_context(closing(FileCount(settings.src)))
        workers = stack.enter_context(Workers.for_files(settings.concurrency, connect))
        walkers = stack.enter_context(Walkers.for_journal(settings.journal_path))
        history = History(history_path(settings.journal_path))
        writer = ProgressWriter(path, totals=totals, file_count=file_count) if progress else None
        store = connect()
        if not walkers.channels:
            store.endpoint()
        stop = Stop(time_limit)
        stack.enter_context(asked_by_sigterm(stop))
        report = sync(settings, store, workers=workers, walkers=walkers, progress=_both(history, writer), stop=stop)
        report.history = history.runs()
        return report


def _both(history: History, writer: Optional[ProgressWriter]) -> Progress:
    def progress(report: Report) -> None:
        history(report)
        if writer is not None:
            writer(report)  # last, since whoever watches the run takes its end from there

    return progress


def _checked(settings: Settings, connect: Connect) -> Report:
    """Say what a run would do, even if the bucket can't be read yet.

    Earlier tasks of a play install boto3, the key and the certificate, but not in check mode. That deserves no warning:
    `bucket_checked` in the result is enough.
    """
    warning, store = None, None
    try:
        found = connect()
        found.connect()  # anything that is missing shows up here
        found.endpoint()
        store = found
    except (*NO_CLIENT, S3Error) as error:
        if not isinstance(error, (Boto3MissingError, NotThereYetError)):
            warning = f"the bucket can't be checked yet and is assumed to be empty: {error}"
    report = sync(settings, store)
    report.bucket_checked = store is not None
    report.history = History(history_path(settings.journal_path)).runs()
    if warning is not None:
        report.warnings.insert(0, warning)
    return report


def sync(
    settings: Settings,
    store: Optional[Store],
    *,
    workers: Optional[Workers] = None,
    walkers: Optional[Walkers] = None,
    transfer: Optional[Transfer] = None,
    progress: Optional[Progress] = None,
    stop: Optional[Stop] = None,
) -> Report:
    """Run one sync and return its report. A report with an `error` belongs to a run that failed; its counts are true.

    `store` may be None only in check mode, if the bucket can't be read (yet). Without `workers`, threads execute the
    actions. Without `walkers`, this process walks the tree alone. `transfer` replaces the way to execute actions.
    `progress` is called with the growing report about once a second, also while the journal is locked, and once more at
    the end, when `seconds` is set. `stop` may end the run early; the report then says so.

    Raises:
        SyncError: The run can't begin, because the source, the journal or the source of truth is wrong; nothing was
            done. Or it can't continue, because the journal can't be written or a walking process was lost.
    """
    with known_journal(settings) as journal:
        source = _source(settings, journal)
    if source is None:
        return Report(Tally(settings.rules), source="missing", complete=True, journal=settings.journal_path)
    with closing(source), open_journal(settings) as journal:
        try:
            watch = Watch(progress, stop or Stop())
            return Round(settings, store, source, journal, workers, walkers, transfer, watch).go()
        finally:
            if walkers is not None:
                walkers.close()


def _source(settings: Settings, journal: Journal) -> Optional[Source]:
    """Open the tree. None if it is missing after the switch, when local copies may have been removed.

    Raises:
        SyncError: It can't be opened, or it is missing and must not be.
    """
    try:
        return Source(settings.src)
    except SourceMissingError as error:
        if settings.source_of_truth is SourceOfTruth.BUCKET and journal.settled_ns is not None:
            return None
        if settings.allow_empty:
            return Source.missing(settings.src)
        raise SourceMissingError(
            f"{error}, and check that its disk is mounted. If this is a new server without media, set allow_empty=true"
        ) from None
