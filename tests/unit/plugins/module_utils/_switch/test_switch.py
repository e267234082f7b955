# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A switch with a real env file and record, and services that only note what they are told."""

from __future__ import annotations

import pytest

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._dotenv.request import request
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._files.errors import FileError
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._mastodon import processes
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._mastodon.processes_check import CheckedProcesses
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._mastodon.proof import DISPROVEN, Judgement
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._migration import machine, store
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._migration.record import State
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._switch import switch as switches
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._switch.model import (
    Phase,
    Settings,
    SwitchError,
    SwitchFailedError,
)

ALL = (Phase.QUIESCE, Phase.CONFIGURE, Phase.RESTART)
OLD = b"LOCAL_DOMAIN=social.example\nS3_ENABLED=false\n"
NEW = b"LOCAL_DOMAIN=social.example\nS3_ENABLED=true\nS3_BUCKET=media\n"
WHOLE_SWITCH = ["quiet_sidekiq", "sync", "stop_sidekiq", "restart_web", "sync", "wait_for_web", "start_sidekiq"]


class Killed(BaseException):
    """What a SIGKILL looks like from inside: nothing that follows runs."""


class World:
    """The services and the sync of one instance.

    Attributes:
        calls: What was done, in order.
        fails: What raises an error, by name of the call and how often it has succeeded before.
        env_files: The content of the env file at each call.
    """

    def __init__(self, folder, *, source="feed", by_command=False):
        self.folder = folder
        self.by_command = by_command
        self.journal_hint = "journalctl -u web"
        self.calls = []
        self.options = []
        self.env_files = []
        self.fails = {}
        self._source = source
        self.env_file = folder / ".env.production"

    def _do(self, name):
        self.calls.append(name)
        self.env_files.append(self.env_file.read_bytes())
        error = self.fails.get((name, self.calls.count(name)))
        if error:
            raise error

    def __getattr__(self, name):
        if name.startswith("_"):
            raise AttributeError(name)
        return lambda: self._do(name)

    def restart(self, *, web):
        self._do("restart everything" if web else "restart sidekiq")

    def process_ids(self):
        return frozenset()

    def sync(self, options):
        self.options.append(options)
        self._do("sync")
        return {"entries": {"from": self._source}}, []

    def switch(self, *, variables=None, **given):
        names = ("root", "env_file", "domain", "restart_command", "web_url", "web_socket")
        settings = Settings(
            **{**dict.fromkeys(names, ""), "root": str(self.folder), "env_file": str(self.env_file)},
            state_dir=str(self.folder / "state"),
            bucket="media",
            key_prefix="",
            exposure="acl",
            web_units=("web.service",),
            sidekiq_units=("sidekiq.service",),
            quiesce_timeout=1,
            health_timeout=1,
            fallback_file=str(self.folder / "fallback"),
            **given,
        )
        empty = dict.fromkeys(("owner", "group", "mode", "validate"))
        variables = {"S3_ENABLED": True, "S3_BUCKET": "media", **(variables or {})}
        edit = request(
            {"path": str(self.env_file), "variables": variables, "absent": [], "secrets": {}, **empty}
            | {"create": False, "backup": False, "removal": "delete"}
        )
        return switches.Switch(settings, edit, self, self.sync, str)

    @property
    def position(self):
        return self.switch().position()


@pytest.fixture
def world(tmp_path):
    tmp_path.chmod(0o755)
    found = World(tmp_path)
    found.env_file.write_bytes(OLD)
    (tmp_path / "fallback").touch()
    store.create_folder(str(tmp_path / "state"))
    return found


def failure(world, phases=ALL, **given):
    with pytest.raises(SwitchFailedError) as raised:
        world.switch(**given).run(phases)
    return raised.value


def test_sidekiq_stops_before_the_edit_and_starts_last(world):
    switch = world.switch()
    switch.run(ALL)
    assert world.calls == WHOLE_SWITCH
    assert world.env_files == [OLD] * 3 + [NEW] * 4
    assert world.position.state is State.SWITCHED
    assert not world.position.restart_due
    assert [options["source_of_truth"] for options in world.options] == ["disk", "bucket"]
    assert [options["delete"] for options in world.options] == ["own", "never"]
    assert switch.progress.phases == ["quiesce", "configure", "restart"]
    assert switch.progress.seconds_without_sidekiq is not None
    assert not (world.folder / "fallback").exists()


def test_without_a_feed_web_answers_before_the_tree_is_walked(world):
    slow = World(world.folder, source="walk")
    slow.switch().run(ALL)
    assert slow.calls == [*WHOLE_SWITCH[:4], "wait_for_web", "sync", "start_sidekiq"]


def test_three_tasks_do_the_same_as_one(world):
    for phase in ALL:
        world.switch().run([phase])
    # Only a task that has run a sync itself knows that there is a feed.
    assert world.calls == [*WHOLE_SWITCH[:3], "stop_sidekiq", "restart_web", "wait_for_web", "sync", "start_sidekiq"]
    assert world.position.state is State.SWITCHED


def test_a_second_switch_changes_nothing(world):
    world.switch().run(ALL)
    world.calls.clear()
    assert not world.switch().predict(ALL)
    world.switch().run(ALL)
    assert not world.calls


def test_a_prediction_changes_nothing(world):
    switch = world.switch()
    assert switch.predict(ALL)
    assert switch.progress.edited == ["S3_BUCKET", "S3_ENABLED"]
    assert (world.calls, world.env_file.read_bytes(), world.position.record) == ([], OLD, None)


STEPS = [(name, 1 + WHOLE_SWITCH[:i].count(name)) for i, name in enumerate(WHOLE_SWITCH)]


@pytest.mark.parametrize("step", STEPS)
def test_whatever_fails_is_undone(world, monkeypatch, step):
    monkeypatch.setattr(switches, "_PROCESSES_SECONDS", 0)
    world.fails[step] = SwitchError("no luck")
    error = failure(world)
    edited = STEPS.index(step) > 2
    assert world.calls[-1] == ("restart everything" if edited else "restart sidekiq")
    assert world.env_file.read_bytes() == OLD
    assert (error.undone, error.interfered) == (True, True)
    assert "no luck\nEverything was restored to the state before the switch" in str(error)
    assert not world.position.restart_due
    assert world.position.source_of_truth is machine.SourceOfTruth.DISK
    assert not (world.folder / "fallback").exists()


@pytest.mark.parametrize("step", STEPS)
def test_after_a_kill_the_next_run_finishes(world, step):
    world.fails[step] = Killed()
    with pytest.raises(Killed):
        world.switch().run(ALL)
    assert world.position.restart_due
    world.calls.clear()
    world.fails.clear()
    world.switch().run(ALL)
    assert world.calls[-1] == "start_sidekiq"
    assert (world.env_file.read_bytes(), world.position.state) == (NEW, State.SWITCHED)


def test_an_undo_that_fails_says_so_and_leaves_the_restart_due(world):
    world.fails = {("wait_for_web", 1): SwitchError("no luck"), ("restart everything", 1): SwitchError("nor there")}
    error = failure(world)
    assert not error.undone
    assert "Not everything could be restored (nor there)" in str(error)
    assert "journalctl -u web" in str(error)
    assert world.position.rollback_due


def test_services_that_keep_old_settings_are_found(world, monkeypatch):
    monkeypatch.setattr(switches, "check_processes", lambda wanted, seconds: disproven(wanted))
    error = failure(world)
    assert "Check which settings the processes use: web still has the old ones" in str(error)
    assert "Not everything could be restored" in str(error)
    assert world.env_file.read_bytes() == OLD
    assert world.position.fetch_due, "Mastodon may have written to the bucket"


def disproven(wanted):
    judgement = Judgement(DISPROVEN, ("web still has the old ones",))
    return CheckedProcesses(processes.now(), (), 0, judgement)


def test_the_services_start_again_even_if_the_env_file_can_not_be_restored(world, monkeypatch):
    world.fails[("start_sidekiq", 1)] = SwitchError("no luck")

    def full(source, target, limit):
        if target == str(world.env_file):
            raise FileError("no space left")
        return copy_file(source, target, limit)

    copy_file = switches.copy_file
    monkeypatch.setattr(switches, "copy_file", full)
    error = failure(world)
    assert "Not everything could be restored (no space left)" in str(error)
    assert world.calls[-1] == "restart everything"
    assert world.position.restart_due


def test_what_never_used_the_bucket_has_nothing_to_fetch(world):
    world.fails[("stop_sidekiq", 1)] = SwitchError("no luck")
    failure(world)
    assert (world.position.state, world.position.fetch_due) == (State.ROLLED_BACK, False)


def test_a_kill_during_an_undo_leaves_the_restart_due(world):
    switch = world.switch()
    switch.run(ALL)
    world.fails[("restart everything", 1)] = Killed()
    with pytest.raises(Killed):
        world.switch(restore=switch.progress.restore).run([Phase.UNDO])
    assert world.env_file.read_bytes() == OLD
    assert world.position.restart_due
    assert world.position.fetch_due


def test_a_restart_before_the_edit_is_refused(world):
    error = failure(world, [Phase.RESTART])
    assert world.switch().predict([Phase.RESTART]), "or the module would not even say so"
    assert "does not name the bucket yet" in str(error)
    assert "Nothing was changed" in str(error)
    assert not error.interfered
    assert not world.calls


def test_a_later_task_can_undo_an_earlier_one(world):
    switch = world.switch()
    switch.run(ALL)
    world.calls.clear()
    world.switch(restore=switch.progress.restore, before_edit=switch.progress.before_edit).run([Phase.UNDO])
    assert world.calls == ["restart everything"]
    assert (world.env_file.read_bytes(), world.position.state) == (OLD, State.ROLLED_BACK)


def test_an_edit_after_the_switch_restarts_everything_and_is_undone_alone(world):
    world.switch().run(ALL)
    world.calls.clear()
    world.fails[("start_sidekiq", 1)] = SwitchError("no luck")
    more = {"S3_REGION": "eu"}
    with pytest.raises(SwitchFailedError):
        world.switch(variables=more).run(ALL)
    assert world.calls[:3] == ["stop_sidekiq", "restart_web", "wait_for_web"]
    assert (world.env_file.read_bytes(), world.position.state) == (NEW, State.SWITCHED)
    world.fails.clear()
    world.switch(variables=more).run(ALL)
    assert world.env_file.read_bytes() == NEW + b"S3_REGION=eu\n"
    assert not world.position.restart_due


def test_a_command_in_place_of_units_restarts_after_the_edit(world):
    by_command = World(world.folder, by_command=True)
    by_command.switch().run(ALL)
    assert by_command.calls == ["sync", "restart_by_command", "wait_for_web", "sync"]
    assert by_command.env_files[1] == NEW
