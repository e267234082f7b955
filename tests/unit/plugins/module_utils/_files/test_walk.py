# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which paths root follows, and which it does not."""

from __future__ import annotations

import os
import socket

import pytest

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._files.errors import (
    FileError,
    MissingError,
    NotRegularError,
    TooLargeError,
    UnsafePathError,
)
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._files.walk import locate, open_folder, read_file

ACCOUNT, STRANGER, ROOT = 4242, 4343, 0


@pytest.fixture
def secret(tmp_path, write):
    """A file of root's that nobody else can read."""
    folder = tmp_path / "root"
    folder.mkdir(mode=0o700)
    return write(folder / "secret", b"TOP=secret\n", ROOT)


def read(path, limit=1000):
    return read_file(str(path), limit)[0]


def test_reads_a_plain_file(home, write):
    data, status = read_file(str(write(home / "env")), 1000)
    assert data == b"A=1\n"
    assert (status.st_uid, status.st_size) == (ACCOUNT, 4)


def test_a_relative_path_counts_from_the_current_folder(home, write, monkeypatch):
    write(home / "env")
    (home / "sub").mkdir()
    monkeypatch.chdir(home / "sub")
    assert read("../env") == b"A=1\n"
    assert read("./.././sub/../env") == b"A=1\n"
    with locate("../env") as place:
        assert place.path == str(home / "env")


@pytest.mark.parametrize(
    ("link_owner", "target_owner", "counts"),
    [
        (ACCOUNT, ACCOUNT, True),
        (ACCOUNT, ROOT, False),
        (ACCOUNT, STRANGER, False),
        (ROOT, ROOT, True),
        (ROOT, ACCOUNT, False),
        (STRANGER, ROOT, False),
    ],
)
def test_in_a_users_folder_link_and_target_have_the_same_owner(
    home, tmp_path, write, link, link_owner, target_owner, counts
):
    target = write(tmp_path / "target", owner=target_owner)
    path = link(home / "env", target, link_owner)
    if counts:
        assert read(path) == b"A=1\n"
        return
    with pytest.raises(UnsafePathError) as raised:
        read(path)
    assert str(path) in str(raised.value)
    assert str(target) in str(raised.value)


@pytest.mark.parametrize("folder_mode", [0o755, 0o775, 0o757, 0o1777])
def test_roots_link_leads_anywhere_only_from_a_folder_that_root_alone_can_write_to(
    home, tmp_path, write, link, folder_mode
):
    write(home / "env")
    folder = tmp_path / "etc"
    folder.mkdir()
    folder.chmod(folder_mode)
    path = link(folder / "env", home / "env", ROOT)
    if folder_mode == 0o755:
        assert read(path) == b"A=1\n"
    else:
        with pytest.raises(UnsafePathError):
            read(path)


def test_a_folder_on_the_way_may_not_be_a_foreign_link(home, secret, link):
    link(home / "live", secret.parent, ACCOUNT)
    for path in (home / "live" / "secret", home / "live" / ".." / "root" / "secret"):
        with pytest.raises(UnsafePathError):
            read(path)
    with pytest.raises(UnsafePathError):
        open_folder(str(home / "live"))


def test_a_folder_on_the_way_may_be_a_link_to_the_same_users_folder(home, tmp_path, write, link):
    real = tmp_path / "data"
    real.mkdir()
    os.chown(real, ACCOUNT, ACCOUNT)
    write(real / "env")
    link(home / "live", "../data/", ACCOUNT)
    assert read(home / "live" / "env") == b"A=1\n"
    with open_folder(str(home / "live")) as folder:
        assert folder.path == str(real)


@pytest.mark.parametrize("way", ["chain", "through_folder", "through_roots_link"])
def test_a_link_to_a_link_must_not_hide_whose_the_target_is(home, tmp_path, secret, link, way):
    if way == "chain":
        link(home / "second", secret, ACCOUNT)
        path = link(home / "env", "second", ACCOUNT)
    elif way == "through_folder":
        link(home / "second", secret.parent, ACCOUNT)
        path = link(home / "env", "second/secret", ACCOUNT)
    else:
        link(tmp_path / "second", secret, ROOT)
        path = link(home / "env", "../second", ACCOUNT)
    with pytest.raises(UnsafePathError):
        read(path)


def test_a_link_to_nothing_is_refused_and_one_of_root_is_followed(home, tmp_path, link):
    with pytest.raises(UnsafePathError, match="does not exist"):
        locate(str(link(home / "env", tmp_path / "new", ACCOUNT)))
    with locate(str(link(tmp_path / "env", home / "new", ROOT))) as place:
        assert (place.path, place.status) == (str(home / "new"), None)


def test_links_in_a_circle_end(home, link):
    link(home / "a", "b", ACCOUNT)
    link(home / "b", "a", ACCOUNT)
    with pytest.raises(UnsafePathError, match="symlinks"):
        read(home / "a")
    link(home / "c", "c/x", ACCOUNT)
    with pytest.raises(UnsafePathError, match="symlinks"):
        read(home / "c")


def make_fifo(path):
    os.mkfifo(path)


def make_socket(path):
    # A socket's path may have 107 bytes.
    folder = os.open(path.parent, os.O_RDONLY)
    socket.socket(socket.AF_UNIX).bind(f"/proc/self/fd/{folder}/{path.name}")
    os.close(folder)


def make_device(path):
    os.mknod(path, 0o20600, os.makedev(1, 5))


def make_second_name(path):
    other = path.with_name("other")
    other.write_bytes(b"A=1\n")
    os.link(other, path)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (make_fifo, "a FIFO"),
        (make_socket, "a socket"),
        (make_device, "a device"),
        (lambda path: path.mkdir(), "a folder"),
        (make_second_name, "2 hard links"),
    ],
)
def test_only_a_regular_file_with_one_name_is_read(home, make, said):
    make(home / "env")
    with pytest.raises(NotRegularError, match=said) as raised:
        read(home / "env")
    assert str(home / "env") in str(raised.value)


@pytest.mark.parametrize("ending", ["", "/", "/.", "/.."])
def test_a_path_of_a_folder_is_none_of_a_file(home, ending):
    (home / "sub").mkdir()
    with pytest.raises(NotRegularError, match="folder"):
        read(f"{home}/sub{ending}")


def test_a_file_is_no_folder(home, write):
    write(home / "env")
    for path in (home / "env" / "x", f"{home}/env/", f"{home}/env/../env"):
        with pytest.raises(FileError, match="not a folder"):
            read(path)


def test_a_file_that_is_too_large_is_not_read(home, write):
    write(home / "env", b"x" * 1001)
    with pytest.raises(TooLargeError):
        read(home / "env")
    assert len(read(home / "env", 1001)) == 1001


@pytest.mark.parametrize("path", ["", "/a\0b", "/\ud800", "/nowhere/env", "/" + "x" * 300])
def test_what_can_be_no_path_is_one_clear_error(path):
    with pytest.raises(FileError) as raised:
        read(path)
    assert ";" in str(raised.value) or "not a valid path" in str(raised.value)


def test_missing_files_and_folders_are_told_apart_from_others(home):
    with pytest.raises(MissingError):
        read(home / "env")
    with pytest.raises(MissingError):
        open_folder(str(home / "folder"))


@pytest.mark.parametrize(
    ("owner", "mode", "safe"),
    [(ROOT, 0o755, True), (ROOT, 0o1777, True), (ROOT, 0o777, False), (ROOT, 0o775, False), (ACCOUNT, 0o700, False)],
)
def test_a_folder_for_state_is_below_none_that_others_can_change(tmp_path, as_root, owner, mode, safe):
    middle = tmp_path / "middle"
    middle.mkdir()
    middle.chmod(mode)
    os.chown(middle, owner, owner)
    (middle / "state").mkdir(mode=0o700)
    path = str(middle / "state")
    if safe:
        open_folder(path, private=True).close()
    else:
        with pytest.raises(UnsafePathError, match="chmod") as raised:
            open_folder(path, private=True)
        assert f"{middle}:" in str(raised.value)


def test_a_folder_for_state_may_be_reached_by_no_link_of_others(home, tmp_path, link):
    (tmp_path / "state").mkdir(mode=0o700)
    for owner in (ACCOUNT, ROOT):
        path = link(home / f"state-{owner}", tmp_path / "state", owner)
        with pytest.raises(UnsafePathError):
            open_folder(str(path), private=True)


def test_the_folder_itself_may_not_be_one_that_everybody_writes_to(tmp_path):
    tmp_path.chmod(0o1777)
    with pytest.raises(UnsafePathError, match="1777"):
        open_folder(str(tmp_path), private=True)


def test_what_is_missing_is_made_for_the_caller_alone(tmp_path):
    with open_folder(str(tmp_path / "a" / "b"), private=True, create=True) as folder:
        assert folder.path == str(tmp_path / "a" / "b")
    for name in ("a", "a/b"):
        assert (tmp_path / name).stat().st_mode & 0o7777 == 0o700


def test_no_descriptor_is_left_open(home, write, link, secret):
    write(home / "env")
    link(home / "trap", secret, ACCOUNT)
    before = len(os.listdir("/proc/self/fd"))
    read(home / "env")
    for path in (home / "trap", home, home / "none", f"{home}/env/", home / "none" / "none"):
        with pytest.raises(FileError):
            read(path)
    for path in (home, home / "none"):
        with pytest.raises(FileError):
            open_folder(str(path), private=True)
    assert len(os.listdir("/proc/self/fd")) == before
