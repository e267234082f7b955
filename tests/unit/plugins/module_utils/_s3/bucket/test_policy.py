# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import copy
import json
import random

import pytest

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.bucket.policy import (
    PolicyError,
    check_prefixes,
    check_statements,
    merge_policy,
    parse_policy,
    same_statement,
)
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.bucket.rules import RulesError

BUCKET = "media"
OURS = {
    "Sid": "FediverseMastodonS3PublicRead",
    "Effect": "Allow",
    "Principal": "*",
    "Action": ["s3:GetObject"],
    "Resource": ["arn:aws:s3:::media/accounts/*", "arn:aws:s3:::media/media_attachments/*"],
}
OTHER = {**OURS, "Sid": "FediverseMastodonS3DenyBackups", "Effect": "Deny", "Resource": "arn:aws:s3:::media/backups/*"}
FOREIGN = {
    "Sid": "Logs",
    "Effect": "Allow",
    "Principal": {"Service": "logging.s3.amazonaws.com"},
    "Action": "s3:PutObject",
    "Resource": "arn:aws:s3:::media/logs/*",
    "Condition": {"StringEquals": {"aws:SourceAccount": "123456789012"}},
}
NAMELESS = {
    "Effect": "Deny",
    "Principal": "*",
    "Action": "s3:*",
    "Resource": "arn:aws:s3:::media/*",
    "Condition": {"Bool": {"aws:SecureTransport": "false"}},
}


def policy(*statements, **more):
    return {"Version": "2012-10-17", **more, "Statement": list(statements)}


def changed(**parts):
    return {**OURS, **parts}


@pytest.mark.parametrize(
    "other",
    [
        changed(),
        changed(Sid="Other"),
        changed(Principal={"AWS": "*"}),
        changed(Principal={"AWS": ["*"]}),
        changed(Principal=["*"]),
        changed(Action="s3:GetObject"),
        changed(Action="S3:getobject"),
        changed(Action=["s3:GetObject", "s3:GetObject"]),
        changed(Resource=list(reversed(OURS["Resource"]))),
        changed(Condition={}),
    ],
)
def test_same_meaning(other):
    assert same_statement(OURS, other)
    assert same_statement(other, OURS)


@pytest.mark.parametrize(
    "other",
    [
        changed(Effect="Deny"),
        changed(Principal={"AWS": "arn:aws:iam::123456789012:root"}),
        changed(Principal={"Service": "*"}),
        changed(Action=["s3:GetObject", "s3:PutObject"]),
        changed(Action="s3:GetObject*"),
        changed(Resource="arn:aws:s3:::media/accounts/*"),
        changed(Resource=["arn:aws:s3:::media/Accounts/*", "arn:aws:s3:::media/media_attachments/*"]),
        changed(Condition={"Bool": {"aws:SecureTransport": "true"}}),
        {**{name: value for name, value in OURS.items() if name != "Action"}, "NotAction": OURS["Action"]},
        {**{name: value for name, value in OURS.items() if name != "Principal"}, "NotPrincipal": "*"},
    ],
)
def test_other_meaning(other):
    assert not same_statement(OURS, other)
    assert not same_statement(other, OURS)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ({"AWS": "123456789012"}, {"AWS": "arn:aws:iam::123456789012:root"}, True),
        ({"AWS": "123456789012"}, {"AWS": ["arn:aws-cn:iam::123456789012:root"]}, True),
        ({"AWS": "123456789012"}, {"AWS": "arn:aws:iam::123456789012:user/root"}, False),
        ({"AWS": ["1" * 12, "2" * 12]}, {"AWS": ["2" * 12, "1" * 12]}, True),
        ({"AWS": "1" * 12}, {"CanonicalUser": "1" * 12}, False),
    ],
)
def test_principals(one, other, same):
    assert same_statement(changed(Principal=one), changed(Principal=other)) is same


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ({"Bool": {"aws:SecureTransport": "true"}}, {"Bool": {"aws:SecureTransport": True}}, True),
        ({"Bool": {"aws:SecureTransport": "true"}}, {"Bool": {"aws:securetransport": ["true"]}}, True),
        ({"NumericLessThan": {"s3:max-keys": 10}}, {"NumericLessThan": {"s3:max-keys": "10"}}, True),
        ({"IpAddress": {"aws:SourceIp": ["a", "b"]}}, {"IpAddress": {"aws:SourceIp": ["b", "a"]}}, True),
        ({"IpAddress": {"aws:SourceIp": "a"}}, {"NotIpAddress": {"aws:SourceIp": "a"}}, False),
        ({"IpAddress": {"aws:SourceIp": "a"}}, {"IpAddress": {"aws:SourceIp": "A"}}, False),
        ({"Odd": "text"}, {"Odd": "text"}, True),
        ("odd", "odd", True),
    ],
)
def test_conditions(one, other, same):
    assert same_statement(changed(Condition=one), changed(Condition=other)) is same


def test_an_empty_bucket_gets_a_policy():
    assert merge_policy({}, [OURS, OTHER]) == policy(OURS, OTHER)


def test_foreign_statements_and_elements_stay_as_they_are_in_their_order():
    current = policy(FOREIGN, NAMELESS, Id="Somebody")
    before = copy.deepcopy(current)
    merged = merge_policy(current, [OURS])
    assert merged == policy(FOREIGN, NAMELESS, OURS, Id="Somebody")
    assert json.dumps(merged["Statement"][:2]) == json.dumps([FOREIGN, NAMELESS])
    assert current == before


def test_an_old_version_of_the_language_is_not_raised_under_others_statements():
    current = {"Version": "2008-10-17", "Statement": [FOREIGN]}
    assert merge_policy(current, [OURS]) == {"Version": "2008-10-17", "Statement": [FOREIGN, OURS]}


def test_a_single_statement_without_a_list_is_kept():
    assert merge_policy({"Version": "2012-10-17", "Statement": FOREIGN}, [OURS]) == policy(FOREIGN, OURS)


def test_a_statement_of_the_same_meaning_is_left_in_the_stores_form():
    stored = changed(Principal={"AWS": ["*"]}, Action="s3:GetObject")
    current = policy(FOREIGN, stored)
    assert merge_policy(current, [OURS]) == current


def test_a_changed_statement_is_replaced_in_its_place():
    old = changed(Resource="arn:aws:s3:::media/accounts/*")
    assert merge_policy(policy(old, FOREIGN), [OURS]) == policy(OURS, FOREIGN)


def test_a_doubled_statement_becomes_one():
    assert merge_policy(policy(OURS, FOREIGN, OURS), [OURS]) == policy(OURS, FOREIGN)


def test_a_statement_that_is_made_under_another_sid_is_not_made_again():
    current = policy(changed(Sid="Theirs", Principal={"AWS": "*"}))
    assert merge_policy(current, [OURS]) == current
    nameless = policy({name: value for name, value in OURS.items() if name != "Sid"})
    assert merge_policy(nameless, [OURS]) == nameless


def test_removal_takes_only_the_named_sids():
    current = policy(FOREIGN, OURS, NAMELESS, OTHER)
    assert merge_policy(current, [{"Sid": OURS["Sid"]}], absent=True) == policy(FOREIGN, NAMELESS, OTHER)
    assert merge_policy(policy(FOREIGN), [OURS], absent=True) == policy(FOREIGN)


def test_the_last_removal_leaves_no_policy():
    assert merge_policy(policy(OURS), [OURS], absent=True) == {}
    assert merge_policy({}, [OURS], absent=True) == {}


def test_removal_does_not_take_a_foreign_statement_of_the_same_meaning():
    current = policy(changed(Sid="Theirs"))
    assert merge_policy(current, [OURS], absent=True) == current


def stored_as(statement, rng):
    """The statement in one of the forms that stores give back."""
    result = dict(statement)
    for name in ("Action", "Resource"):
        values = list(result[name]) if isinstance(result[name], list) else [result[name]]
        rng.shuffle(values)
        result[name] = values[0] if len(values) == 1 and rng.random() < 0.5 else values
    if result["Principal"] == "*":
        result["Principal"] = rng.choice(["*", {"AWS": "*"}, {"AWS": ["*"]}])
    names = list(result)
    rng.shuffle(names)
    return {name: result[name] for name in names}


def test_whatever_the_store_makes_of_it_a_second_run_changes_nothing():
    rng = random.Random(1)
    for _turn in range(300):
        foreign = rng.sample([FOREIGN, NAMELESS, changed(Sid="More", Action="s3:PutObject")], rng.randint(0, 3))
        merged = merge_policy(policy(*foreign) if foreign else {}, [OURS, OTHER])
        stored = policy(*(stored_as(statement, rng) for statement in merged["Statement"]))
        assert merge_policy(stored, [OURS, OTHER]) == stored
        assert merge_policy(stored, [OURS], absent=True) != stored


@pytest.mark.parametrize("text", [None, "", " \n"])
def test_no_policy(text):
    assert parse_policy(text) == {}


@pytest.mark.parametrize("text", ["{", "[]", '"x"', '{"Statement": "x"}', '{"Statement": ["x"]}'])
def test_what_is_no_policy_is_refused(text):
    with pytest.raises(PolicyError, match="correct it manually"):
        parse_policy(text)


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ('{"statement": []}', "'statement'; correct it manually and write Statement"),
        ('{"\u017ftatement": []}', "write Statement"),
        ('{"Statement": [], "statement": [{"Effect": "Allow"}]}', "'statement' twice"),
        ('{"Statement": [], "Statement": [{"Effect": "Allow"}]}', "'Statement' twice"),
        ('{"Statement": [{"Principal": {"AWS": "1"}, "principal": "*"}]}', "'principal' twice"),
        ('{"Statement": [{"Principal": {"AWS": "1", "aws": "*"}}]}', "'aws' twice"),
        ('{"Statement": [{"Condition": {"StringEquals": {"aws:userid": "x", "AWS:UserId": ""}}}]}', "twice"),
        ('{"Statement": ' + "[" * 100_000, "is not valid JSON"),
    ],
)
def test_a_policy_that_stores_understand_in_different_ways_is_refused(text, named):
    with pytest.raises(PolicyError, match=named) as caught:
        parse_policy(text)
    assert "manually" in str(caught.value)


def test_a_web_page_is_not_taken_for_a_policy():
    with pytest.raises(PolicyError, match="is not an S3 API"):
        parse_policy("<html>hello</html>")
    with pytest.raises(PolicyError, match="is not an S3 API"):
        parse_policy("\n  <html>hello</html>")
    assert parse_policy(" \n") == {}


def test_a_policy_without_statements_is_one():
    assert parse_policy('{"Version": "2012-10-17"}') == {"Version": "2012-10-17"}


@pytest.mark.parametrize(
    ("wanted", "named"),
    [
        ([{**OURS, "Sid": "PublicRead"}], "'PublicRead', must begin with FediverseMastodonS3"),
        ([{**OURS, "Sid": "FediverseMastodonS3"}], "continue with letters and digits"),
        ([{**OURS, "Sid": "FediverseMastodonS3 Read"}], "letters and digits"),
        ([{**OURS, "Sid": 7}], "Sid of statement 1, 7"),
        ([{name: value for name, value in OURS.items() if name != "Sid"}], "Sid of statement 1, None"),
        ([OURS, OURS], "occurs twice"),
        ([changed(effect="Allow")], "no element effect"),
        ([changed(Effect="allow")], "Effect is 'allow'"),
        ([{name: value for name, value in OURS.items() if name != "Principal"}], "either Principal or NotPrincipal"),
        ([changed(NotAction="s3:GetObject")], "either Action or NotAction"),
        ([changed(Action=[])], "Action must be a string or a list"),
        ([changed(Action=[""])], "Action must be a string or a list"),
        ([changed(Action={"s3": "x"})], "Action must be a string or a list"),
        ([changed(Principal="everybody")], "Principal must be"),
        ([changed(Principal={})], "Principal must be"),
        ([changed(Principal={"AWS": []})], "Principal must be"),
        ([changed(Resource="media/accounts/*")], "'media/accounts/*' is not in this bucket"),
        ([changed(Resource="arn:aws:s3:::media-old/accounts/*")], "not in this bucket"),
        ([changed(Resource="arn:aws:s3:::*")], "not in this bucket"),
        ([changed(Resource="*")], "not in this bucket"),
        ([changed(Condition="x")], "Condition must map"),
        ([changed(Condition={"Bool": "x"})], "Condition must map"),
    ],
)
def test_statements_that_are_refused(wanted, named):
    with pytest.raises(RulesError) as caught:
        check_statements(wanted, BUCKET)
    assert named in str(caught.value)


@pytest.mark.parametrize(
    "statement",
    [
        OURS,
        OTHER,
        changed(Resource="arn:aws:s3:::media"),
        changed(Resource="arn:aws-cn:s3:::media/*"),
        changed(Resource="arn:aws:s3::tenant:media/*"),
        changed(Principal={"AWS": ["123456789012"]}),
        changed(Condition={"Bool": {"aws:SecureTransport": True}}),
    ],
)
def test_statements_that_are_taken(statement):
    check_statements([statement], BUCKET)


def test_for_removal_the_sid_is_enough():
    check_statements([{"Sid": OURS["Sid"]}], BUCKET, absent=True)
    with pytest.raises(RulesError, match="must begin with"):
        check_statements([{"Sid": "Theirs"}], BUCKET, absent=True)


@pytest.mark.parametrize("prefix", ["", "/backups/"])
def test_prefixes_that_are_refused(prefix):
    with pytest.raises(PolicyError, match="write it like backups/"):
        check_prefixes(["imports/", prefix])
    check_prefixes(["imports/", "a whole key"])
