# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the bucket is known to contain, by key, in an SQLite file that survives SIGKILL at any moment.

Every action is recorded on disk before it begins. So every key that this journal put into the bucket is known, and
actions that were in progress when the process died are `pending`, which means: repeat them. It contains no secrets.
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from typing import Optional

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._files.regular import same_file
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.journal.clock import Clock
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.journal.database import (
    JournalError,
    clear_errors,
    damaged,
    number,
    open_for_looking,
    open_for_run,
)
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.journal.feed_position import FeedPosition
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.journal.intents import (
    BATCH_ACTIONS,
    BATCH_SECONDS,
    PUT_ROW,
    intent,
    next_batch,
)
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.journal.runs import PastRuns, nanoseconds
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.journal.statefiles import (
    Lock,
)
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.model import (
    Action,
    Outcome,
    Row,
    RowState,
    SourceOfTruth,
)
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.settings import LOCK_SECONDS
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.tree.span import EVERYTHING, Span

_PAGE_ROWS = 1000
_ROUNDS_KEPT = 50

_as_row = partial(tuple.__new__, Row)  # like Row._make, but faster, which matters for this many rows


class Journal:
    """One journal. Not for several threads: the engine's main thread owns it."""

    def __init__(self, connection: sqlite3.Connection, path: str, lock: Optional[Lock] = None) -> None:
        self.path = path
        self.feed_position = FeedPosition(connection, path)
        self.past_runs = PastRuns(connection, path)
        self._connection = connection
        self._lock = lock
        self._closed = False
        self._came: list[Row] = []  # changes by outcomes that were not passed to SQLite yet
        self._waiting = 0
        self._since = 0.0
        self._file = os.stat(path) if lock is not None else None

    @classmethod
    def open(cls, path: str, identity: dict[str, str], *, lock_seconds: float = LOCK_SECONDS) -> Journal:
        """Open the journal for a run, and create it if it is missing. Only one run can have it open.

        `identity` names tree and bucket for people who look into the file.

        Raises:
            StateFolderError, BusyError, JournalError: See there; nothing is locked then.
        """
        lock = Lock(path, seconds=lock_seconds)
        try:
            journal = cls(open_for_run(path, identity), path, lock)
        except BaseException:
            lock.release()
            raise
        try:
            journal._unmark_all()
        except BaseException:
            journal.close()
            raise
        return journal

    @classmethod
    def peek(cls, path: str) -> Journal:
        """Open the journal for reading; if it is missing, use an empty one. Writes nothing at all.

        Raises:
            JournalError: See there.
        """
        return cls(open_for_looking(path), path)

    def close(self) -> None:
        """Write pending changes, and release the lock. A second call does nothing."""
        if self._closed:
            return
        self._closed = True
        try:
            with clear_errors(self.path):
                self.commit()
        finally:
            self._connection.close()
            if self._lock is not None:
                self._lock.release()

    # What is known.

    def rows(self, span: Span = EVERYTHING, *, changed_since_ns: Optional[int] = None) -> Iterator[Row]:
        """Yield the rows of a span in the byte order of their keys, or only those with this ctime or a later one.

        A ctime that was left unknown because the file had just been written (`Source.as_read`) counts as later.

        They are read page by page, so that a run of hours does not hold a read transaction that would let the
        write-ahead log grow. Rows after the last yielded one may change in the meantime.
        """
        last, until = span.after, span.until
        bounds = {"AND key <= ?": until, "AND (ctime_ns >= ? OR ctime_ns = 0)": changed_since_ns}
        bound = " ".join(text for text, value in bounds.items() if value is not None)
        more = [value for value in bounds.values() if value is not None]
        while True:
            with clear_errors(self.path):
                self._hand_over()
                page = self._connection.execute(
                    f"SELECT * FROM objects WHERE key > ? {bound} ORDER BY key LIMIT ?",  # noqa: S608 - a fixed text
                    (last, *more, _PAGE_ROWS),
                ).fetchall()
            if page and not isinstance(page[-1][0], str):  # SQLite sorts all that is no text behind it
                raise damaged(self.path, "a key in it is not text")
            yield from map(_as_row, page)
            if len(page) < _PAGE_ROWS:
                return
            last = page[-1][0]

    def cuts(self, parts: int) -> list[str]:
        """Return the keys that cut the rows into this many parts of equal size; none if there are too few rows."""
        count = self.count()
        if count < parts:
            return []
        with clear_errors(self.path):
            return [
                self._connection.execute(
                    "SELECT key FROM objects ORDER BY key LIMIT 1 OFFSET ?", (count * part // parts,)
                ).fetchone()[0]
                for part in range(1, parts)
            ]

    def count(self) -> int:
        """Return how many keys are known."""
        with clear_errors(self.path):
            self._hand_over()
            return number(self._connection, "SELECT count(*) FROM objects")

    def row(self, key: str) -> Optional[Row]:
        """Return what is known about one key."""
        with clear_errors(self.path):
            self._hand_over()
            found = self._connection.execute("SELECT * FROM objects WHERE key = ?", (key,)).fetchone()
        return Row._make(found) if found else None

    # What is done.

    def recorded(self, actions: Iterable[Action]) -> Iterator[Action]:
        """Yield actions after they are recorded on disk as about to begin; in batches, limited in number and time."""
        source = iter(actions)
        while True:
            batch = next_batch(source)
            if not batch:
                return
            self.record(batch)
            yield from batch

    def record(self, actions: Sequence[Action]) -> None:
        """Record durably that these actions are about to begin."""
        with clear_errors(self.path):
            self._begin()
            for statement in filter(None, map(intent, actions)):
                self._connection.execute(*statement)
            self.commit()

    def apply(self, outcome: Outcome) -> None:
        """Record the result of an action. It is on disk within about a second; until then, a kill would repeat it."""
        if outcome.forget:
            self.forget(outcome.action.key)
        elif outcome.row is not None:
            self.refresh(outcome.row)

    def forget(self, key: str) -> None:
        """Record that the bucket does not have a key any more."""
        with clear_errors(self.path):
            self._begin()
            self._connection.execute("DELETE FROM objects WHERE key=?", (key,))
        self._commit_some()

    def refresh(self, row: Row) -> None:
        """Record a harmless change of a file's metadata that needs no action."""
        self._came.append(row)
        self._commit_some()

    def _commit_some(self) -> None:
        now = time.monotonic()
        if not self._waiting:
            self._since = now
        self._waiting += 1
        if self._waiting >= BATCH_ACTIONS or now - self._since > BATCH_SECONDS:
            self.commit()

    def _begin(self) -> None:
        """Begin a transaction, after writing what came before."""
        if not self._connection.in_transaction:
            self._connection.execute("BEGIN")
        came, self._came = self._came, []
        self._connection.executemany(PUT_ROW, came)

    def _hand_over(self) -> None:
        """Pass all pending changes to SQLite."""
        if self._came:
            self._begin()

    def commit(self) -> None:
        """Write pending changes to disk.

        Raises:
            JournalError: This fails, or the journal or its lock was removed or replaced.
        """
        with clear_errors(self.path):
            self._hand_over()
            if self._connection.in_transaction:
                self._connection.execute("COMMIT")
        self._waiting = 0
        self._check_in_place()

    def _check_in_place(self) -> None:
        """Refuse to continue writing to a file that the next run would not find."""
        if self._lock is None or self._file is None:
            return
        try:
            in_place = self._lock.is_in_place() and same_file(os.stat(self.path, follow_symlinks=False), self._file)
        except OSError:
            in_place = False
        if not in_place:
            raise JournalError(
                f"the journal {self.path} or its lock was moved or removed during this run, so files that were sent"
                " since then are not recorded: put it back, and run again"
            )

    # What is to be deleted at the end of this run, so that it can be counted before the first deletion.

    def _unmark_all(self) -> None:
        with clear_errors(self.path):
            self._connection.execute("DELETE FROM marked_for_deletion")

    def mark_for_deletion(self, key: str) -> None:
        """Put a key on this run's list of deletions."""
        with clear_errors(self.path):
            self._begin()
            self._connection.execute("INSERT OR IGNORE INTO marked_for_deletion VALUES (?)", (key,))

    def marked_for_deletion(self) -> Iterator[tuple[str, Optional[Row]]]:
        """Yield this run's list of deletions in order, with what is known of each."""
        last = ""
        while True:
            with clear_errors(self.path):
                page = self._connection.execute(
                    "SELECT key FROM marked_for_deletion WHERE key > ? ORDER BY key LIMIT ?", (last, _PAGE_ROWS)
                ).fetchall()
            for (key,) in page:
                yield key, self.row(key)
            if len(page) < _PAGE_ROWS:
                return
            last = page[-1][0]

    # Rounds and the switch.

    def begin_round(self, source_of_truth: SourceOfTruth, now_ns: int, *, lag_ns: int = 0) -> int:
        """Record the start of a round and return its number. The first one with SourceOfTruth.BUCKET is the switch.

        `lag_ns` is by how much the times of files may lag behind `now_ns`.
        """
        with clear_errors(self.path):
            self.commit()
            cursor = self._connection.execute(
                "INSERT INTO rounds(source_of_truth, started_ns, watermark_ns, complete) VALUES (?,?,?,0)",
                (source_of_truth.value, now_ns, now_ns - lag_ns),
            )
            # Except the one that the watermark comes from.
            self._connection.execute(
                "DELETE FROM rounds WHERE id <= ? AND id IS NOT"
                " (SELECT max(id) FROM rounds WHERE source_of_truth=? AND complete=1)",
                ((cursor.lastrowid or 0) - _ROUNDS_KEPT, SourceOfTruth.DISK.value),
            )
            if source_of_truth is SourceOfTruth.BUCKET and self.switched_ns is None:
                self._connection.execute("INSERT INTO meta VALUES ('switched_ns', ?)", (str(now_ns),))
        return int(cursor.lastrowid or 0)

    def finish_round(self, round_number: int, now_ns: int, *, complete: bool, oldest_left_ns: Optional[int]) -> None:
        """Record the end of a round. `complete`: every file in scope was handled.

        `oldest_left_ns` is the oldest ctime of a file that was deliberately left to the next round.
        """
        with clear_errors(self.path):
            self._begin()
            self._connection.execute(
                "UPDATE rounds SET finished_ns=?, complete=?, watermark_ns=min(watermark_ns, ?) WHERE id=?",
                (now_ns, int(complete), now_ns if oldest_left_ns is None else oldest_left_ns, round_number),
            )
            settled = complete and oldest_left_ns is None
            if settled and self.switched_ns is not None and self.settled_ns is None:
                self._connection.execute("INSERT INTO meta VALUES ('settled_ns', ?)", (str(now_ns),))
            self.commit()

    def note_clock(self, clock: Clock) -> None:
        """Record the host's clock. If it was set back since the previous round, the watermarks are set back too."""
        with clear_errors(self.path):
            self._begin()
            self._connection.execute(
                "UPDATE rounds SET watermark_ns = watermark_ns - ?", (self.past_runs.set_back_ns(clock),)
            )
            self._connection.execute("INSERT OR REPLACE INTO meta VALUES ('clock', ?)", (str(clock),))
            self.commit()

    def broken_off_ns(self, now_ns: int) -> int:
        """Return when the last incomplete round ended: `now_ns` if this is not known, 0 if it was completed."""
        with clear_errors(self.path):
            found = self._connection.execute(
                "SELECT finished_ns, complete FROM rounds ORDER BY id DESC LIMIT 1"
            ).fetchone()
        if found is None or found[1]:
            return 0
        return now_ns if found[0] is None else nanoseconds(self.path, "rounds.finished_ns", found[0])

    @property
    def watermark_ns(self) -> Optional[int]:
        """The ctime from which the last completed round before the switch may have missed a file; None: any."""
        last = next(self.past_runs.complete(), None)
        return last.watermark_ns if last else None

    @property
    def switched_ns(self) -> Optional[int]:
        """When the bucket became the source of truth; None before the switch."""
        return self._meta("switched_ns")

    @property
    def settled_ns(self) -> Optional[int]:
        """When a run after the switch first left nothing to a later one. From then on, modes on disk mean nothing."""
        return self._meta("settled_ns")

    def reopen(self) -> None:
        """Make the tree the source of truth again. The bucket's content is then in doubt: it may have changed.

        So it must be listed: what Mastodon wrote there may be in the tree as well, and need not be sent again.
        """
        with clear_errors(self.path):
            self._begin()
            self._connection.execute("INSERT OR REPLACE INTO meta VALUES ('needs_listing', '1')")
            self._connection.execute("DELETE FROM meta WHERE name IN ('switched_ns', 'settled_ns', 'feed_position')")
            self._connection.execute(
                "UPDATE objects SET state=?, applied='' WHERE state=?", (RowState.DOUBTED.value, RowState.DONE.value)
            )
            self.commit()

    @property
    def needs_listing(self) -> bool:
        """Whether the bucket may contain objects that this journal does not know, since it is new or was distrusted."""
        return self._meta("needs_listing") is not None

    def distrust(self) -> None:
        """Record durably that the bucket must be listed, until `listed` is called."""
        with clear_errors(self.path):
            self._begin()
            self._connection.execute("INSERT OR REPLACE INTO meta VALUES ('needs_listing', '1')")
            self.commit()

    def listed(self) -> None:
        """Record that a complete listing was compared."""
        with clear_errors(self.path):
            self._begin()
            self._connection.execute("DELETE FROM meta WHERE name='needs_listing'")
            self.commit()

    def _meta(self, name: str) -> Optional[int]:
        with clear_errors(self.path):
            found = self._connection.execute("SELECT value FROM meta WHERE name=?", (name,)).fetchone()
        return nanoseconds(self.path, f"meta.{name}", found[0]) if found else None
