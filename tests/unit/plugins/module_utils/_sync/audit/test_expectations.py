# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.audit import expectations as under_test
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.model import ExposureMode
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.rules.rules import Rules
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.tree.source import Source

CACHE = "public, max-age=315576000, immutable"


@pytest.fixture
def expected(tmp_path):
    (tmp_path / "accounts").mkdir()
    (tmp_path / "accounts" / "plain").write_bytes(b"\x89PNG\r\n\x1a\n")
    source = Source(str(tmp_path))
    rules = Rules(ExposureMode.ACL, ("accounts/",), ("backups/",), cache_control=CACHE)
    yield under_test.Expectations(rules, source)
    source.close()


@pytest.mark.parametrize(
    ("key", "found", "fault"),
    [
        ("accounts/a.png", "image/png", None),
        ("accounts/a.webp", "IMAGE/webp; charset=binary", None),
        ("accounts/plain", "image/png", None),
        ("accounts/plain", "image/gif", "content type image/gif instead of image/png"),
        ("accounts/a.webp", None, "content type missing instead of image/webp"),
        ("accounts/a.png", "binary/octet-stream", "content type binary/octet-stream instead of image/png"),
        ("accounts/gone", "x/y", None),
    ],
)
def test_content_types(expected, key, found, fault):
    assert expected.content_type_fault(key, found) == fault


def test_cache_headers(expected):
    assert expected.cache_fault(CACHE) is None
    assert expected.cache_fault("PUBLIC,max-age=315576000,  immutable") is None
    assert expected.cache_fault("no-cache") == f"cache header no-cache instead of {CACHE}"
    assert expected.cache_fault(None) == f"cache header missing instead of {CACHE}"


def test_without_a_wanted_cache_header_none_is_compared():
    rules = Rules(ExposureMode.ACL, ("a/",), ("b/",))
    assert under_test.Expectations(rules, None).cache_fault("no-cache") is None
