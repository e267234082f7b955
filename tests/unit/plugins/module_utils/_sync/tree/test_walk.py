# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
import random
import socket
import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.model import Entry, Problem, ProblemKind
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.tree import source as source_module
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.tree.source import (
    NotAFolderError,
    NotRegularError,
    Source,
    SourceMissingError,
)
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.tree.walk import Tree


def walk(path, **words):
    source = Source(str(path))
    try:
        return list(Tree(source, **words))
    finally:
        source.close()


def problems(path):
    return {item.key: item for item in walk(path) if isinstance(item, Problem)}


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


@settings(max_examples=60, deadline=None)
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
    kinds = {item.key: (item.kind, item.folder) for item in found if isinstance(item, Problem)}
    link, broken = (ProblemKind.SYMLINK, False), (ProblemKind.BROKEN_SYMLINK, True)
    assert kinds == {
        "away": link,
        "dangling/": broken,
        "inside": link,
        "loop/": broken,
        "folder/": (ProblemKind.SYMLINKED_FOLDER, True),
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
            "fifo": ProblemKind.SPECIAL_FILE,
            "socket": ProblemKind.SPECIAL_FILE,
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
        "a\\xff.png": (ProblemKind.BAD_NAME, False),
        "b\\xfe/": (ProblemKind.BAD_NAME, True),
    }


def test_a_key_may_have_1024_bytes_with_its_prefix(tmp_path):
    folder = tmp_path / ("d" * 250) / ("e" * 250) / ("f" * 250)
    folder.mkdir(parents=True)
    (folder / ("é" * 125)).write_bytes(b"")
    (entry,) = walk(tmp_path)
    assert len(entry.key.encode()) == 1003
    assert isinstance(walk(tmp_path, prefix_bytes=21)[0], Entry)
    (problem,) = walk(tmp_path, prefix_bytes=22)
    assert problem.kind is ProblemKind.LONG_KEY


def test_an_unreadable_folder_is_reported_and_the_rest_goes_on(tmp_path, make_unreadable):
    for name in ("a/1", "b/2", "c/3"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_bytes(b"")
    make_unreadable("b")
    found = walk(tmp_path)
    assert [item.key for item in found] == ["a/1", "b/", "c/3"]
    assert found[1] == Problem("b/", ProblemKind.UNREADABLE, "Permission denied", folder=True)


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
    assert isinstance(rest[0], Problem)
    with pytest.raises(NotRegularError):
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


def test_open_file_and_exists(tmp_path):
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "a").write_bytes(b"content")
    (tmp_path / "d" / "link").symlink_to("a")
    os.mkfifo(tmp_path / "d" / "fifo")
    source = Source(str(tmp_path))
    descriptor = source.open_file("d/a")
    assert os.read(descriptor, 100) == b"content"
    os.close(descriptor)
    for key, error in (("d/link", NotRegularError), ("d/fifo", NotRegularError), ("d", NotRegularError)):
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


MOUNTS = """\
21 1 254:1 / / rw,relatime shared:1 - ext4 /dev/vda1 rw
30 21 0:40 / /srv rw,relatime shared:2 - nfs4 server:/export rw
31 30 0:41 / /srv/with\\040space rw - xfs /dev/vdb rw
32 21 0:42 / /home rw - btrfs /dev/vdc rw,subvol=/home
33 21 0:43 / /home rw - fuse.sshfs other:/home rw
"""


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/", "ext4"),
        ("/var/x", "ext4"),
        ("/srv", "nfs4"),
        ("/srv/a", "nfs4"),
        ("/srvx/a", "ext4"),
        ("/srv/with space/a", "xfs"),
        ("/home/mastodon", "fuse.sshfs"),
    ],
)
def test_which_file_system_holds_a_path(path, kind):
    assert source_module._file_system(path, MOUNTS.splitlines()) == kind


def test_a_server_of_files_has_a_clock_of_its_own(tmp_path, monkeypatch):
    source = Source(str(tmp_path))
    monkeypatch.setattr(source_module, "_file_system", lambda _path, _mounts: "nfs4")
    assert source.clock_slack_ns() == 600 * 10**9
    monkeypatch.setattr(source_module, "_file_system", lambda _path, _mounts: "ext4")
    assert source.clock_slack_ns() == 50 * 10**6
    source.close()


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
