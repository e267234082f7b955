# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The state machine of a migration: its table, and runs that are killed after each step and followed by each command.

The simulated runs take the steps that the role takes on the machine's answers, in its order, on a simulated server.
"""

from __future__ import annotations

import contextlib
import itertools
from dataclasses import dataclass, field, replace

import pytest

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._mastodon.moment import Moment
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._migration.machine import (
    TRANSITIONS,
    Contradiction,
    Event,
    Position,
    SourceOfTruth,
    TransitionError,
    after,
)
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._migration.record import (
    Record,
    State,
    Units,
)

UNITS = Units(("web",), ("sidekiq",))


class KilledError(Exception):
    """The run ends here, without a chance to clean up."""


class FailedError(Exception):
    """A step of the run failed, and the role cleans up."""


@dataclass
class SimulatedServer:
    """A simulated server: its env file, what its services use and do, and the role's files."""

    env_bucket: bool = False
    env_before: bool | None = None
    services_bucket: bool = False
    sidekiq_up: bool = True
    sidekiq_quiet: bool = False
    key: int = 1
    services_key: int = 1
    record: Record | None = None
    # Whether the journal of the copy has seen the switch: then a sync from the tree is refused unless it is to reopen.
    journal_switched: bool = False
    undo: bool = False
    quieted: bool = False
    steps: int | None = None
    fail_at: str = ""
    done: list[str] = field(default_factory=list)

    @property
    def position(self) -> Position:
        return Position(self.record, self.env_bucket)

    def step(self, name: str) -> None:
        """Take a step, unless the run is killed or fails before it."""
        if self.steps is not None:
            if self.steps == 0:
                raise KilledError
            self.steps -= 1
        if name == self.fail_at:
            self.fail_at = ""
            raise FailedError(name)
        self.done.append(name)

    def event(self, event: Event, *, uses_bucket: bool | None = None) -> None:
        self.step(event.value)
        position = Position(self.record, self.env_bucket if uses_bucket is None else uses_bucket)
        self.record = after(position, event, bucket="media", exposure="acl", units=UNITS)

    def sync(self) -> None:
        self.step("sync")
        if self.position.source_of_truth is SourceOfTruth.DISK:
            assert not self.journal_switched or self.position.reopen, "the journal refuses to mirror the tree"
            self.journal_switched = False
        else:
            self.journal_switched = True

    def restart_all(self) -> None:
        self.step("stop sidekiq")
        self.sidekiq_up = False
        self.step("restart web")
        self.services_bucket, self.services_key = self.env_bucket, self.key

    def start_sidekiq(self) -> None:
        self.step("start sidekiq")
        self.sidekiq_up, self.sidekiq_quiet = True, False


def migrate(server: SimulatedServer, *, new_key: bool = False) -> None:
    """Take the steps of the migrate playbook."""
    if server.position.contradiction:
        raise TransitionError
    server.undo = server.quieted = False
    if new_key:
        if server.position.source_of_truth is SourceOfTruth.BUCKET:
            server.event(Event.CHANGE_KEY)
        server.step("write key")
        server.key += 1
    if server.position.source_of_truth is SourceOfTruth.DISK:
        server.event(Event.COPY)
    if server.position.source_of_truth is not SourceOfTruth.SWITCHING:
        server.sync()
    try:
        _switch(server)
    except FailedError:
        _recover(server)
        raise


def _switch(server: SimulatedServer) -> None:
    if server.position.source_of_truth is SourceOfTruth.DISK:
        server.quieted = True
        server.event(Event.QUIET)
        server.step("quiet sidekiq")
        server.sidekiq_quiet = True
        server.sync()
    if server.position.source_of_truth is not SourceOfTruth.BUCKET:
        begins = server.position.source_of_truth is SourceOfTruth.DISK
        server.event(Event.BEGIN_SWITCH)
        if begins:
            server.step("copy env file")
            server.env_before = server.env_bucket
        server.step("write env file")
        server.env_bucket = server.undo = True
    if server.position.restart_due:
        server.restart_all()
        server.quieted = True
        server.sync()
        server.start_sidekiq()
        server.event(Event.FINISH_SWITCH)
    server.step("verify")


def _recover(server: SimulatedServer) -> None:
    if server.undo:
        server.step("restore env file")
        server.env_bucket = bool(server.env_before)
        server.restart_all()
    if server.undo or server.quieted:
        server.start_sidekiq()
    if server.undo or (server.position.source_of_truth is SourceOfTruth.DISK and server.position.restart_due):
        server.event(Event.UNDO, uses_bucket=False)


def rollback(server: SimulatedServer) -> None:
    """Take the steps of the rollback playbook."""
    if server.record is None or server.env_before is None:
        raise TransitionError
    server.step("read variables")
    if server.env_bucket or server.position.rollback_due:
        server.event(Event.BEGIN_ROLL_BACK)
        server.step("stop sidekiq")
        server.sidekiq_up = False
        server.step("restore variables")
        server.env_bucket = False
        server.restart_all()
        server.start_sidekiq()
        server.event(Event.ROLL_BACK, uses_bucket=False)
    if server.position.fetch_due:
        server.step("fetch")
        server.event(Event.FETCHED)


def at_rest(server: SimulatedServer) -> None:
    """Check that nothing is half done: services run with the env file, and record and env file agree."""
    assert server.services_bucket is server.env_bucket
    assert server.services_key == server.key or server.position.source_of_truth is SourceOfTruth.DISK
    assert server.sidekiq_up
    assert not server.sidekiq_quiet
    assert not server.position.restart_due
    assert server.position.contradiction is None
    assert server.record is None or not server.record.restart_pending
    assert server.record is None or server.record.units == Units()


def begun() -> dict[str, SimulatedServer]:
    """Return servers in each state at rest."""
    fresh = SimulatedServer()
    switched = SimulatedServer()
    migrate(switched)
    rolled_back = SimulatedServer()
    migrate(rolled_back)
    rollback(rolled_back)
    undone = SimulatedServer(fail_at="verify")
    with pytest.raises(FailedError):
        migrate(undone)
    return {"new": fresh, "switched": switched, "rolled back": rolled_back, "undone": undone}


def copied(server: SimulatedServer, **changes) -> SimulatedServer:
    return replace(server, done=[], **changes)


COMMANDS = {
    "migrate": migrate,
    "migrate with a new key": lambda server: migrate(server, new_key=True),
    "rollback": rollback,
}
STATES = ["new", "switched", "rolled back", "undone"]
STEPS = 40


@pytest.mark.parametrize("name", STATES)
def test_the_simulated_server_is_at_rest(name):
    at_rest(begun()[name])


@pytest.mark.parametrize(("state", "command"), list(itertools.product(STATES, COMMANDS)))
@pytest.mark.parametrize("following", ["migrate", "rollback"])
def test_after_a_kill_at_any_step_the_next_command_finishes(state, command, following):
    killed = 0
    for steps in range(STEPS):
        server = copied(begun()[state], steps=steps)
        try:
            COMMANDS[command](server)
        except KilledError:
            killed += 1
        except TransitionError:
            return  # there is nothing to roll back yet
        server.steps = None
        if following == "rollback" and (server.env_before is None or server.record is None):
            # Nothing was switched: Sidekiq may be quiet, and the role says so. The next migration restarts it.
            following_command = migrate
        else:
            following_command = COMMANDS[following]
        if server.position.contradiction is Contradiction.NOT_ENABLED and following_command is migrate:
            # A rollback was killed while services may still use the bucket: preflight asks for the rollback first.
            with pytest.raises(TransitionError):
                migrate(server)
            rollback(server)
            at_rest(server)
        following_command(server)
        at_rest(server)
        expected = SourceOfTruth.DISK if following_command is rollback else SourceOfTruth.BUCKET
        assert server.position.source_of_truth is expected
        assert server.journal_switched or expected is SourceOfTruth.DISK
    assert killed < STEPS, "the command has more steps than were tried"
    assert killed > 0


@pytest.mark.parametrize("state", STATES)
def test_after_two_kills_the_next_command_finishes(state):
    for first, second in itertools.product(range(20), range(20)):
        server = copied(begun()[state], steps=first)
        for command, steps in ((migrate, second), (migrate, None)):
            with contextlib.suppress(KilledError):
                command(server)
            server.steps = steps
        migrate(server)
        at_rest(server)
        assert server.position.source_of_truth is SourceOfTruth.BUCKET


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize(
    "failing", ["sync", "quiet", "quiet sidekiq", "write env file", "restart web", "start sidekiq", "verify"]
)
def test_after_a_failure_of_any_step_the_site_is_as_before(state, failing):
    server = copied(begun()[state], fail_at=failing)
    before = server.env_bucket
    try:
        migrate(server)
    except FailedError:
        assert server.env_bucket is server.services_bucket is before
        assert server.sidekiq_up
        assert not server.sidekiq_quiet
        assert not server.position.restart_due
    server.fail_at = ""
    migrate(server)
    at_rest(server)
    assert server.position.source_of_truth is SourceOfTruth.BUCKET


@pytest.mark.parametrize("failing", ["restore env file", "restart web", "start sidekiq", "undo"])
def test_after_a_failed_undo_a_rollback_finishes(failing):
    server = SimulatedServer(fail_at="verify")
    server.step = _then_kill(server, failing)  # type: ignore[method-assign]
    with pytest.raises(FailedError):
        migrate(server)
    del server.step
    rollback(server)
    at_rest(server)
    assert server.position.source_of_truth is SourceOfTruth.DISK


def _then_kill(server: SimulatedServer, name: str):
    original, failed = server.step, []

    def step(step_name: str) -> None:
        if failed and step_name == name:
            raise FailedError(name)
        try:
            original(step_name)
        except FailedError:
            failed.append(step_name)
            raise

    return step


def test_a_run_with_nothing_to_do_only_syncs_and_verifies():
    server = copied(begun()["switched"])
    record = server.record
    migrate(server)
    assert server.done == ["sync", "verify"]
    assert server.record == record


@pytest.mark.parametrize(
    ("state", "uses_bucket", "side", "contradiction"),
    [
        (None, False, SourceOfTruth.DISK, None),
        (None, True, SourceOfTruth.SWITCHING, Contradiction.NOT_RECORDED),
        (State.COPYING, False, SourceOfTruth.DISK, None),
        (State.COPYING, True, SourceOfTruth.SWITCHING, Contradiction.NOT_RECORDED),
        (State.CONFIGURING, False, SourceOfTruth.DISK, None),
        (State.CONFIGURING, True, SourceOfTruth.SWITCHING, None),
        (State.SWITCHED, False, SourceOfTruth.DISK, Contradiction.NOT_ENABLED),
        (State.SWITCHED, True, SourceOfTruth.BUCKET, None),
        (State.ROLLED_BACK, False, SourceOfTruth.DISK, None),
        (State.ROLLED_BACK, True, SourceOfTruth.SWITCHING, Contradiction.NOT_RECORDED),
    ],
)
def test_every_position_has_a_source_of_truth(state, uses_bucket, side, contradiction):
    position = Position(state and Record("media", state, "prefix", "acl"), uses_bucket)
    assert (position.source_of_truth, position.contradiction) == (side, contradiction)
    assert position.switch_settings == (("acl", "prefix") if side is not SourceOfTruth.DISK and state else None)


@pytest.mark.parametrize(
    ("event", "state", "uses_bucket"), list(itertools.product(Event, [None, *State], (False, True)))
)
def test_an_event_follows_the_table_or_is_refused(event, state, uses_bucket):
    position = Position(state and Record("media", state, exposure="policy"), uses_bucket)
    wanted = TRANSITIONS[event].get(state)
    if position.contradiction and event not in (Event.UNDO, Event.BEGIN_ROLL_BACK, Event.ROLL_BACK):
        wanted = None
    if wanted is None:
        with pytest.raises(TransitionError, match=event.value):
            after(position, event, bucket="media")
        return
    record = after(position, event, bucket="media", units=UNITS)
    assert record.state is wanted
    assert record.exposure == ("policy" if state else "")
    if event in (Event.QUIET, Event.CHANGE_KEY, Event.BEGIN_SWITCH, Event.BEGIN_ROLL_BACK):
        assert (record.restart_pending, record.units) == (True, UNITS)
    else:
        assert (record.restart_pending, record.units) == (False, Units())


def test_omitted_values_are_kept():
    edited = Moment("boot", 7)
    before = Record("media", State.COPYING, exposure="acl", restart_pending=True, units=UNITS, env_file_edited=edited)
    record = after(Position(before, False), Event.COPY, bucket="media", key_prefix="p", exposure="policy")
    assert record == replace(before, key_prefix="p", exposure="policy")
    later = Moment("boot", 9)
    assert after(Position(before, False), Event.QUIET, bucket="media", edited=later).env_file_edited == later


def test_after_a_rollback_the_changes_in_the_bucket_have_to_come_home_once():
    position = Position(None, uses_bucket=False)

    def happens(event, *, uses_bucket):
        nonlocal position
        record = after(Position(position.record, uses_bucket), event, bucket="media", exposure="acl")
        position = Position(record, uses_bucket)
        return position.fetch_due, record.fetch_due

    assert not position.fetch_due
    assert happens(Event.COPY, uses_bucket=False) == (False, False)
    assert happens(Event.BEGIN_SWITCH, uses_bucket=False) == (False, False), "the env file does not name the bucket yet"
    assert happens(Event.FINISH_SWITCH, uses_bucket=True) == (True, True)
    assert happens(Event.ROLL_BACK, uses_bucket=False) == (True, True)
    assert happens(Event.QUIET, uses_bucket=False) == (True, True)
    assert happens(Event.ROLL_BACK, uses_bucket=False) == (True, True)
    assert happens(Event.FETCHED, uses_bucket=False) == (False, False)
    assert happens(Event.ROLL_BACK, uses_bucket=False) == (False, False)
    assert happens(Event.BEGIN_SWITCH, uses_bucket=False) == (False, False)
    assert happens(Event.UNDO, uses_bucket=True) == (True, True)


def test_a_finished_rollback_has_fetched():
    assert begun()["switched"].position.fetch_due
    assert not begun()["rolled back"].position.fetch_due
    assert begun()["undone"].position.fetch_due
