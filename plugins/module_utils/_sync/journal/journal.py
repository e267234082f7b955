# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the bucket is known to hold, by key, in an SQLite file that survives SIGKILL at any moment.

What is about to be done is recorded, and on disk, before it is sent: so a key that this journal put into the bucket is
always known, and what was under way when the process died is `pending`, which means: do it again. Holds no secret.
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from typing import Optional

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.journal.clock import Clock
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.journal.database import (
    clear_errors,
    number,
    open_for_looking,
    open_for_run,
)
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.journal.statefiles import (
    LOCK_SECONDS,
    Lock,
    prepare_folder,
)
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.model import (
    Action,
    ActionKind,
    Authority,
    Outcome,
    Row,
    RowState,
)
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.tree.span import EVERYTHING, Span

_PAGE_ROWS = 1000
_BATCH_ACTIONS = 256
_BATCH_SECONDS = 1.0
_ROUNDS_KEPT = 50
_CONVERGING = (ActionKind.COMPARE, ActionKind.CONVERGE)

_as_row = partial(tuple.__new__, Row)  # as Row._make, but for so many rows it matters that this is no Python
_PUT_ROW = "INSERT OR REPLACE INTO objects VALUES (?,?,?,?,?,?,?,?,?,?,?)"


class Journal:
    """One journal. Not for several threads: the engine's main thread owns it."""

    def __init__(self, connection: sqlite3.Connection, path: str, held: Optional[Lock] = None) -> None:
        self.path = path
        self._connection = connection
        self._lock = held
        self._closed = False
        self._came: list[Row] = []  # of outcomes, and not handed to SQLite yet
        self._waiting = 0
        self._since = 0.0

    @classmethod
    def open(cls, path: str, identity: dict[str, str], *, lock_seconds: float = LOCK_SECONDS) -> Journal:
        """Open the journal for a run, making it where there is none; one run at a time.

        `identity` names tree and bucket for whoever looks into the file.

        Raises:
            StateFolderError, BusyError, JournalError: see there.
        """
        prepare_folder(os.path.dirname(path))
        held = Lock(path, seconds=lock_seconds)
        try:
            journal = cls(open_for_run(path, identity), path, held)
        except BaseException:
            held.release()
            raise
        journal._clear_doomed()
        return journal

    @classmethod
    def peek(cls, path: str) -> Journal:
        """Open the journal for looking only; where there is none, an empty one. Writes nothing at all.

        Raises:
            JournalError: see there.
        """
        return cls(open_for_looking(path), path)

    def close(self) -> None:
        """Write what waits, and let the next run in. A second call does nothing."""
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

    def rows(self, span: Span = EVERYTHING) -> Iterator[Row]:
        """Yield the rows of a span in the byte order of their keys.

        They are read page by page, so that a run of hours holds no read transaction that would let the write-ahead log
        grow; rows behind the last one yielded may be changed meanwhile.
        """
        last, until = span.after, span.until
        bound, more = ("AND key <= ?", (until,)) if until is not None else ("", ())
        while True:
            with clear_errors(self.path):
                self._hand_over()
                page = self._connection.execute(
                    f"SELECT * FROM objects WHERE key > ? {bound} ORDER BY key LIMIT ?",  # noqa: S608 - a fixed text
                    (last, *more, _PAGE_ROWS),
                ).fetchall()
            yield from map(_as_row, page)
            if len(page) < _PAGE_ROWS:
                return
            last = page[-1][0]

    def cuts(self, parts: int) -> list[str]:
        """Return the keys by which the rows can be cut into so many parts of one size, none where there are too few."""
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
        """Return what is known of one key."""
        with clear_errors(self.path):
            self._hand_over()
            found = self._connection.execute("SELECT * FROM objects WHERE key = ?", (key,)).fetchone()
        return Row._make(found) if found else None

    # What is done.

    def recorded(self, actions: Iterable[Action]) -> Iterator[Action]:
        """Yield actions after it is on disk that they are about to be done; in batches, bounded in number and time."""
        source = iter(actions)
        while True:
            batch = _batch(source)
            if not batch:
                return
            self.record(batch)
            yield from batch

    def record(self, actions: Sequence[Action]) -> None:
        """Write down, durably, that these actions are about to be done."""
        with clear_errors(self.path):
            self._begin()
            for action in actions:
                self._mark(action)
            self.commit()

    def _mark(self, action: Action) -> None:
        if action.row is not None and action.row.state == RowState.LISTED.value and action.kind in _CONVERGING:
            self._connection.execute(_PUT_ROW, action.row)
        elif action.kind is ActionKind.CONVERGE:
            self._connection.execute("UPDATE objects SET applied='', headers='' WHERE key=?", (action.key,))
        elif action.kind is ActionKind.COMPARE:
            # It may end in an upload: until it is known that it did not, nothing is known of the content.
            self._connection.execute("UPDATE objects SET applied='', digest='', etag='' WHERE key=?", (action.key,))
        elif action.kind in (ActionKind.SET_ACL, ActionKind.VERIFY):
            self._connection.execute("UPDATE objects SET applied='' WHERE key=?", (action.key,))
        elif action.kind in (ActionKind.DELETE, ActionKind.WITHDRAW):
            self._connection.execute("UPDATE objects SET state=? WHERE key=?", (RowState.PENDING.value, action.key))
        elif action.entry is not None:
            entry = action.entry
            self._connection.execute(
                "INSERT INTO objects VALUES (?,?,?,?,?,'','','','',?,1)"
                " ON CONFLICT(key) DO UPDATE SET state=excluded.state, applied='', ours=1",
                (entry.key, entry.size, entry.mtime_ns, entry.ctime_ns, entry.mode, RowState.PENDING.value),
            )

    def apply(self, outcome: Outcome) -> None:
        """Note what came of an action; on disk within a second or so, and until then it would be done again."""
        if outcome.forget:
            with clear_errors(self.path):
                self._begin()
                self._connection.execute("DELETE FROM objects WHERE key=?", (outcome.action.key,))
            self._commit_some()
        elif outcome.row is not None:
            self.refresh(outcome.row)

    def refresh(self, row: Row) -> None:
        """Note a harmless change of a file's metadata, for which nothing has to be done."""
        self._came.append(row)
        self._commit_some()

    def _commit_some(self) -> None:
        now = time.monotonic()
        if not self._waiting:
            self._since = now
        self._waiting += 1
        if self._waiting >= _BATCH_ACTIONS or now - self._since > _BATCH_SECONDS:
            self.commit()

    def _begin(self) -> None:
        """Begin to write, and first what came before."""
        if not self._connection.in_transaction:
            self._connection.execute("BEGIN")
        came, self._came = self._came, []
        self._connection.executemany(_PUT_ROW, came)

    def _hand_over(self) -> None:
        """Have SQLite know all that came."""
        if self._came:
            self._begin()

    def commit(self) -> None:
        """Bring what waits to disk."""
        with clear_errors(self.path):
            self._hand_over()
            if self._connection.in_transaction:
                self._connection.execute("COMMIT")
        self._waiting = 0

    # What is to be deleted at the end of this run, so that it can be counted before the first deletion.

    def _clear_doomed(self) -> None:
        with clear_errors(self.path):
            self._connection.execute("DELETE FROM doomed")

    def doom(self, key: str) -> None:
        """Put a key on this run's list of deletions."""
        with clear_errors(self.path):
            self._begin()
            self._connection.execute("INSERT OR IGNORE INTO doomed VALUES (?)", (key,))

    def doomed(self) -> Iterator[tuple[str, Optional[Row]]]:
        """Yield this run's list of deletions in order, with what is known of each."""
        last = ""
        while True:
            with clear_errors(self.path):
                page = self._connection.execute(
                    "SELECT key FROM doomed WHERE key > ? ORDER BY key LIMIT ?", (last, _PAGE_ROWS)
                ).fetchall()
            for (key,) in page:
                yield key, self.row(key)
            if len(page) < _PAGE_ROWS:
                return
            last = page[-1][0]

    # Rounds and the switch.

    def begin_round(self, authority: Authority, now_ns: int, *, slack_ns: int = 0) -> int:
        """Note the start of a round and return its number; the first with the bucket as authority is the switch.

        `slack_ns` is by how much the stamps of files may lag behind `now_ns`.
        """
        with clear_errors(self.path):
            self.commit()
            cursor = self._connection.execute(
                "INSERT INTO rounds(authority, started_ns, watermark_ns, complete) VALUES (?,?,?,0)",
                (authority.value, now_ns, now_ns - slack_ns),
            )
            # But for the one that the watermark is from.
            self._connection.execute(
                "DELETE FROM rounds WHERE id <= ? AND id IS NOT"
                " (SELECT max(id) FROM rounds WHERE authority=? AND complete=1)",
                ((cursor.lastrowid or 0) - _ROUNDS_KEPT, Authority.TREE.value),
            )
            if authority is Authority.BUCKET and self.switched_ns is None:
                self._connection.execute("INSERT INTO meta VALUES ('switched_ns', ?)", (str(now_ns),))
        return int(cursor.lastrowid or 0)

    def finish_round(self, round_number: int, now_ns: int, *, complete: bool, oldest_left_ns: Optional[int]) -> None:
        """Note the end of a round. `complete`: every file in scope was dealt with.

        `oldest_left_ns` is the oldest ctime of a file that was left to the next round on purpose.
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
        """Take note of the host's clock. Where it was set back since the round before, so are the watermarks."""
        with clear_errors(self.path):
            found = self._connection.execute("SELECT value FROM meta WHERE name='clock'").fetchone()
            before = Clock.parsed(found[0]) if found else None
            self._begin()
            if before is not None:
                back_ns = clock.set_back_ns(before)
                self._connection.execute("UPDATE rounds SET watermark_ns = watermark_ns - ?", (back_ns,))
            self._connection.execute("INSERT OR REPLACE INTO meta VALUES ('clock', ?)", (str(clock),))
            self.commit()

    def broken_off_ns(self, now_ns: int) -> int:
        """Return when the last round ended uncompleted: `now_ns` where nobody knows, 0 where it was completed."""
        with clear_errors(self.path):
            found = self._connection.execute(
                "SELECT finished_ns, complete FROM rounds ORDER BY id DESC LIMIT 1"
            ).fetchone()
        if found is None or found[1]:
            return 0
        return now_ns if found[0] is None else int(found[0])

    @property
    def watermark_ns(self) -> Optional[int]:
        """The ctime from which on the last completed round before the switch may have missed a file; None: any."""
        with clear_errors(self.path):
            found = self._connection.execute(
                "SELECT watermark_ns FROM rounds WHERE authority=? AND complete=1 ORDER BY id DESC LIMIT 1",
                (Authority.TREE.value,),
            ).fetchone()
        return int(found[0]) if found else None

    @property
    def switched_ns(self) -> Optional[int]:
        """When the bucket became the truth; None before the switch."""
        return self._meta("switched_ns")

    @property
    def settled_ns(self) -> Optional[int]:
        """When a run after the switch first left nothing for a later one; from then on modes on disk say nothing."""
        return self._meta("settled_ns")

    def reopen(self) -> None:
        """Make the tree the truth again. What the bucket holds is in doubt then: it lived on without the journal."""
        with clear_errors(self.path):
            self._begin()
            self._connection.execute("DELETE FROM meta WHERE name IN ('switched_ns', 'settled_ns')")
            self._connection.execute(
                "UPDATE objects SET state=?, applied='' WHERE state=?", (RowState.DOUBTED.value, RowState.DONE.value)
            )
            self.commit()

    @property
    def needs_listing(self) -> bool:
        """Whether the bucket may hold what this journal does not know, as it is new or was distrusted."""
        return self._meta("needs_listing") is not None

    def distrust(self) -> None:
        """Note, durably, that a listing has to be held against the bucket, until `listed` is called."""
        with clear_errors(self.path):
            self._begin()
            self._connection.execute("INSERT OR REPLACE INTO meta VALUES ('needs_listing', '1')")
            self.commit()

    def listed(self) -> None:
        """Note that all of a listing was held against the bucket."""
        with clear_errors(self.path):
            self._begin()
            self._connection.execute("DELETE FROM meta WHERE name='needs_listing'")
            self.commit()

    def _meta(self, name: str) -> Optional[int]:
        with clear_errors(self.path):
            found = self._connection.execute("SELECT value FROM meta WHERE name=?", (name,)).fetchone()
        return int(found[0]) if found else None


def _batch(source: Iterator[Action]) -> list[Action]:
    batch: list[Action] = []
    end = 0.0
    for action in source:
        if not batch:
            end = time.monotonic() + _BATCH_SECONDS
        batch.append(action)
        if len(batch) >= _BATCH_ACTIONS or time.monotonic() > end:
            break
    return batch
