# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Counts what a run does, and says it in a result whose size does not depend on the tree's."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any, Optional

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.model import (
    Failure,
    Note,
    Outcome,
    Problem,
    ProblemKind,
    Reason,
    Result,
    Trust,
)
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.rules.rules import Rules
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.tree.seen import EXAMPLES_SHOWN, Amount, Seen

FAILURES_SHOWN = 20
DIFF_SHOWN = 100
LEAN, BOTO3 = UPLOAD_WAYS = ("lean", "boto3")

_REASON_OF = {
    ProblemKind.SYMLINK: Reason.SYMLINK,
    ProblemKind.SPECIAL_FILE: Reason.SPECIAL_FILE,
    ProblemKind.BAD_NAME: Reason.BAD_NAME,
    ProblemKind.LONG_KEY: Reason.LONG_KEY,
}
_REMEDY_OF = {
    ProblemKind.SYMLINKED_FOLDER: (
        "is a symlink to a folder, which is not followed: use a bind mount in its place, or exclude it"
    ),
    ProblemKind.BROKEN_SYMLINK: (
        "is a symlink that leads nowhere: mount the disk that it leads to, remove the link, or exclude it"
    ),
}
_ACTION_OF = {
    Result.UPLOADED: "upload",
    Result.ACL_SET: "set_acl",
    Result.HEADERS_SET: "set_headers",
    Result.WITHDRAWN: "withdraw",
    Result.DELETED: "delete",
}


@dataclass
class Traffic:
    """What went over the network: requests by operation, uploads by way (lean or boto3), retries by cause."""

    requests: Counter[str] = field(default_factory=Counter)
    uploads: Counter[str] = field(default_factory=Counter)
    retries: Counter[str] = field(default_factory=Counter)

    def add(self, other: Traffic) -> None:
        """Add what another one counted."""
        self.requests.update(other.requests)
        self.uploads.update(other.uploads)
        self.retries.update(other.retries)


class Tally:
    """The running counts of one run; a progress display may read it at any time. `seen` is for the walk to fill."""

    def __init__(self, rules: Rules) -> None:
        self.seen = Seen()
        self.files = self.seen.files
        self.unchanged = self.seen.unchanged
        self.walked = False
        self.actions = {name: Amount() for name in ("upload", "set_acl", "set_headers", "delete", "withdraw")}
        self.skipped: dict[Reason, Amount] = {}
        self.failed = 0
        self.local_failures = 0
        self.failures: list[dict[str, str]] = []
        self.failure_codes: Counter[str] = Counter()
        self.doomed = Amount()
        self.hidden_folders: list[str] = []
        self.sent_bytes = 0
        self.oldest_left_ns: Optional[int] = None
        self.changes: list[str] = []
        self._rules = rules
        self._doomed_keys: list[str] = []

    def note(self, note: Note) -> None:
        """Count a path that is left out."""
        self._skip(note.reason, note.key, note.size)
        if note.reason is Reason.SETTLING:
            self.left_for_later(note.ctime_ns)

    def left_for_later(self, ctime_ns: int) -> None:
        """Remember the oldest file that the next round has to judge again."""
        self.oldest_left_ns = ctime_ns if self.oldest_left_ns is None else min(self.oldest_left_ns, ctime_ns)

    def problem(self, problem: Problem) -> None:
        """Count a path that the walk could not offer. Below folders that are left out anyway, nothing is amiss."""
        if problem.folder:
            concerned = self._rules.concerns(problem.key)
        else:
            concerned = self._rules.scope(problem.key).exposure is not None
        if not concerned:
            self._skip(self._rules.scope(problem.key).reason or Reason.UNKNOWN_FOLDER, problem.key, 0)
            return
        hides = problem.folder and problem.kind is not ProblemKind.BAD_NAME
        if hides and len(self.hidden_folders) < EXAMPLES_SHOWN:
            self.hidden_folders.append(self._rules.masked(problem.key))
        if problem.kind is ProblemKind.UNREADABLE:
            self._fail(problem.key, Failure(f"can't be read: {problem.detail}", local=True))
        elif problem.kind in _REMEDY_OF:
            self._fail(problem.key, Failure(_REMEDY_OF[problem.kind], local=True))
        else:
            self._skip(_REASON_OF[problem.kind], problem.key, 0)

    def outcome(self, outcome: Outcome) -> None:
        """Count what came of an action."""
        action = outcome.action
        self.sent_bytes += outcome.sent_bytes
        if outcome.failure is not None:
            self._fail(action.key, outcome.failure)
        elif outcome.result is Result.SKIPPED:
            self._skip(outcome.reason or Reason.VANISHED, action.key, action.size)
            if outcome.reason is Reason.SETTLING and action.entry is not None:
                self.left_for_later(action.entry.ctime_ns)
        elif outcome.result is Result.SAME:
            self.unchanged.add(action.size)
        else:
            name = _ACTION_OF[outcome.result]
            self.actions[name].add(action.size)
            self._change(name, action.key, action.why)

    def doom(self, key: str, size: int) -> None:
        """Count an object that is to be deleted at the end."""
        self.doomed.add(size)
        if len(self._doomed_keys) < DIFF_SHOWN:
            self._doomed_keys.append(key)

    def foretell_deletions(self) -> None:
        """Count all that is to be deleted as if it were."""
        self.actions["delete"] = self.doomed
        for key in self._doomed_keys:
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
    """What a run did, or would do. `error` is set where it failed; then all the counts are still true."""

    tally: Tally
    source: str = "present"
    trusted: Trust = Trust.JOURNAL
    error: Optional[str] = None
    warnings: list[str] = field(default_factory=list)
    deletions_skipped: Optional[str] = None
    complete: bool = False
    journal: str = ""
    seconds: dict[str, float] = field(default_factory=dict)
    traffic: Traffic = field(default_factory=Traffic)

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
                    for name, a in sorted(tally.seen.folders.items())
                    if name
                },
                "exposure": {"public": tally.seen.public, "private": tally.seen.private},
            },
            "actions": {name: {"count": a.count, "bytes": a.bytes} for name, a in tally.actions.items()},
            "unchanged": {"count": tally.unchanged.count, "bytes": tally.unchanged.bytes},
            "left_out": {
                reason.value: {"count": a.count, "bytes": a.bytes, "examples": a.examples}
                for reason, a in sorted(tally.skipped.items(), key=lambda pair: pair[0].value)
            },
            "deferred": tally.skipped[Reason.SETTLING].count if Reason.SETTLING in tally.skipped else 0,
            "failed_count": tally.failed,
            "failures": tally.failures,
            "deletions_skipped": self.deletions_skipped,
            "complete": self.complete,
            "transferred_bytes": tally.sent_bytes,
            "bytes_per_second": int(tally.sent_bytes / sending) if sending > 0 else 0,
            "seconds": {name: round(value, 3) for name, value in self.seconds.items()},
            "requests": dict(sorted(self.traffic.requests.items())),
            "uploads_by": {way: self.traffic.uploads[way] for way in UPLOAD_WAYS},
            "retries": dict(sorted(self.traffic.retries.items())),
            "journal": self.journal,
            "trusted": self.trusted.value,
        }

    def diff(self) -> dict[str, str]:
        """Return the changes as Ansible's `diff`, capped; names that are as good as passwords are masked."""
        total = sum(amount.count for amount in self.tally.actions.values())
        lines = list(self.tally.changes)
        if total > len(lines):
            lines.append(f"... and {total - len(lines)} more")
        return {"prepared": "".join(f"{line}\n" for line in lines)}
