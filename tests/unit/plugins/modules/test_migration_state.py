# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""migration_state as a program: the folder it makes, what it reads, refuses, rebuilds and writes."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys

import pytest

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.journal.journal import Journal
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.model import SourceOfTruth

MODULE = "ansible_collections.fediverse.mastodon_s3.plugins.modules.migration_state"


@pytest.fixture
def state(tmp_path):
    tmp_path.chmod(0o755)
    return tmp_path / "state"


def run(state, **options):
    arguments = {"state_dir": str(state), "bucket": "media", **options}
    done = subprocess.run(
        [sys.executable, "-m", MODULE],
        input=json.dumps({"ANSIBLE_MODULE_ARGS": arguments}),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout, done.stderr
    return json.loads(done.stdout)


def file_of(state):
    return state / "media.switch.json"


def damaged(state, content=b""):
    state.mkdir(mode=0o700)
    file_of(state).write_bytes(content)


def journal(state, *, switched, prefix="", bucket="media"):
    path = state / f"sync-{bucket}-0123456789ab.sqlite"
    found = Journal.open(str(path), {"bucket": bucket, "prefix": prefix, "endpoint": "e", "src": "/m"})
    found.begin_round(SourceOfTruth.BUCKET if switched else SourceOfTruth.DISK, 1)
    found.close()


def test_reading_creates_nothing(state):
    found = run(state)
    assert (found["changed"], found["record"], found["damage"]) == (False, None, "")
    assert not state.exists()


def test_the_folder_is_created_for_its_owner_only(state):
    assert run(state, create_state_dir=True, _ansible_check_mode=True)["changed"] is True
    assert not state.exists()
    assert run(state, create_state_dir=True)["changed"] is True
    assert state.stat().st_mode & 0o777 == 0o700
    assert run(state, create_state_dir=True)["changed"] is False


def test_an_event_is_recorded_once_and_keeps_its_time(state):
    event = {"event": "begin_switch", "exposure": "acl", "units": {"web": ["mastodon-web.service"]}}
    assert run(state, **event, _ansible_check_mode=True)["changed"] is True
    assert not state.exists()
    first = run(state, **event)
    assert first["changed"] is True
    assert (first["record"]["state"], first["record"]["restart_pending"]) == ("configuring", True)
    assert file_of(state).stat().st_mode & 0o777 == 0o600
    assert [entry.name for entry in state.iterdir()] == ["media.switch.json"]
    assert run(state, **event)["changed"] is False
    assert run(state)["record"] == first["record"]
    assert run(state)["record"]["since"] == first["record"]["since"] != ""
    done = run(
        state,
        uses_bucket=True,
        event="finish_switch",
        env_file_edited={"boot_id": "b", "ticks": 7, "programs": ["x"]},
    )
    assert (done["record"]["state"], done["record"]["restart_pending"]) == ("switched", False)
    assert done["record"]["exposure"] == "acl"
    assert json.loads(file_of(state).read_text())["env_file_edited"] == {"boot_id": "b", "ticks": 7, "programs": ["x"]}


def test_returns_the_state_of_the_migration(state):
    def stands(**options):
        found = run(state, **options)
        return found["source_of_truth"], found["restart_due"], found["reopen"], found["contradiction"]

    assert stands() == ("disk", False, False, None)
    assert stands(uses_bucket=True) == ("switching", True, False, "not_recorded")
    assert stands(event="begin_switch", exposure="policy", key_prefix="p") == ("disk", True, True, None)
    assert stands(uses_bucket=True) == ("switching", True, False, None)
    assert run(state, uses_bucket=True)["switch_settings"] == {"exposure": "policy", "key_prefix": "p"}
    assert stands(uses_bucket=True, event="finish_switch", key_prefix="p") == ("bucket", False, False, None)
    assert run(state, uses_bucket=True)["rollback_due"] is True
    assert stands() == ("disk", False, False, "not_enabled")
    assert stands(event="roll_back") == ("disk", False, True, None)
    assert run(state)["rollback_due"] is False
    assert run(state)["switch_settings"] is None


def test_an_event_that_can_not_happen_is_refused(state):
    failed = run(state, event="finish_switch", uses_bucket=True)
    assert failed["failed"] is True
    assert "the record says 'not begun' and the env file names this bucket" in failed["msg"]
    assert not state.exists()


@pytest.mark.parametrize("content", [b"", b'{"state": "swit', b"[1]", b'{"bucket": "media", "state": 1}', b"\0\0\0\0"])
def test_a_damaged_record_is_rebuilt_from_the_journal(state, content):
    damaged(state, content)
    journal(state, switched=True)
    found = run(state, uses_bucket=True, permission="public-read")
    assert (found["record"]["state"], found["record"]["exposure"], found["record"]["restart_pending"]) == (
        "switched",
        "acl",
        True,
    )
    assert found["damage"]
    assert found["changed"] is False
    assert file_of(state).read_bytes() == content
    written = run(state, uses_bucket=True, event="change_key")
    assert written["changed"] is True
    assert run(state)["damage"] == ""


def test_a_damaged_record_before_a_switch_is_rebuilt(state):
    damaged(state)
    assert run(state)["record"]["state"] == "copying"
    journal(state, switched=False)
    assert run(state)["record"]["state"] == "copying"


@pytest.mark.parametrize("other", [{"prefix": "another/", "switched": True}, {"switched": False}, None])
def test_a_damaged_record_that_cannot_be_rebuilt_is_an_error(state, other):
    damaged(state)
    if other:
        journal(state, **other)
    for more in ({}, {"event": "finish_switch"}):
        failed = run(state, uses_bucket=True, **more)
        assert failed["failed"] is True
        assert f"{file_of(state)} is empty" in failed["msg"]
        assert "Restore the folder" in failed["msg"]
        assert file_of(state).read_bytes() == b""


def test_a_damaged_journal_is_ignored(state):
    damaged(state)
    (state / "sync-media-0123456789ab.sqlite").write_bytes(b"garbage" * 1000)
    assert run(state, uses_bucket=True)["failed"] is True


def test_the_journal_is_only_read(state):
    damaged(state)
    journal(state, switched=True)
    before = sorted(entry.name for entry in state.iterdir())
    run(state, uses_bucket=True)
    assert sorted(entry.name for entry in state.iterdir()) == before
    with sqlite3.connect(state / "sync-media-0123456789ab.sqlite") as connection:
        assert connection.execute("SELECT count(*) FROM meta WHERE name='switched_ns'").fetchone() == (1,)


def test_a_record_of_a_newer_release_is_never_rebuilt(state):
    damaged(state, b'{"version": 2, "bucket": "media", "state": "moved"}')
    journal(state, switched=True)
    assert "newer release" in run(state, uses_bucket=True)["msg"]


@pytest.mark.parametrize("what", ["fifo", "link", "folder"])
def test_a_record_that_is_not_a_regular_file_is_refused(state, tmp_path, what):
    state.mkdir(mode=0o700)
    if what == "fifo":
        os.mkfifo(file_of(state))
    elif what == "link":
        (tmp_path / "target").write_text("{}")
        file_of(state).symlink_to(tmp_path / "target")
    else:
        file_of(state).mkdir()
    for more in ({}, {"event": "copy"}):
        failed = run(state, **more)
        assert failed["failed"] is True
        assert str(file_of(state)) in failed["msg"]


def test_a_folder_that_others_can_change_is_refused(state):
    state.mkdir()
    state.chmod(0o777)
    for more in ({}, {"create_state_dir": True}, {"event": "copy"}):
        failed = run(state, **more)
        assert failed["failed"] is True
        assert "state_dir" in failed["msg"]
        assert "its mode is 0777" in failed["msg"]


def test_a_file_in_place_of_the_folder_is_refused(state):
    state.write_text("")
    failed = run(state, event="copy")
    assert failed["failed"] is True
    assert "state_dir" in failed["msg"]


@pytest.mark.parametrize("bucket", ["../elsewhere", "a/b"])
def test_a_bucket_with_a_slash_leads_to_no_other_folder(state, bucket):
    state.mkdir(mode=0o700)
    (state.parent / "elsewhere.switch.json").write_text("{}")
    # Preflight, which reports all wrong variables, reads the record first.
    assert run(state, bucket=bucket)["record"] is None
    answer = run(state, bucket=bucket, event="copy", exposure="acl")
    assert answer["failed"]
    assert "slash" in answer["msg"]
    assert (state.parent / "elsewhere.switch.json").read_text() == "{}"


@pytest.mark.parametrize(("owner", "mode"), [(4242, 0o600), (0, 0o666), (0, 0o620)])
def test_a_record_that_other_users_can_write_is_refused(state, owner, mode):
    if os.geteuid() != 0:
        pytest.skip("this test needs root")
    run(state, event="copy", exposure="acl", create_state_dir=True)
    os.chown(file_of(state), owner, owner)
    file_of(state).chmod(mode)
    for options in ({}, {"event": "copy", "exposure": "policy"}):
        answer = run(state, **options)
        assert answer["failed"]
        assert str(file_of(state)) in answer["msg"]
        assert "user id 4242" in answer["msg"] or f"{mode:04o}" in answer["msg"]


@pytest.mark.parametrize("value", [5, b"\xff", 1.5])
def test_invalid_values_in_a_journal_are_ignored(state, value):
    damaged(state)
    journal(state, switched=True)
    connection = sqlite3.connect(state / "sync-media-0123456789ab.sqlite")
    with connection:
        connection.execute("UPDATE meta SET value = ? WHERE name = 'prefix'", (value,))
    connection.close()
    assert run(state)["record"]["state"] == "copying"
