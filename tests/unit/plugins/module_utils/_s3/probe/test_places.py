# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which places the probe tries, and which options of it are refused."""

from __future__ import annotations

import pytest

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.http.anonymous_client import AddressError
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.probe import probe as under_test

DEFAULTS = {
    "key_prefix": "",
    "public_prefix": "accounts/",
    "private_prefix": "backups/",
    "public_url": None,
    "cors_origin": None,
}


@pytest.mark.parametrize(
    ("params", "says"),
    [
        ({"public_prefix": ""}, "public_prefix"),
        ({"public_prefix": "/accounts"}, "/accounts"),
        ({"private_prefix": "a//b"}, "a//b"),
        ({"public_prefix": "backups"}, "overlap"),
        ({"public_prefix": "media/", "private_prefix": "media/backups/"}, "overlap"),
        ({"key_prefix": "/media"}, "key_prefix"),
        ({"cors_origin": "https://a.example/b"}, "cors_origin"),
    ],
)
def test_places_that_can_not_be(params, says):
    with pytest.raises(under_test.PlacesError, match=says):
        under_test.places_from({**DEFAULTS, **params})


@pytest.mark.parametrize("option", ["public_url", "cors_origin"])
def test_addresses_that_can_not_be(option):
    with pytest.raises(AddressError, match=option):
        under_test.places_from({**DEFAULTS, option: "files.example.com"})


def test_places():
    given = {"key_prefix": "media", "public_url": "https://files.example.com/x/", "cors_origin": "https://a.example/"}
    assert under_test.places_from({**DEFAULTS, **given}) == under_test.Places(
        "media/", "accounts/", "backups/", "https://files.example.com/x", "https://a.example"
    )
    # `accounts` and `accounts-old` are two folders.
    assert under_test.places_from({**DEFAULTS, "private_prefix": "accounts-old"}).private_prefix == "accounts-old/"
