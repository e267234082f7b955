# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Judges whether the running processes of an instance use the settings of its env file. Pure: nothing is read here."""

from __future__ import annotations

import os
import typing as t
from dataclasses import dataclass

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._mastodon.processes import Process
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._mastodon.variables import is_secret, shown_value

PROVEN = "proven"
NOT_PROVEN = "not proven"
DISPROVEN = "disproven"

_WORDS = {"web": "web", "sidekiq": "Sidekiq"}


@dataclass(frozen=True)
class Judgement:
    """The conclusion from the processes.

    Attributes:
        verdict: PROVEN, NOT_PROVEN or DISPROVEN.
        faults: Evidence that a process uses other settings, each with the remedy.
        doubts: What could not be determined, each with what to do about it.
        overrides: Those of the faults that name a variable in the environment of a process.
    """

    verdict: str
    faults: tuple[str, ...] = ()
    doubts: tuple[str, ...] = ()
    overrides: tuple[str, ...] = ()


def judge(
    processes: t.Sequence[tuple[Process, bool | None]],
    wanted: t.Mapping[str, str | None],
    names: t.Iterable[str],
    env_file: str,
) -> Judgement:
    """Judge processes by their age and by the variables with which they were started.

    Args:
        processes: The processes of the instance, each with whether it is newer than the last edit (None: not known).
        wanted: The variables of the env file; None for a value that only a shell could expand.
        names: The variables to compare.
        env_file: Path of the env file, for the messages.
    """
    names = list(names)
    faults = _old(processes, env_file)
    doubts = _unknown_age(processes) + _absent(processes)
    found: dict[str, list[Process]] = {}
    overriding: set[str] = set()
    for process, newer in processes:
        if process.environment is None:
            continue
        overrides = _overrides(process.environment, wanted, names, env_file)
        overriding.update(overrides)
        for text in [*overrides, *_reads_another_file(process, env_file)]:
            found.setdefault(text, []).append(process)
        if process.in_container and not process.reads_env_file and newer is not False:
            lacking = [name for name in names if wanted.get(name) is not None and name not in process.environment]
            if lacking:
                found.setdefault(_lacks(lacking, env_file), []).append(process)
    named = {text: text.replace("PROCESSES", _named(holders)) for text, holders in found.items()}
    faults += named.values()
    unread = [process for process, _newer in processes if process.environment is None]
    if unread:
        doubts.append(
            f"The environment of {_named(unread)} can't be read, so it is not known whether it overrides {env_file}."
            " Run as root with the capability SYS_PTRACE"
        )
    verdict = DISPROVEN if faults else (NOT_PROVEN if doubts else PROVEN)
    return Judgement(
        verdict, tuple(faults), tuple(doubts), tuple(fault for text, fault in named.items() if text in overriding)
    )


def _old(processes: t.Sequence[tuple[Process, bool | None]], env_file: str) -> list[str]:
    old = [process for process, newer in processes if newer is False]
    if not old:
        return []
    remedy = "Restart these processes"
    if any(process.in_container for process in old):
        remedy = "Recreate the containers with `docker compose up -d --force-recreate`; a restart is not enough"
    return [f"{_named(old)} still running with the settings from before {env_file} was edited. {remedy}"]


def _unknown_age(processes: t.Sequence[tuple[Process, bool | None]]) -> list[str]:
    unknown = [process for process, newer in processes if newer is None]
    if not unknown:
        return []
    return [f"It is not known whether {_named(unknown)} started before or after the last edit. Restart them to be sure"]


def _absent(processes: t.Sequence[tuple[Process, bool | None]]) -> list[str]:
    kinds = {process.kind for process, _newer in processes}
    return [
        f"No {_WORDS[kind]} process of this instance was found on this host. Check that it is running on this host"
        for kind in ("web", "sidekiq")
        if kind not in kinds
    ]


def _overrides(
    environment: t.Mapping[str, str], wanted: t.Mapping[str, str | None], names: t.Iterable[str], env_file: str
) -> list[str]:
    texts = []
    for name in names:
        if name not in environment or environment[name] == wanted.get(name, None):
            continue
        if name in wanted and wanted[name] is None:
            continue
        value = "" if is_secret(name) else f"={shown_value(environment[name])}"
        other = "has another value" if name in wanted else "does not set it"
        texts.append(
            f"{name}{value} is in the environment of PROCESSES, and {env_file} {other}. Either something that starts"
            " them sets it (`environment:` in a Compose file, Environment= or EnvironmentFile= of a unit, a wrapper"
            " script), or their containers were not recreated after the edit. Remove it there and restart them"
        )
    return texts


def _reads_another_file(process: Process, env_file: str) -> list[str]:
    """Return what is wrong if the process runs in another environment of Rails, for which dotenv reads another file."""
    name = (process.environment or {}).get("RAILS_ENV", "")
    # In a container the variables of the file may come from the container itself.
    if not name or os.path.basename(env_file) in (".env", f".env.{name}") or process.in_container:
        return []
    text = (
        f"RAILS_ENV={shown_value(name)} is in the environment of PROCESSES, so they read .env.{shown_value(name)} and"
        f" not {env_file}. Set RAILS_ENV to the environment that {env_file} is for, and restart them"
    )
    return [text]


def _lacks(names: t.Sequence[str], env_file: str) -> str:
    return (
        f"{', '.join(names)} of {env_file} did not reach the container of PROCESSES. A container reads the file only"
        " when it is created: use `docker compose up -d --force-recreate`, not `restart`, and check that `env_file:`"
        " names the file"
    )


def _named(processes: t.Sequence[Process]) -> str:
    """Return processes in words: `web (812, 840) and Sidekiq (900)`."""
    parts = []
    for kind, word in _WORDS.items():
        pids = [str(process.pid) for process in processes if process.kind == kind]
        if pids:
            more = f" and {len(pids) - 5} more" if len(pids) > 5 else ""
            parts.append(f"{word} (process {', '.join(pids[:5])}{more})")
    return " and ".join(parts)
