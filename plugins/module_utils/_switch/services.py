# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Stops, starts and restarts the services of an instance."""

from __future__ import annotations

import os
import re
import shlex
import signal
import time
import typing as t
from contextlib import suppress

from ansible.module_utils.urls import open_url

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._mastodon import host, proc_files
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._mastodon.units import Unit
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._switch.model import Settings, SwitchError

_DROP_INS = "/run/systemd/system"
_DROP_IN = "50-mastodon-s3.conf"
# Sidekiq needs 25 seconds for its jobs and 5 more to stop, but the unit that Mastodon ships kills it after 15.
_STOP_SECONDS = 40
_ENOUGH_SECONDS_UP = 5.0
_POLL_SECONDS = 0.02
_WEB_POLL_SECONDS = 0.25
_WEB_ANSWER_SECONDS = 10.0
# A unit may take longer to stop only if its administrator says so (TimeoutStopSec).
_LEAST_END_SECONDS = 120.0
# The title of a process that takes no new jobs and has none, as sidekiq/cli and sidekiq/launcher write it.
_IDLE = re.compile(rb"\[0 of [0-9]+ busy\] stopping")


class Services:
    """The services of an instance, as systemd units or behind a command that restarts them.

    All methods raise SwitchError if a service does not do what it should.
    """

    def __init__(self, settings: Settings, run: host.Runner) -> None:
        self._settings = settings
        self._run = run

    @property
    def by_command(self) -> bool:
        """Whether a command restarts everything, so that nothing is known of units."""
        return bool(self._settings.restart_command)

    def quiet_sidekiq(self) -> None:
        """Tell Sidekiq to take no new jobs, and wait until it has none, or until the time is up.

        A wrapper around Sidekiq would be suspended by the signal, so only a process that says it is Sidekiq gets it.
        """
        told = [unit.main_pid for unit in self._units(self._settings.sidekiq_units) if _is_sidekiq(unit.main_pid)]
        for pid in told:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTSTP)
        end = time.monotonic() + self._settings.quiesce_timeout
        while time.monotonic() < end and any(_is_sidekiq(pid) and not _IDLE.search(_title(pid)) for pid in told):
            time.sleep(_WEB_POLL_SECONDS)

    def stop_sidekiq(self) -> None:
        """Stop Sidekiq, and give its jobs the time they need."""
        short = [
            unit.name
            for unit in self._units(self._settings.sidekiq_units)
            if unit.timeout_stop is not None and unit.timeout_stop < _STOP_SECONDS
        ]
        for name in short:
            folder = os.path.join(_DROP_INS, f"{name}.d")
            os.makedirs(folder, mode=0o755, exist_ok=True)
            with open(os.path.join(folder, _DROP_IN), "w", encoding="ascii") as file:
                file.write(f"[Service]\nTimeoutStopSec={_STOP_SECONDS}\n")
        if short:
            self._systemctl("daemon-reload")
        self._systemctl("stop", *self._settings.sidekiq_units)

    def start_sidekiq(self) -> None:
        """Start Sidekiq, and check that it stays up."""
        self._systemctl("start", *self._settings.sidekiq_units)
        self._restore_stop_timeout()
        first = self._state(self._settings.sidekiq_units)
        time.sleep(_ENOUGH_SECONDS_UP)
        second = self._state(self._settings.sidekiq_units)
        if second != first or any("ActiveState=active" not in state for state in second):
            names = ", ".join(self._settings.sidekiq_units)
            raise SwitchError(f"{names} did not stay up; see {self.journal_hint}")

    def restart_web(self) -> None:
        """Begin to restart web, and return as soon as all of its old processes have ended."""
        units = self._units(self._settings.web_units)
        old = {pid: _start_time(pid) for unit in units for pid in host.process_ids(unit)}
        self._systemctl("restart", "--no-block", *self._settings.web_units)
        longest = max([_LEAST_END_SECONDS, *(unit.timeout_stop or 0 for unit in units)])
        end = time.monotonic() + longest + 10
        while any(started and _start_time(pid) == started for pid, started in old.items()):
            if time.monotonic() > end:
                names = ", ".join(self._settings.web_units)
                raise SwitchError(f"the old processes of {names} did not end; see {self.journal_hint}, and end them")
            time.sleep(_POLL_SECONDS)

    def wait_for_web(self) -> None:
        """Wait until web says that it is healthy."""
        end = time.monotonic() + self._settings.health_timeout
        while True:
            problem = self._web_problem()
            if problem is None:
                return
            failed = [unit.name for unit in self._units(self._settings.web_units) if unit.active_state == "failed"]
            if failed or time.monotonic() >= end:
                reason = f"{', '.join(failed)} failed" if failed else problem
                hint = "" if self.by_command else f"; see {self.journal_hint}"
                raise SwitchError(f"web does not answer at {self._settings.web_url}/health: {reason}{hint}")
            time.sleep(_WEB_POLL_SECONDS)

    def restart(self, *, web: bool) -> None:
        """Restart Sidekiq, and web if wanted, and wait until web answers."""
        if self.by_command:
            self.restart_by_command()
        else:
            units = (*(self._settings.web_units if web else ()), *self._settings.sidekiq_units)
            # A unit that has failed several times within ten seconds can't be started again before that.
            with suppress(SwitchError):
                self._systemctl("reset-failed", *units)
            self._systemctl("restart", *units)
            self._restore_stop_timeout()
        self.wait_for_web()

    def restart_by_command(self) -> None:
        """Restart everything with the given command."""
        try:
            command = shlex.split(self._settings.restart_command)
        except ValueError as error:
            raise SwitchError(f"restart_command: {self._settings.restart_command!r} can't be split: {error}") from error
        self._checked(command)

    def process_ids(self) -> frozenset[int]:
        """Return the processes of all units."""
        units = self._units((*self._settings.web_units, *self._settings.sidekiq_units))
        return frozenset(pid for unit in units for pid in host.process_ids(unit))

    @property
    def journal_hint(self) -> str:
        """The command that shows the logs of all units."""
        names = (*self._settings.web_units, *self._settings.sidekiq_units)
        return f"journalctl -u {' -u '.join(names)}"

    def _restore_stop_timeout(self) -> None:
        removed = False
        for name in self._settings.sidekiq_units:
            with suppress(FileNotFoundError):
                os.unlink(os.path.join(_DROP_INS, f"{name}.d", _DROP_IN))
                removed = True
        if removed:
            self._systemctl("daemon-reload")

    def _web_problem(self) -> str | None:
        socket = self._settings.web_socket or None
        try:
            response = open_url(
                f"{self._settings.web_url}/health", timeout=_WEB_ANSWER_SECONDS, use_proxy=False, unix_socket=socket
            )
        # A service that is starting refuses, resets or sends half of a response.
        except Exception as error:  # noqa: BLE001
            return str(error)
        status = response.getcode()
        return None if status == 200 else f"its status is {status}"

    def _units(self, names: t.Sequence[str]) -> list[Unit]:
        if not names or self.by_command:
            return []
        try:
            return host.show_units(self._run, ["systemctl"], names)
        except (host.DiscoveryError, OSError) as error:
            raise SwitchError(str(error)) from error

    def _state(self, names: t.Sequence[str]) -> list[str]:
        shown = ("--property=ActiveState", "--property=MainPID", "--property=NRestarts")
        return [self._systemctl("show", *shown, name) for name in names]

    def _systemctl(self, verb: str, *words: str) -> str:
        if verb not in ("show", "daemon-reload") and not [word for word in words if not word.startswith("-")]:
            return ""
        return self._checked(["systemctl", verb, *words])

    def _checked(self, command: list[str]) -> str:
        try:
            status, output, errors = self._run(command)
        except OSError as error:
            raise SwitchError(f"`{' '.join(command)}` can't be run: {error}") from error
        if status != 0:
            said = (errors.strip() or output.strip())[-2000:]
            raise SwitchError(f"`{' '.join(command)}` failed with status {status}: {said}")
        return output


def _title(pid: int) -> bytes:
    return proc_files.read_data(f"/proc/{pid}/cmdline") if pid else b""


def _is_sidekiq(pid: int) -> bool:
    return _title(pid).startswith(b"sidekiq")


def _start_time(pid: int) -> int | None:
    """Return when a process was started, in clock ticks; None if it has ended."""
    text = proc_files.read_text(f"/proc/{pid}/stat")
    return None if proc_files.has_ended(text) else proc_files.started(text)
