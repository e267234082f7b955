"""What only the process of a module can show, on moto."""

from __future__ import annotations

import json
import os

import pytest
from stores.fixtures import new_bucket
from sync_world import StoreWorld


@pytest.fixture
def world(moto, tmp_path):
    return StoreWorld(moto, new_bucket(moto), tmp_path)


def test_check_and_diff_on_a_first_run_without_bucket(world):
    world.write("accounts/a.png", b"12345")
    world.write("backups/secret-name.zip", b"1")
    result = world.sync(check=True, diff=True, bucket="not-there-yet", delete="all")
    assert result["changed"] is True
    assert result["actions"]["upload"] == {"count": 2, "bytes": 6}
    assert result["diff"]["prepared"] == "upload accounts/a.png (new)\nupload backups/*** (new)\n"
    assert not world.state_dir.exists()
    assert "secret-name" not in json.dumps(result)


def test_check_without_the_credentials_file(world):
    world.write("accounts/a.png", b"12345")
    result = world.sync(check=True, access_key=None, secret_key=None, credentials_file=str(world.path / "missing.env"))
    assert not result.get("failed")
    assert result["actions"]["upload"]["count"] == 1
    assert "missing.env" in json.dumps(result["warnings"])
    result = world.sync(access_key=None, secret_key=None, credentials_file=str(world.path / "missing.env"))
    assert result["failed"]
    assert "missing.env" in result["msg"]
    assert not world.state_dir.exists()


def test_credentials_from_a_dotenv_file(world):
    env = world.path / "env"
    env.write_text(f"AWS_ACCESS_KEY_ID={world.store.access_key}\nAWS_SECRET_ACCESS_KEY='{world.store.secret_key}'\n")
    world.write("accounts/a.png", b"12345")
    assert world.done(access_key=None, secret_key=None, credentials_file=str(env)) == {"upload": 1}
    assert set(world.objects()) == {"accounts/a.png"}


def test_the_journal_is_private_and_holds_no_secret(world):
    world.write("accounts/a.png", b"12345")
    world.write("backups/b.zip", b"12345")
    old = os.umask(0o022)
    try:
        world.done()
    finally:
        os.umask(old)
    assert os.stat(world.state_dir).st_mode & 0o777 == 0o700
    names = sorted(os.listdir(world.state_dir))
    assert [name.partition(".")[2] for name in names] == ["history", "progress", "sqlite", "sqlite.lock"]
    for name in names:
        path = world.state_dir / name
        assert path.stat().st_mode & 0o777 == 0o600
        assert world.store.secret_key.encode() not in path.read_bytes()


def test_the_result_does_not_grow_with_the_tree(world):
    sizes = []
    for many in (300, 1500):
        for number in range(many):
            world.write(f"accounts/{number:05}.png")
            world.write(f"unknown{number % 90}/{number:05}.png")
        sizes.append(len(json.dumps(world.sync(check=True, diff=True))))
    assert sizes[1] - sizes[0] < 300


def test_a_folder_that_others_can_write_to_is_no_state_dir(world):
    world.write("accounts/a.png", b"12345")
    world.state_dir.mkdir()
    world.state_dir.chmod(0o777)
    result = world.sync()
    assert result["failed"]
    assert "state_dir" in result["msg"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_unreadable_folders_and_files(world):
    """Without root's privilege: what can't be read is told, the rest is sent, nothing is deleted, the task fails."""
    unprivileged = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"]

    def give_away(key, mode):
        (world.src / key).chmod(mode)
        os.chown(world.src / key, 65534, 65534)

    for key in ("accounts/a.png", "accounts/gone.png", "cache/shut/b.png", "lost+found/x"):
        world.write(key, b"x")
    world.write("media_attachments/private.png", b"x")
    give_away("media_attachments/private.png", 0o600)
    result = world.sync(within=unprivileged)
    assert result["failed"]
    assert result["failures"] == [{"key": "media_attachments/private.png", "error": "can't be read: Permission denied"}]
    assert result["actions"]["upload"]["count"] == 3
    (world.src / "media_attachments/private.png").unlink()
    give_away("cache/shut", 0o700)
    give_away("lost+found", 0o700)
    (world.src / "accounts/gone.png").unlink()
    result = world.sync(within=unprivileged, delete="own")
    assert result["failed"]
    assert result["failures"] == [{"key": "cache/shut/", "error": "can't be read: Permission denied"}]
    assert "cache/shut/" in result["deletions_skipped"]
    assert set(world.objects()) == {"accounts/a.png", "accounts/gone.png", "cache/shut/b.png"}
    give_away("cache/shut", 0o755)
    assert world.done(within=unprivileged, delete="own") == {"delete": 1}
