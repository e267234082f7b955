# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whatever became of the state folder and its files, a run ends with one clear message, and hangs nowhere."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
from contextlib import closing

import pytest

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.journal import journal as journal_module
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.journal.journal import Journal
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.journal.statefiles import (
    BusyError,
    Lock,
    progress_path,
)
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.model import SyncError
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.plan.walkers import Walkers
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.progress.progress import known_totals

SIDES = ["", "-wal", "-shm", "-journal", ".lock", "progress"]
MODES = pytest.mark.parametrize("check", [False, True], ids=["run", "check"])


@pytest.fixture
def known(world):
    """Three files that were sent, one of them gone, one touched and one as it was."""
    for name in ("a", "b", "c"):
        world.write(f"accounts/{name}.png")
    assert world.sync().error is None
    (world.src / "accounts/a.png").unlink()
    os.utime(world.src / "accounts/b.png")
    return world


def side(world, suffix):
    path = world.settings().journal_path
    return progress_path(path) if suffix == "progress" else path + suffix


def put(kind, path, elsewhere):
    if os.path.lexists(path):
        os.unlink(path)
    if kind == "fifo":
        os.mkfifo(path)
    elif kind == "folder":
        os.mkdir(path)
    elif kind == "symlink":
        elsewhere.write_bytes(b"")
        os.symlink(elsewhere, path)
    else:
        elsewhere.write_bytes(b"")
        os.link(elsewhere, path)


@MODES
@pytest.mark.parametrize("kind", ["fifo", "folder", "symlink", "hard link"])
@pytest.mark.parametrize("suffix", SIDES)
def test_something_else_in_place_of_a_file_is_refused(known, tmp_path, suffix, kind, check):
    path = side(known, suffix)
    put(kind, path, tmp_path / "elsewhere")
    with pytest.raises(SyncError, match="Move it away and run again") as caught:
        known.sync(check)
    assert path in str(caught.value)
    assert not os.path.isfile(tmp_path / "elsewhere") or (tmp_path / "elsewhere").read_bytes() == b""


NULLS = (
    "DROP TABLE objects; CREATE TABLE objects(key, size, mtime_ns, ctime_ns, mode, digest, etag, applied, headers,"
    " state, ours); INSERT INTO objects VALUES (NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL)"
)
GARBAGE = [
    # After the switch, nothing is derived from what a file was.
    ("disk", "UPDATE objects SET size='garbage'", "accounts/"),
    ("disk", "UPDATE objects SET size=-1", "accounts/"),
    ("disk", "UPDATE objects SET size=1e300", "accounts/"),
    ("disk", "UPDATE objects SET size=x'00'", "accounts/"),
    ("disk", "UPDATE objects SET mtime_ns='yesterday'", "accounts/"),
    ("disk", "UPDATE objects SET ctime_ns=1.5", "accounts/"),
    ("disk", "UPDATE objects SET mode=-1", "accounts/"),
    ("disk", "UPDATE objects SET mode=99999999", "accounts/"),
    ("disk", "UPDATE objects SET digest=x'ff'", "accounts/"),
    ("disk", "UPDATE objects SET state='unheard of'", "accounts/"),
    ("disk", "UPDATE objects SET state=x'ff'", "accounts/"),
    ("disk", "UPDATE objects SET ours=7", "accounts/"),
    ("both", "UPDATE objects SET key=CAST(key AS BLOB)", "not text"),
    ("both", "UPDATE objects SET etag=CAST(x'ff' AS TEXT)", "UTF-8"),
    # Before it, nothing from the watermark.
    ("bucket", "UPDATE rounds SET watermark_ns='garbage'", "rounds.watermark_ns"),
    ("bucket", "UPDATE rounds SET watermark_ns=-5", "rounds.watermark_ns"),
    ("bucket", "UPDATE rounds SET watermark_ns=1e30", "rounds.watermark_ns"),
    ("bucket", "UPDATE rounds SET watermark_ns=9000000000000000000", "in the future"),
    ("disk", "UPDATE rounds SET complete=0, finished_ns='x'", "rounds.finished_ns"),
    ("disk", "UPDATE rounds SET complete=0, finished_ns=-1", "rounds.finished_ns"),
    ("both", "INSERT INTO meta VALUES ('switched_ns', 'garbage')", "meta.switched_ns"),
    ("both", "INSERT INTO meta VALUES ('switched_ns', '-1')", "meta.switched_ns"),
    ("both", "INSERT INTO meta VALUES ('switched_ns', x'ff')", "meta.switched_ns"),
    ("bucket", "INSERT INTO meta VALUES ('settled_ns', '²')", "meta.settled_ns"),
    ("bucket", "INSERT INTO meta VALUES ('settled_ns', '" + "9" * 5000 + "')", "meta.settled_ns"),
    ("both", "DROP TABLE marked_for_deletion", "tables"),
    ("both", "ALTER TABLE objects ADD COLUMN more", "tables"),
    ("both", "CREATE TABLE theirs(x)", "tables"),
    ("both", "CREATE TRIGGER trap AFTER INSERT ON rounds BEGIN DELETE FROM objects; END", "tables"),
    ("both", NULLS, "tables"),
]


@pytest.mark.parametrize(
    ("source_of_truth", "change", "where"),
    [(side, *rest) for sides, *rest in GARBAGE for side in (("disk", "bucket") if sides == "both" else (sides,))],
)
def test_garbage_in_the_journal_is_told(known, source_of_truth, change, where):
    path = known.settings().journal_path
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(change + ";")
    before = dict(known.s3.objects)
    with pytest.raises(SyncError, match="it is damaged; restore it from a backup") as caught:
        known.sync(source_of_truth=source_of_truth, delete="own" if source_of_truth == "disk" else "never")
    assert path in str(caught.value)
    assert where in str(caught.value)
    assert dict(known.s3.objects) == before


@pytest.mark.parametrize("clock", ["1 2", "garbage", "-1 -1 x", f"{'9' * 400} 1 x", "² ² ²"])
def test_garbage_in_place_of_a_clock_is_no_matter(known, clock):
    with closing(sqlite3.connect(known.settings().journal_path)) as connection:
        connection.execute("UPDATE meta SET value=? WHERE name='clock'", (clock,))
        connection.commit()
    assert known.sync().error is None


@MODES
@pytest.mark.parametrize("content", [b"nonsense" * 500, b"SQLite format 3\0", "half", "middle", "newer", "foreign"])
def test_a_file_that_is_no_journal_any_more_is_told(known, content, check):
    path = known.settings().journal_path
    with open(path, "rb") as file:
        whole = file.read()
    if content == "half":
        content = whole[: len(whole) // 2]
    elif content == "middle":
        content = whole[:4096] + b"\xff" * (len(whole) - 4096)
    if isinstance(content, bytes):
        with open(path, "wb") as file:
            file.write(content)
    else:
        with closing(sqlite3.connect(path)) as connection:
            connection.executescript("PRAGMA user_version=99" if content == "newer" else "PRAGMA application_id=1")
    with pytest.raises(SyncError, match=r"damaged|newer release|not a journal") as caught:
        known.sync(check)
    assert path in str(caught.value)
    assert len(known.s3.objects) == 3


@pytest.mark.parametrize(
    "content",
    [
        "nonsense",
        "[" * 100_000,
        '{"process": "x"}',
        '{"process": 1, "total_files": "many", "total_bytes": {}}',
        '{"process": 1, "total_files": NaN, "total_bytes": 1e999}',
        '{"process": 1, "total_files": -3, "total_bytes": 1}',
        "\udcff",
    ],
)
def test_garbage_in_the_progress_file_is_no_matter(known, content):
    path = side(known, "progress")
    with open(path, "w", encoding="utf-8", errors="surrogateescape") as file:
        file.write(content)
    assert known_totals(path) is None


@pytest.mark.parametrize("content", [b"", b"nonsense", b"-1\n", "²\n".encode(), b"\xff" * 40, b"9" * 32])
def test_garbage_in_the_lock_is_no_matter(known, content):
    with closing(Journal.open(known.settings().journal_path, {})) as journal:
        with open(journal.path + ".lock", "wb") as file:
            file.write(content)
        with pytest.raises(BusyError, match="another run"):
            Journal.open(journal.path, {}, lock_seconds=0)


class TestFolder:
    @pytest.fixture
    def small_disk(self, tmp_path):
        """A file system with 128 KiB, of which the state folder is all."""
        folder = tmp_path / "small"
        folder.mkdir(mode=0o700)
        if subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=128k,mode=700", "tmpfs", folder], check=False
        ).returncode:
            pytest.skip("nothing can be mounted here")
        yield folder
        subprocess.run(["umount", folder], check=True)

    def test_a_full_disk_is_told_and_nothing_is_left(self, world, small_disk):
        world.write("accounts/a.png")
        (small_disk / "filler").write_bytes(b"x" * 128 * 1024)
        with pytest.raises(SyncError, match=f"{small_disk}.*(make room|free some space)"):
            world.sync(state_dir=str(small_disk))
        assert {path.suffix for path in small_disk.iterdir()} <= {"", ".lock"}
        (small_disk / "filler").unlink()
        assert world.sync(state_dir=str(small_disk)).error is None

    def test_a_disk_that_fills_up_is_told_and_the_next_run_goes_on(self, world, small_disk):
        for number in range(400):
            world.write(f"cache/{number:0100}.png")
        with pytest.raises(SyncError, match=f"{small_disk}.*make room"):
            world.sync(state_dir=str(small_disk))
        subprocess.run(["mount", "-o", "remount,size=4m", small_disk], check=True)
        assert world.sync(state_dir=str(small_disk)).error is None
        assert len(world.s3.objects) == 400
        assert {path.suffix for path in small_disk.iterdir()} == {".sqlite", ".lock"}

    @MODES
    def test_a_read_only_folder_is_told(self, world, small_disk, check):
        world.write("accounts/a.png")
        subprocess.run(["mount", "-o", "remount,ro", small_disk], check=True)
        if check:
            assert world.sync(check, state_dir=str(small_disk)).error is None
        else:
            with pytest.raises(SyncError, match=f"{small_disk}.*Read-only file system.*mount the file system writable"):
                world.sync(state_dir=str(small_disk))

    @pytest.mark.parametrize("gone", ["folder", "journal", "lock", "replaced"])
    def test_state_that_disappears_during_a_run_is_told(self, world, gone):
        for number in range(10):
            world.write(f"accounts/{number}.png")
        path = world.settings().journal_path

        def hook(operation, key):
            if operation != "PutObject" or not key.endswith("5.png"):
                return
            if gone == "folder":
                shutil.rmtree(world.state_dir)
            elif gone == "replaced":
                os.rename(path, f"{path}.away")
                shutil.copy(f"{path}.away", path)
            else:
                os.unlink(path + (".lock" if gone == "lock" else ""))

        world.s3.hook = hook
        with pytest.raises(SyncError, match="moved or removed during this run") as caught:
            world.sync()
        assert path in str(caught.value)

    def test_a_lock_that_was_replaced_while_another_waited_for_it_is_taken_anew(self, world):
        path = world.settings().journal_path
        first = Lock(path)
        os.unlink(f"{path}.lock")
        second = Lock(path, seconds=0)
        assert not first.is_in_place()
        assert second.is_in_place()
        first.release()
        second.release()

    @MODES
    @pytest.mark.parametrize("where", ["state", "above", "link"])
    def test_a_folder_that_others_can_change_is_refused(self, world, tmp_path, where, check):
        world.write("accounts/a.png")
        above, state = tmp_path / "above", tmp_path / "above" / "state"
        state.mkdir(parents=True)
        if where == "link":
            real = tmp_path / "theirs"
            real.mkdir(mode=0o777)
            real.chmod(0o777)
            state.rmdir()
            state.symlink_to(real)
        else:
            (state if where == "state" else above).chmod(0o777)
        with pytest.raises(SyncError, match="not safe from other users"):
            world.sync(check, state_dir=str(state))
        assert world.s3.objects == {}
        assert not any(path.name.startswith("sync-") for path in tmp_path.rglob("*"))

    @MODES
    @pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
    @pytest.mark.parametrize("what", ["folder", "journal", "lock"])
    def test_state_of_another_user_is_refused(self, known, what, check):
        path = known.settings().journal_path
        os.chown({"folder": known.state_dir, "journal": path, "lock": f"{path}.lock"}[what], 4242, 4242)
        with pytest.raises(SyncError, match="4242"):
            known.sync(check)


def test_garbage_that_a_walking_process_meets_is_told(known, monkeypatch):
    monkeypatch.setattr(journal_module, "_PAGE_ROWS", 2)
    with closing(sqlite3.connect(known.settings().journal_path)) as connection:
        connection.executescript("UPDATE objects SET size='garbage';")
    with Walkers(2) as walkers, pytest.raises(SyncError, match="it is damaged"):
        known.sync(walkers=walkers, delete="own")
    assert len(known.s3.objects) == 3
