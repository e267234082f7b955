# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.model import (
    DeleteMode,
    SourceOfTruth,
    SyncError,
)
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.options import (
    key_prefix_from,
    rules_from,
    settings_from,
    sync_argument_spec,
)


def params(**changes):
    defaults = {name: option.get("default") for name, option in sync_argument_spec().items()}
    return {**defaults, "src": "/srv/system", "bucket": "media", **changes}


def test_defaults():
    settings = settings_from(params(), check_mode=False)
    assert (settings.delete, settings.source_of_truth) == (DeleteMode.NEVER, SourceOfTruth.DISK)
    assert (settings.max_delete_percent, settings.max_private_percent, settings.allow_empty) == (50, 30, False)
    assert settings.rules.cache_control == "public, max-age=315576000, immutable"
    assert "imports/" not in settings.rules.public_prefixes + settings.rules.private_prefixes
    assert settings.rules.private_prefixes == ("backups/",)
    assert settings.endpoint == "aws"


def test_argument_specs_are_fresh():
    sync_argument_spec()["public_prefixes"]["default"].append("x")
    assert "x" not in sync_argument_spec()["public_prefixes"]["default"]


@pytest.mark.parametrize(
    ("value", "wanted"), [("", ""), ("config", "config/"), ("config/", "config/"), ("a/b", "a/b/"), ("a//", "a/")]
)
def test_a_key_prefix_ends_with_a_slash(value, wanted):
    assert key_prefix_from(value) == wanted


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"key_prefix": "/media"}, "key_prefix"),
        ({"key_prefix": "/"}, "key_prefix"),
        ({"key_prefix": "a//b"}, "key_prefix"),
        ({"key_prefix": "../media"}, "key_prefix"),
        ({"key_prefix": "a\nb"}, "key_prefix"),
        ({"key_prefix": "ü" * 300}, "key_prefix"),
        ({"cache_control": "max-age=1\r\nX-Other: 1"}, "cache_control"),
        ({"storage_class": "ü"}, "storage_class"),
        ({"state_dir": "state"}, "state_dir"),
        ({"state_dir": ""}, "state_dir"),
        ({"public_prefixes": ["/accounts"]}, "public_prefixes"),
        ({"public_prefixes": ["accounts", "backups/x"]}, "private_prefixes"),
        ({"public_prefixes": [], "private_prefixes": []}, "both empty"),
        ({"include": ["/x"]}, "include"),
        ({"exclude": [""]}, "exclude"),
        ({"bucket": ""}, "bucket"),
        ({"bucket": "media/folder"}, "key_prefix"),
        ({"concurrency": 0}, "concurrency"),
        ({"concurrency": 1000}, "concurrency"),
        ({"minimum_age": -1}, "minimum_age"),
        ({"max_delete_percent": -1}, "max_delete_percent"),
        ({"max_delete_percent": 101}, "max_delete_percent"),
        ({"max_private_percent": -1}, "max_private_percent"),
        ({"max_private_percent": 101}, "max_private_percent"),
        ({"time_limit": 0}, "time_limit"),
        ({"open_private": True}, "open_private"),
    ],
)
def test_mistakes_name_their_option(changes, words):
    with pytest.raises(SyncError, match=words):
        settings_from(params(**changes), check_mode=False)


def test_empty_texts_send_no_header():
    headers = rules_from(params(cache_control="", storage_class="")).headers("a.png")
    assert (headers.cache_control, headers.storage_class) == (None, None)


def test_a_password_in_a_key_prefix_is_not_repeated():
    with pytest.raises(SyncError, match=r"key_prefix.*media\.example\.com") as caught:
        key_prefix_from("https://AKID:hidden@media.example.com/a")
    assert "hidden" not in str(caught.value)
