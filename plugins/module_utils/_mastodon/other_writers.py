# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Finds processes that run an instance's code beside its services, such as tootctl or a Rails console.

They keep the settings with which they were started. One that runs across the switch goes on writing and deleting on the
disk. Programs around them (shells, sudo, cron, docker exec) load no settings, so only Ruby processes count.
"""

from __future__ import annotations

import os
import pwd
import re
import time
import typing as t
from dataclasses import dataclass

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._mastodon import proc_files
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._mastodon.processes import (
    Instance,
    kind_of,
    parse_environment,
)
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._mastodon.variables import masked_command

_RUBY = re.compile(r"(?:ruby|jruby|truffleruby)[-0-9.]*")
# If the program file can't be read, the first argument tells what it is.
_FIRST_WORD = re.compile(r"(?:ruby|jruby|truffleruby|bundle|rails|rake|tootctl|irb)[-0-9.]*")
# Run from the instance's folder, but load nothing of Mastodon
_OTHERS = frozenset(("prometheus_exporter", "pumactl", "sidekiqmon"))
_FEW_WORDS = 8
_MOST_CHARACTERS = 200


@dataclass(frozen=True)
class Writer:
    """A process that may write or delete media with the settings it was started with.

    Attributes:
        pid: Its number.
        command: Its command line, with the values of secret variables masked.
        user: Name of its user, or the number if it has no name on this host.
        seconds: For how long it has been running.
        in_container: It runs in a container.
    """

    pid: int
    command: str
    user: str
    seconds: int
    in_container: bool


def other_writers(instance: Instance, units: t.Collection[str] = (), proc: str = "/proc") -> list[Writer]:
    """Return the processes of an instance that belong to none of its services, by PID.

    Args:
        instance: The instance. Its `pids` are those of its services.
        units: Names of its systemd units. Processes in their control groups are its services. Without any, all of its
            web and Sidekiq processes are.
        proc: Where the proc file system is mounted.
    """
    ticks = int(time.clock_gettime(time.CLOCK_BOOTTIME) * os.sysconf("SC_CLK_TCK"))
    root = os.path.realpath(instance.root)
    found = []
    for folder in proc_files.folders(proc):
        words = proc_files.words_of(folder)
        if not _is_ruby(folder, words) or not _OTHERS.isdisjoint(map(os.path.basename, words[:_FEW_WORDS])):
            continue
        in_container = proc_files.is_nested(proc_files.read_text(f"{folder}/status"))
        if not _belongs(folder, words, instance, root, in_container=in_container):
            continue
        if _is_service(folder, words, instance, units, in_container=in_container):
            continue
        stat = proc_files.read_text(f"{folder}/stat")
        started = proc_files.started(stat)
        if started is None or proc_files.has_ended(stat):
            continue
        found.append(
            Writer(
                pid=int(os.path.basename(folder)),
                command=_shown(words),
                user=_user(folder),
                seconds=max(0, (ticks - started) // os.sysconf("SC_CLK_TCK")),
                in_container=in_container,
            )
        )
    return found


def _is_ruby(folder: str, words: t.Sequence[str]) -> bool:
    program = proc_files.link_target(f"{folder}/exe")
    if program:
        return bool(_RUBY.fullmatch(os.path.basename(program)))
    return bool(words) and bool(kind_of(words) or _FIRST_WORD.fullmatch(os.path.basename(words[0])))


def _belongs(folder: str, words: t.Sequence[str], instance: Instance, root: str, *, in_container: bool) -> bool:
    if proc_files.has_file(f"{folder}/cwd", instance.env_file, in_container=in_container):
        return True
    environment = parse_environment(proc_files.read_data(f"{folder}/environ")) or {}
    if in_container:
        return bool(instance.domain) and environment.get("LOCAL_DOMAIN") == instance.domain
    below = tuple({f"{instance.root.rstrip('/')}/", f"{root}/"})
    if f"{proc_files.link_target(f'{folder}/cwd')}/".startswith(below):
        return True
    # tootctl finds its folder by its own path, from wherever it is started.
    programs = tuple(f"{each}bin/" for each in below)
    return environment.get("BUNDLE_GEMFILE", "").startswith(below) or any(
        word.startswith(programs) for word in words[:_FEW_WORDS]
    )


def _is_service(
    folder: str, words: t.Sequence[str], instance: Instance, units: t.Collection[str], *, in_container: bool
) -> bool:
    if int(os.path.basename(folder)) in instance.pids or (kind_of(words) and (in_container or not units)):
        return True
    # Control groups also show processes that a unit has started since its PIDs were listed.
    lines = proc_files.read_text(f"{folder}/cgroup").splitlines()
    return any(part in units for line in lines for part in line.split("/")[1:])


def _shown(words: t.Sequence[str]) -> str:
    text = " ".join(words)
    masked = masked_command("".join(char if char.isprintable() else "?" for char in text)).strip()
    return masked if len(masked) <= _MOST_CHARACTERS else f"{masked[:_MOST_CHARACTERS]}..."


def _user(folder: str) -> str:
    found = proc_files.status_of(folder)
    if found is None:
        return ""
    try:
        return pwd.getpwuid(found.st_uid).pw_name
    except KeyError:
        return str(found.st_uid)
