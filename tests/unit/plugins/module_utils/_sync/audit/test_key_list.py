# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The list of what only the bucket has: whole, private, and in place at once or not at all."""

from __future__ import annotations

import json
import os

import pytest

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.audit.compare import (
    Comparison,
    Pair,
    compare,
)
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.audit.key_list import KeyList, KeyListError
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.model import Listed
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.rules.rules import ExposureMode, Rules

ARCHIVE = "backups/dumps/000/000/001/original/archive-20261129100000-0123456789abcdef.zip"
OBJECTS = [Listed(ARCHIVE, 7, "e", 100.5), *(Listed(f"cache/{number:04}.png", 1, "e", 50.0) for number in range(500))]


@pytest.fixture
def path(tmp_path):
    tmp_path.chmod(0o755)
    return tmp_path / "state" / "media.bucket-only.jsonl"


def rules():
    return Rules(ExposureMode.ACL, public_prefixes=("cache",), private_prefixes=("backups",))


def write(path):
    with KeyList(str(path)) as found:
        result = Comparison(20, on_extra=found.add)
        for _subject in compare((Pair(None, stored) for stored in OBJECTS), rules(), result, now_ns=0):
            pass
        found.finish()
    return result


def test_all_keys_are_written_though_the_result_names_some_and_masks_archives(path):
    result = write(path)
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert lines == [{"key": one.key, "size": one.size, "modified": one.modified} for one in OBJECTS]
    assert (result.extra_count, len(result.extra.names), ARCHIVE in result.extra.names) == (501, 20, False)
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    assert os.listdir(path.parent) == [path.name]


def test_a_power_cut_leaves_the_older_list_or_the_new_one(path, kept_by_disk):
    path.parent.mkdir(mode=0o700)
    path.write_bytes(b"older")
    seen = kept_by_disk(path)
    write(path)
    assert seen == [("file", path.read_bytes(), b"older"), ("folder", None, path.read_bytes())]


def test_a_list_that_was_not_finished_leaves_the_older_one_as_it_was(path):
    write(path)
    before = path.read_bytes()
    with KeyList(str(path)) as found:
        found.add(OBJECTS[0])
    assert path.read_bytes() == before
    assert os.listdir(path.parent) == [path.name]


def test_a_link_in_its_place_is_replaced_and_not_followed(path, tmp_path):
    write(path)
    path.unlink()
    (tmp_path / "other").write_text("mine")
    path.symlink_to(tmp_path / "other")
    write(path)
    assert not path.is_symlink()
    assert (tmp_path / "other").read_text() == "mine"


def test_a_folder_that_others_can_change_is_refused(path):
    path.parent.mkdir()
    path.parent.chmod(0o777)
    with pytest.raises(KeyListError, match=r"extra_file: .*its mode is 0777"):
        KeyList(str(path))
