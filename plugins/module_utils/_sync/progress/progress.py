# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How far a run is, in a small file beside the journal, for whoever wants to watch it.

Nothing here is needed for a run: what can't be written is not written, and the run goes on.
"""

from __future__ import annotations

import json
import os
from contextlib import suppress
from dataclasses import asdict, dataclass, fields
from time import monotonic
from typing import Any, Optional

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.progress.census import Census, Totals
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.report import Report, Tally

SENDING, DELETING, ENDED = "sending", "deleting", "ended"
# A job in the background that somebody watches has a folder of its own in a folder of this name, and says there, in a
# file of that name, where to look.
JOBS, ABOUT = "s3_sync", "run.json"
_SUFFIX = ".progress"


@dataclass(frozen=True)
class Snapshot:
    """How far a run is. `seconds` is its age; `done` counts files that need no more attention, for whatever reason.

    `seen` is what the walk has met so far, and all there is once `walked`. The totals are from a count or from an
    earlier run, so they may be wrong by what changed since; None where they are not known (yet).
    """

    process: int
    stage: str = SENDING
    seconds: float = 0.0
    walked: bool = False
    seen_files: int = 0
    seen_bytes: int = 0
    total_files: Optional[int] = None
    total_bytes: Optional[int] = None
    done_files: int = 0
    done_bytes: int = 0
    sent_files: int = 0
    sent_bytes: int = 0
    doomed: int = 0
    deleted: int = 0
    retries: int = 0
    failed: int = 0

    def as_line(self) -> str:
        """Return it as one line of JSON."""
        return json.dumps(asdict(self)) + "\n"

    @classmethod
    def from_line(cls, line: str) -> Snapshot:
        """Return what `as_line` wrote, perhaps by another release: what it does not say has its default.

        Raises:
            ValueError: it is no snapshot.
        """
        known = {field.name for field in fields(cls)}
        said = json.loads(line)
        if isinstance(said, dict) and isinstance(said.get("process"), int):
            return cls(**{name: value for name, value in said.items() if name in known})
        raise ValueError(f"not a snapshot: {line[:80]!r}")

    @classmethod
    def of(cls, report: Report, *, process: int, seconds: float, totals: Optional[Totals]) -> Snapshot:
        """Return how far the run of a report is."""
        tally = report.tally
        files, size = _done(tally)
        if tally.walked:
            totals = Totals(tally.files.count, tally.files.bytes)
        return cls(
            process=process,
            stage=ENDED if report.seconds else DELETING if tally.actions["delete"].count else SENDING,
            seconds=round(seconds, 1),
            walked=tally.walked,
            seen_files=tally.files.count,
            seen_bytes=tally.files.bytes,
            total_files=totals.files if totals else None,
            total_bytes=totals.bytes if totals else None,
            done_files=min(files, tally.files.count),
            done_bytes=min(size, tally.files.bytes),
            sent_files=tally.actions["upload"].count,
            sent_bytes=tally.sent_bytes,
            doomed=tally.doomed.count,
            deleted=tally.actions["delete"].count,
            retries=sum(report.traffic.retries.values()),
            failed=tally.failed,
        )


def _done(tally: Tally) -> tuple[int, int]:
    amounts = [tally.unchanged, *tally.skipped.values()]
    amounts += [amount for name, amount in tally.actions.items() if name != "delete"]
    return tally.failed + sum(amount.count for amount in amounts), sum(amount.bytes for amount in amounts)


def progress_path(journal: str) -> str:
    """Return where a run with this journal says how far it is."""
    return os.path.splitext(journal)[0] + _SUFFIX


def known_totals(path: str) -> Optional[Totals]:
    """Return how much there is according to the latest run, if it came to know."""
    try:
        with open(path, encoding="utf-8") as file:
            latest = Snapshot.from_line(file.read())
    except (OSError, ValueError, TypeError):
        return None
    if latest.total_files is None or latest.total_bytes is None:
        return None
    return Totals(latest.total_files, latest.total_bytes)


class Teller:
    """Writes down how far a run is; the engine calls it with the report as that grows."""

    def __init__(self, path: str, *, totals: Optional[Totals] = None, census: Optional[Census] = None) -> None:
        """`totals` are known from earlier; `census` is a count under way."""
        self._path = path
        self._totals = totals
        self._census = census
        self._started = monotonic()

    def __call__(self, report: Report) -> None:
        """Say how far the run is now."""
        if self._totals is None and self._census is not None:
            self._totals = self._census.totals()
        age = monotonic() - self._started
        snapshot = Snapshot.of(report, process=os.getpid(), seconds=age, totals=self._totals)
        write_private(self._path, snapshot.as_line())


def own_folder() -> Optional[str]:
    """Return the folder that the action plugin gave to the job that this process is, None if it did not start this."""
    folder = os.path.expanduser(os.environ.get("ANSIBLE_ASYNC_DIR", ""))
    return folder if os.path.basename(os.path.dirname(folder)) == JOBS else None


def introduce(folder: str, path: str) -> None:
    """Tell the one who started this process in the background, and gave it a folder, where to watch the run."""
    about: dict[str, Any] = {"process": os.getpid(), "progress": path}
    write_private(os.path.join(folder, ABOUT), json.dumps(about) + "\n")


def write_private(path: str, text: str) -> None:
    """Replace a file that only its owner can read, or leave it as it is if that can't be done."""
    temporary = f"{path}.{os.getpid()}.tmp"
    try:
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
        with open(os.open(temporary, flags, 0o600), "w", encoding="utf-8") as file:
            file.write(text)
        os.replace(temporary, path)
    except OSError:
        with suppress(OSError):
            os.unlink(temporary)
