# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import stat
from types import SimpleNamespace

import pytest

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._fetch.decision import (
    Decision,
    UnusableKeyError,
    decide,
    decide_by_age,
    parts_of,
)
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.model import Listed


def status(size=1, modified=100, mode=stat.S_IFREG | 0o644):
    return SimpleNamespace(st_mode=mode, st_size=size, st_mtime_ns=modified * 10**9)


@pytest.mark.parametrize("key", ["accounts/a.png", "a", "accounts/ünï code +&?#%'()[].jpg", "a" * 255, ".../..a"])
def test_keys_that_are_paths(key):
    assert "/".join(parts_of(key)) == key


@pytest.mark.parametrize(
    ("key", "reason"),
    [
        ("accounts/../../etc/passwd", "'..'"),
        ("..", "'..'"),
        ("./a", "'.'"),
        ("/etc/passwd", "absolute"),
        ("accounts//a", "empty name"),
        ("accounts/", "empty name"),
        ("", "empty name"),
        ("a\nb", "control character"),
        ("a\x00b", "control character"),
        ("a\x7fb", "control character"),
        ("a\x9fb", "control character"),
        ("a\u2028b", "control character"),
        ("a" * 256, "more than 255 bytes"),
        ("ü" * 128, "more than 255 bytes"),
        ("a/" * 2000 + "a", "3000"),
        ("a\udcffb", "not valid UTF-8"),
    ],
)
def test_keys_that_are_no_paths(key, reason):
    with pytest.raises(UnusableKeyError, match=reason):
        parts_of(key)


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (None, Decision.FETCH),
        (status(size=5, modified=200), Decision.NOTHING),
        (status(size=5, modified=199), Decision.COMPARE),
        (status(size=5, modified=201), Decision.COMPARE),
        (status(size=4, modified=199), Decision.REPLACE),
        (status(size=4, modified=201), Decision.LEAVE),
        (status(mode=stat.S_IFDIR | 0o755), Decision.REFUSE),
        (status(mode=stat.S_IFLNK | 0o777), Decision.REFUSE),
        (status(mode=stat.S_IFIFO | 0o644), Decision.REFUSE),
    ],
)
def test_what_comes_next(found, expected):
    assert decide(Listed("a", 5, "e", 200.0), found) is expected


def test_of_two_contents_the_newer_one_stays():
    assert decide_by_age(Listed("a", 5, "e", 200.5), status(modified=200)) is Decision.REPLACE
    assert decide_by_age(Listed("a", 5, "e", 200.0), status(modified=200)) is Decision.LEAVE
