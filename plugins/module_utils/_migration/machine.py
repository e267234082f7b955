# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The state machine of a migration: where it stands, what may happen next, and what a killed run left behind. Pure.

Two things say where a migration stands: the record on the host, and whether the env file names the bucket. Each event
is recorded before the step it announces, or after the step it confirms, so a kill between the two leaves a position
from which the next run finishes:

- BEGIN_SWITCH comes before the edit of the env file. A kill before the edit leaves the source of truth on disk, and a
  kill after it leaves a switch that was not finished.
- FINISH_SWITCH, UNDO and ROLL_BACK come last, when all services are known to use the env file.
- QUIET, CHANGE_KEY and BEGIN_ROLL_BACK come before Sidekiq or the services fall behind, so the next run restarts them.
"""

from __future__ import annotations

import enum
import typing as t
from dataclasses import dataclass, replace

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._mastodon.moment import Moment
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._migration.record import Record, State, Units


class Event(enum.Enum):
    """What happens to a migration.

    COPY: the copy begins, with an exposure.
    QUIET: Sidekiq is about to be told to take no new jobs.
    CHANGE_KEY: the key in the env file is about to change.
    BEGIN_SWITCH: the env file is about to be edited, so that it names the bucket with the current settings.
    FINISH_SWITCH: all services use the bucket, and the final sync is complete.
    UNDO: the env file and the services are as they were before this run.
    BEGIN_ROLL_BACK: Sidekiq is about to stop, and the env file to be restored.
    ROLL_BACK: all services use the disk again.
    FETCHED: what changed in the bucket since the switch is on disk, too.
    """

    COPY = "copy"
    QUIET = "quiet"
    CHANGE_KEY = "change_key"
    BEGIN_SWITCH = "begin_switch"
    FINISH_SWITCH = "finish_switch"
    UNDO = "undo"
    BEGIN_ROLL_BACK = "begin_roll_back"
    ROLL_BACK = "roll_back"
    FETCHED = "fetched"


class SourceOfTruth(enum.Enum):
    """What the source of truth is.

    DISK: Mastodon writes to the disk.
    SWITCHING: the env file names the bucket, but a switch was not finished: services may use the disk or the bucket.
    BUCKET: Mastodon writes to the bucket.
    """

    DISK = "disk"
    SWITCHING = "switching"
    BUCKET = "bucket"


class Contradiction(enum.Enum):
    """How record and env file contradict each other.

    NOT_RECORDED: the env file names the bucket, but no switch was recorded.
    NOT_ENABLED: the record says that the bucket is in use, but the env file does not name it.
    """

    NOT_RECORDED = "not_recorded"
    NOT_ENABLED = "not_enabled"


class TransitionError(Exception):
    """An event can't happen in this position. The text says why."""


_NEW = None
_Before = t.Optional[State]

# Which event leads from which state to which. None is a host without a record. What is missing here can't happen.
TRANSITIONS: t.Mapping[Event, t.Mapping[_Before, State]] = {
    Event.COPY: {
        _NEW: State.COPYING,
        State.COPYING: State.COPYING,
        State.CONFIGURING: State.CONFIGURING,
        State.ROLLED_BACK: State.ROLLED_BACK,
    },
    Event.QUIET: {
        _NEW: State.COPYING,
        State.COPYING: State.COPYING,
        State.CONFIGURING: State.CONFIGURING,
        State.ROLLED_BACK: State.ROLLED_BACK,
    },
    Event.CHANGE_KEY: {State.SWITCHED: State.SWITCHED},
    Event.BEGIN_SWITCH: {
        _NEW: State.CONFIGURING,
        State.COPYING: State.CONFIGURING,
        State.CONFIGURING: State.CONFIGURING,
        State.SWITCHED: State.SWITCHED,
        State.ROLLED_BACK: State.CONFIGURING,
    },
    Event.FINISH_SWITCH: {State.CONFIGURING: State.SWITCHED, State.SWITCHED: State.SWITCHED},
    Event.UNDO: {
        State.COPYING: State.COPYING,
        State.CONFIGURING: State.ROLLED_BACK,
        State.SWITCHED: State.ROLLED_BACK,
        State.ROLLED_BACK: State.ROLLED_BACK,
    },
    Event.BEGIN_ROLL_BACK: {state: state for state in State},
    Event.ROLL_BACK: {
        State.COPYING: State.ROLLED_BACK,
        State.CONFIGURING: State.ROLLED_BACK,
        State.SWITCHED: State.ROLLED_BACK,
        State.ROLLED_BACK: State.ROLLED_BACK,
    },
    Event.FETCHED: {State.ROLLED_BACK: State.ROLLED_BACK},
}

# After these events a restart is due.
_RESTART_DUE = frozenset((Event.QUIET, Event.CHANGE_KEY, Event.BEGIN_SWITCH, Event.BEGIN_ROLL_BACK))
# These are possible even if record and env file contradict each other, since they make them agree.
_RESOLVES_CONTRADICTION = frozenset((Event.UNDO, Event.BEGIN_ROLL_BACK, Event.ROLL_BACK))
# After these none is due. COPY does not change this.
_NO_RESTART_DUE = frozenset((Event.FINISH_SWITCH, Event.UNDO, Event.ROLL_BACK))


@dataclass(frozen=True)
class Position:
    """Where a migration stands.

    Attributes:
        record: The record on the host; None if there is none yet.
        uses_bucket: The env file tells Mastodon to use this bucket.
    """

    record: Record | None
    uses_bucket: bool

    @property
    def state(self) -> State | None:
        """The state in the record; None if there is no record."""
        return self.record.state if self.record else None

    @property
    def source_of_truth(self) -> SourceOfTruth:
        """What the source of truth is."""
        if not self.uses_bucket:
            return SourceOfTruth.DISK
        return SourceOfTruth.BUCKET if self.state is State.SWITCHED else SourceOfTruth.SWITCHING

    @property
    def restart_due(self) -> bool:
        """Whether services may be stopped or quiet, or may run with settings from before the last edit."""
        return self.source_of_truth is SourceOfTruth.SWITCHING or (
            self.record is not None and self.record.restart_pending
        )

    @property
    def reopen(self) -> bool:
        """Whether the tree has to become the source of truth again, because the journal may have seen a switch."""
        return self.source_of_truth is SourceOfTruth.DISK and self.state in (State.CONFIGURING, State.ROLLED_BACK)

    @property
    def rollback_due(self) -> bool:
        """Whether a rollback still has to restart services, or to be recorded, although the env file is restored."""
        return self.state is not State.ROLLED_BACK or self.restart_due

    @property
    def fetch_due(self) -> bool:
        """Whether the bucket may have changes that are not on disk, now or once a rollback has restarted services."""
        if self.record is None:
            return False
        begun = self.state is State.CONFIGURING and self.uses_bucket
        return begun or self.state is State.SWITCHED or self.record.fetch_due

    @property
    def contradiction(self) -> Contradiction | None:
        """How record and env file contradict each other; None if they agree."""
        if self.uses_bucket and self.state not in (State.CONFIGURING, State.SWITCHED):
            return Contradiction.NOT_RECORDED
        if not self.uses_bucket and self.state is State.SWITCHED:
            return Contradiction.NOT_ENABLED
        return None

    @property
    def switch_settings(self) -> tuple[str, str] | None:
        """Exposure and key prefix with which a switch was begun; None before a switch, while both may change.

        The exposure is an empty string if a damaged record does not contain it.
        """
        if self.source_of_truth is SourceOfTruth.DISK or self.record is None:
            return None
        return self.record.exposure, self.record.key_prefix


def after(
    position: Position,
    event: Event,
    *,
    bucket: str,
    key_prefix: str = "",
    exposure: str | None = None,
    units: Units | None = None,
    edited: Moment | None = None,
) -> Record:
    """Return the record after an event.

    Args:
        position: Where the migration stands.
        event: What happens.
        bucket: The bucket's name.
        key_prefix: What all keys begin with.
        exposure: The exposure from now on; None keeps that of the record.
        units: The units that may be stopped or behind from now on, for the events that need a restart.
        edited: When the env file was edited; None keeps that of the record.

    Raises:
        TransitionError: The event can't happen here.
    """
    following = TRANSITIONS[event].get(position.state)
    if following is None or (position.contradiction and event not in _RESOLVES_CONTRADICTION):
        where = position.state.value if position.state else "not begun"
        env_file = "names this bucket" if position.uses_bucket else "does not name this bucket"
        raise TransitionError(
            f"the record says '{where}' and the env file {env_file}, so '{event.value}' is not possible now. Run the"
            " preflight playbook, which explains what to do"
        )
    record = position.record or Record(bucket, following)
    pending = event in _RESTART_DUE or (event not in _NO_RESTART_DUE and record.restart_pending)
    return replace(
        record,
        bucket=bucket,
        key_prefix=key_prefix,
        state=following,
        exposure=record.exposure if exposure is None else exposure,
        restart_pending=pending,
        units=(record.units if units is None else units) if pending else Units(),
        env_file_edited=edited or record.env_file_edited,
        fetch_due=position.fetch_due and event is not Event.FETCHED,
    )
