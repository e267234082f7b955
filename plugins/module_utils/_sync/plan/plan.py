# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Decides what to do: compares entries with what is known, key by key. Pure except for the iterators it reads.

There are two planners, one for each source of truth. They yield steps in the byte order of the keys, and contain
nothing that could not be passed to another process.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Callable, NamedTuple, Optional, Union

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.journal.rows import check_row
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.model import (
    Action,
    ActionKind,
    Aspect,
    CompareWith,
    DeleteMode,
    Entry,
    Exposure,
    ExposureMode,
    Item,
    Listed,
    Note,
    PathProblem,
    Reason,
    Row,
    RowState,
    Verdict,
    storable_ns,
)
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.plan.merge import merge_known, pairs
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.rules.rules import (
    Rules,
    applied_word,
)
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.tree.counts import WalkCounts


class Unchanged(NamedTuple):
    """Nothing has to be done. `row` is set if the journal should record a harmless change of metadata.

    Without a row, one is yielded now and then and not for each file, so that the consumer can check other things.
    """

    row: Optional[Row] = None


class MarkedForDeletion(NamedTuple):
    """An object whose file is gone. It is deleted at the end, if nothing prevents this."""

    key: str
    size: int


# Signatures are refused where the clocks of host and store differ by more than this: so no store's time is farther off.
_MOST_SKEW_NS = 900 * 10**9


# What the journal says of a private object that was deleted after the switch: it stays known.
DELETED_PRIVATE = "deleted_private"
_DONE = RowState.DONE.value

Step = Union[Action, Note, PathProblem, Unchanged, MarkedForDeletion]
_UNCHANGED = Unchanged()


@dataclass(frozen=True)
class TreePlanner:
    """Plans a round with the tree as the source of truth."""

    rules: Rules
    delete: DeleteMode
    clock: Callable[[], int] = time.time_ns
    compare_with: CompareWith = CompareWith.JOURNAL
    repair: frozenset[Aspect] = frozenset()
    journal: str = ""

    def steps(
        self, items: Iterable[Item], rows: Iterable[Row], listing: Optional[Iterable[Listed]], counts: WalkCounts
    ) -> Iterator[Step]:
        """Yield the steps that follow from the three, each in the byte order of its keys; `counts` counts all entries.

        `listing` is needed for `DeleteMode.ALL`, and for any comparison except that with the journal.
        """
        if listing is not None:
            for item, there in pairs(items, merge_known(rows, listing)):
                row, listed = (there.row, there.listed) if there is not None else (None, None)
                yield from self._step(item, row, listed, counts, with_listing=True)
            return
        by_journal_alone = self.compare_with is CompareWith.JOURNAL and not self.repair
        for item, row in pairs(items, rows, self._unchanged_test(counts) if by_journal_alone else None):
            yield from self._step(item, row, None, counts, with_listing=False)

    def _unchanged_test(self, counts: WalkCounts) -> Callable[[Entry, Row], bool]:
        """Return a function that says whether a file needs no action, and counts it: the fast path for most files.

        If it is not sure about a file, `_entry` decides.
        """
        rules = self.rules
        public, private = (applied_word(rules.mode, exposure) for exposure in (Exposure.PUBLIC, Exposure.PRIVATE))

        def is_unchanged(entry: Entry, row: Row) -> bool:
            if row[:5] != entry or row.state != _DONE:
                return False
            exposure = rules.judge(entry).exposure
            if exposure is None or row.applied != (public if exposure is Exposure.PUBLIC else private):
                return False
            if row.headers != rules.headers(entry.key).fingerprint:
                return False
            if exposure is Exposure.PUBLIC:
                counts.add(entry, exposure, unchanged=True)
            else:
                counts.add(entry, exposure, unchanged=True, hidden=rules.hides_public(entry))
            return True

        return is_unchanged

    def _step(
        self,
        item: Optional[Item],
        row: Optional[Row],
        listed: Optional[Listed],
        counts: WalkCounts,
        *,
        with_listing: bool,
    ) -> Iterator[Step]:
        if row is not None:
            check_row(row, self.rules, self.journal)
        if isinstance(item, Entry):
            verdict = self.rules.judge(item)
            step = self._entry(item, verdict, row, listed, with_listing=with_listing)
            _count(counts, item, verdict, step, self.rules)
            yield step
        elif item is not None:
            yield item
        elif row is None and listed is None:
            yield _UNCHANGED
        else:
            yield from self._without_file(row, listed)

    def _without_file(self, row: Optional[Row], listed: Optional[Listed]) -> Iterator[Step]:
        known = listed or row
        if known is None or self.delete is DeleteMode.NEVER or self.rules.scope(known.key).exposure is None:
            return
        if self.delete is DeleteMode.ALL or (row is not None and row.ours):
            yield MarkedForDeletion(known.key, known.size)

    def _entry(
        self, entry: Entry, verdict: Verdict, row: Optional[Row], listed: Optional[Listed], *, with_listing: bool
    ) -> Step:
        if verdict.exposure is None:
            reason = verdict.reason or Reason.UNKNOWN_FOLDER
            if reason is not Reason.LOCAL_ONLY:
                return Note(reason, entry.key, entry.size)
            there = row is not None or listed is not None
            ours = (row is not None and row.ours) or (there and self.delete is DeleteMode.ALL)
            if not ours:
                return self._note_private(entry, reason)
            if self._too_new(entry, row):
                return Note(Reason.TOO_NEW, entry.key, entry.size, entry.ctime_ns)
            return Action(ActionKind.DELETE_PRIVATE, entry.key, "private", Exposure.PRIVATE, entry, None, row)
        if verdict.exposure is Exposure.PRIVATE and self._too_new(entry, row):
            return Note(Reason.TOO_NEW, entry.key, entry.size, entry.ctime_ns)
        if with_listing and self.compare_with is not CompareWith.JOURNAL:
            return self._wanted(entry, verdict.exposure, _held_against(row, listed), drifted=False)
        drifted = with_listing and row is not None and _drifted(row, listed)
        return self._wanted(entry, verdict.exposure, row, drifted=drifted)

    def _note_private(self, entry: Entry, reason: Reason) -> Note:
        if self.rules.is_fresh(entry, self.clock()):
            return Note(Reason.TOO_NEW, entry.key, entry.size, entry.ctime_ns)
        return Note(reason, entry.key, entry.size)

    def _too_new(self, entry: Entry, row: Optional[Row]) -> bool:
        """Return whether a file that looks private may still be being written.

        A known file that has only lost its mode is made private at once: that can't expose anything.
        """
        if not self.rules.may_be_unfinished(entry, self.clock()):
            return False
        return row is None or not _is_in_bucket(entry, row)

    def _wanted(self, entry: Entry, exposure: Exposure, row: Optional[Row], *, drifted: bool) -> Step:
        headers = self.rules.headers(entry.key)
        lack = self._lack(entry, exposure, row, headers.fingerprint, drifted=drifted)
        if lack is not None:
            kind, why = lack
            asks = kind in (ActionKind.COMPARE, ActionKind.REPAIR)
            known = _unknown(row, self.repair) if row is not None and asks else row
            return Action(kind, entry.key, why, exposure, entry, headers, known)
        applied = _after(self.rules.mode, row.applied, exposure) if row is not None else None
        if row is None or applied is None or applied == row.applied:
            return _UNCHANGED
        return Unchanged(row._replace(applied=applied))

    def _lack(
        self, entry: Entry, exposure: Exposure, row: Optional[Row], fingerprint: str, *, drifted: bool
    ) -> Optional[tuple[ActionKind, str]]:
        """Return what has to be done for a file, and why; None if its object is right."""
        if row is not None and row.state == RowState.LISTED.value:
            return self._taken_over(entry, row)
        why = _why_upload(entry, row)
        if row is None or why or drifted:
            return ActionKind.UPLOAD, why or "not in the bucket as it was sent"
        if row.state == RowState.DOUBTED.value:
            return ActionKind.VERIFY, "in doubt"
        # Even if the mode differs: that does not prove that only the mode was changed.
        touched = entry.ctime_ns != row.ctime_ns
        if touched or self.compare_with is CompareWith.CHECKSUM:
            return ActionKind.COMPARE, "touched" if touched else "compared"
        applied = _after(self.rules.mode, row.applied, exposure)
        if applied is None or row.headers != fingerprint:
            return ActionKind.REPAIR, "other headers" if applied else "exposure"
        if applied != row.applied and self.rules.mode is ExposureMode.ACL:
            return ActionKind.SET_ACL, f"now {exposure.value}"
        return (ActionKind.REPAIR, "looked at") if self.repair else None

    def _taken_over(self, entry: Entry, row: Row) -> tuple[ActionKind, str]:
        if entry.size != row.size:
            return ActionKind.UPLOAD, "not in the bucket as it is on disk"
        written_before = max(entry.mtime_ns, entry.ctime_ns) < row.mtime_ns - _MOST_SKEW_NS
        sure = written_before and self.compare_with is not CompareWith.CHECKSUM
        return ActionKind.REPAIR if sure else ActionKind.COMPARE, "taken over"


@dataclass(frozen=True)
class BucketPlanner:
    """Plans a run after the switch: nothing is deleted, overwritten or made public.

    It sends only files that this journal does not know and that may have appeared after the last completed round before
    the switch. Until a first such run is completed (`settled`), a file that lost its mode since that round is made
    private.
    """

    rules: Rules
    watermark_ns: int
    settled: bool
    clock: Callable[[], int] = time.time_ns
    journal: str = ""

    def steps(
        self, items: Iterable[Item], rows: Iterable[Row], _listing: Optional[Iterable[Listed]], counts: WalkCounts
    ) -> Iterator[Step]:
        """Yield the steps, as `TreePlanner` does. A listing would not matter."""
        for item, row in pairs(items, rows):
            if isinstance(item, Entry):
                verdict = self.rules.judge(item)
                step = self._entry(item, verdict, row)
                if row is not None and isinstance(step, Action):
                    check_row(row, self.rules, self.journal)
                _count(counts, item, verdict, step, self.rules)
                yield step
            elif item is not None:
                yield item

    def _entry(self, entry: Entry, verdict: Verdict, row: Optional[Row]) -> Step:
        if verdict.reason in (Reason.FILTERED, Reason.UNKNOWN_FOLDER):
            return Note(verdict.reason, entry.key, entry.size)
        if row is not None and row.state != RowState.PENDING.value:
            return self._known(entry, row, verdict.exposure)
        if row is None and entry.ctime_ns < self.watermark_ns:
            return Note(Reason.OLDER_THAN_SWITCH, entry.key, entry.size)
        in_writing = self.rules.may_be_unfinished(entry, self.clock())
        may_be_shown = verdict.exposure is None and not self.settled
        if may_be_shown and row is not None and row.ours and (not in_writing or _is_in_bucket(entry, row)):
            return _made_private(ActionKind.DELETE_PRIVATE, entry, row)
        if in_writing:
            return Note(Reason.TOO_NEW, entry.key, entry.size, entry.ctime_ns)
        if verdict.exposure is None:
            return Note(Reason.LOCAL_ONLY, entry.key, entry.size)
        return Action(
            ActionKind.SEND_IF_MISSING,
            entry.key,
            "interrupted" if row else "new",
            verdict.exposure,
            entry,
            self.rules.headers(entry.key),
            row,
            after_switch=True,
            tighten=row is not None and not self.settled and verdict.exposure is Exposure.PRIVATE,
        )

    def _known(self, entry: Entry, row: Row, exposure: Optional[Exposure]) -> Step:
        if self.settled:
            return _UNCHANGED
        kind = ActionKind.SET_ACL if self.rules.mode is ExposureMode.ACL else ActionKind.DELETE_PRIVATE
        if kind is ActionKind.SET_ACL:
            wanted = exposure is Exposure.PRIVATE and row.applied != applied_word(ExposureMode.ACL, Exposure.PRIVATE)
        else:
            wanted = exposure is None and row.ours and row.applied != DELETED_PRIVATE
        if wanted:
            return _made_private(kind, entry, row)
        if not _same_content(entry, row):
            return Note(Reason.NEWER_ON_DISK, entry.key, entry.size)
        return _UNCHANGED


Planner = Union[TreePlanner, BucketPlanner]


def _count(counts: WalkCounts, entry: Entry, verdict: Verdict, step: Step, rules: Rules) -> None:
    hidden = verdict.exposure is not Exposure.PUBLIC and rules.hides_public(entry)
    counts.add(entry, verdict.exposure, unchanged=isinstance(step, Unchanged), hidden=hidden)


def _made_private(kind: ActionKind, entry: Entry, row: Row) -> Action:
    return Action(kind, entry.key, "now private", Exposure.PRIVATE, entry, None, row, after_switch=True)


def _held_against(row: Optional[Row], listed: Optional[Listed]) -> Optional[Row]:
    """Return what is known about a key if a listing takes precedence over the journal."""
    if row is not None and row.state == RowState.PENDING.value:
        return row  # whose request may still be in progress
    if listed is None:
        return None
    if row is not None and (row.size, row.etag) == (listed.size, listed.etag):
        return row
    modified_ns = storable_ns(int(listed.modified * 10**9))
    # It is ours from now on: it is considered the copy of an existing file.
    return Row(listed.key, listed.size, modified_ns, 0, 0, "", listed.etag, "", "", RowState.LISTED.value, ours=True)


def _unknown(row: Row, aspects: frozenset[Aspect]) -> Row:
    applied = "" if Aspect.ACL in aspects else row.applied
    return row._replace(applied=applied, headers="" if Aspect.HEADERS in aspects else row.headers)


def _why_upload(entry: Entry, row: Optional[Row]) -> Optional[str]:
    if row is None:
        return "new"
    if row.state == RowState.PENDING.value:
        return "interrupted"
    return None if _same_content(entry, row) else "changed"


def _drifted(row: Row, listed: Optional[Listed]) -> bool:
    return listed is None or listed.size != row.size or bool(row.etag and listed.etag != row.etag)


def _is_in_bucket(entry: Entry, row: Row) -> bool:
    """Return whether the bucket has, or had until it was to be deleted, what is on disk.

    A row that is pending for a deletion still says what was applied; one that is pending for an upload does not.
    """
    return _same_content(entry, row) and (row.state != RowState.PENDING.value or bool(row.applied))


def _same_content(entry: Entry, row: Row) -> bool:
    return entry.size == row.size and entry.mtime_ns == row.mtime_ns


def _after(mode: ExposureMode, applied: str, exposure: Exposure) -> Optional[str]:
    """Return what is applied once `exposure` is set; None if this needs a new object.

    Without ACLs, an object that is or may be public stays public until it is written again.
    """
    word = applied_word(mode, exposure)
    if mode is ExposureMode.ACL or exposure is Exposure.PUBLIC:
        return word
    return None if applied in ("", applied_word(ExposureMode.ACL, Exposure.PUBLIC)) else word
