# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A power cut leaves the old file or the new one, never an empty one: content first, then the name, then the folder."""

from __future__ import annotations

import errno
import os

import pytest

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._files.copy import copy_file
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._files.errors import AccessError
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._files.private import (
    private_folder,
    write_private_file,
)
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._files.replace import (
    create,
    replace,
    write_in_place,
)
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._files.walk import locate, open_folder

OLD, NEW = b"A=1\n", b"A=2\n"


@pytest.fixture
def path(tmp_path):
    folder = tmp_path / "folder"
    folder.mkdir(mode=0o700)
    return folder / "env"


def change(path, how):
    with locate(str(path)) as place, place.open() as file:
        how(file, OLD, NEW)


def make(path):
    with open_folder(str(path.parent)) as folder:
        create(folder, path.name, NEW)


def write_state(path):
    with private_folder(str(path.parent)) as folder:
        write_private_file(folder, path.name, NEW)


def copy(path):
    source = path.parent.parent / "source"
    source.write_bytes(NEW)
    copy_file(str(source), str(path), 1000)


@pytest.mark.parametrize(
    ("act", "before"),
    [
        (lambda path: change(path, replace), OLD),
        (make, None),
        (write_state, None),
        (write_state, OLD),
        (copy, None),
        (copy, OLD),
    ],
    ids=["replace", "create", "first state", "next state", "first copy", "next copy"],
)
def test_content_is_on_disk_before_the_name_and_the_name_before_it_returns(path, kept_by_disk, act, before):
    if before is not None:
        path.write_bytes(before)
    seen = kept_by_disk(path)
    act(path)
    assert path.read_bytes() == NEW
    assert seen == [("file", NEW, before), ("folder", None, NEW)]


def test_what_is_written_in_place_is_on_disk_before_it_returns(path, kept_by_disk):
    path.write_bytes(OLD)
    seen = kept_by_disk(path)
    change(path, write_in_place)
    assert seen == [("file", NEW, NEW)]


@pytest.mark.parametrize("what", ["file", "folder"])
def test_an_error_of_the_disk_is_told(path, monkeypatch, what):
    path.write_bytes(OLD)
    real = os.fsync

    def fsync(descriptor):
        if os.path.isdir(f"/proc/self/fd/{descriptor}") == (what == "folder"):
            raise OSError(errno.EIO, "Input/output error")
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    with pytest.raises(AccessError, match="check the disk"):
        change(path, replace)
    assert path.read_bytes() == (OLD if what == "file" else NEW)
    assert os.listdir(path.parent) == ["env"]
