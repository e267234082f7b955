# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess

import pytest
from disks import lacking, mounted

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._feed import kernel
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._feed.errors import UnsupportedError
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._feed.watch import ReplacedError, Watch

ALL_KINDS = ("tmpfs", "ext4", "xfs", "btrfs")


@pytest.fixture
def watch(tree):
    watch = Watch(str(tree))
    yield watch
    watch.close()


def changed(watch):
    return set(watch.changed())


def exchange(one, other):
    here, both = -100, 2
    assert ctypes.CDLL(None).renameat2(here, os.fsencode(one), here, os.fsencode(other), both) == 0


CASES = {
    "written": (lambda tree: (tree / "folder/a").write_bytes(b"x"), {b"folder/a"}),
    "in the root": (lambda tree: (tree / "new").write_bytes(b"x"), {b"new"}),
    "changed": (lambda tree: (tree / "folder/old").write_bytes(b"x"), {b"folder/old"}),
    "cut off by its path": (lambda tree: os.truncate(tree / "folder/old", 0), {b"folder/old"}),
    "mode": (lambda tree: (tree / "folder/old").chmod(0o600), {b"folder/old"}),
    "only the time": (lambda tree: os.utime(tree / "folder/old", (1, 1)), {b"folder/old"}),
    "removed": (lambda tree: (tree / "folder/old").unlink(), {b"folder/old"}),
    "moved": (lambda tree: (tree / "folder/old").rename(tree / "new"), {b"folder/old", b"new"}),
    "moved out": (lambda tree: (tree / "folder/old").rename(tree / "../outside/old"), {b"folder/old"}),
    "moved in": (lambda tree: (tree / "../outside/file").rename(tree / "new"), {b"new"}),
    "linked": (lambda tree: os.link(tree / "folder/old", tree / "new"), {b"new"}),
    "a symlink": (lambda tree: (tree / "new").symlink_to("folder"), {b"new"}),
    "no text": (lambda tree: os.mknod(os.fsencode(tree) + b"/\xff"), {b"\xff"}),
    "a folder": (lambda tree: (tree / "new").mkdir(), {b"new", b"new/"}),
    "folder moved": (lambda tree: (tree / "folder").rename(tree / "new"), {b"folder", b"folder/", b"new", b"new/"}),
    "folder moved out": (lambda tree: (tree / "folder").rename(tree / "../outside/x"), {b"folder", b"folder/"}),
    "folder moved in": (lambda tree: (tree / "../outside/there").rename(tree / "new"), {b"new", b"new/"}),
    "folders exchanged": (
        lambda tree: exchange(tree / "folder", tree / "../outside/there"),
        {b"folder", b"folder/"},
    ),
    "the mode of a folder": (lambda tree: (tree / "folder").chmod(0o700), set()),
    "foreign": (lambda tree: (tree / "../outside/file").write_bytes(b"y"), set()),
}


@pytest.mark.parametrize("case", CASES)
def test_what_changes_is_named(tree, case):
    (tree / "folder/old").write_bytes(b"old")
    (tree / "../outside/file").write_bytes(b"old")
    (tree / "../outside/there").mkdir()
    watch = Watch(str(tree))
    act, keys = CASES[case]
    act(tree)
    assert changed(watch) == keys
    assert changed(watch) == set()
    watch.close()


def test_a_tree_that_is_removed_is_named_by_its_topmost_folder(tree, watch):
    (tree / "folder/a/b").mkdir(parents=True)
    (tree / "folder/a/b/file").write_bytes(b"x")
    assert changed(watch) >= {b"folder/a", b"folder/a/"}
    shutil.rmtree(tree / "folder")
    assert changed(watch) >= {b"folder", b"folder/"}


def test_a_folder_that_was_foreign_belongs_to_the_tree_once_it_is_moved_in(tree, watch):
    outside = tree / "../outside/there"
    outside.mkdir()
    (outside / "a").write_bytes(b"x")
    assert changed(watch) == set()
    (outside / "a").write_bytes(b"y")
    assert changed(watch) == set()  # by now it is known to be foreign
    outside.rename(tree / "in")
    assert changed(watch) == {b"in", b"in/"}
    (tree / "in/a").write_bytes(b"z")
    assert changed(watch) == {b"in/a"}
    (tree / "in").rename(tree / "folder/in")
    (tree / "folder/in/a").write_bytes(b"z")
    assert changed(watch) >= {b"folder/in/"}
    (tree / "folder/in/a").write_bytes(b"z")
    assert changed(watch) == {b"folder/in/a"}
    (tree / "folder").rename(tree / "../outside/folder")
    changed(watch)
    (tree / "../outside/folder/in/a").write_bytes(b"z")
    assert changed(watch) == set()


def test_changes_under_a_folder_that_was_renamed_since_have_its_new_name(tree, watch):
    (tree / "folder/a").write_bytes(b"x")
    (tree / "folder").rename(tree / "new")
    assert changed(watch) == {b"folder", b"folder/", b"new", b"new/", b"new/a"}


@pytest.mark.slow
@pytest.mark.parametrize("kind", ALL_KINDS)
def test_every_file_system_below_the_root_is_followed(tree, kind):
    if lacking(kind):
        pytest.skip(lacking(kind))
    with mounted(kind, tree / "inner") as inner:
        watch = Watch(str(tree))
        (inner / "a").mkdir()
        (inner / "a/b").write_bytes(b"x")
        (tree / "c").write_bytes(b"x")
        assert changed(watch) == {b"inner/a", b"inner/a/", b"inner/a/b", b"c"}
        watch.close()


def test_a_folder_that_is_mounted_at_a_second_place_has_two_names(tree):
    (tree / "again").mkdir()
    subprocess.run(["mount", "--bind", tree / "folder", tree / "again"], check=True)
    try:
        watch = Watch(str(tree))
        (tree / "folder/a").write_bytes(b"x")
        assert changed(watch) == {b"folder/a", b"again/a"}
        (tree / "../outside/a").write_bytes(b"x")
        assert changed(watch) == set()
        watch.close()
    finally:
        subprocess.run(["umount", "-l", tree / "again"], check=True)


def test_what_another_mount_hides_is_foreign(tree):
    (tree / "folder/deep").mkdir()
    hidden = os.open(tree / "folder/deep", os.O_RDONLY)
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", tree / "folder"], check=True)
    try:
        watch = Watch(str(tree))
        (tree / "folder/deep").mkdir()
        (tree / "folder/deep/seen").write_bytes(b"x")
        os.close(os.open("unseen", os.O_CREAT | os.O_WRONLY, dir_fd=hidden))
        assert changed(watch) == {b"folder/deep", b"folder/deep/", b"folder/deep/seen"}
        watch.close()
    finally:
        os.close(hidden)
        subprocess.run(["umount", "-l", tree / "folder"], check=True)


def test_a_new_mount_below_the_root_is_noticed(tree, watch):
    watch.check()
    with mounted("tmpfs", tree / "inner"), pytest.raises(ReplacedError, match="what is mounted at or below"):
        watch.check()
    watch.check()


def test_another_folder_in_the_place_of_the_root_is_noticed(tree, watch):
    tree.rename(tree.with_name("old"))
    with pytest.raises(ReplacedError, match="can't be found any more"):
        watch.check()
    tree.mkdir()
    with pytest.raises(ReplacedError, match="another folder than before"):
        watch.check()


def test_remote_and_unknown_file_systems_are_refused(tree):
    subprocess.run(["mount", "-t", "proc", "proc", tree / "folder"], check=True)
    try:
        with pytest.raises(UnsupportedError, match="its file system is proc"):
            Watch(str(tree))
    finally:
        subprocess.run(["umount", tree / "folder"], check=True)


def test_a_missing_root_is_refused(tree):
    with pytest.raises(UnsupportedError, match="does not exist"):
        Watch(str(tree / "nothing"))


def test_an_old_kernel_is_refused(tree, monkeypatch):
    monkeypatch.setattr(kernel, "GROUP_FLAGS", 1 << 30)
    with pytest.raises(UnsupportedError, match=r"older than Linux 5\.9"):
        Watch(str(tree))


def test_nothing_stays_open(tree):
    before = len(os.listdir("/proc/self/fd"))
    watch = Watch(str(tree))
    watch.close()
    watch.close()
    with pytest.raises(UnsupportedError):
        Watch("/proc")
    assert len(os.listdir("/proc/self/fd")) == before


def test_a_path_that_is_longer_than_the_kernel_can_tell_is_no_key(tree, watch):
    here = os.open(tree / "folder", os.O_RDONLY)
    for _each in range(20):
        os.mkdir("n" * 250, dir_fd=here)
        below = os.open("n" * 250, os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = below
    os.mknod("file", dir_fd=here)
    os.close(here)
    (tree / "a").write_bytes(b"x")
    found = changed(watch)
    assert b"a" in found
    assert max(map(len, found)) < 4096 + 257  # the longest path, and a name in it
