# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""mastodon_switch as a program: what it predicts, and which input it refuses before anything changes."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

MODULE = "ansible_collections.fediverse.mastodon_s3.plugins.modules.mastodon_switch"
OLD = "S3_ENABLED=false\n"


@pytest.fixture
def instance(tmp_path):
    tmp_path.chmod(0o755)
    (tmp_path / ".env.production").write_text(OLD)
    (tmp_path / "media").mkdir()
    return tmp_path


def run(instance, *, check=True, sync=(), **options):
    place = {"src": str(instance / "media"), "bucket": "media", "region": "eu", "state_dir": str(instance / "state")}
    arguments = {
        "phases": ["quiesce", "configure", "restart"],
        "root": str(instance),
        "env_file": str(instance / ".env.production"),
        "variables": {"S3_ENABLED": True, "S3_BUCKET": "media"},
        "web_url": "http://127.0.0.1:1",
        "web_units": ["web.service"],
        "sidekiq_units": ["sidekiq.service"],
        "sync": {**place, **dict(sync)},
        **options,
    }
    done = subprocess.run(
        [sys.executable, "-m", MODULE],
        input=json.dumps({"ANSIBLE_MODULE_ARGS": {**arguments, "_ansible_check_mode": check}}),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout, done.stderr
    assert (instance / ".env.production").read_text() == OLD
    assert not (instance / "state").exists() or not check
    return json.loads(done.stdout)


def test_check_mode_predicts_the_edit_and_changes_nothing(instance):
    found = run(instance)
    assert found["changed"]
    assert found["edited"] == ["S3_BUCKET", "S3_ENABLED"]
    assert "S3_BUCKET=media" in found["diff"][0]["after"]
    assert found["phases"] == []


@pytest.mark.parametrize("name", ["secret_key", "aws_secret_access_key", "aws_session_token"])
def test_a_secret_among_the_sync_options_is_refused_and_not_repeated(instance, name):
    found = run(instance, sync={name: "hunter2hunter2"})
    assert found["failed"]
    assert f"{name} can't be given here; use credentials_file" in found["msg"]
    assert "hunter2" not in json.dumps(found)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"sync": {"colour": "red"}}, "colour"),
        ({"sync": {"concurrency": 0}}, "concurrency: 0 is too small"),
        ({"sync": {"state_dir": "relative"}}, "state_dir: 'relative' is not an absolute path"),
        ({"sync": {"bucket": None}}, "bucket"),
        ({"variables": {"S3_BUCKET": None}}, "S3_BUCKET is null"),
        ({"variables": {"not a name": "x"}}, "not a name"),
        ({"phases": ["configure", "celebrate"]}, "celebrate"),
        ({"env_file": "/nowhere/.env"}, "/nowhere does not exist"),
        ({"sidekiq_units": []}, "web_units and sidekiq_units are needed"),
    ],
)
@pytest.mark.parametrize("check", [True, False])
def test_bad_input_is_refused_before_anything_changes(instance, given, said, check):
    found = run(instance, check=check, **given)
    assert found["failed"]
    assert said in found["msg"]
    assert not (instance / "state").exists()


def test_a_restart_before_the_edit_is_refused(instance):
    found = run(instance, check=False, phases=["restart"], restart_command="true")
    assert found["failed"]
    assert "does not name the bucket yet" in found["msg"]
    assert not found["interfered"]


def test_a_failure_restores_the_env_file_and_leaves_its_outcome_on_the_host(instance):
    found = run(
        instance,
        check=False,
        phases=["configure", "restart"],
        restart_command="/bin/false 'all of it'",
        health_timeout=1,
    )
    assert found["failed"]
    assert (found["interfered"], found["undone"], found["restore"]) == (True, False, "before")
    said = "Restart everything with the given command: `/bin/false all of it` failed with status 1"
    assert said in found["msg"]
    outcome = json.loads((instance / "state" / "media.switch-outcome.json").read_text())
    assert (outcome["finished"], outcome["undone"]) == (False, False)
    assert said in outcome["error"]
    # Web did not come back, so the next run, or a rollback, still has to see to that.
    assert json.loads((instance / "state" / "media.switch.json").read_text())["restart_pending"]
