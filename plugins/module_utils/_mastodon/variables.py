# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which environment variables affect storage, where each value comes from, and what has no effect.

The process environment (command line, `EnvironmentFile=`, `Environment=`) overrides all dotenv files, since dotenv
never overrides it. Of the dotenv files, the first that contains the variable wins.
"""

from __future__ import annotations

import re
import typing as t
from dataclasses import dataclass

_TRACKED_PREFIXES = ("S3_", "AWS_", "SWIFT_", "AZURE_", "PAPERCLIP_", "CACHE_BUSTER_")
_TRACKED = frozenset(
    {
        "ALTERNATE_DOMAINS",
        "BIND",
        "CDN_HOST",
        "EXTRA_DATA_HOSTS",
        "EXTRA_MEDIA_HOSTS",
        "LOCAL_DOMAIN",
        "LOCAL_HTTPS",
        "PORT",
        "RAILS_ENV",
        "RAILS_SERVE_STATIC_FILES",
        "SOCKET",
        "SSL_CERT_DIR",
        "SSL_CERT_FILE",
        "WEB_DOMAIN",
    }
)
# Settings of a process itself: the shipped units set these, so they override nothing and may differ.
_PROCESS_SETTINGS = frozenset({"BIND", "PORT", "RAILS_ENV", "SOCKET"})
_SECRET = re.compile(r"SECRET|PASS|TOKEN|CREDENTIAL|ACCESS_KEY|_KEY$", re.IGNORECASE)
_NO_SECRETS = frozenset({"CACHE_BUSTER_SECRET_HEADER", "AWS_SHARED_CREDENTIALS_FILE", "AWS_WEB_IDENTITY_TOKEN_FILE"})
_URL_PASSWORD = re.compile(r"(?<=//)[^/@\s]+@")
_ASSIGNMENT = re.compile(r"(?:^|(?<=[\s\"';&]))(?P<name>[A-Za-z_]\w*)=(?P<value>\"[^\"]*\"|'[^']*'|[^\s;&\"']*)")

MASK = "********"
SOURCES = ("command", "environment_file", "drop_in", "unit", "compose", "dotenv")


def is_tracked(name: str) -> bool:
    """Return whether a variable concerns storage or the addresses of an instance."""
    return name in _TRACKED or name.startswith(_TRACKED_PREFIXES)


def is_secret(name: str) -> bool:
    """Return whether a variable's value must not be shown."""
    return bool(_SECRET.search(name)) and name not in _NO_SECRETS


def shown_value(value: str) -> str:
    """Return a value for a message: passwords in addresses masked, and not too long."""
    shown = _URL_PASSWORD.sub(f"{MASK}@", value)
    return shown if len(shown) <= 100 else shown[:100] + "..."


def masked_command(command: str) -> str:
    """Return a command line with the values of secret variables masked."""

    def mask(match: re.Match[str]) -> str:
        return f"{match['name']}={MASK}" if is_secret(match["name"]) else match[0]

    return _URL_PASSWORD.sub(f"{MASK}@", _ASSIGNMENT.sub(mask, command))


def command_assignments(command: str) -> dict[str, str]:
    """Return the tracked variables that a command line sets itself (`env S3_ENABLED=true bundle exec ...`)."""
    return {
        match["name"]: match["value"].strip("\"'")
        for match in _ASSIGNMENT.finditer(command)
        if is_tracked(match["name"])
    }


@dataclass(frozen=True)
class Value:
    """The value of a variable from one source.

    Attributes:
        value: Its value; None if it depends on other variables or on a command.
        source: One of SOURCES.
        path: The file that contains it, or an empty string.
        line: Number of the line there, or None.
        hides_env_file: It overrides the env file; False for the env file itself and for sources that it overrides.
    """

    value: str | None
    source: str
    path: str = ""
    line: int | None = None
    hides_env_file: bool = True

    def place(self) -> str:
        """Return the source in words."""
        words = {
            "command": "ExecStart=",
            "environment_file": "EnvironmentFile=",
            "compose": "`environment:` in",
            "dotenv": "dotenv file",
        }
        path = f" {self.path}" if self.path else ""
        return words.get(self.source, "Environment= in") + path + (f" line {self.line}" if self.line else "")


@dataclass(frozen=True)
class ProcessVariables:
    """The sources of a process's variables, by name.

    Attributes:
        unit: Name of the unit that starts the process, or an empty string if there is none.
        environment: The sources of its process environment, in order of precedence.
        dotenv: The dotenv files it reads itself, in order of precedence.
    """

    unit: str
    environment: t.Sequence[t.Mapping[str, Value]] = ()
    dotenv: t.Sequence[t.Mapping[str, Value]] = ()

    def effective(self) -> dict[str, Value]:
        """Return the effective value of each variable, by name."""
        return _first_of((*self.environment, *self.dotenv))

    def inherited(self) -> dict[str, str]:
        """Return the variables with which it starts, before it reads any dotenv file."""
        return {name: value.value for name, value in _first_of(self.environment).items() if value.value is not None}


def _first_of(places: t.Iterable[t.Mapping[str, Value]]) -> dict[str, Value]:
    found: dict[str, Value] = {}
    for place in places:
        for name, value in place.items():
            found.setdefault(name, value)
    return found


def report(name: str, value: Value) -> dict[str, t.Any]:
    """Return a variable's value and where it comes from as a result for the user, without secrets."""
    secret = is_secret(name)
    shown = None if secret or value.value is None else _URL_PASSWORD.sub(f"{MASK}@", value.value)
    return {
        "value": shown,
        "secret": secret,
        "empty": value.value == "",
        "dynamic": value.value is None,
        "source": value.source,
        "path": value.path or None,
        "line": value.line,
    }


def shadowed(processes: t.Sequence[ProcessVariables]) -> list[dict[str, t.Any]]:
    """Return the variables that writing the env file would not change, with what overrides them and for which units."""
    found: dict[tuple[str, Value], list[str]] = {}
    for process in processes:
        for name, value in process.effective().items():
            if is_tracked(name) and name not in _PROCESS_SETTINGS and value.hides_env_file:
                found.setdefault((name, value), []).append(process.unit)
    entries = []
    for (name, value), units in sorted(found.items(), key=lambda item: (item[0][0], item[0][1].path)):
        named = [unit for unit in units if unit]
        where = value.place() + (f" of {', '.join(named)}" if named and value.source != "dotenv" else "")
        entries.append({"name": name, "message": f"{name} ({where})", "units": named, "place": report(name, value)})
    return entries


def differences(processes: t.Sequence[ProcessVariables]) -> list[dict[str, t.Any]]:
    """Return the tracked variables whose values differ between processes, with the value of each unit."""
    views = [(process.unit, process.effective()) for process in processes]
    names = sorted({name for _unit, view in views for name in view if is_tracked(name)} - _PROCESS_SETTINGS)
    found = []
    for name in names:
        values = [(unit, view.get(name)) for unit, view in views]
        if len({None if value is None else (value.value,) for _unit, value in values}) > 1:
            has = {unit: report(name, value) if value else None for unit, value in values}
            found.append({"name": name, "units": has})
    return found
