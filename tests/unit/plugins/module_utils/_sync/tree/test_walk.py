# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import errno
import os
import random
import resource
import socket
import tracemalloc
from contextlib import closing
from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.model import (
    Entry,
    PathProblem,
    PathProblemKind,
)
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.tree import source as source_module
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.tree.openat2 import (
    UnknownCallError,
    open_beneath,
)
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.tree.source import (
    NotAFileError,
    NotAFolderError,
    Source,
    SourceMissingError,
)
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.tree.walk import Tree, entry_of


def walk(path, **words):
    source = Source(str(path))
    try:
        return list(Tree(source, **words))
    finally:
        source.close()


def problems(path):
    return {item.key: item for item in walk(path) if isinstance(item, PathProblem)}


def test_keys_come_in_the_order_of_their_bytes(tmp_path):
    names = ["a", "a-b/c", "a.b", "a/b", "a0", "ä/ö", "Z/z", "a/b-c/d", "a!b/x", "￿", "𐍈/x"]
    for name in names:
        if name == "a":
            continue
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    keys = [item.key for item in walk(tmp_path)]
    assert keys == sorted((name for name in names if name != "a"), key=str.encode)


PART = st.text(st.sampled_from("ab-./0!\u00e9\uffff\U00010348 ~"), min_size=1, max_size=3).filter(
    lambda part: part not in (".", "..") and "/" not in part
)


@settings(max_examples=60)
@given(st.sets(st.lists(PART, min_size=1, max_size=3).map(tuple), max_size=25))
def test_any_tree_comes_in_order_and_complete(tmp_path_factory, paths):
    root = tmp_path_factory.mktemp("tree")
    written = set()
    for parts in sorted(paths, key=len, reverse=True):
        path = root.joinpath(*parts)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(b"")
        except (FileExistsError, IsADirectoryError, NotADirectoryError):
            continue
        written.add("/".join(parts))
    keys = [item.key for item in walk(root)]
    assert keys == sorted(written, key=str.encode)
    assert keys == sorted(written)


def test_an_entry_says_what_lstat_says(tmp_path):
    path = tmp_path / "a"
    path.write_bytes(b"12345")
    path.chmod(0o640)
    os.utime(path, ns=(1, 1234567890123456789))
    status = path.stat()
    assert walk(tmp_path) == [Entry("a", 5, 1234567890123456789, status.st_ctime_ns, 0o640)]


def test_links_are_reported_and_not_followed(tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret").write_bytes(b"x")
    root = tmp_path / "root"
    root.mkdir()
    (root / "file").write_bytes(b"x")
    (root / "inside").symlink_to("file")
    (root / "away").symlink_to(outside / "secret")
    (root / "folder").symlink_to(outside)
    (root / "dangling").symlink_to("nowhere")
    (root / "loop").symlink_to("loop")
    found = walk(root)
    assert [item.key for item in found if isinstance(item, Entry)] == ["file"]
    kinds = {item.key: (item.kind, item.folder) for item in found if isinstance(item, PathProblem)}
    link, broken = (PathProblemKind.SYMLINK, False), (PathProblemKind.BROKEN_SYMLINK, True)
    assert kinds == {
        "away": link,
        "dangling/": broken,
        "inside": link,
        "loop/": broken,
        "folder/": (PathProblemKind.SYMLINKED_FOLDER, True),
    }


def test_the_root_may_be_a_link(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "a").write_bytes(b"")
    (tmp_path / "system").symlink_to("real")
    assert [item.key for item in walk(tmp_path / "system")] == ["a"]


def test_special_files_are_reported(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    os.mkfifo("fifo")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("socket")
        assert {key: item.kind for key, item in problems(tmp_path).items()} == {
            "fifo": PathProblemKind.SPECIAL_FILE,
            "socket": PathProblemKind.SPECIAL_FILE,
        }


def test_names_that_are_no_utf8_are_reported(tmp_path):
    root = os.fsencode(tmp_path)
    with open(os.path.join(root, b"a\xff.png"), "wb"):
        pass
    os.mkdir(os.path.join(root, b"b\xfe"))
    with open(os.path.join(root, b"b\xfe", b"c"), "wb"):
        pass
    found = problems(tmp_path)
    assert {key: (item.kind, item.folder) for key, item in found.items()} == {
        "a\\xff.png": (PathProblemKind.BAD_NAME, False),
        "b\\xfe/": (PathProblemKind.BAD_NAME, True),
    }


def test_a_key_may_have_1024_bytes_with_its_prefix(tmp_path):
    folder = tmp_path / ("d" * 250) / ("e" * 250) / ("f" * 250)
    folder.mkdir(parents=True)
    (folder / ("é" * 125)).write_bytes(b"")
    (entry,) = walk(tmp_path)
    assert len(entry.key.encode()) == 1003
    assert isinstance(walk(tmp_path, prefix_bytes=21)[0], Entry)
    (problem,) = walk(tmp_path, prefix_bytes=22)
    assert problem.kind is PathProblemKind.LONG_KEY


def test_a_deep_folder_takes_no_more_descriptors_than_a_key_has_parts(tmp_path):
    """Any user of the tree could make one, and a process may open only so many files."""
    (tmp_path / "b").write_bytes(b"")
    current = os.open(tmp_path, os.O_RDONLY)
    for _level in range(1500):
        os.mkdir("a", dir_fd=current)
        below = os.open("a", os.O_RDONLY, dir_fd=current)
        os.close(current)
        current = below
    os.close(current)
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (1024, limits[1]))
    try:
        found = walk(tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    assert [(item.key, type(item)) for item in found] == [("a/" * 513, PathProblem), ("b", Entry)]
    assert (found[0].kind, found[0].folder) == (PathProblemKind.LONG_KEY, True)


@pytest.mark.parametrize("seconds", [10**10, -(10**10)])
def test_times_that_no_journal_can_hold(tmp_path, monkeypatch, seconds):
    """Not every file system can hold them either."""
    (tmp_path / "a").write_bytes(b"")
    lstat = os.lstat

    def odd(path, **options):
        status = lstat(path, **options)
        times = {"st_mtime_ns": seconds * 10**9, "st_ctime_ns": seconds * 10**9}
        return SimpleNamespace(st_nlink=1, st_mode=status.st_mode, st_size=status.st_size, **times)

    monkeypatch.setattr(os, "lstat", odd)
    (entry,) = walk(tmp_path)
    assert abs(entry.mtime_ns) == abs(entry.ctime_ns) == 2**63 - 1
    assert entry == entry_of("a", odd(tmp_path / "a"))


def test_an_unreadable_folder_is_reported_and_the_rest_goes_on(tmp_path, make_unreadable):
    for name in ("a/1", "b/2", "c/3"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_bytes(b"")
    make_unreadable("b")
    found = walk(tmp_path)
    assert [item.key for item in found] == ["a/1", "b/", "c/3"]
    assert found[1] == PathProblem("b/", PathProblemKind.UNREADABLE, "Permission denied", folder=True)


def test_what_vanishes_during_the_walk_is_no_problem(tmp_path):
    for name in ("a/1", "b/2", "b/3", "c/4"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    source = Source(str(tmp_path))
    items = iter(Tree(source))
    assert next(items).key == "a/1"
    assert next(items).key == "b/2"
    (tmp_path / "b/3").unlink()
    (tmp_path / "c/4").unlink()
    (tmp_path / "c").rmdir()
    assert list(items) == []
    source.close()


def test_a_folder_swapped_for_a_link_leads_nowhere(tmp_path):
    root = tmp_path / "root"
    (root / "b").mkdir(parents=True)
    (root / "a").write_bytes(b"")
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc" / "shadow").write_bytes(b"")
    source = Source(str(root))
    items = iter(Tree(source))
    assert next(items).key == "a"
    (root / "b").rmdir()
    (root / "b").symlink_to(tmp_path / "etc")
    rest = list(items)
    assert [item.key for item in rest] == ["b/"]
    assert isinstance(rest[0], PathProblem)
    with pytest.raises(NotAFileError):
        source.open_file("b/shadow")
    source.close()


def test_the_states_of_a_root(tmp_path):
    with pytest.raises(SourceMissingError, match="does not exist"):
        Source(str(tmp_path / "missing"))
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(NotAFolderError, match="not a folder"):
        Source(str(tmp_path / "file"))
    (tmp_path / "empty").mkdir()
    assert walk(tmp_path / "empty") == []


@pytest.fixture
def part_by_part(monkeypatch):
    """Have files opened as on kernels that do not serve openat2."""

    def not_served(_root, _path, _flags):
        raise UnknownCallError

    monkeypatch.setattr(source_module, "open_beneath", not_served)


@pytest.fixture(params=["in one call", "part by part"])
def opening(request):
    """Have files opened in either way."""
    if request.param == "part by part":
        request.getfixturevalue("part_by_part")


def test_open_file_and_exists(tmp_path, opening):
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "a").write_bytes(b"content")
    (tmp_path / "d" / "link").symlink_to("a")
    os.mkfifo(tmp_path / "d" / "fifo")
    source = Source(str(tmp_path))
    descriptor = source.open_file("d/a")
    assert os.read(descriptor, 100) == b"content"
    os.close(descriptor)
    for key, error in (("d/link", NotAFileError), ("d/fifo", NotAFileError), ("d", NotAFileError)):
        with pytest.raises(error):
            source.open_file(key)
    for key in ("d/missing", "missing/a"):
        with pytest.raises(FileNotFoundError):
            source.open_file(key)
    assert [source.exists(key) for key in ("d/a", "d/link", "d/missing", "missing/a", "d/a/b")] == [
        True,
        True,
        False,
        False,
        False,
    ]
    before = len(os.listdir("/proc/self/fd"))
    for _turn in range(10):
        with pytest.raises(OSError, match=r"regular|No such"):
            source.open_file("d/link/x")
    assert len(os.listdir("/proc/self/fd")) == before
    source.close()


def test_a_path_never_leads_out_of_the_root(tmp_path):
    (tmp_path / "root").mkdir()
    (tmp_path / "secret").write_bytes(b"root's")
    root = os.open(tmp_path / "root", os.O_RDONLY)
    try:
        for path in (b"../secret", os.fsencode(tmp_path / "secret")):
            with pytest.raises(OSError, match="cross-device link"):
                open_beneath(root, path, os.O_RDONLY)
    except UnknownCallError:
        pytest.skip("this kernel does not serve openat2")
    finally:
        os.close(root)


def test_a_file_of_another_user_is_read_though_its_access_time_can_not_be_spared(tmp_path, part_by_part, monkeypatch):
    (tmp_path / "a").write_bytes(b"content")
    real = os.open

    def refuse(path, flags, *more, **words):
        if flags & os.O_NOATIME:
            raise PermissionError(errno.EPERM, "Operation not permitted")
        return real(path, flags, *more, **words)

    monkeypatch.setattr(os, "open", refuse)
    with closing(Source(str(tmp_path))) as source:
        descriptor = source.open_file("a")
    assert os.read(descriptor, 100) == b"content"
    os.close(descriptor)


def test_an_abandoned_walk_leaves_no_descriptor_open(tmp_path):
    (tmp_path / "a/b/c").mkdir(parents=True)
    (tmp_path / "a/b/c/d").write_bytes(b"")
    source = Source(str(tmp_path))
    before = len(os.listdir("/proc/self/fd"))
    items = iter(Tree(source))
    next(items)
    items.close()
    assert len(os.listdir("/proc/self/fd")) == before
    source.close()


def test_the_memory_of_a_walk_is_that_of_one_folder(tmp_path):
    for number in range(200):
        folder = tmp_path / f"{number:03}"
        folder.mkdir()
        for name in random.Random(number).sample(range(10**6), 20):
            (folder / f"{name:06}").touch()

    source = Source(str(tmp_path))
    tracemalloc.start()
    seen = sum(1 for _item in Tree(source))
    _now, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    source.close()
    assert seen == 4000
    assert most < 200_000
