# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The module s3_sync, run whole, on a bucket in memory."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from contextlib import nullcontext
from pathlib import Path

import pytest
import yaml
from ansible.module_utils.basic import PASS_VARS
from ansible.module_utils.testing import patch_module_args

from ansible_collections.fediverse.mastodon_s3.plugins.doc_fragments import place
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.connection import client as client_module
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.connection.errors import Boto3MissingError
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.connection.options import (
    ConnectionOptionsError,
    connection_argument_spec,
)
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.journal.statefiles import Lock
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.options import sync_argument_spec
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.plan.walkers import Walkers
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.transfer import late_writes
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.transfer.workers import Workers
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.tree import stamps
from ansible_collections.fediverse.mastodon_s3.plugins.modules import s3_sync
from ansible_collections.fediverse.mastodon_s3.plugins.plugin_utils._job_status import _UNFINISHED

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


class ModuleWorld:
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
            "minimum_age": 0,
        }
        with patch_module_args({**own, **params, **settings}), pytest.raises(SystemExit):
            s3_sync.main()
        printed = self.capsys.readouterr()
        assert "the-secret" not in mask_secrets(printed.out)
        return json.loads(printed.out)


@pytest.fixture
def world(tmp_path, capsys, monkeypatch):
    world = ModuleWorld(tmp_path, capsys)
    # What a test has just written is not read a second time because of that.
    monkeypatch.setattr(stamps, "TICK_NS", -1)
    monkeypatch.setattr(client_module, "s3_client", world.client)
    # Another process would not see the bucket in this one's memory.
    monkeypatch.setattr(Workers, "for_files", lambda *_arguments: nullcontext())
    return world


def test_a_run_is_idempotent(world):
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


def test_failures_include_all_counts(world):
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


def test_invalid_options_fail_before_anything_is_written(world):
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
    assert result["bucket_checked"] is False
    assert "boto3 can't be imported" not in json.dumps(result.get("warnings"))
    assert not (world.path / "state").exists()
    result = world.run()
    assert result["failed"] is True
    assert "boto3 can't be imported" in result["msg"]
    missing = {"access_key": None, "secret_key": None, "credentials_file": str(world.path / "missing")}
    result = world.run(check=True, **missing)
    assert result["actions"]["upload"]["count"] == 1
    assert "credentials_file" in json.dumps(result["warnings"])


def test_check_mode_does_not_warn_of_a_key_that_a_task_before_it_would_write(world):
    world.write("accounts/a.png")
    env_file = world.path / ".env.production"
    env_file.write_text("LOCAL_DOMAIN=social.example\nAWS_SECRET_ACCESS_KEY=\n")
    options = {"access_key": None, "secret_key": None, "credentials_file": str(env_file)}
    result = world.run(check=True, **options)
    assert result["bucket_checked"] is False
    assert "AWS_ACCESS_KEY_ID" not in json.dumps(result.get("warnings"))
    assert result["actions"]["upload"]["count"] == 1
    assert "sets no AWS_ACCESS_KEY_ID and no AWS_SECRET_ACCESS_KEY" in world.run(**options)["msg"]
    assert world.run()["bucket_checked"] is True


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


def test_the_documentation_describes_the_arguments():
    fragments = place.ModuleDocFragment
    texts = (fragments.DOCUMENTATION, fragments.SOURCE, s3_sync.DOCUMENTATION)
    documented = {name: option for text in texts for name, option in yaml.safe_load(text)["options"].items()}
    spec = sync_argument_spec()
    assert set(documented) == set(spec)
    assert not set(spec) & set(connection_argument_spec())
    for name, option in spec.items():
        for field in ("type", "default", "choices", "elements"):
            wanted = option.get(field)
            if not (field == "default" and wanted is None):
                assert documented[name].get(field) == wanted, (name, field)


def test_the_documentation_describes_the_result(world):
    world.write("accounts/a.png")
    world.run()
    (world.src / "accounts/a.png").unlink()
    world.write("accounts/b.png")
    result = set(world.run(diff=False)) - {"invocation", "warnings"}
    documented = set(yaml.safe_load(s3_sync.RETURN)) - {"busy"}
    assert result - documented == {"changed"}
    assert documented <= result


def test_the_history_is_that_of_all_runs_that_sent_something(world):
    world.write("accounts/a.png", b"1234")
    assert world.run(check=True)["history"] == []
    world.run()
    assert len(world.run()["history"]) == len(world.run(check=True)["history"]) == 1
    world.write("accounts/b.png", b"123")
    first, second = world.run()["history"]
    assert [(run["files"], run["bytes"]) for run in (first, second)] == [(1, 4), (1, 3)]
    assert first["points"][0][1:] == [1, 4]
    assert abs(time.time() - second["began"]) < 60


def test_the_result_does_not_look_like_a_job_that_still_runs(world):
    world.write("accounts/a.png")
    assert _UNFINISHED not in json.dumps(world.run(diff=True))


def test_a_job_reports_its_status_file(world, monkeypatch):
    folder = world.path / "s3_sync" / "token"
    folder.mkdir(parents=True)
    monkeypatch.setenv("ANSIBLE_ASYNC_DIR", str(folder))
    world.write("accounts/a.png")
    result = world.run()
    about = json.loads((folder / "run.json").read_text())
    assert about == {"process": os.getpid(), "progress": result["journal"].replace(".sqlite", ".progress")}
    assert json.loads(Path(about["progress"]).read_text())["stage"] == "ended"


@pytest.mark.parametrize("options", [{"check": True}, {"progress": False}])
def test_no_status_without_a_job(world, options):
    world.write("accounts/a.png")
    world.run(**options)
    assert list(world.path.rglob("*.progress")) == []


def test_another_run_is_an_error_with_its_pid(world, monkeypatch):
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


def with_walkers(patch):
    """Have the module fork walkers for a journal however small."""
    patch.setattr(Walkers, "for_journal", lambda _path: Walkers(2))


def no_boto3():
    return Boto3MissingError("No module named 'boto3'")


def wrong_option():
    return ConnectionOptionsError("aws_config: no such option")


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded")
class TestWithWalkers:
    @pytest.fixture(autouse=True)
    def synced(self, world, monkeypatch):
        """Two files that are known, and nobody made a client since."""
        monkeypatch.setattr(late_writes, "LATE_WRITE_SECONDS", 0.0)
        world.write("accounts/a.png", b"avatar")
        world.write("cache/b.png", b"preview")
        assert world.run()["changed"] is True
        world.made.clear()

    def test_no_connection_if_nothing_is_sent(self, world, monkeypatch):
        with_walkers(monkeypatch)
        result = world.run(delete="own")
        assert result["changed"] is False
        assert result["unchanged"] == {"count": 2, "bytes": 13}
        assert world.made == []

    def test_without_walkers_the_client_is_made_before_the_walk(self, world):
        assert world.run()["changed"] is False
        assert len(world.made) == 1

    def test_uploads_with_walkers(self, world, monkeypatch):
        with_walkers(monkeypatch)
        world.write("accounts/c.png", b"new")
        result = world.run()
        assert result["actions"]["upload"] == {"count": 1, "bytes": 3}
        assert world.s3.objects["accounts/c.png"].body == b"new"
        assert len(world.made) == 1

    def test_deletions_with_walkers(self, world, monkeypatch):
        with_walkers(monkeypatch)
        (world.src / "accounts/a.png").unlink()
        result = world.run(delete="own")
        assert result["actions"]["delete"] == {"count": 1, "bytes": 6}
        assert set(world.s3.objects) == {"cache/b.png"}
        assert len(world.made) == 1

    def test_check_mode_with_walkers(self, world, monkeypatch):
        world.write("accounts/c.png", b"new")
        (world.src / "accounts/a.png").unlink()
        foretold = world.run(check=True, delete="own")
        with_walkers(monkeypatch)
        real = world.run(delete="own")
        for name in ("actions", "unchanged", "left_out", "source"):
            assert real[name] == foretold[name]
        assert sorted(real["diff"]["prepared"].splitlines()) == sorted(foretold["diff"]["prepared"].splitlines())

    @pytest.mark.parametrize("walked", [False, True], ids=["alone", "with walkers"])
    @pytest.mark.parametrize("due", ["sent by threads", "sent by processes", "deleted"])
    @pytest.mark.parametrize(
        ("trouble", "message"), [(no_boto3, "boto3 can't be imported"), (wrong_option, "aws_config: no such option")]
    )
    def test_an_error_that_only_boto3_finds_is_reported(self, world, monkeypatch, walked, due, trouble, message):
        def fail(_options, *, max_pool_connections):
            raise trouble()

        if due == "deleted":
            (world.src / "cache/b.png").unlink()
        else:
            world.write("accounts/c.png", b"new")
        with monkeypatch.context() as patch:
            patch.setattr(client_module, "s3_client", fail)
            if due == "sent by processes":
                patch.setattr(Workers, "for_files", lambda _files, connect: Workers(2, connect))
            if walked:
                with_walkers(patch)
            result = world.run(delete="own")
        assert result["failed"] is True
        assert message in result["msg"]
        assert "Traceback" not in json.dumps(result)
        assert set(world.s3.objects) == {"accounts/a.png", "cache/b.png"}
        assert world.run(delete="own")["complete"] is True
        on_disk = {str(path.relative_to(world.src)) for path in world.src.rglob("*.png")}
        assert set(world.s3.objects) == on_disk

    def test_a_killed_walker_is_an_error_with_a_remedy(self, world, monkeypatch):
        def killed(_path):
            walkers = Walkers(2)
            os.kill(walkers._processes[0].pid, signal.SIGKILL)
            return walkers

        monkeypatch.setattr(Walkers, "for_journal", killed)
        (world.src / "accounts/a.png").unlink()
        result = world.run(delete="own")
        assert result["failed"] is True
        assert "run again" in result["msg"]
        assert set(world.s3.objects) == {"accounts/a.png", "cache/b.png"}
        with_walkers(monkeypatch)
        assert world.run(delete="own")["actions"]["delete"]["count"] == 1

    def test_no_walker_outlives_the_run(self, world, monkeypatch):
        made = []

        def noted(_path):
            made.append(Walkers(2))
            return made[0]

        monkeypatch.setattr(Walkers, "for_journal", noted)
        world.run()
        pids = [process.pid for process in made[0]._processes]
        assert len(pids) == 2
        assert not any(os.path.exists(f"/proc/{pid}") for pid in pids)
