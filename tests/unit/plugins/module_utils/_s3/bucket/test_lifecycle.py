# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.bucket.lifecycle import (
    LIFECYCLE,
)
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.bucket.rules import (
    RulesError,
    check_rules,
    merge,
)

ABORT = {"AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 7}}
SHORT = {"ID": "FediverseMastodonS3AbortUploads", **ABORT}
OURS = LIFECYCLE.complete(SHORT)
THEIRS = {"ID": "logs", "Status": "Enabled", "Filter": {"Prefix": "logs/"}, "Expiration": {"Days": 30}}


@pytest.mark.parametrize(
    ("rule", "named"),
    [
        ({**SHORT, "ID": "logs"}, "the ID of rule 1, 'logs', must begin with FediverseMastodonS3"),
        ({**SHORT, "Expiration": {"Days": 1}}, "Expiration would delete or move media"),
        ({**SHORT, "NoncurrentVersionExpiration": {"NoncurrentDays": 1}}, "would delete or move media"),
        ({**SHORT, "Transitions": [{"Days": 1, "StorageClass": "GLACIER"}]}, "would delete or move media"),
        ({"ID": OURS["ID"], "Expiration": {"Days": 1}}, "would delete or move media"),
        ({**SHORT, "Prefix": "x/"}, "no element Prefix; there are ID, Status, Filter,"),
        ({**SHORT, "status": "Enabled"}, "case matters"),
        ({**SHORT, "Status": "enabled"}, "Status is 'enabled'; write Enabled or Disabled"),
        ({**SHORT, "Filter": {"Tag": {"Key": "a", "Value": "b"}}}, "no tags and no size"),
        ({**SHORT, "Filter": {"Prefix": ["a"]}}, "Filter is"),
        ({**SHORT, "Filter": "a/"}, "Filter is 'a/'"),
        ({"ID": OURS["ID"]}, "AbortIncompleteMultipartUpload is None; write {'DaysAfterInitiation': 7}"),
        ({**SHORT, "AbortIncompleteMultipartUpload": 7}, "AbortIncompleteMultipartUpload is 7"),
        ({**SHORT, "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": "7"}}, "without quotes"),
        ({**SHORT, "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 0}}, "at least 1"),
        ({**SHORT, "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": True}}, "at least 1"),
        ({**SHORT, "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 7, "Days": 7}}, "'Days': 7"),
    ],
)
def test_rules_that_are_refused(rule, named):
    with pytest.raises(RulesError) as caught:
        check_rules(LIFECYCLE, [rule])
    assert named in str(caught.value)


def test_rules_that_are_taken():
    check_rules(LIFECYCLE, [SHORT, {**OURS, "ID": "FediverseMastodonS3Second", "Status": "Disabled"}])
    check_rules(LIFECYCLE, [{"ID": OURS["ID"]}], absent=True)


def test_what_is_left_out_is_completed():
    assert OURS == {**SHORT, "Status": "Enabled", "Filter": {"Prefix": ""}}
    assert LIFECYCLE.complete({**SHORT, "Filter": {"Prefix": "a/"}})["Filter"] == {"Prefix": "a/"}


FORMS = {
    "as sent": OURS,
    "by Ceph": {**SHORT, "Status": "Enabled", "Prefix": ""},
    "with an empty filter": {**OURS, "Filter": {}},
    "without any": {**SHORT, "Status": "Enabled"},
}


@pytest.mark.parametrize("form", FORMS)
def test_a_rule_in_the_form_of_a_store_is_the_same(form):
    assert merge(LIFECYCLE, [THEIRS, FORMS[form]], [OURS]) == [THEIRS, FORMS[form]]


@pytest.mark.parametrize(
    "change",
    [
        {"Status": "Disabled"},
        {"Filter": {"Prefix": "a/"}},
        {"Filter": {"Tag": {"Key": "a", "Value": "b"}}},
        {"AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 8}},
        {"Expiration": {"Days": 1}},
    ],
)
def test_a_rule_of_another_meaning_is_replaced(change):
    assert merge(LIFECYCLE, [{**OURS, **change}, THEIRS], [OURS]) == [OURS, THEIRS]


@pytest.mark.parametrize(
    ("rule", "enough"),
    [
        ({**OURS, "ID": "x"}, True),
        ({**THEIRS, "Filter": {"Prefix": ""}, **ABORT}, True),
        ({"Status": "Enabled", "Prefix": "", **ABORT}, True),
        ({**OURS, "ID": "x", "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 1}}, True),
        ({**OURS, "ID": "x", "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 8}}, False),
        ({**OURS, "ID": "x", "Status": "Disabled"}, False),
        ({**OURS, "ID": "x", "Filter": {"Prefix": "a/"}}, False),
        ({**OURS, "ID": "x", "Filter": {"And": {"Prefix": "", "Tags": [{"Key": "a", "Value": "b"}]}}}, False),
        (THEIRS, False),
    ],
)
def test_a_rule_of_somebody_else_that_ends_the_same_uploads_is_enough(rule, enough):
    assert merge(LIFECYCLE, [rule], [OURS]) == ([rule] if enough else [rule, OURS])


def test_a_disabled_rule_of_ours_is_not_covered():
    disabled = {**OURS, "Status": "Disabled"}
    assert merge(LIFECYCLE, [{**OURS, "ID": "x"}], [disabled])[1:] == [disabled]


def test_removal_takes_only_what_is_ours():
    twin = {**OURS, "ID": "twin"}
    assert merge(LIFECYCLE, [THEIRS, OURS, twin], [SHORT], absent=True) == [THEIRS, twin]


TAG, TAGS = {"Key": "a", "Value": "b"}, [{"Key": "a", "Value": "b"}, {"Key": "c", "Value": "d"}]


@pytest.mark.parametrize(
    ("stored", "sent"),
    [
        ({"Prefix": "t/", "And": {"Tags": TAGS}}, {"And": {"Prefix": "t/", "Tags": TAGS}}),
        ({"Prefix": "t/", "Tag": TAG}, {"And": {"Prefix": "t/", "Tags": [TAG]}}),
        ({"Prefix": "t/", "ObjectSizeGreaterThan": 5}, {"And": {"Prefix": "t/", "ObjectSizeGreaterThan": 5}}),
        ({"And": {"Prefix": "t/", "Tags": TAGS}}, {"And": {"Prefix": "t/", "Tags": TAGS}}),
        ({"Prefix": "t/"}, {"Prefix": "t/"}),
        ({"Tag": TAG}, {"Tag": TAG}),
        ({}, {}),
    ],
)
def test_a_filter_is_sent_back_so_that_no_part_of_it_is_lost(stored, sent):
    rule = {**THEIRS, "Filter": stored}
    kept = {"Prefix": "t/", "And": {"Tags": list(TAGS)}}
    assert LIFECYCLE.sendable(rule) == {**THEIRS, "Filter": sent}
    assert LIFECYCLE.sendable(LIFECYCLE.sendable(rule)) == LIFECYCLE.sendable(rule)
    LIFECYCLE.sendable({**THEIRS, "Filter": kept})
    assert kept == {"Prefix": "t/", "And": {"Tags": TAGS}}


def test_a_rule_without_a_filter_stays_as_it_is():
    rule = {"ID": "old", "Status": "Enabled", "Prefix": "t/", "Expiration": {"Days": 3}}
    assert LIFECYCLE.sendable(rule) == rule


@pytest.mark.parametrize("days", [1, 2, 3650])
def test_each_number_of_days_from_one_on_is_taken(days):
    check_rules(LIFECYCLE, [{**SHORT, "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": days}}])
