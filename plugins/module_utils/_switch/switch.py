# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Runs the phases of a switch, and undoes them if one fails."""

from __future__ import annotations

import os
import time
import typing as t
from contextlib import contextmanager, suppress

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._dotenv.editor import edit
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._dotenv.masking import masked_diff
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._dotenv.reader import MAX_BYTES, read_document
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._dotenv.request import Request
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._dotenv.writer import (
    Writing,
    open_target,
    write_target,
)
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._files.copy import copy_file
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._files.temporary import KEEP
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._mastodon import processes
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._mastodon.moment import Moment
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._mastodon.processes_check import (
    ProcessesToCheck,
    check_processes,
)
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._mastodon.proof import DISPROVEN
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._migration import machine, store
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._migration.record import Units
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._migration.recording import record_event
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._switch.model import (
    Copy,
    Phase,
    Progress,
    Settings,
    SwitchError,
    SwitchFailedError,
)
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._switch.services import Services

# Runs one sync with some of its options, and returns its result and its warnings; raises SwitchError.
Sync = t.Callable[[t.Mapping[str, t.Any]], "tuple[dict[str, t.Any], list[str]]"]
# Returns the text for an exception.
Describe = t.Callable[[Exception], str]

_KEY_NAMES = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
_PROCESSES_SECONDS = 30
_RESTORED = "Everything was restored to the state before the switch, and the site answers."


class Switch:
    """One switch of an instance.

    The record is written before each step that it announces, and after each step that it confirms (see
    `_migration.machine`). So the next run can finish what a killed process has begun.
    """

    def __init__(
        self, settings: Settings, request: Request, services: Services, sync: Sync, describe: Describe
    ) -> None:
        self.progress = Progress(restore=settings.restore, before_edit=settings.before_edit)
        self._settings = settings
        self._request = request
        self._services = services
        self._sync = sync
        self._describe = describe
        self._interfered = False
        self._sidekiq_stopped_at: float | None = None

    def run(self, phases: t.Iterable[Phase]) -> None:
        """Run the phases in this order.

        Raises:
            SwitchFailedError: A step failed. If anything had been changed, the previous state was restored, or the text
                says that this failed too.
        """
        actions: dict[Phase, t.Callable[[], None]] = {
            Phase.QUIESCE: self._quiesce,
            Phase.CONFIGURE: self._configure,
            Phase.RESTART: self._restart,
            Phase.UNDO: self._undo,
        }
        for phase in phases:
            try:
                actions[phase]()
            except Exception as error:
                raise self._after_failure(phase, error) from error
            self.progress.phases.append(phase.value)

    def position(self) -> machine.Position:
        """Return where the migration stands.

        Raises:
            StateError: The record can't be read.
            DotenvReadError: The env file can't be read.
        """
        location = self._location()
        return machine.Position(store.read(location).record, location.uses_bucket)

    def predict(self, phases: t.Collection[Phase]) -> bool:
        """Return whether the phases would change anything, and note the edit of the env file. Changes nothing.

        Raises:
            DotenvError, FileError, StateError: The files can't be read or edited.
        """
        position = self.position()
        changed = Phase.UNDO in phases or (
            Phase.QUIESCE in phases and position.source_of_truth is machine.SourceOfTruth.DISK
        )
        if Phase.CONFIGURE in phases:
            self._edit(dry_run=True)
            changed |= bool(self.progress.edited) or position.source_of_truth is not machine.SourceOfTruth.BUCKET
        # Without a switch that has begun, the phase says what is missing.
        alone = Phase.CONFIGURE not in phases and position.source_of_truth is machine.SourceOfTruth.DISK
        return changed or (Phase.RESTART in phases and (position.restart_due or alone))

    def _quiesce(self) -> None:
        if self.position().source_of_truth is not machine.SourceOfTruth.DISK:
            return
        if not self._services.by_command:
            # Before the signal: after a kill, the next run or a rollback has to know that Sidekiq is quiet.
            self._record(machine.Event.QUIET)
            self._interfere()
            with self._step("Wait for Sidekiq's jobs"):
                self._services.quiet_sidekiq()
        with self._step("Send files that were written in the meantime"):
            self._round("quiesce", {})

    def _configure(self) -> None:
        position = self.position()
        switching = position.source_of_truth is not machine.SourceOfTruth.BUCKET
        self._edit(dry_run=True)
        if not switching and not self.progress.edited:
            return
        # Recorded before the edit, so that if this process is killed, the next run restarts the services.
        self._record(machine.Event.BEGIN_SWITCH)
        self._interfere()
        if position.source_of_truth is machine.SourceOfTruth.SWITCHING:
            self.progress.restore = Copy.BEFORE
        with self._step("Keep a copy of the env file"):
            self._copy(self._settings.env_file, self._settings.copy(Copy.LAST))
            if position.source_of_truth is machine.SourceOfTruth.DISK:
                self._copy(self._settings.env_file, self._settings.copy(Copy.BEFORE))
        # If the edit is undone later, processes that have been running since before it need no restart.
        self.progress.before_edit = processes.now()
        if switching:
            self._stop_sidekiq()
        # The file to restore after a failure: that from before the switch, or from before this edit.
        self.progress.restore = Copy.BEFORE if switching else Copy.LAST
        with self._step("Write the env file"):
            self._edit(dry_run=False)

    def _restart(self) -> None:
        position = self.position()
        if position.source_of_truth is machine.SourceOfTruth.DISK:
            raise SwitchError(
                f"{self._settings.env_file} does not name the bucket yet, so no restart is needed. Run the phase"
                " configure first, or the whole migration"
            )
        if not position.restart_due:
            return
        # An interrupted switch is undone with the file from before it, even if this phase runs alone.
        if position.source_of_truth is machine.SourceOfTruth.SWITCHING and self.progress.restore is None:
            self.progress.restore = Copy.BEFORE
        self._interfere()
        self.progress.settings_from = processes.now()
        # A walk of the whole tree would compete with web for the disk.
        early = self.progress.rounds.get("quiesce", {}).get("entries", {}).get("from") == "feed"
        if self._services.by_command:
            with self._step("Restart everything with the given command"):
                self._services.restart_by_command()
            early = False
        else:
            self._stop_sidekiq()
            with self._step("Restart web, and wait for the end of its old processes"):
                self._services.restart_web()
        self.progress.restarted = True
        ended = time.monotonic()
        if early:
            self._send_last_files(ended)
        with self._step("Wait until web answers"):
            self._services.wait_for_web()
        if not early:
            self._send_last_files(ended)
        if not self._services.by_command:
            with self._step("Start Sidekiq"):
                self._services.start_sidekiq()
            if self._sidekiq_stopped_at is not None:
                self.progress.seconds_without_sidekiq = round(time.monotonic() - self._sidekiq_stopped_at, 3)
        with self._step("Check which settings the processes use"):
            self._check_processes(self.progress.settings_from, before_reverted_edit=None)
        self._record(machine.Event.FINISH_SWITCH)

    def _send_last_files(self, ended: float) -> None:
        with self._step("Send the last files of the old processes"):
            self._round("restart", {"minimum_age": 0})
        self.progress.seconds_to_last_file = round(time.monotonic() - ended, 3)
        self._end_fallback()

    def _undo(self) -> None:
        settings, progress, position = self._settings, self.progress, self.position()
        self._end_fallback()
        if progress.restore is None:
            self._services.restart(web=False)
        else:
            # After a kill, the next run has to restart the services. A full disk must not prevent the rest.
            with suppress(store.StateError, machine.TransitionError):
                self._record(machine.Event.BEGIN_ROLL_BACK)
            try:
                self._copy(settings.copy(progress.restore), settings.env_file)
            finally:
                # Whatever the env file says, a site that runs is better than one that is stopped.
                moment = processes.now()
                self._services.restart(web=True)
            self._check_processes(moment, before_reverted_edit=progress.before_edit)
        switched = progress.restore is Copy.BEFORE
        if switched or (position.source_of_truth is machine.SourceOfTruth.DISK and position.restart_due):
            self._record(machine.Event.UNDO, used_bucket=position.uses_bucket)

    def _after_failure(self, phase: Phase, error: Exception) -> SwitchFailedError:
        cause = self._describe(error)
        if phase is Phase.UNDO:
            return SwitchFailedError(self._not_restored(cause), undone=False, interfered=True)
        if self.progress.steps and "seconds" not in self.progress.steps[-1]:
            cause = f"{self.progress.steps[-1]['step']}: {cause}"
        if not self._interfered:
            return SwitchFailedError(f"{cause}\nNothing was changed.", undone=False, interfered=False)
        try:
            self._undo()
        except Exception as second:  # noqa: BLE001 - it has to be said, whatever it is
            return SwitchFailedError(
                f"{cause}\n{self._not_restored(self._describe(second))}", undone=False, interfered=True
            )
        return SwitchFailedError(f"{cause}\n{_RESTORED}", undone=True, interfered=True)

    def _end_fallback(self) -> None:
        """Have web servers serve nothing from disk any more: files there may be deleted or suspended from now on."""
        with suppress(OSError):
            if self._settings.fallback_file:
                os.unlink(self._settings.fallback_file)

    def _not_restored(self, cause: str) -> str:
        hint = "" if self._services.by_command else f" To see the logs, run {self._services.journal_hint}"
        return (
            f"Not everything could be restored ({cause}), so services may be stopped. Correct that and run the rollback"
            f" playbook.{hint}"
        )

    def _interfere(self) -> None:
        self._interfered = True
        self.progress.quieted = self.progress.quieted or not self._services.by_command

    def _stop_sidekiq(self) -> None:
        if self._services.by_command or self._sidekiq_stopped_at is not None:
            return
        self._sidekiq_stopped_at = time.monotonic()
        with self._step("Stop Sidekiq"):
            self._services.stop_sidekiq()

    def _round(self, name: str, options: dict[str, t.Any]) -> None:
        position = self.position()
        from_disk = position.source_of_truth is machine.SourceOfTruth.DISK
        side = {"source_of_truth": "disk" if from_disk else "bucket", "delete": "own" if from_disk else "never"}
        result, warnings = self._sync({**side, "reopen": position.reopen, **options})
        self.progress.rounds[name] = result
        self.progress.warnings += warnings

    def _edit(self, *, dry_run: bool) -> None:
        with open_target(self._settings.env_file, lock=not dry_run) as target:
            if target.file is None:
                raise SwitchError(f"{target.path} does not exist")
            edited = edit(target.data, self._request.values, self._request.absent)
            if not dry_run and edited.after.data != target.data:
                write_target(target, edited.after.data, Writing(KEEP))
            self.progress.edited = sorted({*edited.added, *edited.updated, *edited.removed})
            self.progress.diff = [masked_diff(edited, target.path, self._request.plain, {})]

    def _copy(self, source: str, target: str) -> None:
        copy_file(source, target, MAX_BYTES)

    def _check_processes(self, since: Moment, *, before_reverted_edit: Moment | None) -> None:
        settings = self._settings
        names = (*self._request.values, *self._request.absent, *_KEY_NAMES)
        pids = self._services.process_ids()
        instance = processes.Instance(settings.root, settings.env_file, settings.domain, pids)
        wanted = ProcessesToCheck(instance, names, since=since, before_reverted_edit=before_reverted_edit)
        found = check_processes(wanted, seconds=_PROCESSES_SECONDS)
        if found.judgement.verdict == DISPROVEN:
            raise SwitchError(". ".join(found.judgement.faults))

    def _location(self) -> store.RecordLocation:
        settings = self._settings
        values = {name: found.value for name, found in read_document(settings.env_file).last().items()}
        enabled = values.get("S3_ENABLED") == "true" and values.get("S3_BUCKET") == settings.bucket
        return store.RecordLocation(
            settings.state_dir, settings.bucket, settings.key_prefix, enabled, values.get("S3_PERMISSION")
        )

    def _record(self, event: machine.Event, *, used_bucket: bool = False) -> None:
        record_event(
            self._location(),
            event,
            used_bucket=used_bucket,
            exposure=self._settings.exposure,
            units=Units(self._settings.web_units, self._settings.sidekiq_units),
            edited=self.progress.settings_from if event is machine.Event.FINISH_SWITCH else None,
        )

    @contextmanager
    def _step(self, name: str) -> t.Iterator[None]:
        step: dict[str, t.Any] = {"step": name}
        self.progress.steps.append(step)
        begin = time.monotonic()
        yield
        step["seconds"] = round(time.monotonic() - begin, 3)
