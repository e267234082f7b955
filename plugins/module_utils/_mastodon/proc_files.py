# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Reads files of /proc. Whatever can't be read, such as those of a process that has just ended, counts as empty."""

from __future__ import annotations

import os

_MOST_BYTES = 1024 * 1024


def folders(proc: str) -> list[str]:
    """Return the folders of all processes, by number."""
    try:
        names = [name for name in os.listdir(proc) if name.isdigit()]
    except OSError:
        return []
    return [f"{proc}/{name}" for name in sorted(names, key=int)]


def words_of(folder: str) -> list[str]:
    """Return the arguments of a process, or the title that it wrote over them."""
    return [word for word in read_text(f"{folder}/cmdline").split("\0") if word]


def started(stat_line: str) -> int | None:
    """Return when a process was started, in clock ticks since the boot; None if its `stat` file is incomplete."""
    try:
        return int(stat_line.rpartition(")")[2].split()[19])
    except (LookupError, ValueError):
        return None


def is_nested(status: str) -> bool:
    """Return whether a process has PIDs in several of the PID namespaces that are visible from here."""
    for line in status.splitlines():
        if line.startswith("NSpid:"):
            return len(line.split()) > 2
    return False


def has_file(cwd: str, env_file: str, *, in_container: bool) -> bool:
    """Return whether the env file is in a process's working folder, perhaps through a link, as in release folders."""
    if not env_file:
        return False
    path = os.path.join(cwd, os.path.basename(env_file))
    try:
        # A link in a container leads somewhere else from here.
        found = os.lstat(path) if in_container else os.stat(path)
        return os.path.samestat(found, os.stat(env_file))
    except OSError:
        return False


def has_ended(stat_line: str) -> bool:
    """Return whether a process has ended, even if its parent has not asked for its status yet (a zombie)."""
    return stat_line.rpartition(")")[2].split()[:1] in ([], ["Z"], ["X"], ["x"])


def status_of(path: str) -> os.stat_result | None:
    """Return the status of what a path leads to; None if it can't be read."""
    try:
        return os.stat(path)
    except OSError:
        return None


def link_target(path: str) -> str:
    """Return where a link leads, without the kernel's mark of a deleted file."""
    try:
        return os.readlink(path).removesuffix(" (deleted)")
    except OSError:
        return ""


def read_data(path: str) -> bytes:
    """Return the first MiB of a file."""
    try:
        with open(path, "rb") as stream:
            return stream.read(_MOST_BYTES)
    except OSError:
        return b""


def read_text(path: str) -> str:
    """Return the first MiB of a file as text."""
    return read_data(path).decode("utf-8", "replace")
