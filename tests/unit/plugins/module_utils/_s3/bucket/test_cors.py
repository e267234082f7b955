# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import random

import pytest

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.bucket.cors import CORS
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.bucket.rules import (
    RulesError,
    check_rules,
    difference,
    merge,
)

OURS = {
    "ID": "FediverseMastodonS3Cors",
    "AllowedOrigins": ["*"],
    "AllowedMethods": ["GET", "HEAD"],
    "ExposeHeaders": ["ETag", "Content-Length"],
}
THEIRS = {"ID": "app", "AllowedOrigins": ["https://app.example"], "AllowedMethods": ["PUT", "GET"], "MaxAgeSeconds": 60}


def without(rule, *names):
    return {name: value for name, value in rule.items() if name not in names}


@pytest.mark.parametrize(
    ("rule", "named"),
    [
        (without(OURS, "ID"), "the ID of rule 1, None, must begin with FediverseMastodonS3"),
        ({**OURS, "ID": "Theirs"}, "the ID of rule 1, 'Theirs', must begin with"),
        ({**OURS, "ID": "FediverseMastodonS3"}, "continue with letters and digits"),
        ({**OURS, "AllowedMethod": ["GET"]}, "FediverseMastodonS3Cors has no element AllowedMethod; there are ID,"),
        ({**OURS, "allowedOrigins": ["*"]}, "case matters"),
        (without(OURS, "AllowedOrigins"), "needs AllowedOrigins"),
        (without(OURS, "AllowedMethods"), "needs AllowedMethods"),
        ({**OURS, "AllowedOrigins": "*"}, "AllowedOrigins must be a list of strings"),
        ({**OURS, "AllowedOrigins": [None]}, "AllowedOrigins must be a list of strings"),
        ({**OURS, "AllowedOrigins": ["https://*.*.example"]}, "at most one *"),
        ({**OURS, "AllowedMethods": ["GET", "PATCH", "get"]}, "AllowedMethods can't be PATCH, get; there are GET,"),
        ({**OURS, "MaxAgeSeconds": "3600"}, "MaxAgeSeconds is '3600'; write a number of seconds, without quotes"),
        ({**OURS, "MaxAgeSeconds": -1}, "MaxAgeSeconds is -1"),
        ({**OURS, "MaxAgeSeconds": True}, "MaxAgeSeconds is True"),
    ],
)
def test_rules_that_are_refused(rule, named):
    with pytest.raises(RulesError) as caught:
        check_rules(CORS, [rule])
    assert named in str(caught.value)


def test_an_id_that_is_there_twice_is_refused():
    with pytest.raises(RulesError, match="FediverseMastodonS3Cors occurs twice; give each rule its own ID"):
        check_rules(CORS, [OURS, OURS])


def test_rules_that_are_taken():
    check_rules(CORS, [OURS, {**THEIRS, "ID": "FediverseMastodonS3Upload"}])
    check_rules(CORS, [{"ID": OURS["ID"]}], absent=True)


@pytest.mark.parametrize(
    ("stored", "changes"),
    [
        ({**OURS, "MaxAgeSeconds": 0}, False),
        ({**OURS, "AllowedMethods": ["HEAD", "GET"], "ExposeHeaders": ["content-length", "etag"]}, False),
        ({**OURS, "AllowedHeaders": []}, False),
        ({**OURS, "MaxAgeSeconds": 1}, True),
        ({**OURS, "AllowedOrigins": ["https://app.example"]}, True),
        ({**OURS, "AllowedHeaders": ["*"]}, True),
        ({**OURS, "SomethingNew": 1}, True),
    ],
)
def test_what_counts_as_a_change_of_our_rule(stored, changes):
    merged = merge(CORS, [THEIRS, stored], [OURS])
    assert merged == [THEIRS, OURS if changes else stored]


@pytest.mark.parametrize(
    ("rule", "enough"),
    [
        (without(OURS, "ID"), True),
        ({**OURS, "ID": "other", "MaxAgeSeconds": 5}, True),
        ({**OURS, "ID": "other", "AllowedMethods": ["GET", "PUT", "HEAD"], "AllowedHeaders": ["*"]}, True),
        ({**OURS, "ID": "other", "AllowedMethods": ["GET"]}, False),
        ({**OURS, "ID": "other", "AllowedOrigins": ["https://app.example"]}, False),
        ({**OURS, "ID": "other", "ExposeHeaders": ["*"]}, False),
        ({**OURS, "ID": "other", "ExposeHeaders": ["etag", "content-length", "x-other"]}, True),
        (THEIRS, False),
    ],
)
def test_a_rule_of_somebody_else_that_allows_as_much_is_enough(rule, enough):
    assert merge(CORS, [rule], [OURS]) == ([rule] if enough else [rule, OURS])
    # What is ours by its ID is kept in order nevertheless.
    assert merge(CORS, [rule, {**OURS, "MaxAgeSeconds": 9}], [OURS]) == [rule, OURS]


def test_removal_takes_only_what_is_ours():
    twin = {**OURS, "ID": "twin"}
    nameless = without(OURS, "ID")
    assert merge(CORS, [twin, OURS, nameless, OURS], [OURS], absent=True) == [twin, nameless]


def test_what_is_not_as_wanted_is_told():
    other = {**OURS, "ID": "FediverseMastodonS3Other", "AllowedMethods": ["PUT"]}
    assert difference(CORS, [THEIRS, OURS], [OURS]) is None
    assert difference(CORS, [THEIRS, OURS], [OURS, other]) == "FediverseMastodonS3Other is not there"
    assert difference(CORS, [OURS], [OURS], absent=True) == "FediverseMastodonS3Cors is there again"
    changed = {**OURS, "AllowedMethods": ["PUT"]}
    assert difference(CORS, [changed], [OURS]) == ("FediverseMastodonS3Cors is there, but not as it was written")


def test_whatever_the_store_makes_of_it_a_second_run_changes_nothing():
    rng = random.Random(1)
    for _turn in range(300):
        merged = merge(CORS, rng.sample([THEIRS, without(THEIRS, "ID")], rng.randint(0, 2)), [OURS])
        stored = []
        for rule in merged:
            form = {name: rng.sample(value, len(value)) for name, value in rule.items() if isinstance(value, list)}
            stored.append({**rule, **form, "MaxAgeSeconds": rule.get("MaxAgeSeconds", 0)})
        rng.shuffle(stored)
        assert merge(CORS, stored, [OURS]) == stored
