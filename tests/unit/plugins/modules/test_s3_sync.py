# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The module s3_sync, run whole, on a bucket in memory."""

from __future__ import annotations

import json
import os
import sys
from contextlib import nullcontext
from pathlib import Path

import pytest
import yaml
from ansible.module_utils.basic import PASS_VARS
from ansible.module_utils.testing import patch_module_args

from ansible_collections.fediverse.mastodon_s3.plugins.doc_fragments import place
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3 import client as client_module
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.options import connection_argument_spec
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.options import sync_argument_spec
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.statefiles import Lock
from ansible_collections.fediverse.mastodon_s3.plugins.modules import s3_sync

sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "support"))

from fake_s3 import FakeS3

try:
    # From ansible-core 2.22 on a module registers its secrets, and the controller masks them in all that it shows.
    from ansible.module_utils.secrets import mask_secrets
except ImportError:

    def mask_secrets(text):
        """Before that, the module itself masks them."""
        return text


REAL_CLIENT = client_module.s3_client


class World:
    def __init__(self, path, capsys):
        self.path, self.capsys = path, capsys
        self.src = path / "tree"
        self.src.mkdir()
        self.s3 = FakeS3()
        self.made = []

    def write(self, key, content=b"x", mode=0o644):
        path = self.src / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        path.chmod(mode)

    def client(self, options, *, max_pool_connections):
        self.made.append((options, max_pool_connections))
        return self.s3

    def run(self, check=False, diff=True, **params):
        temporary = self.path / "remote_tmp"
        temporary.mkdir(exist_ok=True)
        settings = {
            "_ansible_check_mode": check,
            "_ansible_diff": diff,
            "_ansible_remote_tmp": str(temporary),
        }
        if "inject_invocation" in PASS_VARS:
            settings["_ansible_inject_invocation"] = True
        own = {
            "src": str(self.src),
            "bucket": "media",
            "state_dir": str(self.path / "state"),
            "access_key": "key",
            "secret_key": "the-secret",
            "settle_seconds": 0,
        }
        with patch_module_args({**own, **params, **settings}), pytest.raises(SystemExit):
            s3_sync.main()
        printed = self.capsys.readouterr()
        assert "the-secret" not in mask_secrets(printed.out)
        return json.loads(printed.out)


@pytest.fixture
def world(tmp_path, capsys, monkeypatch):
    world = World(tmp_path, capsys)
    monkeypatch.setattr(client_module, "s3_client", world.client)
    # Another process would not see the bucket in this one's memory.
    monkeypatch.setattr(s3_sync.Workers, "for_files", lambda *_arguments: nullcontext())
    return world


def test_a_run_and_its_repetition(world):
    world.write("accounts/a.png", b"avatar")
    world.write("backups/secret.zip", b"archive")
    result = world.run(concurrency=3)
    assert result["changed"] is True
    assert result["actions"]["upload"] == {"count": 2, "bytes": 13}
    assert set(result["diff"]["prepared"].splitlines()) == {"upload accounts/a.png (new)", "upload backups/*** (new)"}
    assert world.s3.acls() == {"accounts/a.png": "public-read", "backups/secret.zip": "private"}
    assert world.made[0][1] == 3
    assert world.made[0][0].access_key == "key"
    again = world.run(diff=False)
    assert again["changed"] is False
    assert "diff" not in again
    assert "failed" not in again


def test_exposure_decides_whether_acls_are_sent(world):
    world.write("accounts/a.png")
    world.run(exposure="policy")
    assert world.s3.acls() == {"accounts/a.png": "none"}


def test_failures_come_with_all_counts(world):
    world.write("accounts/a.png")
    world.write("accounts/b.png")

    def hook(operation, key):
        if key.endswith("b.png"):
            raise world.s3.error("EntityTooLarge")

    world.s3.hook = hook
    result = world.run()
    assert result["failed"] is True
    assert result["changed"] is True
    assert result["actions"]["upload"]["count"] == 1
    assert result["failed_count"] == 1
    assert "accounts/b.png" in result["msg"]


def test_mistakes_fail_before_anything_is_written(world):
    world.write("accounts/a.png")
    result = world.run(key_prefix="/media")
    assert result["failed"] is True
    assert "key_prefix" in result["msg"]
    assert not (world.path / "state").exists()
    assert world.made == []


def test_check_mode_needs_neither_boto3_nor_a_key(world, monkeypatch):
    world.write("accounts/a.png")
    monkeypatch.setattr(client_module, "s3_client", REAL_CLIENT)
    monkeypatch.setattr(client_module, "_IMPORT_ERROR", "No module named 'boto3'")
    result = world.run(check=True)
    assert result["actions"]["upload"]["count"] == 1
    assert "boto3 can't be imported" in json.dumps(result["warnings"])
    assert not (world.path / "state").exists()
    result = world.run()
    assert result["failed"] is True
    assert "boto3 can't be imported" in result["msg"]
    missing = {"access_key": None, "secret_key": None, "credentials_file": str(world.path / "missing")}
    result = world.run(check=True, **missing)
    assert result["actions"]["upload"]["count"] == 1
    assert "credentials_file" in json.dumps(result["warnings"])


def test_warnings_are_shown(world, tmp_path):
    world.write("accounts/a.png")
    world.write("cache/b.png")
    world.run()
    os.rename(world.src / "cache", tmp_path / "elsewhere")
    (world.src / "cache").symlink_to(tmp_path / "elsewhere")
    result = world.run(delete="own")
    assert result["failed"] is True
    assert "cache/" in json.dumps(result["warnings"])
    assert "cache/b.png" in world.s3.objects


def test_the_documentation_tells_the_arguments():
    shared, own = yaml.safe_load(place.ModuleDocFragment.DOCUMENTATION), yaml.safe_load(s3_sync.DOCUMENTATION)
    documented = {**shared["options"], **own["options"]}
    spec = sync_argument_spec()
    assert set(documented) == set(spec)
    assert not set(spec) & set(connection_argument_spec())
    for name, option in spec.items():
        for field in ("type", "default", "choices", "elements"):
            wanted = option.get(field)
            if not (field == "default" and wanted is None):
                assert documented[name].get(field) == wanted, (name, field)


def test_the_documentation_tells_the_result(world):
    world.write("accounts/a.png")
    world.run()
    (world.src / "accounts/a.png").unlink()
    world.write("accounts/b.png")
    result = set(world.run(diff=False)) - {"invocation", "warnings"}
    documented = set(yaml.safe_load(s3_sync.RETURN)) - {"busy"}
    assert result - documented == {"changed"}
    assert documented <= result


def test_a_job_of_the_action_plugin_says_where_it_can_be_watched(world, monkeypatch):
    folder = world.path / "s3_sync" / "token"
    folder.mkdir(parents=True)
    monkeypatch.setenv("ANSIBLE_ASYNC_DIR", str(folder))
    world.write("accounts/a.png")
    result = world.run()
    about = json.loads((folder / "run.json").read_text())
    assert about == {"process": os.getpid(), "progress": result["journal"].replace(".sqlite", ".progress")}
    assert json.loads(Path(about["progress"]).read_text())["stage"] == "ended"


@pytest.mark.parametrize("options", [{"check": True}, {"progress": False}])
def test_nobody_is_told_where_nobody_is_to_know(world, options):
    world.write("accounts/a.png")
    world.run(**options)
    assert list(world.path.rglob("*.progress")) == []


def test_another_run_is_named(world, monkeypatch):
    world.write("accounts/a.png")
    journal = world.run()["journal"]
    held = Lock(journal)
    folder = world.path / "s3_sync" / "token"
    folder.mkdir(parents=True)
    monkeypatch.setenv("ANSIBLE_ASYNC_DIR", str(folder))
    result = world.run()
    held.release()
    assert result["failed"] is True
    assert result["busy"] == {"process": os.getpid(), "progress": journal.replace(".sqlite", ".progress")}
    documented = yaml.safe_load(s3_sync.RETURN)["busy"]["contains"]
    assert set(documented) == set(result["busy"])
