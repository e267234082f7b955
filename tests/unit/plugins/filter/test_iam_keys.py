# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import itertools

import pytest
from ansible.errors import AnsibleFilterError

from ansible_collections.fediverse.mastodon_s3.plugins.filter.iam_keys import iam_keys

SIDES = ("disk", "switching", "bucket")


def decide(names, in_env_file="", *, secret=True, own=True, side="bucket", due=False, status="Active"):
    keys = [{"access_key_id": name, "status": status} for name in names]
    return iam_keys(
        keys, in_env_file=in_env_file, has_secret=secret, own_user=own, source_of_truth=side, restart_due=due
    )


@pytest.mark.parametrize(
    ("given", "create", "unused", "after_restart"),
    [
        # A first run.
        ({"names": [], "side": "disk"}, True, [], []),
        # Nothing to do.
        ({"names": ["a"], "in_env_file": "a"}, False, [], []),
        # A run was killed between the creation and the writing of a key, before the switch and after it.
        ({"names": ["a"], "side": "disk"}, True, ["a"], []),
        ({"names": ["a", "b"], "side": "disk"}, True, ["a", "b"], []),
        ({"names": ["a", "b"], "in_env_file": "a"}, False, ["b"], []),
        # The secret was lost: the services still sign with the key that the env file names.
        ({"names": ["a", "b"], "in_env_file": "a", "secret": False}, True, ["b"], ["a"]),
        # The services have not read the env file yet, so they may use any key.
        ({"names": ["a", "b"], "in_env_file": "a", "due": True}, False, [], ["b"]),
        ({"names": ["a"], "in_env_file": "b", "due": True}, True, [], ["a"]),
        # A key that was deactivated does not work.
        ({"names": ["a"], "in_env_file": "a", "status": "Inactive"}, True, [], ["a"]),
        # The user was there before, so others may use its keys.
        ({"names": ["a", "b"], "in_env_file": "a", "own": False}, False, [], []),
        ({"names": ["a"], "in_env_file": "", "own": False, "side": "disk"}, True, [], []),
    ],
)
def test_the_keys_to_create_and_to_delete(given, create, unused, after_restart):
    found = decide(**given)
    assert (found["create"], found["unused"], found["after_restart"]) == (create, unused, after_restart)
    assert found["unclear"] is False


def test_two_keys_that_may_be_in_use_are_unclear():
    assert decide(["a", "b"], "")["unclear"] is True
    assert decide(["a", "b"], "c", due=True)["unclear"] is True
    assert decide(["a", "b"], "", own=False, side="disk")["unclear"] is True


@pytest.mark.parametrize(
    ("names", "in_env_file", "secret", "own", "side", "due"),
    list(
        itertools.product(([], ["a"], ["a", "b"]), ("", "a", "c"), (True, False), (True, False), SIDES, (True, False))
    ),
)
def test_no_key_that_may_be_in_use_is_deleted(names, in_env_file, secret, own, side, due):
    found = decide(names, in_env_file, secret=secret, own=own, side=side, due=due)
    works = secret and in_env_file in names
    assert found["create"] is not works
    assert sorted(found["unused"] + found["in_use"] + [in_env_file] * works) == names
    if not own:
        assert found["unused"] == found["after_restart"] == []
    if side != "disk" and due:
        assert found["unused"] == []
    if side != "disk":
        assert in_env_file not in found["unused"]
    if found["create"] and not found["unclear"]:
        assert len(names) - len(found["unused"]) < 2  # there is room for a new key


def test_anything_else_is_refused():
    with pytest.raises(AnsibleFilterError, match="access_key_id"):
        iam_keys(
            [{"id": "a"}], in_env_file="", has_secret=False, own_user=True, source_of_truth="disk", restart_due=False
        )
