# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The role of a systemd unit in Mastodon, and the folder of the instance from which it runs."""

from __future__ import annotations

import os
import re
import typing as t
from dataclasses import dataclass

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._mastodon import systemctl

# In the order in which units are listed.
KINDS = ("web", "sidekiq", "streaming", "other")

_CHANGED_FOLDER = re.compile(r"(?:^|[\s;&\"'])cd\s+[\"']?(/[^\s;&\"']+)")
_STREAMING = re.compile(r"(?:^|[\s/])(?:(?:mastodon-|start:)?streaming)(?:/index\.js)?(?=[\s;\"']|$)")
_WORDS = re.compile(r"[^\s;&|\"'()]+")
_ENABLED = ("enabled", "enabled-runtime", "linked", "linked-runtime", "alias")


@dataclass(frozen=True)
class Unit:
    """One systemd service as `systemctl show` describes it.

    Attributes:
        name: Full name, such as `mastodon-sidekiq@pull.service`.
        kind: One of KINDS.
        command: Command line of all its ExecStart, joined.
        root: Folder of the instance it runs from as the unit names it, or an empty string.
        load_state: Such as `loaded`.
        active_state: Such as `active`, `inactive`, `failed`.
        unit_file_state: Such as `enabled`, `disabled`, `static`, or an empty string.
        user: Name or number as in the unit, or an empty string for that of the service manager.
        umask: Four octal digits.
        environment: Variables of Environment=, those of UnsetEnvironment= taken away.
        unset: Names of UnsetEnvironment=; files can't set them either.
        environment_files: Files of EnvironmentFile=, in order; the last one wins.
        main_pid: Process id, or 0.
        control_group: Path of its control group, or an empty string.
        fragment_path: The unit file.
        drop_ins: Paths of drop-in files, in the order in which they apply.
        timeout_stop: Seconds that its stop may take, None for no limit.
        needs_daemon_reload: Its files changed since systemd read them.
    """

    name: str
    kind: str
    command: str
    root: str
    load_state: str
    active_state: str
    unit_file_state: str
    user: str
    umask: str
    environment: t.Mapping[str, str]
    unset: tuple[str, ...]
    environment_files: tuple[systemctl.EnvironmentFile, ...]
    main_pid: int
    control_group: str
    fragment_path: str
    drop_ins: tuple[str, ...]
    timeout_stop: float | None
    needs_daemon_reload: bool

    @property
    def active(self) -> bool:
        """Whether it is running or being started."""
        return self.active_state in ("active", "activating", "reloading")

    @property
    def enabled(self) -> bool:
        """Whether it is enabled, and so started at boot."""
        return self.unit_file_state in _ENABLED


def from_properties(properties: t.Mapping[str, t.Sequence[str]]) -> Unit:
    """Return the unit that one block of `systemctl show` describes."""

    def one(name: str) -> str:
        values = properties.get(name, ())
        return values[-1] if values else ""

    def number(name: str) -> int:
        return int(one(name)) if one(name).isdigit() else 0

    command = " ; ".join(systemctl.parse_exec(value)[1] for value in properties.get("ExecStart", ()))
    # With `-` in front, systemd ignores that it is missing; `!` is similar in old versions.
    working_directory = one("WorkingDirectory").lstrip("!-")
    environment = systemctl.parse_environment(one("Environment"))
    unset = systemctl.split_words(one("UnsetEnvironment"))
    kept = {name: value for name, value in environment.items() if name not in unset and f"{name}={value}" not in unset}
    return Unit(
        name=one("Id"),
        kind=kind_of(command),
        command=command,
        root=root_of(command, working_directory),
        load_state=one("LoadState"),
        active_state=one("ActiveState"),
        unit_file_state=one("UnitFileState"),
        user=one("User"),
        umask=one("UMask"),
        environment=kept,
        unset=tuple(name for name in unset if "=" not in name),
        environment_files=tuple(
            systemctl.parse_environment_file(value) for value in properties.get("EnvironmentFiles", ()) if value
        ),
        main_pid=number("MainPID"),
        control_group=one("ControlGroup"),
        fragment_path=one("FragmentPath"),
        drop_ins=tuple(systemctl.split_words(one("DropInPaths"))),
        timeout_stop=systemctl.parse_timespan(one("TimeoutStopUSec")),
        needs_daemon_reload=one("NeedDaemonReload") == "yes",
    )


def in_use(units: t.Sequence[Unit], kind: str) -> list[Unit]:
    """Return the units of a kind that are running or, if none is, enabled; leftover units are neither."""
    some = [unit for unit in units if unit.kind == kind]
    return [unit for unit in some if unit.active] or [unit for unit in some if unit.enabled]


def kind_of(command: str) -> str:
    """Return what a command line runs: web (puma), sidekiq, streaming, or other."""
    words = [word.rsplit("/", 1)[-1] for word in _WORDS.findall(command)]
    if "sidekiq" in words:
        return "sidekiq"
    if "puma" in words or any(a in ("rails", "rake") and b in ("s", "server") for a, b in zip(words, words[1:])):
        return "web"
    if "echo" not in words and _STREAMING.search(command):
        return "streaming"
    return "other"


def root_of(command: str, working_directory: str) -> str:
    """Return the folder from which a unit runs (its last `cd`, or its own folder), or an empty string."""
    changed = _CHANGED_FOLDER.findall(command)
    if changed:
        return os.path.normpath(str(changed[-1]))
    if working_directory.startswith("/") and working_directory != "/":
        return os.path.normpath(working_directory)
    return ""


def option_of(command: str, *names: str) -> str | None:
    """Return the value of the last of these options (`-p 1`, `-p1`, `--port=1`, `--port 1`) in a command, or None."""
    long = "|".join(re.escape(name) for name in names if name.startswith("--"))
    short = "|".join(re.escape(name) for name in names if not name.startswith("--"))
    found = re.findall(rf"(?:^|\s)(?:(?:{long})(?:=|\s+)|(?:{short})\s*)([^\s;\"']+)", command)
    return found[-1] if found else None
