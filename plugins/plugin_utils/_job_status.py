# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The shell command with which the controller checks a background run, so that no Python has to start on the host.

Pure: it creates commands for a POSIX shell and parses their output.
"""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import dataclass
from shlex import quote
from typing import Optional

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.progress.progress import ABOUT, Snapshot

_MARK = "s3_sync"
# What ansible-core's async_wrapper writes first; the result that replaces it has no such key.
_UNFINISHED = '"started": '


@dataclass(frozen=True)
class BackgroundJob:
    """What is known about a run: its job file, if it is ours, and what it reports about itself once it does."""

    job_file: str = ""
    process: Optional[int] = None
    progress: str = ""

    @property
    def folder(self) -> str:
        """The job's own folder."""
        return self.job_file.rpartition("/")[0]

    def known_by(self, about: str) -> BackgroundJob:
        """Return this target with what the run reports about itself in a line of JSON, or unchanged."""
        with suppress(ValueError, KeyError, TypeError, OverflowError, RecursionError):
            report = json.loads(about)
            process = int(report["process"])
            if process > 0:  # other numbers are not processes for kill(1)
                return BackgroundJob(self.job_file, process, str(report["progress"]))
        return self


@dataclass(frozen=True)
class JobStatus:
    """The result of a check. `alive` is None as long as the process is not known."""

    unfinished: bool
    alive: Optional[bool]
    job: BackgroundJob
    snapshot: Optional[Snapshot]


def status_command(job: BackgroundJob) -> str:
    """Return the command that checks a run. It also works before the run has begun and after it has ended."""
    file, about = quote(job.job_file), quote(f"{job.folder}/{ABOUT}")
    lines = [
        # async_wrapper makes it by the user's umask.
        f"chmod 0700 {quote(job.folder)}" if job.job_file and not job.process else "",
        f"if grep -qs {quote(_UNFINISHED)} {file}; then u=unfinished; else u=-; fi" if job.job_file else "u=-",
        f"if kill -0 {job.process} 2>/dev/null; then a=alive; else a=dead; fi" if job.process else "a=-",
        f"echo {_MARK} $u $a",
        f"cat {about} 2>/dev/null || echo" if job.job_file and not job.process else "echo",
        f"cat {quote(job.progress)} 2>/dev/null" if job.progress else "",
        "true",
    ]
    return "\n".join(line for line in lines if line)


def parsed_status(output: str, job: BackgroundJob) -> Optional[JobStatus]:
    """Return what the command's output shows; None if the output is incomplete."""
    lines = output.splitlines()
    first = next((number for number, line in enumerate(lines) if line.startswith(f"{_MARK} ")), None)
    if first is None:
        return None
    _mark, unfinished, alive = lines[first].split()
    about, progress = [*lines[first + 1 :], "", ""][:2]
    snapshot = None
    with suppress(ValueError, TypeError):
        snapshot = Snapshot.from_line(progress)
    return JobStatus(
        unfinished=unfinished == "unfinished",
        alive={"alive": True, "dead": False}.get(alive),
        job=job.known_by(about),
        snapshot=snapshot,
    )


def cleanup_command(job: BackgroundJob) -> str:
    """Return the command that removes a job's folder, and those of jobs whose result nobody fetched for a day."""
    siblings = job.folder.rpartition("/")[0]
    return "\n".join(
        [
            f"rm -rf {quote(job.folder)}",
            f"find {quote(siblings)} -mindepth 2 -maxdepth 2 -type f -name 'j*' -mtime +0 2>/dev/null |",
            f'while read -r f; do grep -qs {quote(_UNFINISHED)} "$f" || rm -rf "${{f%/*}}"',
            "done",
            # No job runs this long.
            f"find {quote(siblings)} -mindepth 1 -maxdepth 1 -type d -mtime +15 -exec rm -rf {{}} + 2>/dev/null",
            "true",
        ]
    )
