# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How the controller looks at a background run: one shell command, so that no Python starts on the host for it.

Pure: it makes commands for a POSIX shell and reads what they print.
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
class Target:
    """What is known of a run: its job file, if it is ours, and what it says of itself as soon as it says so."""

    job_file: str = ""
    process: Optional[int] = None
    progress: str = ""

    @property
    def folder(self) -> str:
        """The folder that the job has for itself."""
        return self.job_file.rpartition("/")[0]

    def known_by(self, about: str) -> Target:
        """Return it with what the run says of itself in a line of JSON, or unchanged."""
        with suppress(ValueError, KeyError, TypeError):
            said = json.loads(about)
            return Target(self.job_file, int(said["process"]), str(said["progress"]))
        return self


@dataclass(frozen=True)
class Sight:
    """What a look showed. `alive` is None where the process is not known yet."""

    unfinished: bool
    alive: Optional[bool]
    target: Target
    snapshot: Optional[Snapshot]


def look_command(target: Target) -> str:
    """Return the command that looks at a run; also once it has ended, or before it has begun."""
    job, about = quote(target.job_file), quote(f"{target.folder}/{ABOUT}")
    lines = [
        # async_wrapper makes it by the user's umask.
        f"chmod 0700 {quote(target.folder)}" if target.job_file and not target.process else "",
        f"if grep -qs {quote(_UNFINISHED)} {job}; then u=unfinished; else u=-; fi" if target.job_file else "u=-",
        f"if kill -0 {target.process} 2>/dev/null; then a=alive; else a=dead; fi" if target.process else "a=-",
        f"echo {_MARK} $u $a",
        f"cat {about} 2>/dev/null || echo" if target.job_file and not target.process else "echo",
        f"cat {quote(target.progress)} 2>/dev/null" if target.progress else "",
        "true",
    ]
    return "\n".join(line for line in lines if line)


def sight(output: str, target: Target) -> Optional[Sight]:
    """Return what the command's output shows, or None where it did not get so far."""
    lines = output.splitlines()
    first = next((number for number, line in enumerate(lines) if line.startswith(f"{_MARK} ")), None)
    if first is None:
        return None
    _mark, unfinished, alive = lines[first].split()
    about, told = [*lines[first + 1 :], "", ""][:2]
    snapshot = None
    with suppress(ValueError, TypeError):
        snapshot = Snapshot.from_line(told)
    return Sight(
        unfinished=unfinished == "unfinished",
        alive={"alive": True, "dead": False}.get(alive),
        target=target.known_by(about),
        snapshot=snapshot,
    )


def sweep_command(target: Target) -> str:
    """Return the command that removes a job's folder, and those of jobs whose result nobody fetched for a day."""
    siblings = target.folder.rpartition("/")[0]
    return "\n".join(
        [
            f"rm -rf {quote(target.folder)}",
            f"find {quote(siblings)} -mindepth 2 -maxdepth 2 -type f -name 'j*' -mtime +0 2>/dev/null |",
            f'while read -r f; do grep -qs {quote(_UNFINISHED)} "$f" || rm -rf "${{f%/*}}"',
            "done",
            # No job lives so long.
            f"find {quote(siblings)} -mindepth 1 -maxdepth 1 -type d -mtime +15 -exec rm -rf {{}} + 2>/dev/null",
            "true",
        ]
    )
