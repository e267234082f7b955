# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Finds timers and crontabs that run tootctl. They may start it right before the switch."""

from __future__ import annotations

import contextlib
import glob
import os
import pwd
import re
import typing as t
from dataclasses import dataclass

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._mastodon import systemctl
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._mastodon.host import Runner, read_text
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._mastodon.variables import masked_command

_TOOTCTL = re.compile(r"(?:^|[\s/\"'(;&|])tootctl(?=[\s\"');&|]|$)")
_SYSTEM_CRONTABS = ("/etc/crontab", "/etc/cron.d/*")
# Debian and Red Hat
_ACCOUNT_CRONTABS = ("/var/spool/cron/crontabs", "/var/spool/cron")
_MOST_CHARACTERS = 200


@dataclass(frozen=True)
class Schedule:
    """Something that starts tootctl again and again.

    Attributes:
        source: The name of a systemd timer, or the path of a crontab.
        command: What it runs, or a line of the crontab, with the values of secret variables masked.
    """

    source: str
    command: str


def schedules(root: str, run: Runner | None, folder: str = "/") -> list[Schedule]:
    """Return active timers and crontabs that name tootctl. What can't be read counts as empty.

    Crontabs are those of the system, of root and of the owner of the instance's folder.

    Args:
        root: The folder of the instance.
        run: Runs a command; None on a host without systemd.
        folder: The folder with the host's files.
    """
    return [*(timers(run) if run else []), *crontabs(root, folder)]


def timers(run: Runner) -> list[Schedule]:
    """Return the active systemd timers whose units run tootctl."""
    status, output, _error = run(["systemctl", "list-units", "--type=timer", "--plain", "--no-legend", "--full"])
    names = [name for name in systemctl.parse_units(output) if name.endswith(".timer")] if status == 0 else []
    started = {_last(each, "Unit"): _last(each, "Id") for each in _show(run, "Id,Unit", names)}
    return [
        Schedule(started[_last(each, "Id")], _shown(command))
        for each in _show(run, "Id,ExecStart", sorted(started))
        for command in [" ; ".join(systemctl.parse_exec(value)[1] for value in each.get("ExecStart", ()))]
        if _TOOTCTL.search(command) and _last(each, "Id") in started
    ]


def crontabs(root: str, folder: str = "/") -> list[Schedule]:
    """Return the lines of crontabs that run tootctl."""
    paths = [path for pattern in _SYSTEM_CRONTABS for path in sorted(glob.glob(f"{folder.rstrip('/')}{pattern}"))]
    paths += [f"{folder.rstrip('/')}{spool}/{user}" for spool in _ACCOUNT_CRONTABS for user in _accounts(root)]
    return [
        Schedule(path, _shown(line))
        for path in paths
        for line in map(str.strip, read_text(path).splitlines())
        if not line.startswith("#") and _TOOTCTL.search(line)
    ]


def _show(run: Runner, properties: str, names: t.Sequence[str]) -> list[dict[str, list[str]]]:
    if not names:
        return []
    status, output, _error = run(["systemctl", "show", f"--property={properties}", "--", *names])
    return systemctl.parse_show(output) if status == 0 else []


def _last(properties: t.Mapping[str, t.Sequence[str]], name: str) -> str:
    return (properties.get(name) or [""])[-1]


def _accounts(root: str) -> list[str]:
    accounts = ["root"]
    with contextlib.suppress(OSError, KeyError):
        accounts.append(pwd.getpwuid(os.stat(root).st_uid).pw_name)
    return list(dict.fromkeys(accounts))


def _shown(command: str) -> str:
    masked = masked_command("".join(char if char.isprintable() else " " for char in command)).strip()
    return masked if len(masked) <= _MOST_CHARACTERS else f"{masked[:_MOST_CHARACTERS]}..."
