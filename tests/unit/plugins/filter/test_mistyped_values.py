# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest

from ansible_collections.fediverse.mastodon_s3.plugins.filter.mistyped_values import FilterModule

OPTIONS = {
    "bucket": {"type": "str", "required": True},
    "region": {"type": "str"},
    "alias": {},
    "folder": {"type": "path"},
    "limit": {"type": "int"},
    "origins": {"type": "list", "elements": "str"},
    "tags": {"type": "dict"},
    "prices": {"type": "dict", "options": {"size": {"type": "float"}}},
}


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"bucket": "media", "region": "", "folder": "/srv", "limit": 5, "other": [1]}, []),
        ({"bucket": ["media"]}, ["bucket is a list. Set it to text, in quotes."]),
        ({"alias": {"a": 1}, "folder": 12}, ["alias is a dictionary. ", "folder is a number. "]),
        ({"region": 1.5, "alias": True}, ["alias is true or false. ", "region is a number. "]),
        ({"bucket": None, "region": None}, ["bucket is set to nothing. ", "region is set to nothing. "]),
        ({"alias": None, "folder": None, "limit": None}, []),
        ({"limit": -1}, ["limit is -1. Set it to a number that is not negative."]),
        ({"limit": "-5"}, ["limit is -5. "]),
        ({"limit": "0"}, []),
        ({"limit": "many"}, []),
        ({"origins": ["a", None]}, ["origins has nothing for item 2. "]),
        ({"origins": [["a"]]}, ["origins has a list for item 1. "]),
        ({"origins": ["a", 5], "tags": {"a": "b", "c": 5, "d": True}}, []),
        ({"origins": "a"}, []),
        ({"tags": {"a": None}}, ["tags has nothing for a. "]),
        ({"tags": {"a": {"b": "c"}}}, ["tags has a dictionary for a. "]),
        ({"prices": {"size": None}}, []),
    ],
)
def test_values_of_the_wrong_type(values, expected):
    mistyped_values = FilterModule().filters()["mistyped_values"]
    found = mistyped_values(values, OPTIONS, ["region"])
    assert len(found) == len(expected)
    assert all(text.startswith(beginning) for text, beginning in zip(found, expected))
