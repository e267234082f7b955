# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One run: listing -> decision -> download -> report, many objects at once, in memory that does not grow with them."""

from __future__ import annotations

import hashlib
import os
import stat
import time
from collections.abc import Iterator, Sequence
from typing import Callable, Optional, Union

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._fetch.decision import (
    Decision,
    UnusableKeyError,
    decide,
    decide_by_age,
    is_file_as_sent,
    parts_of,
)
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._fetch.destination import (
    Destination,
    PathError,
    copy,
    free_bytes,
    same_content,
)
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._fetch.download import (
    Bucket,
    DamagedError,
    download,
)
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._fetch.model import (
    Fate,
    FetchError,
    FetchOutcome,
    FetchReport,
    FetchSettings,
)
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._fetch.tasks import (
    Kind,
    Seen,
    Task,
    check_closed,
    check_gone,
    has_acl,
    tasks,
)
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._files.attributes import copy_context
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._files.errors import FileError
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.connection.errors import NotFoundError, S3Error
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.connection.masking import Masking
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.audit.pool import in_order
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.content.content import (
    ContentUnknownError,
    is_same,
)
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.journal.journal import Journal
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.model import (
    Listed,
    Row,
    RowState,
    storable_ns,
)
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.rules.rules import looks_private
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.tree.source import Source
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.tree.walk import entry_of

_PRIVATE_MODE = 0o600
# After so many failures in a row, the others would fail too.
_MOST_FAILURES = 50
# So many tasks fit into memory, and the bucket is listed only once. More cost another listing.
_MOST_HELD = 20_000
_NEWS_AT_ONCE = 100

# What is new to the journal: rows, and keys that the bucket does not have any more.
News = list[Union[Row, str]]


class Fetch:
    """A run for one bucket and one folder."""

    def __init__(
        self,
        settings: FetchSettings,
        bucket: Bucket,
        dest: int,
        set_aside: int,
        journal: Optional[Journal] = None,
        record: Callable[[News], None] = lambda _news: None,
    ) -> None:
        """Work on open folders: `dest` for the files, `set_aside` for what is moved away (in check mode, any).

        `record` is called with what is new to the journal, which is only read here.
        """
        self._news: News = []
        self._record = record
        self._settings = settings
        self._store, self._contents = bucket
        self._dest = dest
        self._journal = journal
        self._source = Source.inherited(settings.dest, dest)
        self._files = Destination(dest, settings.directory_mode)
        self._set_aside = Destination(set_aside, 0o700)
        self._masking = Masking(settings.rules.masked, settings.rules.private_prefixes)

    def run(self) -> FetchReport:
        """Fetch all objects that are wanted.

        Raises:
            FetchError: There is not enough room, or the bucket lacks too many objects.
            S3Error: The bucket can't be listed.
            SyncError: The store's listing is in no order, or the journal can't be read.
        """
        report, began = FetchReport(), time.monotonic()
        held = self._look()
        report.listing_seconds = round(time.monotonic() - began, 3)
        closed: list[FetchOutcome] = []
        first, failures = "", 0
        for outcome in in_order(self._handle, self._tasks() if held is None else held, self._settings.concurrency):
            if outcome is None:
                continue
            self._note(outcome)
            if outcome.fate is Fate.CLOSED:
                closed.append(outcome)  # until their number is known
                continue
            report.add(outcome, self._settings)
            failures = failures + 1 if outcome.fate is Fate.FAILED else 0
            if failures and not first:
                first = f"{self._settings.rules.masked(outcome.key)}: {outcome.reason}"
            if failures == _MOST_FAILURES:
                report.error = f"stopped after {failures} failures in a row. The last one: {outcome.reason}"
                break
        self._record(self._news)
        self._close(closed, report)
        failed = report.counts[Fate.FAILED.value]
        if report.error is None and failed:
            report.error = (
                f"{failed} objects could not be fetched, all others are done. The first one: {first}."
                " Fix the cause and run the task again"
            )
        return report

    def _note(self, outcome: FetchOutcome) -> None:
        """Let the journal know, or a later run would take the file for one that is not in the bucket yet."""
        if self._journal is None or self._settings.check_mode:
            return
        if outcome.row is not None:
            self._news.append(outcome.row)
        elif outcome.fate is Fate.SET_ASIDE:
            self._news.append(outcome.key)
        if len(self._news) >= _NEWS_AT_ONCE:
            self._record(self._news)
            self._news = []

    def _close(self, closed: Sequence[FetchOutcome], report: FetchReport) -> None:
        """Make files private whose objects are, unless they are too many."""
        try:
            check_closed(len(closed), self._looked_at, self._settings)
        except FetchError as error:
            report.error = report.error or str(error)
            return
        for outcome in closed:
            done = outcome
            if not self._settings.check_mode:
                try:
                    self._files.set_mode(outcome.key.split("/"), _PRIVATE_MODE)
                except (PathError, OSError) as error:
                    done = outcome._replace(fate=Fate.FAILED, reason=_text(error))
            report.add(done, self._settings)

    def _tasks(self, seen: Optional[Seen] = None) -> Iterator[Task]:
        rows = self._journal.rows() if self._journal is not None else iter(())
        return tasks(self._store.listing(), rows, self._settings, seen or Seen())

    def _look(self) -> Optional[list[Task]]:
        """Check what is going to happen. Return the tasks, or None if they are too many to hold.

        Raises:
            FetchError: There is not enough room, or the bucket lacks too many objects.
        """
        held: Optional[list[Task]] = []
        seen, needed, gone, self._looked_at = Seen(), 0, 0, 0
        for task in self._tasks(seen):
            self._looked_at += task.found is not None
            if task.kind is Kind.SET_ASIDE:
                if not self._is_there(task):
                    continue
                gone += 1
            elif task.kind is Kind.FETCH and task.found is not None and self._is_missing(task.found):
                needed += task.found.size
            if held is not None:
                held.append(task)
                held = held if len(held) <= _MOST_HELD else None
        check_gone(gone, seen, self._settings)
        free = free_bytes(self._dest)
        if needed > free:
            raise FetchError(
                f"the objects need {needed} bytes, but the file system of {self._settings.dest} has only {free} bytes"
                " left for its owner. Free some space, or fetch fewer objects with newer_than, include or exclude."
                " Nothing was written"
            )
        return held

    def _is_there(self, task: Task) -> bool:
        """Return whether there is a file that has to be moved away, or something else that has to be reported."""
        try:
            return self._files.status(parts_of(task.key)) is not None
        except (UnusableKeyError, PathError, OSError):
            return False  # no file of ours

    def _is_missing(self, found: Listed) -> bool:
        if not self._is_in_scope(found.key):
            return False
        try:
            return decide(found, self._files.status(parts_of(found.key))) in (Decision.FETCH, Decision.REPLACE)
        except (UnusableKeyError, PathError, OSError):
            return False  # reported when its turn comes

    def _is_in_scope(self, key: str) -> bool:
        return self._settings.rules.scope(key).exposure is not None

    def _handle(self, task: Task) -> Optional[FetchOutcome]:
        """Return what happened to an object; None: nothing. Errors concern only this one."""
        size = task.found.size if task.found is not None else 0
        if not self._is_in_scope(task.key):
            return FetchOutcome(task.key, Fate.OUT_OF_SCOPE, size)
        try:
            return self._do(task, parts_of(task.key))
        except UnusableKeyError as error:
            return FetchOutcome(task.key, Fate.REFUSED, size, f"the key has {error}")
        except PathError as error:
            return FetchOutcome(task.key, Fate.REFUSED, size, str(error))
        except NotFoundError:
            return FetchOutcome(task.key, Fate.VANISHED, size)
        except (S3Error, DamagedError, FileError, OSError) as error:
            return FetchOutcome(task.key, Fate.FAILED, size, self._masking.text(_text(error), task.key))

    def _do(self, task: Task, parts: Sequence[str]) -> Optional[FetchOutcome]:
        if task.kind is Kind.SET_ASIDE and task.row is not None:
            return self._move_away(task.row, parts)
        if task.kind is Kind.MODE or task.found is None:
            return self._apply_acl(task.key, parts)
        outcome = self._known(self._fetch(task.found, parts), task.found, parts)
        if outcome.fate is Fate.SAME and self._settings.all_acls and has_acl(self._settings, task.key):
            applied = self._apply_acl(task.key, parts)
            return outcome if applied is None else applied._replace(row=outcome.row)
        return outcome

    def _known(self, outcome: FetchOutcome, found: Listed, parts: Sequence[str]) -> FetchOutcome:
        """Return the outcome with what the journal has to know of a file that has the object's content."""
        if self._journal is None or outcome.fate not in (Fate.FETCHED, Fate.REPLACED, Fate.SAME):
            return outcome
        status = self._files.status(parts)
        if status is None or status.st_size != found.size:
            return outcome
        times = storable_ns(status.st_mtime_ns), storable_ns(status.st_ctime_ns)
        mode = stat.S_IMODE(status.st_mode)
        # It is ours from now on: it is the copy of a file.
        row = Row(found.key, found.size, *times, mode, "", found.etag, "", "", RowState.DONE.value, ours=True)
        return outcome._replace(row=row)

    def _move_away(self, row: Row, parts: Sequence[str]) -> Optional[FetchOutcome]:
        """Move the file of an object that is gone, unless it is another file by now."""
        status = self._files.status(parts)
        if status is None:
            return None
        if not is_file_as_sent(row, status):
            return FetchOutcome(row.key, Fate.NEWER_ON_DISK, status.st_size)
        if not self._settings.check_mode:
            self._files.move(parts, self._set_aside, _aside(parts, status))
        return FetchOutcome(row.key, Fate.SET_ASIDE, status.st_size)

    def _apply_acl(self, key: str, parts: Sequence[str]) -> Optional[FetchOutcome]:
        """Let the ACL of an object decide who may read its file. Files that become private have to wait."""
        status, until = self._files.status(parts), self._settings.modes_until
        if status is None or not stat.S_ISREG(status.st_mode) or (until is not None and status.st_ctime > until):
            return None
        acl = self._store.acl(key)
        if acl is None:
            return FetchOutcome(key, Fate.VANISHED, status.st_size)
        if acl.readable != looks_private(status.st_mode):
            return None
        if acl.readable and not self._settings.check_mode:
            self._files.set_mode(parts, self._settings.mode)
        return FetchOutcome(key, Fate.OPENED if acl.readable else Fate.CLOSED, status.st_size)

    def _fetch(self, found: Listed, parts: Sequence[str]) -> FetchOutcome:
        status = self._files.status(parts)
        decision = decide(found, status)
        if decision is Decision.REFUSE:
            return FetchOutcome(found.key, Fate.REFUSED, found.size, "something that is no regular file has its name")
        if decision is Decision.NOTHING:
            return FetchOutcome(found.key, Fate.SAME, found.size)
        if decision is Decision.COMPARE and status is not None:
            if self._has_content(found, status):
                return FetchOutcome(found.key, Fate.SAME, found.size)
            decision = decide_by_age(found, status)
        if decision is Decision.LEAVE:
            return FetchOutcome(found.key, Fate.NEWER_ON_DISK, found.size)
        before = status if decision is Decision.REPLACE else None
        if self._settings.check_mode:
            return FetchOutcome(found.key, Fate.FETCHED if before is None else Fate.REPLACED, found.size)
        return self._download(found, parts, before)

    def _has_content(self, found: Listed, status: os.stat_result) -> bool:
        """Return whether the object's ETag shows that the file has its content."""
        try:
            return is_same(self._source, entry_of(found.key, status), found.etag)
        except ContentUnknownError:
            return False

    def _download(self, found: Listed, parts: Sequence[str], before: Optional[os.stat_result]) -> FetchOutcome:
        """Download an object. `before` is the status of the file that it replaces."""
        with self._files.new_file(parts) as new:
            done = download(self._contents, found.key, found.size, new.descriptor)
            if before is not None:
                with open(self._source.open_file(found.key), "rb", buffering=0) as old:
                    if same_content(old.fileno(), new.descriptor):
                        return FetchOutcome(found.key, Fate.SAME, found.size)
                    self._keep(parts, old.fileno())
                    copy_context(old.fileno(), new.descriptor)
                if not _is_unchanged(before, self._files.status(parts)):
                    raise PathError("another program has changed the file in the meantime")
            mode = self._mode_for(found.key)
            new.take_name(mode, int(found.modified), replace=before is not None)
        return FetchOutcome(
            found.key, Fate.FETCHED if before is None else Fate.REPLACED, done.size, verified=done.verified
        )

    def _mode_for(self, key: str) -> int:
        """Return a file's mode: that of a suspended account's media where the object's ACL is private."""
        if not has_acl(self._settings, key):
            return self._settings.mode
        acl = self._store.acl(key)
        return self._settings.mode if acl is not None and acl.readable else _PRIVATE_MODE

    def _keep(self, parts: Sequence[str], old: int) -> None:
        """Copy a file that will be replaced, once: a copy that a killed run left is complete."""
        status = os.fstat(old)
        path = _aside(parts, status)
        if self._set_aside.status(path) is not None:
            return
        with self._set_aside.new_file(path) as kept:
            copy(old, kept.descriptor)
            kept.take_name(_PRIVATE_MODE, status.st_mtime_ns / 10**9, replace=False)


def _is_unchanged(before: os.stat_result, after: Optional[os.stat_result]) -> bool:
    return after is not None and (before.st_ino, before.st_size, before.st_mtime_ns) == (
        after.st_ino,
        after.st_size,
        after.st_mtime_ns,
    )


def _aside(parts: Sequence[str], status: os.stat_result) -> list[str]:
    """Return the path of a file that is moved away: another one with the same name gets another path."""
    digest = hashlib.sha256(f"{status.st_mtime_ns} {status.st_size}".encode()).hexdigest()[:12]
    # A name may have 255 bytes.
    name = parts[-1].encode()[:200].decode(errors="ignore")
    return [*parts[:-1], f"{name}.{digest}"]


def _text(error: Exception) -> str:
    return error.strerror or str(error) if isinstance(error, OSError) else str(error)
