# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import dataclasses
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.model import (
    Entry,
    Exposure,
    ExposureMode,
    Reason,
    SyncError,
    Verdict,
)
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.rules.rules import (
    Rules,
    looks_private,
    patterns,
    prefixes,
)

PUBLIC, PRIVATE = Verdict(Exposure.PUBLIC), Verdict(Exposure.PRIVATE)


def rules(mode="acl", include=(), exclude=(), **words):
    return Rules(
        mode=ExposureMode(mode),
        public_prefixes=("accounts/", "cache/", "media_attachments/"),
        private_prefixes=("backups/", "cache/secret/"),
        include=patterns("include", include),
        exclude=patterns("exclude", exclude),
        **words,
    )


def entry(key, mode=0o644, ctime_ns=0):
    return Entry(key, 1, 0, ctime_ns, mode)


@pytest.mark.parametrize(
    ("key", "mode", "wanted"),
    [
        ("accounts/a.png", 0o644, PUBLIC),
        ("accounts/a.png", 0o640, PUBLIC),
        ("accounts/a.png", 0o604, PUBLIC),
        ("accounts/a.png", 0o600, PRIVATE),
        ("accounts/a.png", 0o711, PRIVATE),
        ("accounts/a.png", 0o000, PRIVATE),
        ("backups/a.zip", 0o644, PRIVATE),
        ("backups/a.zip", 0o600, PRIVATE),
        ("cache/secret/a.png", 0o644, PRIVATE),
        ("cache/secrets.png", 0o644, PUBLIC),
        ("accounts-old/a.png", 0o644, Verdict(None, Reason.UNKNOWN_FOLDER)),
        ("accounts", 0o644, Verdict(None, Reason.UNKNOWN_FOLDER)),
        ("imports/a.csv", 0o644, Verdict(None, Reason.UNKNOWN_FOLDER)),
        ("a.png", 0o644, Verdict(None, Reason.UNKNOWN_FOLDER)),
    ],
)
def test_exposure_follows_from_place_and_mode(key, mode, wanted):
    assert rules().judge(entry(key, mode)) == wanted


def test_a_policy_can_keep_only_prefixes_private():
    policy = rules("policy")
    assert policy.judge(entry("accounts/a.png")) == PUBLIC
    assert policy.judge(entry("accounts/a.png", 0o600)) == Verdict(None, Reason.LOCAL_ONLY)
    assert policy.judge(entry("backups/a.zip", 0o600)) == PRIVATE


def test_an_open_bucket_gets_nothing_private():
    bucket = rules("open_bucket")
    assert bucket.judge(entry("accounts/a.png")) == PUBLIC
    assert bucket.judge(entry("accounts/a.png", 0o600)) == Verdict(None, Reason.LOCAL_ONLY)
    assert bucket.judge(entry("backups/a.zip")) == Verdict(None, Reason.LOCAL_ONLY)


@pytest.mark.parametrize(("mode", "archive"), [("policy", PRIVATE), ("open_bucket", Verdict(None, Reason.LOCAL_ONLY))])
def test_what_looks_private_can_be_opened_below_public_prefixes_only(mode, archive):
    opened = dataclasses.replace(rules(mode), open_private=True)
    assert opened.judge(entry("accounts/a.png", 0o600)) == PUBLIC
    assert opened.judge(entry("backups/a.zip", 0o600)) == archive


@given(st.integers(0, 0o7777))
def test_private_means_that_neither_group_nor_others_may_read(mode):
    assert looks_private(mode) == (not mode & 0o040 and not mode & 0o004)


@pytest.mark.parametrize(
    ("pattern", "matching", "others"),
    [
        ("cache", ["cache", "cache/a", "cache/a/b"], ["cached", "a/cache"]),
        ("cache/", ["cache/a"], ["cached"]),
        ("cache/**", ["cache/a", "cache/a/b"], ["cache", "xcache/a"]),
        ("*.tmp", ["a.tmp", "a.tmp/b"], ["a/b.tmp", "a.tmpx"]),
        ("**/*.tmp", ["a.tmp", "a/b.tmp", "a/b/c.tmp"], ["a.tmpx"]),
        ("**/.*", [".a", "a/.b", "a/.b/c", "a/b/.c"], ["a/b.c", "a.b"]),
        ("a/?.png", ["a/b.png"], ["a/bc.png", "a//.png", "a/.png"]),
        ("a/[bc].png", ["a/b.png", "a/c.png"], ["a/d.png"]),
        ("a/[!bc].png", ["a/d.png"], ["a/b.png", "a//.png"]),
        ("a/[0-9]*", ["a/1x", "a/1/b"], ["a/x1"]),
        ("a[", ["a["], ["a"]),
        ("a[]", ["a[]"], ["a"]),
        ("a[!]", ["a[!]"], ["a", "ab"]),
        ("a/**/b", ["a/b", "a/x/b", "a/x/y/b/z"], ["a/xb", "ab"]),
        ("a.b+(c)|d", ["a.b+(c)|d"], ["axb+(c)|d", "d"]),
    ],
)
def test_patterns(pattern, matching, others):
    expression = patterns("include", [pattern])
    assert [path for path in matching if not expression.match(path)] == []
    assert [path for path in others if expression.match(path)] == []


@settings(max_examples=500)
@given(st.text(st.sampled_from("abc./[]*?!-\\^&~|\n"), min_size=1, max_size=12), st.text(max_size=12))
def test_any_pattern_compiles_and_a_plain_one_matches_itself(pattern, path):
    try:
        expression = patterns("include", [pattern])
    except SyncError:
        assert pattern.startswith("/") or re.search(r"\[.+-.+\]", pattern, re.DOTALL)
        return
    expression.match(path)
    if not re.search(r"[\[\]*?]", pattern) and pattern.rstrip("/"):
        assert expression.match(pattern.rstrip("/"))


@pytest.mark.parametrize("pattern", ["", "/cache", "a/[z-a]"])
def test_wrong_patterns(pattern):
    with pytest.raises(SyncError, match="exclude"):
        patterns("exclude", [pattern])


def test_include_and_exclude():
    filtered = rules(include=["accounts", "**/*.png"], exclude=["**/.*", "accounts/x"])
    keys = ["accounts/a.gif", "cache/a.png", "cache/a.gif", "accounts/.hidden", "accounts/x/a.png"]
    found = [filtered.scope(key).reason is Reason.FILTERED for key in keys]
    assert found == [False, False, True, True, True]


def test_which_folders_concern_a_run():
    nested = Rules(ExposureMode.ACL, ("public/deep/",), ("backups/",), exclude=patterns("exclude", ["lost+found"]))
    folders = ["", "public/", "public/deep/", "public/deep/er/", "public/other/", "backups/", "lost+found/"]
    assert [nested.concerns(folder) for folder in folders] == [True, True, True, True, False, True, False]


def test_names_outside_of_public_prefixes_are_masked():
    shown = {key: rules().masked(key) for key in ("accounts/a/b.png", "backups/x/y.zip", "imports/x/y.csv", "stray")}
    assert shown == {
        "accounts/a/b.png": "accounts/a/b.png",
        "backups/x/y.zip": "backups/***",
        "imports/x/y.csv": "imports/***",
        "stray": "stray",
    }
    assert rules().masked("cache/secret/a.png") == "cache/secret/***"


def test_fresh_files():
    young = rules(minimum_age_ns=60 * 10**9)
    now = 10**18
    assert young.is_fresh(entry("a", ctime_ns=now - 59 * 10**9), now)
    assert not young.is_fresh(entry("a", ctime_ns=now - 60 * 10**9), now)
    assert young.is_fresh(entry("a", ctime_ns=now + 10**9), now)


def test_headers_have_a_fingerprint_of_all_that_is_sent():
    plain = rules(cache_control="public").headers("a.png")
    assert (plain.content_type, plain.cache_control, plain.storage_class) == ("image/png", "public", None)
    others = [
        rules(cache_control="public").headers("a.gif"),
        rules(cache_control="private").headers("a.png"),
        rules(cache_control="public", storage_class="IA").headers("a.png"),
        rules(cache_control="public").headers("a"),
    ]
    assert len({plain.fingerprint, *(other.fingerprint for other in others)}) == 5
    assert others[3].content_type is None


@pytest.mark.parametrize("value", ["", "/", "/accounts", "a/../b"])
def test_wrong_prefixes(value):
    with pytest.raises(SyncError, match="public_prefixes"):
        prefixes("public_prefixes", [value])


def test_prefixes_end_with_a_slash():
    assert prefixes("public_prefixes", ["a", "b/", "c/d"]) == ("a/", "b/", "c/d/")
