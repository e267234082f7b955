# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
import time

import pytest

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.audit.audit import Question, audit
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.model import ExposureMode, Listed
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.rules.rules import Rules
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.tree.source import Source

NOW = time.time()


class StoreWithoutFiles:
    """A bucket that is listed, and nothing else."""

    def __init__(self, *objects, prefix=""):
        self.prefix = prefix
        self._objects = objects

    def listing(self):
        return iter(self._objects)


@pytest.fixture
def compared(tmp_path):
    def run(*objects, prefix="", **question):
        source = Source(str(tmp_path))
        try:
            rules = Rules(ExposureMode.ACL, ("accounts/",), ("backups/",))
            return audit(Question(rules, **question), source, StoreWithoutFiles(*objects, prefix=prefix))
        finally:
            source.close()

    return run


def put(root, key, *, mode=0o644, age=3600):
    path = root / key
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("x")
    path.chmod(mode)
    os.utime(path, (NOW - age, NOW - age))


def test_only_later_objects_are_extra(compared):
    objects = [Listed("accounts/new", 1, "e", NOW), Listed("accounts/old", 1, "e", NOW - 100)]
    assert compared(*objects)["counts"]["extra"] == 2
    found = compared(*objects, newer_than=NOW - 50)
    assert (found["counts"]["extra"], found["extra"]) == (1, ["accounts/new"])


def test_a_private_file_that_was_just_written_is_left_for_the_next_time(compared, tmp_path):
    put(tmp_path, "accounts/a", mode=0o600, age=0)
    found = compared()
    assert (found["left_out"], found["counts"]["files"]) == ({"too_new": 1}, 0)


def test_a_key_counts_with_its_prefix(compared, tmp_path):
    name = "accounts/" + "/".join(["a" * 200] * 4)
    put(tmp_path, name)
    assert compared()["missing"] == [name]
    found = compared(prefix="b" * (1024 - len(name)))
    assert found["missing"] == [name]
    found = compared(prefix="b" * (1025 - len(name)))
    assert found["missing"] == []
    assert sum(found["left_out"].values()) == 1


def test_the_number_of_names_is_limited(compared):
    found = compared(*(Listed(f"accounts/{number}", 1, "e", NOW) for number in range(5)), limit=2)
    assert (found["counts"]["extra"], found["extra"]) == (5, ["accounts/0", "accounts/1"])
