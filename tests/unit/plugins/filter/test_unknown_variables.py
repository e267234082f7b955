# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest

from ansible_collections.fediverse.mastodon_s3.plugins.filter.unknown_variables import FilterModule

KNOWN = ["mastodon_s3_bucket", "mastodon_s3_secret_key", "mastodon_s3_access_key", "mastodon_s3_hosts"]


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (KNOWN, []),
        (["mastodon_s3_secretkey"], ["mastodon_s3_secretkey (did you mean mastodon_s3_secret_key?)"]),
        (["mastodon_s3_Bucket"], ["mastodon_s3_Bucket (did you mean mastodon_s3_bucket?)"]),
        (["mastodon_s3_acces_key"], ["mastodon_s3_acces_key (did you mean mastodon_s3_access_key?)"]),
        (["mastodon_s3_zzzzzzzz", "mastodon_s3_hosts"], ["mastodon_s3_zzzzzzzz"]),
    ],
)
def test_unknown_names(names, expected):
    unknown_variables = FilterModule().filters()["unknown_variables"]
    assert unknown_variables(names, KNOWN) == expected
