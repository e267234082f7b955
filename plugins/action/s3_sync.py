# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Runs the module s3_sync in the background on the host, and shows its progress on standard error.

With `repeat_until`, it repeats that until it is time to go on.
"""

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

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.connection.options import secret_options
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.progress.progress import ENDED, JOBS
from ansible_collections.fediverse.mastodon_s3.plugins.plugin_utils._job_status import (
    BackgroundJob,
    JobStatus,
    cleanup_command,
    parsed_status,
    status_command,
)
from ansible_collections.fediverse.mastodon_s3.plugins.plugin_utils._progress import Meter, Timetable, duration
from ansible_collections.fediverse.mastodon_s3.plugins.plugin_utils._rounds import Rounds
from ansible_collections.fediverse.mastodon_s3.plugins.plugin_utils._variable_names import with_variable_names
from ansible_collections.fediverse.mastodon_s3.plugins.plugin_utils._waiting import (
    Condition,
    ConditionError,
    Look,
    condition,
    look_command,
    parsed_look,
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
    "the run is a background job on the host: if Ansible is interrupted or disconnected, the job continues, and running"
    " the same task again attaches to it"
)
_ADDED_BY_ASYNC = ("ansible_job_id", "finished", "results_file", "started")


class ActionModule(ActionBase):
    """The action for tasks that call the module s3_sync."""

    _supports_async = True
    _supports_check_mode = True

    def run(self, tmp: Optional[str] = None, task_vars: Optional[dict[str, Any]] = None) -> dict[str, Any]:
        """Run the module, and show its progress if this is wanted and possible."""
        super().run(tmp, task_vars)
        self._vars = task_vars or {}
        return with_variable_names(self._run(), self._vars, self._templar)

    def _run(self) -> dict[str, Any]:
        self._token = ""
        self._lost_since: Optional[float] = None
        self._waits = False
        until = str(self._task.args.get("repeat_until") or "")
        self._task.args = {name: value for name, value in self._task.args.items() if name != "repeat_until"}
        if not until:
            return self._round()
        try:
            waited_for = condition(until)
        except ConditionError as error:
            return {"failed": True, "msg": str(error)}
        if self._task.async_val:
            return {"failed": True, "msg": "repeat_until does not work with async. Remove one of them"}
        if self._task.check_mode:
            return self._round()
        return Rounds(waited_for, self._host(), self._round, self._look, self._print).run()

    def _round(self) -> dict[str, Any]:
        self._waits = False
        if not self._shows():
            return dict(self._execute_module(task_vars=self._vars, wrap_async=self._task.async_val))
        while True:
            result = self._background_run()
            busy = result.get("busy")
            if not result.get("failed") or not isinstance(busy, Mapping):
                return result
            self._await(BackgroundJob(process=busy.get("process"), progress=str(busy.get("progress") or "")))

    def get_shell_option(self, option: str, default: Any = None) -> Any:
        """Return an option of the host's shell. Each of our jobs has its own folder, as the module expects."""
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

    # Rounds until it is time to go on.

    def _look(self, waited_for: Condition) -> Optional[Look]:
        """Look at the host's clock and for the file; return None while the host can't be reached."""
        self._waits = True
        try:
            answer = self._low_level_execute_command(look_command(waited_for.file))
        except AnsibleConnectionFailure as error:
            self._lost(error)
            return None
        look = parsed_look(answer["stdout"])
        if look is None:
            self._lost(AnsibleError(answer["stderr"].strip() or f"status {answer['rc']}"))
        else:
            self._found_again()
        return look

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
        job = BackgroundJob(job_file=str(started["results_file"]))
        end = self._watch(job)
        result = {"failed": True, "msg": end} if end else self._result(str(started["ansible_job_id"]), job)
        with suppress(AnsibleConnectionFailure):
            self._low_level_execute_command(cleanup_command(job))
        return result

    def _watch(self, job: BackgroundJob) -> Optional[str]:
        """Show the progress of our run until it has ended; return an error if it ended without a result."""
        began = time.monotonic()
        meter, timetable, shown = Meter(), Timetable(began), False
        seen_alive = began
        while True:
            now = self._pause(began)
            status = self._status(job)
            if status is None:
                seen_alive = time.monotonic()  # it is not known
                continue
            job = status.job
            if status.snapshot is not None and status.snapshot.process == job.process:
                meter.take(status.snapshot, now)
            if not status.unfinished:
                if shown and meter.end():
                    self._print(meter.end())
                return None
            if status.alive:
                seen_alive = now
            allowed = _UNHEARD_SECONDS if status.alive is None else _DEAD_SECONDS
            if now - seen_alive > allowed:
                return (
                    "the process of the module ended on the host without a result. It was probably killed, or the host"
                    " was restarted. Nothing that was sent is lost: run the task again to continue"
                )
            if not timetable.due(now):
                continue
            line = meter.line(now)
            if not shown and (line or now - began > _SILENT_SECONDS):
                self._print(f"{_BACKGROUND} (to end it there: kill {job.process})" if job.process else _BACKGROUND)
                shown = True
            self._print_or_postpone(line, timetable, now)

    def _result(self, job_id: str, job: BackgroundJob) -> dict[str, Any]:
        arguments = {"jid": job_id, "mode": "status", "_async_dir": job.folder}
        while True:
            try:
                result = dict(
                    self._execute_module("ansible.legacy.async_status", module_args=arguments, task_vars=self._vars)
                )
                break
            except AnsibleConnectionFailure as error:
                self._lost(error)
                time.sleep(_LONGEST_LOOK_SECONDS)
        # What the module writes there is not part of its result, unless there is no result.
        added = _ADDED_BY_ASYNC if "cmd" in result else (*_ADDED_BY_ASYNC, "stderr", "stderr_lines")
        return {name: value for name, value in result.items() if name not in added}

    # The run of another task.

    def _await(self, job: BackgroundJob) -> None:
        """Show the progress of another run until it has ended or can no longer be found."""
        self._print(
            f"another run (process {job.process or 'unknown'} on the host) is in progress: its progress is shown"
            " here, and this task begins when it has ended"
        )
        began = changed = time.monotonic()
        meter, timetable, age = Meter(), Timetable(began), -1.0
        while True:
            now = self._pause(began)
            status = self._status(job)
            if status is None:
                continue
            if not status.alive or (status.snapshot is not None and status.snapshot.stage == ENDED):
                return
            if status.snapshot is not None:
                meter.take(status.snapshot, now)
                if status.snapshot.seconds != age:
                    age, changed = status.snapshot.seconds, now
            if now - changed > _RETRY_OTHER_SECONDS:
                return  # the PID may belong to another process by now: the lock shows it
            if timetable.due(now):
                self._print_or_postpone(meter.line(now), timetable, now)

    def _print_or_postpone(self, line: str, timetable: Timetable, now: float) -> None:
        if line:
            self._print(line)
        else:
            timetable.postpone(now)

    # The host.

    @staticmethod
    def _pause(began: float) -> float:
        age = time.monotonic() - began
        time.sleep(min(max(age * _LOOKS_SHARE, _SHORTEST_LOOK_SECONDS), _LONGEST_LOOK_SECONDS))
        return time.monotonic()

    def _status(self, job: BackgroundJob) -> Optional[JobStatus]:
        """Return the status of a run; None while the host can't be reached."""
        try:
            answer = self._low_level_execute_command(status_command(job))
        except AnsibleConnectionFailure as error:
            self._lost(error)
            return None
        status = parsed_status(answer["stdout"], job)
        if status is None:
            self._lost(AnsibleError(answer["stderr"].strip() or f"status {answer['rc']}"))
        else:
            self._found_again()
        return status

    def _found_again(self) -> None:
        if self._lost_since is not None:
            self._print("connected again")
            self._lost_since = None

    def _lost(self, error: AnsibleError) -> None:
        """Record that the connection failed.

        Raises:
            AnsibleConnectionFailure: It has been failing for too long.
        """
        now = time.monotonic()
        continues = "" if self._waits else "; the run on the host continues"
        if self._lost_since is None:
            self._lost_since = now
            self._print(f"the connection is lost, trying again{continues}")
        elif now - self._lost_since > _LOST_SECONDS:
            attaches = continues and f"{continues}, and running the same task again attaches to it"
            raise AnsibleConnectionFailure(
                f"no connection for {duration(now - self._lost_since)}{attaches}: {error}"
            ) from error
        display.vvv(f"the host can't be reached: {error}")
        if type(self._connection).reset is not ConnectionBase.reset:  # which only warns that it has no effect
            with suppress(AnsibleError):
                self._connection.reset()

    def _print(self, text: str) -> None:
        """Show a line. Standard output is not used, because callbacks write there, some of them JSON."""
        display.display(f"[{self._host()}] {text}", stderr=True)

    def _host(self) -> str:
        host, other = self._vars.get("inventory_hostname", "?"), self._task.delegate_to
        return f"{host} -> {other}" if other else str(host)


def _secret_among(arguments: Mapping[str, Any]) -> str:
    """Return the name of an option that contains a secret, or an empty string."""
    found = secret_options(arguments)
    if found:
        return found[0]
    config = arguments.get("aws_config")
    return "aws_config" if isinstance(config, Mapping) and config.get("proxies") else ""
