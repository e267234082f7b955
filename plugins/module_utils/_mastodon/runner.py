# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Runs Ruby code with Mastodon's own code, in the sandbox of its web unit, with another env file."""

from __future__ import annotations

import contextlib
import json
import os
import pwd
import re
import secrets
import time
import typing as t
from dataclasses import dataclass

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._dotenv.masking import MASK, looks_secret
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._dotenv.parser import Document
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._files.folder import Folder
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._files.private import private_folder
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._files.replace import create
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._files.temporary import Access
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._mastodon.host import Runner, read_text
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._mastodon.runner_unit import (
    Files,
    RunnerUnsupportedError,
    cleaner_unit,
    runner_command,
    runner_unit,
)
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._mastodon.systemctl import parse_show, split_words
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.connection.masking import without_secrets

# Both vanish at a reboot, which also ends what runs.
FOLDER = "/run/mastodon_s3_runner"
UNITS = "/run/systemd/system"  # only there where systemd is the init system, see sd_booted(3)

_UNIT = re.compile(r"mastodon-s3-runner-[0-9a-f]{16}(-files)?(@[^/]*)?\.service")
_ALL_UNITS = "mastodon-s3-runner-*"
_NO_NAMESPACE = "226"  # see the table of exit codes in systemd.exec(5)
_PROPERTIES = "LoadState,FragmentPath,DropInPaths,User"
_CALLER = re.compile(r"\s+(?:\d+: )?from ")
_MOST_SAID = 64 * 1024
_MOST_SHOWN = 2000
# Shorter ones occur in ordinary words.
_TELLING_LENGTH = 6


@dataclass(frozen=True)
class Ran:
    """What a run returned.

    Attributes:
        ended: How the process ended, in systemd's words: `success`, `exit-code`, `timeout`, `oom-kill` and others.
        result: The last line of its output that is a JSON object; None if there is none.
        errors: The end of its standard error, without secrets.
        seconds: How long it took.
    """

    ended: str
    result: dict[str, t.Any] | None
    errors: str
    seconds: float


class MastodonRunner:
    """Runs code as one web unit does."""

    def __init__(self, run: Runner, unit: str, root: str) -> None:
        """Read the unit's files.

        Args:
            run: Runs a command and returns its status, output and errors.
            unit: Full name of the web unit.
            root: The instance's folder.

        Raises:
            RunnerUnsupportedError: There is no systemd, no such unit, or no bin/rails.
        """
        if not os.path.isdir(UNITS):
            raise RunnerUnsupportedError("this host does not run systemd")
        if not os.path.exists(os.path.join(root, "bin", "rails")):
            raise RunnerUnsupportedError(f"there is no {root}/bin/rails")
        self._run = run
        self._root = root
        self._name = unit
        status, output, error = run(["systemctl", "show", f"--property={_PROPERTIES}", "--", unit])
        shown = (parse_show(output) or [{}])[0] if status == 0 else {}
        properties = {name: values[-1] for name, values in shown.items()}
        if properties.get("LoadState") != "loaded":
            raise RunnerUnsupportedError(f"there is no unit {unit}: {error.strip() or properties.get('LoadState')}")
        self._texts = [
            read_text(path) for path in (properties["FragmentPath"], *split_words(properties.get("DropInPaths", "")))
        ]
        self._owner = _access_of(properties.get("User", ""))

    def plan(self, env_file: str, seconds: int) -> tuple[str, Files, str]:
        """Return the name, the files and the text of a unit for one run; nothing is written.

        Args:
            env_file: The dotenv file, with symbolic links resolved.
            seconds: How long it may take.

        Raises:
            RunnerUnsupportedError: It is not known how to run Ruby code as this unit does.
        """
        # A new name each time, so that systemd reads the file without a reload, which would also concern other units.
        word = secrets.token_hex(8)
        _prefix, at, instance = self._name.partition("@")
        name = f"mastodon-s3-runner-{word}{at}{instance}" if at else f"mastodon-s3-runner-{word}.service"
        files = Files(
            unit=os.path.join(UNITS, name),
            cleaner=os.path.join(UNITS, f"mastodon-s3-runner-{word}-files.service"),
            script=os.path.join(FOLDER, f"{word}.rb"),
            env_file=env_file,
            env_copy=os.path.join(FOLDER, f"{word}.env"),
            output=os.path.join(FOLDER, f"{word}.out"),
            errors=os.path.join(FOLDER, f"{word}.err"),
        )
        return name, files, runner_unit(self._texts, self._root, files, seconds)

    def command(self, env_file: str) -> str:
        """Return the command that a run would execute.

        Raises:
            RunnerUnsupportedError: It is not known how to run Ruby code as this unit does.
        """
        return runner_command(self.plan(env_file, 1)[2])

    def run(self, script: str, env_file: str, document: Document, seconds: int) -> Ran:
        """Run Ruby code, and wait for its end.

        Args:
            script: The code.
            env_file: The dotenv file, with symbolic links resolved.
            document: What the code reads in its place.
            seconds: How long it may take.

        Raises:
            RunnerUnsupportedError: It is not known how to run code as this unit does, or the copy can't be mounted.
            FileError: A file can't be written, or another run is in progress.
        """
        name, files, text = self.plan(env_file, seconds)
        with private_folder(FOLDER) as folder, private_folder(UNITS) as units, folder.lock():
            self._remove_leftovers(folder, units)
            try:
                create(folder, os.path.basename(files.script), script.encode(), Access(mode=0o600))
                create(folder, os.path.basename(files.env_copy), document.data, self._owner)
                # It may contain secrets: those in Environment= of the web unit.
                create(units, name, text.encode(), Access(mode=0o600))
                create(units, os.path.basename(files.cleaner), cleaner_unit(files).encode(), Access(mode=0o600))
                begin = time.monotonic()
                ended = self._start(name)
                spent = time.monotonic() - begin
                hidden = _secrets_in(document)
                output, errors = (_masked(_tail(path), hidden) for path in (files.output, files.errors))
            finally:
                self._remove_leftovers(folder, units)
        # Without Ruby's list of callers, which is longer than the error above it.
        errors = "".join(line for line in errors.splitlines(True) if not _CALLER.match(line))
        shown = without_secrets(errors.strip()[-_MOST_SHOWN:])
        return Ran(ended, _without_secrets(_last_object(output)), shown, round(spent, 1))

    def _start(self, name: str) -> str:
        status, _output, refusal = self._run(["systemctl", "start", "--", name])
        if status == 0:
            return "success"
        show = ["systemctl", "show", "--property=Result,ExecMainStatus", "--", name]
        ended = (parse_show(self._run(show)[1]) or [{}])[0]
        if _NO_NAMESPACE in ended.get("ExecMainStatus", []):
            raise RunnerUnsupportedError("systemd can't give a unit its own mounts here, as in some containers")
        result = "".join(ended.get("Result", []))
        return refusal.strip() if result in ("", "success") else result

    def _remove_leftovers(self, folder: Folder, units: Folder) -> None:
        """Remove the files of this run, and of runs that were killed, which may still be in progress."""
        for verb in ("stop", "reset-failed"):
            self._run(["systemctl", verb, "--", _ALL_UNITS])
        for name in filter(_UNIT.fullmatch, units.names()):
            _unlink(units, name)
        for name in folder.names():
            _unlink(folder, name)


def _access_of(user: str) -> Access:
    """Return the owner and mode of a file that only this user of a unit, and root, can read."""
    if not user:
        return Access(uid=0, gid=0, mode=0o400)
    try:
        entry = pwd.getpwuid(int(user)) if user.isdigit() else pwd.getpwnam(user)
    except KeyError as error:
        raise RunnerUnsupportedError(f"its user {user} does not exist") from error
    return Access(uid=entry.pw_uid, gid=entry.pw_gid, mode=0o400)


def _unlink(folder: Folder, name: str) -> None:
    with contextlib.suppress(FileNotFoundError, IsADirectoryError):
        os.unlink(name, dir_fd=folder.descriptor)


def _tail(path: str) -> str:
    """Return the end of a file. Its content is not trusted, but its folder is."""
    try:
        with open(path, "rb") as stream:
            stream.seek(max(os.fstat(stream.fileno()).st_size - _MOST_SAID, 0))
            return stream.read(_MOST_SAID).decode("utf-8", "replace")
    except FileNotFoundError:
        return ""


def _secrets_in(document: Document) -> list[str]:
    """Return the values that must not be shown, the longest first."""
    found = {item.value for item in document.assignments if item.value and looks_secret(item.name)}
    return sorted((value for value in found if len(value) >= _TELLING_LENGTH), key=len, reverse=True)


def _masked(text: str, hidden: t.Iterable[str]) -> str:
    for value in hidden:
        text = text.replace(value, MASK)
    return text


def _without_secrets(value: t.Any) -> t.Any:
    """Return a value of JSON with its texts masked."""
    if isinstance(value, dict):
        return {name: _without_secrets(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_without_secrets(item) for item in value]
    return without_secrets(value) if isinstance(value, str) else value


def _last_object(text: str) -> dict[str, t.Any] | None:
    for line in reversed(text.splitlines()):
        if line.startswith("{"):
            with contextlib.suppress(ValueError):
                found = json.loads(line)
                if isinstance(found, dict):
                    return found
    return None
