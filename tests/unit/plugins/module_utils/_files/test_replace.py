# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Files are replaced whole, keep what they had, and leave nothing behind."""

from __future__ import annotations

import os
import resource
import signal
import struct
import subprocess
import sys
import time

import pytest

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._files import temporary
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._files.errors import (
    AccessError,
    ChangedError,
    FileError,
    LockedError,
    NotRegularError,
    UnsafePathError,
)
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._files.private import (
    open_private_file,
    private_folder,
    write_private_file,
)
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._files.regular import TEMPORARY_PREFIX
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._files.replace import (
    create,
    replace,
    write_in_place,
)
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._files.temporary import (
    Access,
    remove_stale,
)
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._files.walk import (
    locate,
    open_folder,
    read_file,
)

ACCOUNT, STRANGER = 4242, 4343
ACL = "system.posix_acl_access"


def access_list(*readers):
    """Return an ACL in the kernel's form: owner rw, these users r, the group nothing."""
    entries = [(1, 6, -1), *((2, 4, reader) for reader in readers), (4, 0, -1), (16, 4, -1), (32, 0, -1)]
    return struct.pack("<I", 2) + b"".join(struct.pack("<HHi", *entry) for entry in entries)


def change(path, old, new, access=temporary.KEEP, how=replace):
    with locate(str(path)) as place, place.open() as file:
        how(file, old, new, access)


def stated(path):
    status = path.stat()
    return status.st_uid, status.st_gid, status.st_mode & 0o7777


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o644])
def test_owner_group_mode_and_list_are_those_of_the_file_that_is_replaced(home, write, mode):
    path = write(home / "env", mode=mode)
    if mode == 0o640:
        os.setxattr(path, ACL, access_list(77))
    os.setxattr(path, "user.note", b"x")
    inode = path.stat().st_ino
    change(path, b"A=1\n", b"A=2\n")
    assert path.read_bytes() == b"A=2\n"
    assert path.stat().st_ino != inode
    assert stated(path) == (ACCOUNT, ACCOUNT, mode)
    assert os.listxattr(path) == ([ACL, "user.note"] if mode == 0o640 else ["user.note"])
    assert os.listdir(home) == ["env"]


def test_the_folders_default_list_gives_nobody_access(home, write):
    os.setxattr(home, "system.posix_acl_default", access_list(STRANGER))
    path = write(home / "env", mode=0o640)
    os.removexattr(path, ACL)
    path.chmod(0o640)
    change(path, b"A=1\n", b"A=2\n")
    with open_folder(str(home)) as folder:
        create(folder, "new", b"x", Access(mode=0o640))
    assert ACL not in os.listxattr(path)
    assert ACL not in os.listxattr(home / "new")


def test_asked_owner_and_mode_are_there_from_the_first_moment(home, write):
    path = write(home / "env", mode=0o644)
    change(path, b"A=1\n", b"A=2\n", Access(uid=0, gid=0, mode=0o600))
    assert stated(path) == (0, 0, 0o600)


@pytest.mark.parametrize("how", [replace, write_in_place])
@pytest.mark.parametrize("interference", ["written", "replaced", "linked", "removed", "symlink"])
def test_what_others_do_meanwhile_is_noticed(home, write, how, interference):
    path = write(home / "env")
    other = write(home / "other", b"B=1\n", owner=0)
    with locate(str(path)) as place, place.open() as file:
        if interference == "written":
            path.write_bytes(b"A=9\n")
            os.utime(path, ns=(file.status.st_atime_ns, file.status.st_mtime_ns))
        elif interference == "linked":
            os.link(path, home / "second")
        else:
            path.unlink()
        if interference == "replaced":
            write(path)
        elif interference == "symlink":
            path.symlink_to(other)
        before = path.read_bytes() if path.exists() else None
        with pytest.raises(FileError):
            how(file, b"A=1\n", b"A=2\n")
    assert (path.read_bytes() if path.exists() else None) == before
    assert other.read_bytes() == b"B=1\n"
    assert stated(other) == (0, 0, 0o600)
    assert not [name for name in os.listdir(home) if name.startswith(TEMPORARY_PREFIX)]


def test_a_swapped_temporary_file_is_not_put_in_place(home, write, monkeypatch):
    path = write(home / "env")
    victim = write(home.parent / "victim", b"root's\n", owner=0)
    real = temporary.Temporary.set_access

    def swap(self, access, like):
        (name,) = [name for name in os.listdir(home) if name.startswith(TEMPORARY_PREFIX)]
        (home / name).unlink()
        (home / name).symlink_to(victim)
        real(self, access, like)

    monkeypatch.setattr(temporary.Temporary, "set_access", swap)
    with pytest.raises(ChangedError, match="swapped"):
        change(path, b"A=1\n", b"A=2\n")
    assert path.read_bytes() == b"A=1\n"
    assert victim.read_bytes() == b"root's\n"
    assert stated(victim) == (0, 0, 0o600)


def test_a_new_file_takes_no_place_of_another(home, write):
    write(home / "env")
    with open_folder(str(home)) as folder, pytest.raises(ChangedError):
        create(folder, "env", b"B=1\n")
    assert (home / "env").read_bytes() == b"A=1\n"
    with open_folder(str(home)) as folder:
        create(folder, "new", b"B=1\n", Access(uid=ACCOUNT, gid=STRANGER))
    assert stated(home / "new") == (ACCOUNT, STRANGER, 0o600)
    assert sorted(os.listdir(home)) == ["env", "new"]
    assert (home / "new").stat().st_nlink == 1


@pytest.mark.parametrize("act", ["read", "replace", "state", "open state"])
def test_a_new_file_whose_run_was_killed_before_it_lost_its_first_name_is_as_good_as_any(home, act):
    folder_path = home.parent / "state"
    with private_folder(str(folder_path)) as folder:
        child = os.fork()
        if child == 0:
            try:
                os.unlink = lambda *_words, **_options: os.kill(os.getpid(), signal.SIGKILL)
                create(folder, "new", b"A=1\n")
            finally:
                os._exit(1)
        assert os.waitpid(child, 0)[1] == signal.SIGKILL
        assert (folder_path / "new").stat().st_nlink == 2
        if act == "read":
            assert read_file(str(folder_path / "new"), 100)[0] == b"A=1\n"
        elif act == "replace":
            change(folder_path / "new", b"A=1\n", b"A=2\n")
        elif act == "state":
            write_private_file(folder, "new", b"A=2\n")
        else:
            os.close(open_private_file(folder, "new"))
    assert os.listdir(folder_path) == ["new"]
    assert (folder_path / "new").stat().st_nlink == 1


def test_a_second_name_elsewhere_is_refused_whatever_else_the_file_is_called(home, write):
    path = write(home / "env")
    os.link(path, home.parent / "elsewhere")
    os.link(path, home / f"{TEMPORARY_PREFIX}1.tmp")
    with pytest.raises(NotRegularError, match="hard links"):
        change(path, b"A=1\n", b"A=2\n")
    assert path.read_bytes() == b"A=1\n"


@pytest.mark.parametrize("how", [replace, write_in_place])
@pytest.mark.parametrize("mode", [0o4755, 0o2755, 0o6750])
def test_a_file_that_gets_another_owner_does_not_run_with_the_rights_of_that_owner(home, write, mode, how):
    path = write(home / "env", mode=0o600)
    path.chmod(mode)
    change(path, b"A=1\n", b"A=2\n", Access(uid=0, gid=0), how=how)
    assert stated(path) == (0, 0, mode & 0o777)


def test_writing_in_place_keeps_the_file(home, write):
    path = write(home / "env", b"A=1234567\n", mode=0o640)
    inode = path.stat().st_ino
    change(path, b"A=1234567\n", b"A=2\n", how=write_in_place)
    assert path.read_bytes() == b"A=2\n"
    assert path.stat().st_ino == inode
    assert stated(path) == (ACCOUNT, ACCOUNT, 0o640)


@pytest.mark.parametrize("flag", ["i", "a"])
@pytest.mark.parametrize("what", ["file", "folder"])
def test_a_protected_file_or_folder_is_named_with_its_attribute(home, write, need, flag, what):
    path = write(home / "env")
    subject = path if what == "file" else home
    set_flag = subprocess.run(["chattr", f"+{flag}", str(subject)], capture_output=True, check=False)
    need(set_flag.returncode == 0, "this file system has no such attributes")
    try:
        with pytest.raises(AccessError, match=f"chattr -{flag} {subject}"):
            change(path, b"A=1\n", b"A=2\n")
        assert os.listdir(home) == ["env"]
    finally:
        subprocess.run(["chattr", f"-{flag}", str(subject)], check=True)


@pytest.mark.parametrize("how", ["replace", "create", "state"])
def test_a_full_disk_is_one_clear_error_and_leaves_nothing_behind(home, write, need, how):
    command = ["mount", "-t", "tmpfs", "-o", "size=16k,mode=0755", "tmpfs", str(home)]
    need(subprocess.run(command, capture_output=True, check=False).returncode == 0, "nothing can be mounted here")
    try:
        path = write(home / "env")
        with open_folder(str(home)) as folder:
            act = {
                "replace": lambda: change(path, b"A=1\n", b"x" * 20000),
                "create": lambda: create(folder, "new", b"x" * 20000),
                "state": lambda: write_private_file(folder, "env", b"x" * 20000),
            }[how]
            with pytest.raises(AccessError, match="free some space") as raised:
                act()
        assert str(home) in str(raised.value)
        assert os.listdir(home) == ["env"]
        assert path.read_bytes() == b"A=1\n"
    finally:
        subprocess.run(["umount", str(home)], check=True)


@pytest.mark.parametrize("how", [replace, write_in_place])
def test_a_limit_of_sizes_leaves_the_old_content(home, write, how):
    path = write(home / "env")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10, limits[1]))
    try:
        with pytest.raises(AccessError, match="ulimit"):
            change(path, b"A=1\n", b"x" * 20, how=how)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert path.read_bytes() == b"A=1\n"
    assert os.listdir(home) == ["env"]


def test_only_old_leftovers_of_our_own_are_cleared_away(home, write, link):
    hour_ago = time.time() - 4000
    names = {
        "ours": write(home / f"{TEMPORARY_PREFIX}1.tmp", owner=0),
        "replaced": write(home / f"{TEMPORARY_PREFIX}2.tmp", owner=ACCOUNT),
        "young": write(home / f"{TEMPORARY_PREFIX}3.tmp", owner=0),
        "strange": write(home / f"{TEMPORARY_PREFIX}4.tmp", owner=STRANGER),
        "linked": write(home / f"{TEMPORARY_PREFIX}5.tmp", owner=0),
        "other": write(home / "other.tmp", owner=0),
    }
    os.link(names["linked"], home / "second")
    for kind, path in names.items():
        if kind != "young":
            os.utime(path, (hour_ago, hour_ago))
    link(home / f"{TEMPORARY_PREFIX}6.tmp", "other.tmp", 0)
    with open_folder(str(home)) as folder:
        remove_stale(folder, ACCOUNT)
    assert {kind for kind, path in names.items() if not path.exists()} == {"ours", "replaced", "linked"}
    assert (home / "second").exists()
    assert (home / f"{TEMPORARY_PREFIX}6.tmp").is_symlink()


HOLD = """
import fcntl, os, sys
folder = os.open(sys.argv[1], os.O_RDONLY)
fcntl.flock(folder, fcntl.LOCK_EX)
print("locked", flush=True)
sys.stdin.read()
"""


def test_only_one_process_at_a_time_has_a_folder(tmp_path):
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout.readline() == "locked\n"
        with open_folder(str(tmp_path)) as folder:
            with pytest.raises(LockedError, match="lslocks"), folder.lock(0.1):
                pytest.fail("the lock was given twice")
            other.stdin.close()
            with folder.lock(30):
                pass


def test_state_is_for_root_alone_and_written_whole(tmp_path):
    with private_folder(str(tmp_path / "state")) as folder:
        write_private_file(folder, "switch.json", b"{}")
        (tmp_path / "state" / "switch.json").chmod(0o644)
        write_private_file(folder, "switch.json", b"[]")
        path = tmp_path / "state" / "switch.json"
        assert path.read_bytes() == b"[]"
        assert stated(path) == (os.geteuid(), os.getegid(), 0o600)
        os.close(open_private_file(folder, "lock"))
        os.close(open_private_file(folder, "lock"))
        assert stated(tmp_path / "state" / "lock")[2] == 0o600
        assert sorted(os.listdir(tmp_path / "state")) == ["lock", "switch.json"]


@pytest.mark.parametrize("trap", ["fifo", "folder", "symlink", "hard link", "owner"])
def test_what_is_in_the_place_of_a_state_file_is_named(tmp_path, write, trap, as_root):
    with private_folder(str(tmp_path)) as folder:
        path = tmp_path / "lock"
        other = write(tmp_path / "other", owner=0)
        if trap == "fifo":
            os.mkfifo(path)
        elif trap == "folder":
            path.mkdir()
        elif trap == "symlink":
            path.symlink_to(other)
        elif trap == "hard link":
            os.link(other, path)
        else:
            write(path)
        with pytest.raises(UnsafePathError if trap == "owner" else NotRegularError, match=str(path)):
            open_private_file(folder, "lock")
        if trap != "owner":
            with pytest.raises(NotRegularError, match=str(path)):
                write_private_file(folder, "lock", b"x")
        assert other.read_bytes() == b"A=1\n"
