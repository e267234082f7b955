# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Counts what a run does, and reports it in a result whose size does not depend on the tree's."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any, Optional

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.model import (
    CompareWith,
    Failure,
    Note,
    Outcome,
    PathProblem,
    PathProblemKind,
    Reason,
    Result,
)
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.processes.stop import StopReason
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.rules.rules import Rules
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.tree.counts import (
    EXAMPLES_SHOWN,
    Amount,
    WalkCounts,
)

FAILURES_SHOWN = 20
DIFF_SHOWN = 100
LEFT_KEPT = 10_000
FAST, BOTO3 = UPLOAD_WAYS = ("fast", "boto3")

_REASON_OF = {
    PathProblemKind.SYMLINK: Reason.SYMLINK,
    PathProblemKind.SPECIAL_FILE: Reason.SPECIAL_FILE,
    PathProblemKind.BAD_NAME: Reason.BAD_NAME,
    PathProblemKind.LONG_KEY: Reason.LONG_KEY,
}
# Nothing at or below these paths can be an object.
_WITHOUT_KEYS = (PathProblemKind.BAD_NAME, PathProblemKind.LONG_KEY)
_REMEDY_OF = {
    PathProblemKind.SYMLINKED_FOLDER: (
        "is a symlink to a folder, which is not followed: use a bind mount in its place, or exclude it"
    ),
    PathProblemKind.BROKEN_SYMLINK: (
        "is a symlink that points to nothing: mount the disk that it points to, remove the link, or exclude it"
    ),
}
_ACTION_OF = {
    Result.UPLOADED: "upload",
    Result.ACL_SET: "set_acl",
    Result.HEADERS_SET: "set_headers",
    Result.DELETED_PRIVATE: "delete_private",
    Result.DELETED: "delete",
}


@dataclass
class Traffic:
    """Network statistics: requests by operation, uploads by method (fast or boto3), retries by cause."""

    requests: Counter[str] = field(default_factory=Counter)
    uploads: Counter[str] = field(default_factory=Counter)
    retries: Counter[str] = field(default_factory=Counter)

    def add(self, other: Traffic) -> None:
        """Add the counts of another one."""
        self.requests.update(other.requests)
        self.uploads.update(other.uploads)
        self.retries.update(other.retries)

    def taken(self) -> Traffic:
        """Return what was counted since the last call."""
        taken = Traffic(Counter(self.requests), Counter(self.uploads), Counter(self.retries))
        for each in (self.requests, self.uploads, self.retries):
            each.clear()
        return taken


class Tally:
    """The running counts of one run; a progress display may read it at any time. The walk fills `counts`."""

    def __init__(self, rules: Rules) -> None:
        self.counts = WalkCounts()
        self.files = self.counts.files
        self.unchanged = self.counts.unchanged
        self.walked = False
        self.actions = {name: Amount() for name in ("upload", "set_acl", "set_headers", "delete", "delete_private")}
        self.skipped: dict[Reason, Amount] = {}
        self.failed = 0
        self.local_failures = 0
        self.failures: list[dict[str, str]] = []
        self.failure_codes: Counter[str] = Counter()
        self.marked_for_deletion = Amount()
        self.hidden_folders: list[str] = []
        self.sent_bytes = 0
        self.oldest_left_ns: Optional[int] = None
        self.left_keys: Optional[list[str]] = []  # None: too many
        self.changes: list[str] = []
        self._rules = rules
        self._marked_keys: list[str] = []

    def note(self, note: Note) -> None:
        """Count a path that is left out."""
        self._skip(note.reason, note.key, note.size)
        if note.reason is Reason.TOO_NEW:
            self.left_for_later(note.key, note.ctime_ns)

    def left_for_later(self, key: str, ctime_ns: int) -> None:
        """Remember a file that the next round has to judge again."""
        if self.left_keys is not None:
            self.left_keys.append(key)
            if len(self.left_keys) > LEFT_KEPT:
                self.left_keys = None
        self.oldest_left_ns = ctime_ns if self.oldest_left_ns is None else min(self.oldest_left_ns, ctime_ns)

    def problem(self, problem: PathProblem) -> None:
        """Count a path that the walk could not offer. Below folders that are left out anyway, this is not a failure."""
        if problem.folder:
            concerned = self._rules.concerns(problem.key)
        else:
            concerned = self._rules.scope(problem.key).exposure is not None
        if not concerned:
            self._skip(self._rules.scope(problem.key).reason or Reason.UNKNOWN_FOLDER, problem.key, 0)
            return
        hides = problem.folder and problem.kind not in _WITHOUT_KEYS
        if hides and len(self.hidden_folders) < EXAMPLES_SHOWN:
            self.hidden_folders.append(self._rules.masked(problem.key))
        if problem.kind is PathProblemKind.UNREADABLE:
            self._fail(problem.key, Failure(f"can't be read: {problem.detail}", local=True))
        elif problem.kind in _REMEDY_OF:
            self._fail(problem.key, Failure(_REMEDY_OF[problem.kind], local=True))
        else:
            self._skip(_REASON_OF[problem.kind], problem.key, 0)

    def outcome(self, outcome: Outcome) -> None:
        """Count the outcome of an action."""
        action = outcome.action
        self.sent_bytes += outcome.sent_bytes
        if outcome.failure is not None:
            self._fail(action.key, outcome.failure)
        elif outcome.result is Result.SKIPPED:
            self._skip(outcome.reason or Reason.VANISHED, action.key, action.size)
            if outcome.reason is Reason.TOO_NEW and action.entry is not None:
                self.left_for_later(action.key, action.entry.ctime_ns)
        elif outcome.result is Result.SAME:
            self.unchanged.add(action.size)
        else:
            name = _ACTION_OF[outcome.result]
            self.actions[name].add(action.size)
            self._change(name, action.key, action.why)

    def mark_for_deletion(self, key: str, size: int) -> None:
        """Count an object that will be deleted at the end."""
        self.marked_for_deletion.add(size)
        if len(self._marked_keys) < DIFF_SHOWN:
            self._marked_keys.append(key)

    def foretell_deletions(self) -> None:
        """Count all objects that would be deleted as deleted."""
        self.actions["delete"] = self.marked_for_deletion
        for key in self._marked_keys:
            self._change("delete", key, "gone on disk")

    @property
    def changed(self) -> bool:
        """Whether anything in the bucket was changed, or would be."""
        return any(amount.count for amount in self.actions.values())

    def _change(self, name: str, key: str, why: str) -> None:
        if len(self.changes) < DIFF_SHOWN:
            self.changes.append(f"{name} {self._rules.masked(key)} ({why})")

    def _skip(self, reason: Reason, key: str, size: int) -> None:
        self.skipped.setdefault(reason, Amount()).add(size, self._rules.masked(key))

    def _fail(self, key: str, failure: Failure) -> None:
        self.failed += 1
        self.local_failures += failure.local
        self.failure_codes[failure.code or "local"] += 1
        if len(self.failures) < FAILURES_SHOWN:
            self.failures.append({"key": self._rules.masked(key), "error": failure.message})


@dataclass
class Report:
    """What a run did, or would do. `error` is set if it failed; the counts are true in any case."""

    tally: Tally
    source: str = "present"
    bucket_checked: bool = True
    compared_with: CompareWith = CompareWith.JOURNAL
    entries_from: str = "walk"
    entries_because: str = ""
    error: Optional[str] = None
    warnings: list[str] = field(default_factory=list)
    deletions_skipped: Optional[str] = None
    complete: bool = False
    stopped: Optional[StopReason] = None
    journal: str = ""
    seconds: dict[str, float] = field(default_factory=dict)
    traffic: Traffic = field(default_factory=Traffic)
    history: list[dict[str, Any]] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        """Return the result in plain types."""
        tally, sending = self.tally, self.seconds.get("transfer", 0.0)
        return {
            "changed": tally.changed,
            "source": {
                "state": self.source,
                "files": tally.files.count,
                "bytes": tally.files.bytes,
                "folders": {
                    name.rstrip("/"): {"files": a.count, "bytes": a.bytes}
                    for name, a in sorted(tally.counts.folders.items())
                    if name
                },
                "exposure": {"public": tally.counts.public, "private": tally.counts.private},
            },
            "actions": {name: {"count": a.count, "bytes": a.bytes} for name, a in tally.actions.items()},
            "unchanged": {"count": tally.unchanged.count, "bytes": tally.unchanged.bytes},
            "left_out": {
                reason.value: {"count": a.count, "bytes": a.bytes, "examples": a.examples}
                for reason, a in sorted(tally.skipped.items(), key=lambda pair: pair[0].value)
            },
            "bucket_checked": self.bucket_checked,
            "failed_count": tally.failed,
            "failures": tally.failures,
            "deletions_skipped": self.deletions_skipped,
            "complete": self.complete,
            "stopped": self.stopped.value if self.stopped else None,
            "transferred_bytes": tally.sent_bytes,
            "bytes_per_second": int(tally.sent_bytes / sending) if sending > 0 else 0,
            "seconds": {name: round(value, 3) for name, value in self.seconds.items()},
            "requests": dict(sorted(self.traffic.requests.items())),
            "uploads_by": {way: self.traffic.uploads[way] for way in UPLOAD_WAYS},
            "retries": dict(sorted(self.traffic.retries.items())),
            "journal": self.journal,
            "compared_with": self.compared_with.value,
            "entries": {"from": self.entries_from, "because": self.entries_because},
            "history": self.history,
        }

    def diff(self) -> dict[str, str]:
        """Return the changes as Ansible's `diff`, limited in number; names that must stay secret are masked."""
        total = sum(amount.count for amount in self.tally.actions.values())
        lines = list(self.tally.changes)
        if total > len(lines):
            lines.append(f"... and {total - len(lines)} more")
        return {"prepared": "".join(f"{line}\n" for line in lines)}
