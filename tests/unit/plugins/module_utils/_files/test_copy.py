# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Copies of a user's file in root's folder, and back."""

from __future__ import annotations

import os

import pytest

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._files.copy import copy_file
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._files.errors import (
    MissingError,
    NotRegularError,
    TooLargeError,
    UnsafePathError,
)

ACCOUNT, STRANGER, ROOT = 4242, 4343, 0
CONTENT = b"A='\xff\0'\r\nnot a dotenv file"


@pytest.fixture
def state(tmp_path):
    folder = tmp_path / "state"
    folder.mkdir(mode=0o700)
    return folder


def copy(source, target, **options):
    return copy_file(str(source), str(target), 1000, **options)


def stated(path):
    status = os.lstat(path)
    return status.st_uid, status.st_gid, status.st_mode & 0o7777


def test_a_copy_in_roots_folder_is_roots_alone_and_made_once(home, state, write):
    source = write(home / "env", CONTENT, mode=0o644)
    copied = copy(source, state / "env")
    assert copied == (True, str(source), str(state / "env"))
    assert (state / "env").read_bytes() == CONTENT
    assert stated(state / "env") == (ROOT, ROOT, 0o600)
    inode = (state / "env").stat().st_ino
    assert copy(source, state / "env").changed is False
    source.write_bytes(b"B")
    assert copy(source, state / "env", overwrite=False).changed is False
    assert (state / "env").read_bytes() == CONTENT
    assert (state / "env").stat().st_ino == inode
    assert copy(source, state / "env").changed is True
    assert (state / "env").read_bytes() == b"B"


@pytest.mark.parametrize(("owner", "mode"), [(ACCOUNT, 0o640), (ROOT, 0o600), (STRANGER, 0o644)])
def test_what_is_put_back_has_owner_and_mode_of_the_file_that_is_there(home, state, write, owner, mode):
    source = write(state / "env", CONTENT, ROOT)
    target = write(home / "env", owner=owner, mode=mode)
    assert copy(source, target).changed is True
    assert target.read_bytes() == CONTENT
    assert stated(target) == (owner, owner, mode)


def test_where_the_file_is_gone_it_belongs_to_the_folders_owner(home, state, write):
    source = write(state / "env", CONTENT, ROOT, mode=0o644)
    os.chown(home, ACCOUNT, STRANGER)
    copy(source, home / "env")
    assert (home / "env").read_bytes() == CONTENT
    assert stated(home / "env") == (ACCOUNT, STRANGER, 0o600)


def test_a_dry_run_changes_nothing(home, state, write):
    source = write(home / "env", CONTENT)
    assert copy(source, state / "env", dry_run=True).changed is True
    assert os.listdir(state) == []
    write(state / "env", b"old", ROOT)
    assert copy(source, state / "env", dry_run=True).changed is True
    assert (state / "env").read_bytes() == b"old"
    assert copy(source, state / "env", dry_run=True, overwrite=False).changed is False


def test_a_file_of_roots_that_only_root_can_read_is_not_taken_from_another_users_folder(home, state, write):
    source = write(home / "env", CONTENT, ROOT)
    with pytest.raises(UnsafePathError, match="moved there") as raised:
        copy(source, state / "env")
    assert str(home) in str(raised.value)
    assert os.listdir(state) == []
    # Neither from a folder of root's below it, which the user can rename.
    (home / "roots").mkdir(mode=0o700)
    write(home / "roots" / "env", CONTENT, ROOT)
    with pytest.raises(UnsafePathError, match="moved there"):
        copy(home / "roots" / "env", state / "env")


@pytest.mark.parametrize("readable", ["others", "group"])
def test_one_that_the_folders_owner_can_read_is_taken(home, state, write, readable):
    source = write(home / "env", CONTENT, ROOT)
    os.chown(source, ROOT, ACCOUNT if readable == "group" else ROOT)
    source.chmod(0o640 if readable == "group" else 0o604)
    assert copy(source, state / "env").changed is True


@pytest.mark.parametrize(("mode", "taken"), [(0o755, True), (0o1777, False), (0o777, False), (0o775, False)])
def test_a_folder_of_roots_that_others_can_write_to_counts_as_theirs(tmp_path, state, write, mode, taken):
    folder = tmp_path / "shared"
    folder.mkdir()
    folder.chmod(mode)
    os.chown(folder, ROOT, ACCOUNT)
    source = write(folder / "env", CONTENT, ROOT)
    if taken:
        assert copy(source, state / "env").changed is True
        return
    with pytest.raises(UnsafePathError, match="moved there"):
        copy(source, state / "env")


def test_a_strangers_file_that_the_folders_owner_can_not_read_is_not_taken(home, state, write):
    source = write(home / "env", CONTENT, STRANGER)
    with pytest.raises(UnsafePathError, match="moved there"):
        copy(source, state / "env")
    assert os.listdir(state) == []
    source.chmod(0o604)
    assert copy(source, state / "env").changed is True


def test_a_strangers_folder_may_hold_the_file_of_its_owner_below_another_users(home, state, write):
    # A folder can't be moved elsewhere by somebody who can't write to it.
    (home / "live").mkdir(mode=0o700)
    os.chown(home / "live", STRANGER, STRANGER)
    source = write(home / "live" / "env", CONTENT, STRANGER)
    assert copy(source, state / "env").changed is True


@pytest.mark.parametrize("direction", ["out", "back"])
@pytest.mark.parametrize("trap", ["symlink", "hard link", "fifo"])
def test_traps_in_the_users_folder_catch_nothing(home, state, write, link, direction, trap):
    secret = write(state / "secret", b"TOP=secret\n", ROOT)
    kept = write(state / "env", CONTENT, ROOT)
    path = home / "env"
    if trap == "symlink":
        link(path, secret, ACCOUNT)
    elif trap == "hard link":
        os.link(secret, path)
    else:
        os.mkfifo(path)
    with pytest.raises((UnsafePathError, NotRegularError), match=str(path)):
        copy(*((path, state / "new") if direction == "out" else (kept, path)))
    assert secret.read_bytes() == b"TOP=secret\n"
    assert stated(secret) == (ROOT, ROOT, 0o600)
    assert sorted(os.listdir(state)) == ["env", "secret"]


def test_what_is_missing_or_too_large_is_named(home, state, write):
    with pytest.raises(MissingError, match=f"{home}/env"):
        copy(home / "env", state / "env")
    source = write(home / "env", b"x" * 1001)
    with pytest.raises(TooLargeError, match=str(source)):
        copy(source, state / "env")
    source.write_bytes(b"x")
    with pytest.raises(MissingError, match=f"{state}/none"):
        copy(source, state / "none" / "env")
    # An earlier task may be about to create it.
    assert copy(source, state / "none" / "env", dry_run=True) == (True, str(source), str(state / "none" / "env"))


def test_a_file_is_no_copy_of_itself(home, write):
    source = write(home / "env", CONTENT)
    inode = source.stat().st_ino
    assert copy(source, source).changed is False
    assert source.stat().st_ino == inode
