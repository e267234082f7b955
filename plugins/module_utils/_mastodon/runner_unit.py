# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The unit that runs Ruby code in the sandbox of Mastodon's web unit, with another env file. Pure."""

from __future__ import annotations

import os
import re
import typing as t
from dataclasses import dataclass

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._mastodon.systemd_files import logical_lines

_SECTION = re.compile(r"\A\[(?P<name>[^\]]*)\]\s*\Z")
# These say when the web process runs and how it is supervised. All others belong to its sandbox, see systemd.exec(5).
_SUPERVISION = re.compile(
    r"Exec\w+|Restart\w*|Timeout\w+|Standard\w+|TTY\w+|FileDescriptorStore\w+|Watchdog\w+|RuntimeMaxSec|RuntimeRandom\w+"
    r"|Type|PIDFile|BusName|Sockets|NotifyAccess|RemainAfterExit|GuessMainPID|NonBlocking|Reload\w+|StartLimit\w+"
    r"|\w*FailureAction\w*|\w*SuccessAction\w*|SuccessExitStatus|RootDirectoryStartOnly|Kill\w+|SendSIG\w+|\w+KillSignal"
    r"|OOMPolicy|OpenFile|USBFunction\w+"
)
_SERVER = re.compile(r"(?:\A|(?<=[\s'\";&(]))(?:[^\s'\";&|=(]*/)?(?:puma|rails\s+(?:server|s))(?=[\s'\";&|)]|\Z)")
_BUNDLED = re.compile(r"\bbundle[\w.]*['\"]?\s+exec\s(?:\s*-\S+)*\s*\Z")
# Only such paths need no quotes, neither in unit files nor in a shell, and contain no specifier.
_PLAIN_PATH = re.compile(r"/[\w/.@+-]*")


class RunnerUnsupportedError(Exception):
    """Ruby code can't be run as the web unit does; the text says why."""


@dataclass(frozen=True)
class Files:
    """The files of one run.

    Attributes:
        unit: The file of the runner's own unit.
        cleaner: The file of the unit that removes the other files, see `cleaner_unit`.
        script: The Ruby code.
        env_file: The dotenv file of the instance, with symbolic links resolved.
        env_copy: What the code reads in its place.
        output: For the standard output.
        errors: For the standard error.
    """

    unit: str
    cleaner: str
    script: str
    env_file: str
    env_copy: str
    output: str
    errors: str


def runner_unit(texts: t.Sequence[str], root: str, files: Files, seconds: int) -> str:
    """Return the text of the runner's unit.

    Args:
        texts: The web unit's file and its drop-ins, in the order in which they apply.
        root: The instance's folder.
        files: The files of this run.
        seconds: How long it may take.

    Raises:
        RunnerUnsupportedError: It is not known how to run Ruby code as this unit does.
    """
    for path in (root, files.env_file):
        if not _PLAIN_PATH.fullmatch(path):
            raise RunnerUnsupportedError(f"the path {path} contains characters with a meaning for systemd")
    namespaces: list[str] = []
    settings: list[str] = []
    start: list[str] = []
    for section, name, value in _settings(texts):
        if section == "Unit" and name == "JoinsNamespaceOf":
            namespaces.append(f"{name}={value}")
        if section != "Service":
            continue
        if name == "ExecStart":
            start = [*start, value] if value else []
        elif name == "DynamicUser" and value.lower() in ("1", "yes", "y", "true", "t", "on"):
            raise RunnerUnsupportedError("it has DynamicUser=, so its user does not exist outside of it")
        elif not _SUPERVISION.fullmatch(name):
            settings.append(f"{name}={_environment_file(value, files) if name == 'EnvironmentFile' else value}")
    lines = [
        "[Unit]",
        "Description=Runs Ruby code in the sandbox of Mastodon's web process",
        f"Requires={os.path.basename(files.cleaner)}",
        f"After={os.path.basename(files.cleaner)}",
        *namespaces,
        "[Service]",
        # The default of a unit that leaves it to a wrapper.
        "Environment=RAILS_ENV=production",
        *settings,
        "Type=oneshot",
        f"ExecStart={_command(start, root)}",
        f"TimeoutStartSec={seconds}",
        "TimeoutStopSec=20",
        f"StandardInput=file:{files.script}",
        f"StandardOutput=file:{files.output}",
        f"StandardError=file:{files.errors}",
        f"BindReadOnlyPaths={files.env_copy}:{files.env_file}",
        # The service's account controls the content of the copy and can have it mounted over any other file. So
        # nothing in this unit may get root's rights.
        "NoNewPrivileges=yes",
        # The web process still uses these folders.
        "RuntimeDirectoryPreserve=yes",
        # Neither memory nor CPU must be taken from the web process.
        "OOMScoreAdjust=1000",
        "Nice=10",
    ]
    return "".join(f"{line}\n" for line in lines)


def cleaner_unit(files: Files) -> str:
    """Return the text of a unit that removes the copy at the end of the runner's unit, even if nobody waits for it.

    It sees the real files, unlike an ExecStopPost= of the runner's unit.
    """
    lines = [
        "[Unit]",
        "Description=Removes the files of code that runs in the sandbox of Mastodon's web process",
        "StopWhenUnneeded=yes",
        "[Service]",
        "Type=oneshot",
        "RemainAfterExit=yes",
        "ExecStart=/bin/true",
        f"ExecStop=/bin/rm -f {files.env_copy} {files.unit} {files.cleaner}",
    ]
    return "".join(f"{line}\n" for line in lines)


def runner_command(text: str) -> str:
    """Return the command in the text of a runner's unit."""
    return next(line.partition("=")[2] for line in text.splitlines() if line.startswith("ExecStart="))


def _settings(texts: t.Iterable[str]) -> t.Iterator[tuple[str, str, str]]:
    """Yield section, name and value of each setting."""
    for text in texts:
        section = ""
        for _number, content in logical_lines(text):
            header = _SECTION.match(content)
            name, separator, value = content.partition("=")
            if header:
                section = header["name"]
            elif separator:
                yield section, name.strip(), value.strip()


def _environment_file(value: str, files: Files) -> str:
    """Return the value of an EnvironmentFile=. The service manager reads it outside of the sandbox."""
    optional = "-" if value.startswith("-") else ""
    return optional + files.env_copy if os.path.realpath(value[len(optional) :]) == files.env_file else value


def _command(start: t.Sequence[str], root: str) -> str:
    """Return the web unit's command with `rails runner -` in place of the server, which reads code from its input."""
    found = list(_SERVER.finditer(start[0])) if len(start) == 1 else []
    if not found:
        shown = " ; ".join(start) or "nothing"
        raise RunnerUnsupportedError(f"its ExecStart= is neither puma nor a command that contains it: {shown}")
    server = found[-1]
    before, after = start[0][: server.start()].lstrip("-"), start[0][server.end() :]
    quote = _open_quote(before)
    kept = quote + after.split(quote)[-1] if quote and quote in after else ""
    rails = "rails" if _BUNDLED.search(before) else os.path.join(root, "bin", "rails")
    return f"{before}{rails} runner -{kept}"


def _open_quote(text: str) -> str:
    """Return the quotation mark that is open at the end of a text, or an empty string."""
    quote = ""
    for char in re.sub(r"\\.", "", text):
        if char in "'\"":
            quote = char if not quote else "" if char == quote else quote
    return quote
