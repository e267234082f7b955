# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The progress of a run, in a small file next to the journal, for anybody who wants to watch it.

No run depends on this: if the file can't be written, the run continues without it.
"""

from __future__ import annotations

import json
import os
from contextlib import suppress
from dataclasses import asdict, dataclass, fields
from time import monotonic
from typing import Any, Optional

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.journal.statefiles import read_private
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.progress.file_count import FileCount, Totals
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.report import Report, Tally

SENDING, DELETING, ENDED = "sending", "deleting", "ended"
# A job in the background that somebody watches has a folder of its own in a folder of this name, and says there, in a
# file of that name, where to look.
JOBS, ABOUT = "s3_sync", "run.json"
_MOST_BYTES = 64 * 1024
_MOST_NUMBER = 2**63


@dataclass(frozen=True)
class Snapshot:
    """The progress of a run. `seconds` is its age; `done` counts files that need no more work, for whatever reason.

    `walked_files` and `walked_bytes` are what the walk has found so far, and everything once `walked`. The totals come
    from a count or from an earlier run, so they may be slightly wrong; None if they are not known (yet).
    """

    process: int
    stage: str = SENDING
    seconds: float = 0.0
    walked: bool = False
    walked_files: int = 0
    walked_bytes: int = 0
    total_files: Optional[int] = None
    total_bytes: Optional[int] = None
    done_files: int = 0
    done_bytes: int = 0
    sent_files: int = 0
    sent_bytes: int = 0
    marked_for_deletion: int = 0
    deleted: int = 0
    retries: int = 0
    failed: int = 0

    def as_line(self) -> str:
        """Return the snapshot as one line of JSON."""
        return json.dumps(asdict(self)) + "\n"

    @classmethod
    def from_line(cls, line: str) -> Snapshot:
        """Return what `as_line` wrote, perhaps in another release: missing values have their defaults.

        Raises:
            ValueError: It is not a snapshot.
        """
        try:
            said = json.loads(line[:_MOST_BYTES])
        except RecursionError:
            said = None
        if isinstance(said, dict) and "process" in said:
            known = {field.name: said[field.name] for field in fields(cls) if field.name in said}
            if all(
                _is_fit(field.name, field.default, known[field.name]) for field in fields(cls) if field.name in known
            ):
                return cls(**known)
        raise ValueError(f"not a snapshot: {line[:80]!r}")

    @classmethod
    def of(cls, report: Report, *, process: int, seconds: float, totals: Optional[Totals]) -> Snapshot:
        """Return the progress of a report's run."""
        tally = report.tally
        files, size = _done(tally)
        if tally.walked:
            totals = Totals(tally.files.count, tally.files.bytes)
        return cls(
            process=process,
            stage=ENDED if report.seconds else DELETING if tally.actions["delete"].count else SENDING,
            seconds=round(seconds, 1),
            walked=tally.walked,
            walked_files=tally.files.count,
            walked_bytes=tally.files.bytes,
            total_files=totals.files if totals else None,
            total_bytes=totals.bytes if totals else None,
            done_files=min(files, tally.files.count),
            done_bytes=min(size, tally.files.bytes),
            sent_files=tally.actions["upload"].count,
            sent_bytes=tally.sent_bytes,
            marked_for_deletion=tally.marked_for_deletion.count,
            deleted=tally.actions["delete"].count,
            retries=sum(report.traffic.retries.values()),
            failed=tally.failed,
        )


def _is_fit(name: str, default: object, value: object) -> bool:
    """Return whether a snapshot can have this value: of the same type as its default, or a number if that is None."""
    if isinstance(default, (bool, str)):
        return type(value) is type(default)
    if value is None:
        return default is None and name != "process"
    number = isinstance(value, int) or (isinstance(value, float) and isinstance(default, float))
    return number and not isinstance(value, bool) and 0 <= value <= _MOST_NUMBER  # type: ignore[operator]


def _done(tally: Tally) -> tuple[int, int]:
    amounts = [tally.unchanged, *tally.skipped.values()]
    amounts += [amount for name, amount in tally.actions.items() if name != "delete"]
    return tally.failed + sum(amount.count for amount in amounts), sum(amount.bytes for amount in amounts)


def known_totals(path: str) -> Optional[Totals]:
    """Return the totals from the latest run, if it knew them.

    Raises:
        StateFolderError: The file at `path` was not written by this module.
    """
    try:
        latest = Snapshot.from_line(read_private(path, _MOST_BYTES).decode())
    except ValueError:
        return None
    if latest.total_files is None or latest.total_bytes is None:
        return None
    return Totals(latest.total_files, latest.total_bytes)


class ProgressWriter:
    """Writes the progress of a run. The engine calls it with the growing report."""

    def __init__(self, path: str, *, totals: Optional[Totals] = None, file_count: Optional[FileCount] = None) -> None:
        """`totals` are known from an earlier run; `file_count` is a count in progress."""
        self._path = path
        self._totals = totals
        self._file_count = file_count
        self._started = monotonic()

    def __call__(self, report: Report) -> None:
        """Write the current progress."""
        if self._totals is None and self._file_count is not None:
            self._totals = self._file_count.totals()
        age = monotonic() - self._started
        snapshot = Snapshot.of(report, process=os.getpid(), seconds=age, totals=self._totals)
        write_private(self._path, snapshot.as_line())


def own_folder() -> Optional[str]:
    """Return the folder that the action plugin gave to the job of this process; None if it did not start it."""
    folder = os.path.expanduser(os.environ.get("ANSIBLE_ASYNC_DIR", ""))
    return folder if os.path.basename(os.path.dirname(folder)) == JOBS else None


def register(folder: str, path: str) -> None:
    """Tell the action plugin, if it started this process in the background, where to watch the run."""
    about: dict[str, Any] = {"process": os.getpid(), "progress": path}
    write_private(os.path.join(folder, ABOUT), json.dumps(about) + "\n")


def write_private(path: str, text: str) -> None:
    """Replace a file that only its owner can read; if this fails, leave it unchanged."""
    # The name is always the same, so killed runs leave at most one such file.
    temporary = f"{path}.tmp"
    try:
        with suppress(FileNotFoundError):
            os.unlink(temporary)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        with open(os.open(temporary, flags, 0o600), "w", encoding="utf-8") as file:
            file.write(text)
        os.replace(temporary, path)
    except OSError:
        with suppress(OSError):
            os.unlink(temporary)
