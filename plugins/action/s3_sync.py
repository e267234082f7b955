# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Runs the module s3_sync in the background of the host, and shows on standard error how far it is."""

from __future__ import annotations

import time
import uuid
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Optional

from ansible.errors import AnsibleConnectionFailure, AnsibleError
from ansible.module_utils.parsing.convert_bool import boolean
from ansible.plugins.action import ActionBase
from ansible.plugins.connection import ConnectionBase
from ansible.utils.display import Display

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.options import connection_argument_spec
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.progress.progress import ENDED, JOBS
from ansible_collections.fediverse.mastodon_s3.plugins.plugin_utils._progress import Meter, Timetable, duration
from ansible_collections.fediverse.mastodon_s3.plugins.plugin_utils._sight import (
    Sight,
    Target,
    look_command,
    sight,
    sweep_command,
)

display = Display()

JOB_SECONDS = 14 * 24 * 3600
_SHORTEST_LOOK_SECONDS, _LONGEST_LOOK_SECONDS = 0.3, 5.0
# The end of a run is noticed after at most this share of its duration.
_LOOKS_SHARE = 0.1
_LOST_SECONDS = 15 * 60.0
_DEAD_SECONDS = 10.0
_UNHEARD_SECONDS = 120.0
_SILENT_SECONDS = 15.0
_RETRY_OTHER_SECONDS = 300.0

_BACKGROUND = (
    "the run is a job of the host's own: where it is interrupted or disconnected here, it goes on there, and the same"
    " task, run again, attaches to it"
)
_ADDED_BY_ASYNC = ("ansible_job_id", "finished", "results_file", "started")


class ActionModule(ActionBase):
    """The action behind tasks that call the module s3_sync."""

    _supports_async = True
    _supports_check_mode = True

    def run(self, tmp: Optional[str] = None, task_vars: Optional[dict[str, Any]] = None) -> dict[str, Any]:
        """Run the module, and show how far it is where that is wanted and possible."""
        super().run(tmp, task_vars)
        self._vars = task_vars or {}
        self._token = ""
        self._lost_since: Optional[float] = None
        if not self._shows():
            return dict(self._execute_module(task_vars=self._vars, wrap_async=self._task.async_val))
        while True:
            result = self._background_run()
            busy = result.get("busy")
            if not result.get("failed") or not isinstance(busy, Mapping):
                return result
            self._await(Target(process=busy.get("process"), progress=str(busy.get("progress") or "")))

    def get_shell_option(self, option: str, default: Any = None) -> Any:
        """Return an option of the host's shell. Each of our jobs has a folder of its own, as the module expects."""
        value = super().get_shell_option(option, default=default)
        return f"{value}/{JOBS}/{self._token}" if option == "async_dir" and self._token else value

    def _shows(self) -> bool:
        if self._task.async_val or self._task.check_mode:
            return False
        try:
            if not boolean(self._task.args.get("progress", True)):
                return False
        except TypeError:
            return False  # the module says what is wrong with it
        secret = _secret_among(self._task.args)
        if secret:
            display.warning(
                f"s3_sync shows no progress where {secret} is an option of the task, since an async job would keep it"
                " on the host's disk: use credentials_file"
            )
        return not secret

    # Our own run.

    def _background_run(self) -> dict[str, Any]:
        self._token = uuid.uuid4().hex
        self._task.async_val = JOB_SECONDS
        try:
            started = self._execute_module(task_vars=self._vars, wrap_async=True)
        finally:
            self._task.async_val = 0  # or the executor would poll as well
            self._token = ""
        if started.get("failed") or not started.get("results_file"):
            return dict(started)
        target = Target(job_file=str(started["results_file"]))
        end = self._watch(target)
        result = {"failed": True, "msg": end} if end else self._result(str(started["ansible_job_id"]), target)
        with suppress(AnsibleConnectionFailure):
            self._low_level_execute_command(sweep_command(target))
        return result

    def _watch(self, target: Target) -> Optional[str]:
        """Show how far our run is until it has ended; return an error if it did so without a result."""
        began = time.monotonic()
        meter, timetable, shown = Meter(), Timetable(began), False
        seen_alive = began
        while True:
            now = self._pause(began)
            seen = self._look(target)
            if seen is None:
                seen_alive = time.monotonic()  # nobody knows
                continue
            target = seen.target
            if seen.snapshot is not None and seen.snapshot.process == target.process:
                meter.take(seen.snapshot, now)
            if not seen.unfinished:
                if shown and meter.end():
                    self._say(meter.end())
                return None
            if seen.alive:
                seen_alive = now
            patience = _UNHEARD_SECONDS if seen.alive is None else _DEAD_SECONDS
            if now - seen_alive > patience:
                return (
                    "the process of the module ended on the host without a result, as if it was killed or the host was"
                    " restarted. Nothing that was sent is lost: run the task again, and it goes on from there"
                )
            if not timetable.due(now):
                continue
            line = meter.line(now)
            if not shown and (line or now - began > _SILENT_SECONDS):
                self._say(f"{_BACKGROUND} (to end it there: kill {target.process})" if target.process else _BACKGROUND)
                shown = True
            self._say_or_postpone(line, timetable, now)

    def _result(self, job: str, target: Target) -> dict[str, Any]:
        arguments = {"jid": job, "mode": "status", "_async_dir": target.folder}
        while True:
            try:
                result = dict(
                    self._execute_module("ansible.legacy.async_status", module_args=arguments, task_vars=self._vars)
                )
                break
            except AnsibleConnectionFailure as error:
                self._lost(error)
                time.sleep(_LONGEST_LOOK_SECONDS)
        # What the module writes there is not part of its result, unless it had none.
        added = _ADDED_BY_ASYNC if "cmd" in result else (*_ADDED_BY_ASYNC, "stderr", "stderr_lines")
        return {name: value for name, value in result.items() if name not in added}

    # The run of somebody else.

    def _await(self, target: Target) -> None:
        """Show how far another run is until it has ended, or nobody knows any more."""
        self._say(
            f"another run (process {target.process or 'unknown'} on the host) is at work: attached to it, this task"
            " begins when it has ended"
        )
        began = changed = time.monotonic()
        meter, timetable, age = Meter(), Timetable(began), -1.0
        while True:
            now = self._pause(began)
            seen = self._look(target)
            if seen is None:
                continue
            if not seen.alive or (seen.snapshot is not None and seen.snapshot.stage == ENDED):
                return
            if seen.snapshot is not None:
                meter.take(seen.snapshot, now)
                if seen.snapshot.seconds != age:
                    age, changed = seen.snapshot.seconds, now
            if now - changed > _RETRY_OTHER_SECONDS:
                return  # the process may be another by now: the lock knows
            if timetable.due(now):
                self._say_or_postpone(meter.line(now), timetable, now)

    def _say_or_postpone(self, line: str, timetable: Timetable, now: float) -> None:
        if line:
            self._say(line)
        else:
            timetable.postpone(now)

    # The host.

    @staticmethod
    def _pause(began: float) -> float:
        age = time.monotonic() - began
        time.sleep(min(max(age * _LOOKS_SHARE, _SHORTEST_LOOK_SECONDS), _LONGEST_LOOK_SECONDS))
        return time.monotonic()

    def _look(self, target: Target) -> Optional[Sight]:
        """Return what is to be seen of a run; None while the host can't be asked."""
        try:
            answer = self._low_level_execute_command(look_command(target))
        except AnsibleConnectionFailure as error:
            self._lost(error)
            return None
        seen = sight(answer["stdout"], target)
        if seen is None:
            self._lost(AnsibleError(answer["stderr"].strip() or f"status {answer['rc']}"))
        elif self._lost_since is not None:
            self._say("connected again")
            self._lost_since = None
        return seen

    def _lost(self, error: AnsibleError) -> None:
        """Note that the connection failed.

        Raises:
            AnsibleConnectionFailure: it has done so for too long.
        """
        now = time.monotonic()
        if self._lost_since is None:
            self._lost_since = now
            self._say("the connection is lost, trying again; the run on the host goes on")
        elif now - self._lost_since > _LOST_SECONDS:
            raise AnsibleConnectionFailure(
                f"no connection for {duration(now - self._lost_since)}; the run on the host goes on, and the same task,"
                f" run again, attaches to it: {error}"
            ) from error
        display.vvv(f"looking at the run failed: {error}")
        if type(self._connection).reset is not ConnectionBase.reset:  # which only warns that it does nothing
            with suppress(AnsibleError):
                self._connection.reset()

    def _say(self, text: str) -> None:
        """Show a line. Standard output belongs to callbacks, some of which write JSON there."""
        host, other = self._vars.get("inventory_hostname", "?"), self._task.delegate_to
        display.display(f"[{f'{host} -> {other}' if other else host}] {text}", stderr=True)


def _secret_among(arguments: Mapping[str, Any]) -> str:
    """Return the name of an option that holds a secret, or nothing."""
    for name, option in connection_argument_spec().items():
        for word in (name, *option.get("aliases", ())):
            if option.get("no_log") and arguments.get(word):
                return word
    config = arguments.get("aws_config")
    return "aws_config" if isinstance(config, Mapping) and config.get("proxies") else ""
