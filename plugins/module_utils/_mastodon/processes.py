# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Reads the web and Sidekiq processes of an instance from /proc, in containers of the host as well."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import time
import typing as t
from dataclasses import dataclass, replace

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._boot_id import boot_id
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._mastodon import proc_files
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._mastodon.moment import Moment

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
# Titles that Puma and Sidekiq give themselves, such as `puma: cluster worker 0: 812 [live]`.
_TITLES = ((re.compile(r"puma(?::| \d)"), "web"), (re.compile(r"sidekiq \d"), "sidekiq"))
# Before that, the interpreter's arguments name the program.
_INTERPRETER = re.compile(r"(?:ruby|jruby|truffleruby|bundle|puma|sidekiq|rails)[-0-9.]*")
_MOST_WORDS = 6
# Programs that may be a web or Sidekiq process without a title yet. JRuby runs in java.
_RUBY = re.compile(r"(?:ruby|jruby|truffleruby|java|bundle|puma|sidekiq|rails)", re.IGNORECASE)
_PROGRAMS = {"puma": "web", "sidekiq": "sidekiq"}
_RAILS_SERVER = ("s", "server")


@dataclass(frozen=True)
class Process:
    """One web or Sidekiq process.

    Attributes:
        pid: Its number.
        kind: `web` or `sidekiq`.
        title: Its command line or the title that it gave itself.
        started: When it was started, in clock ticks since the host was booted.
        program: Hash that identifies its program in memory. Forked processes share it, and each exec changes it. Empty
            if the kernel does not show it or does not randomise addresses.
        in_container: It runs in a container.
        environment: The variables it was started with; None if they can't be read, or its title overwrote them.
        reads_env_file: The env file is in its working folder, in its container if it runs in one, so dotenv reads it.
    """

    pid: int
    kind: str
    title: str
    started: int
    program: str
    in_container: bool
    environment: t.Mapping[str, str] | None
    reads_env_file: bool


@dataclass(frozen=True)
class Instance:
    """How to recognise the processes of an instance.

    Attributes:
        root: Its folder.
        env_file: Its env file.
        domain: Its LOCAL_DOMAIN, which containers have in their environment, or an empty string.
        pids: Numbers of the processes of its systemd units.
    """

    root: str
    env_file: str
    domain: str = ""
    pids: frozenset[int] = frozenset()


def now(proc: str = "/proc") -> Moment:
    """Return the current moment."""
    clock = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
    ticks = int(time.clock_gettime(clock) * os.sysconf("SC_CLK_TCK"))
    programs = sorted({_program(folder, randomised=_is_randomised(proc)) for folder in _ruby_folders(proc)} - {""})
    return Moment(boot_id(proc), ticks, tuple(programs))


def of_instance(instance: Instance, proc: str = "/proc") -> tuple[list[Process], int]:
    """Return the instance's processes by PID, and the number of others that may belong to another instance."""
    found, others = [], 0
    for process, cwd in _all(proc, instance.env_file):
        if _belongs(process, cwd, instance):
            found.append(process)
        else:
            others += 1
    return _with_environments(found, proc), others


def is_newer(
    process: Process, moment: Moment | None, boot_id: str, *, before_reverted_edit: Moment | None = None
) -> bool | None:
    """Return whether a process runs a program that was loaded after the moment; None if no moment is known.

    A program that was loaded before `before_reverted_edit`, the moment before an edit that was undone, counts as newer.

    The start time alone is not enough: on a reload, Puma executes itself again with the same PID, and an old Puma can
    fork a new worker that has its old settings.
    """
    if moment is None:
        return None
    if before_reverted_edit is not None and is_newer(process, before_reverted_edit, boot_id) is False:
        return True
    if moment.boot_id != boot_id:
        return True
    if process.program and process.program in moment.programs:
        return False
    if process.started < moment.ticks:
        return bool(process.program and moment.programs)
    return True


def _all(proc: str, env_file: str) -> t.Iterator[tuple[Process, os.stat_result | None]]:
    """Yield every web and Sidekiq process of the host with its working folder, where that can be read."""
    randomised = _is_randomised(proc)
    for folder in proc_files.folders(proc):
        words = proc_files.words_of(folder)
        kind = kind_of(words)
        started = proc_files.started(proc_files.read_text(f"{folder}/stat"))
        if not kind or started is None:
            continue
        in_container = proc_files.is_nested(proc_files.read_text(f"{folder}/status"))
        process = Process(
            pid=int(os.path.basename(folder)),
            kind=kind,
            title=" ".join(words)[:200].strip(),
            started=started,
            program=_program(folder, randomised=randomised),
            in_container=in_container,
            environment=parse_environment(proc_files.read_data(f"{folder}/environ")),
            reads_env_file=proc_files.has_file(f"{folder}/cwd", env_file, in_container=in_container),
        )
        yield process, proc_files.status_of(f"{folder}/cwd")


def _ruby_folders(proc: str) -> t.Iterator[str]:
    for folder in proc_files.folders(proc):
        words = proc_files.words_of(folder)
        if words and (kind_of(words) or _RUBY.match(os.path.basename(words[0]))):
            yield folder


def _is_randomised(proc: str) -> bool:
    return proc_files.read_text(f"{proc}/sys/kernel/randomize_va_space").strip() in ("1", "2")


def _program(folder: str, *, randomised: bool) -> str:
    auxiliary = proc_files.read_data(f"{folder}/auxv") if randomised else b""
    return hashlib.sha256(auxiliary).hexdigest()[:16] if auxiliary else ""


def kind_of(words: t.Sequence[str]) -> str:
    """Return `web` or `sidekiq` for the arguments of such a process, an empty string for any other."""
    title = " ".join(words)
    for pattern, kind in _TITLES:
        if pattern.match(title):
            return kind
    if not words or not _INTERPRETER.fullmatch(os.path.basename(words[0])):
        return ""
    names = [os.path.basename(word) for word in words if not word.startswith("-")][:_MOST_WORDS]
    for name in names:
        if name in _PROGRAMS:
            return _PROGRAMS[name]
    served = any(a in ("rails", "rake") and b in _RAILS_SERVER for a, b in zip(names, names[1:]))
    return "web" if served else ""


def parse_environment(data: bytes) -> dict[str, str] | None:
    """Return the variables of an `environ` file; None where there are none, or where a title was written over them."""
    variables: dict[str, str] = {}
    for chunk in data.split(b"\0"):
        name, separator, value = chunk.decode("utf-8", "replace").partition("=")
        if not chunk:
            continue
        if not variables and not (separator and _NAME.fullmatch(name)):
            return None
        if separator:
            variables.setdefault(name, value)
    return variables or None


def _belongs(process: Process, cwd: os.stat_result | None, instance: Instance) -> bool:
    if process.pid in instance.pids:
        return True
    if not process.in_container:
        root = proc_files.status_of(instance.root)
        return process.reads_env_file or (cwd is not None and root is not None and os.path.samestat(cwd, root))
    if process.reads_env_file:
        return True
    return bool(instance.domain) and (process.environment or {}).get("LOCAL_DOMAIN") == instance.domain


def _with_environments(found: list[Process], proc: str) -> list[Process]:
    """If a process's title overwrote its environment, use that of another process of the same container or program."""
    known: dict[str, t.Mapping[str, str]] = {}
    for process in found:
        if process.environment is not None:
            for group in _groups(process, proc):
                known.setdefault(group, process.environment)

    def filled(process: Process) -> Process:
        groups = () if process.environment is not None else _groups(process, proc)
        group = next((group for group in groups if group in known), None)
        return process if group is None else replace(process, environment=known[group])

    return [filled(process) for process in found]


def _groups(process: Process, proc: str) -> list[str]:
    groups = [f"program {process.program}"] if process.program else []
    if process.in_container:
        with contextlib.suppress(OSError):
            groups.append(os.readlink(f"{proc}/{process.pid}/ns/pid"))
    return groups
