# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import fnmatch
import itertools
import random
import re

import pytest

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3 import policy_exposure as under_test

BUCKET = "media"
ARN = "arn:aws:s3:::media"


def opens(prefix="backups/", **parts):
    statement = {"Sid": "Theirs", "Effect": "Allow", "Principal": "*", "Action": "s3:GetObject", "Resource": f"{ARN}/*"}
    for name, value in parts.items():
        if value is None:
            del statement[name]
        else:
            statement[name] = value
    return bool(under_test.openings({"Statement": [statement]}, BUCKET, [prefix]))


@pytest.mark.parametrize(
    "resource",
    [
        "*",
        "arn:aws:s3:::*",
        "arn:aws:s3*",
        "arn:*",
        f"{ARN}/*",
        f"{ARN}*",
        "arn:aws:s3:::med*",
        "arn:aws:s3:::m?dia/*",
        "arn:aws-cn:s3:::media/*",
        "arn:aws:s3::tenant:media/*",
        f"{ARN}/backups/*",
        f"{ARN}/backups/dumps/*",
        f"{ARN}/backups/",
        f"{ARN}/back*",
        f"{ARN}/b*/original/*",
        f"{ARN}/?ackups/*",
        f"{ARN}/*.zip",
        f"{ARN}/*/original/*",
        f"{ARN}/${{aws:username}}/*",
        "media/*",
        [f"{ARN}/accounts/*", f"{ARN}/backups/*"],
    ],
)
def test_resources_that_reach_the_prefix(resource):
    assert opens(Resource=resource)


@pytest.mark.parametrize(
    "resource",
    [
        f"{ARN}/accounts/*",
        f"{ARN}/backup/*",
        f"{ARN}/backups",
        f"{ARN}/Backups/*",
        f"{ARN}/backups-old/*",
        f"{ARN}/?/*",
        f"{ARN}/a*",
        f"{ARN}",
        "arn:aws:s3:::media-old/*",
        "arn:aws:s3:::other/media/backups/*",
        [f"{ARN}/accounts/*", f"{ARN}/cache/*"],
    ],
)
def test_resources_that_do_not(resource):
    assert not opens(Resource=resource)


@pytest.mark.parametrize(
    "principal", ["*", {"AWS": "*"}, {"AWS": ["123456789012", "*"]}, {"*": "*"}, ["*"], {"AWS": "arn:aws:iam::*:root"}]
)
def test_everybody(principal):
    assert opens(Principal=principal)


@pytest.mark.parametrize(
    "principal",
    [
        {"AWS": "123456789012"},
        {"AWS": ["arn:aws:iam::123456789012:user/mastodon"]},
        {"Service": "cloudfront.amazonaws.com"},
        {"CanonicalUser": "79a59df900b949e55d96a1e698fbacedfd6e09d98eacf8f8d5218e7cd47ef2be"},
        {},
    ],
)
def test_not_everybody(principal):
    assert not opens(Principal=principal)


def test_everybody_but_somebody_is_everybody():
    assert opens(Principal=None, NotPrincipal={"AWS": "123456789012"})


@pytest.mark.parametrize(
    "action",
    ["s3:GetObject", "s3:*", "*", "s3:Get*", "s3:PutObject", ["s3:GetBucketLocation", "s3:GetObjectVersion"]],
)
def test_actions_that_reach_objects(action):
    assert opens(Action=action)


def test_any_action_but_some_reaches_objects():
    assert opens(Action=None, NotAction="s3:GetObject")
    assert opens(Action=None, NotAction="s3:GetObject", Resource=ARN)


def test_the_buckets_location_is_no_secret():
    assert not opens(Action=["s3:GetBucketLocation", "S3:getbucketlocation"], Resource=[ARN, f"{ARN}/*"])


@pytest.mark.parametrize(
    ("action", "reaches"),
    [
        ("s3:ListBucket", True),
        ("s3:listbucketversions", True),
        ("s3:ListBucketMultipartUploads", True),
        ("s3:List*", True),
        ("s3:*", True),
        ("*", True),
        ("s3:PutBucketPolicy", True),
        ("s3:PutLifecycleConfiguration", True),
        ("s3:GetObject", False),
        ("s3:GetBucketCORS", False),
        ("s3:GetBucketLocation", False),
    ],
)
def test_actions_on_the_bucket_that_reach_its_keys(action, reaches):
    assert opens(Action=action, Resource=ARN) is reaches


@pytest.mark.parametrize(
    ("condition", "still_open"),
    [
        ({"IpAddress": {"aws:SourceIp": "192.0.2.1/32"}}, True),
        ({"StringEquals": {"aws:Referer": "https://example.com"}}, True),
        ({"StringLike": {"s3:prefix": "accounts/*"}}, True),
        ({"StringNotEquals": {"aws:PrincipalAccount": "123456789012"}}, True),
        ({"StringEqualsIfExists": {"aws:PrincipalAccount": "123456789012"}}, True),
        ({"StringLike": {"aws:PrincipalArn": "arn:aws:iam::*:user/x"}}, True),
        ({"StringLike": {"aws:userid": "${aws:userid}"}}, True),
        ({"StringEquals": {"aws:PrincipalAccount": []}}, True),
        ({"StringEquals": {"aws:PrincipalAccount": "123456789012"}}, False),
        ({"StringEquals": {"AWS:principalOrgId": ["o-1", "o-2"]}}, False),
        ({"ArnEquals": {"aws:SourceArn": "arn:aws:cloudfront::123456789012:distribution/E"}}, False),
        (
            {"StringEquals": {"aws:sourceVpce": "vpce-1"}, "StringLike": {"aws:Referer": "*"}},
            False,
        ),
        ("odd", True),
        ({"StringEquals": "odd"}, True),
    ],
)
def test_conditions(condition, still_open):
    assert opens(Condition=condition) is still_open


def test_a_deny_neither_opens_nor_is_counted_on():
    allow = {"Effect": "Allow", "Principal": "*", "Action": "s3:GetObject", "Resource": f"{ARN}/*"}
    deny = {**allow, "Effect": "Deny", "Resource": f"{ARN}/backups/*"}
    assert under_test.openings({"Statement": [deny]}, BUCKET, ["backups/"]) == []
    assert len(under_test.openings({"Statement": [allow, deny]}, BUCKET, ["backups/"])) == 1


def test_all_resources_but_some_are_not_looked_into():
    assert opens(Resource=None, NotResource=f"{ARN}/backups/*")


def test_each_statement_and_prefix_is_named():
    nameless = {"Effect": "Allow", "Principal": "*", "Action": "s3:GetObject", "Resource": f"{ARN}/imports/*"}
    named = {**nameless, "Sid": "Theirs", "Resource": [f"{ARN}/a/*", f"{ARN}/*"]}
    assert under_test.openings({"Statement": [nameless, named]}, BUCKET, ["backups/", "imports/"]) == [
        ("number 1, which has no Sid", "imports/", f"{ARN}/imports/*"),
        ("Theirs", "backups/", f"{ARN}/*"),
        ("Theirs", "imports/", f"{ARN}/*"),
    ]
    assert under_test.openings({"Statement": nameless}, BUCKET, ["imports/"])[0].prefix == "imports/"
    assert under_test.openings({"Statement": [named]}, BUCKET, []) == []
    assert under_test.openings({}, BUCKET, ["backups/"]) == []


def test_a_whole_key_can_be_protected():
    assert opens("secret.txt", Resource=f"{ARN}/*.txt")
    assert opens("secret.txt", Resource=f"{ARN}/secret.txt")
    assert not opens("secret.txt", Resource=f"{ARN}/public.txt")


def test_matching_agrees_with_an_independent_matcher():
    rng = random.Random(2)
    for _turn in range(3000):
        pattern = "".join(rng.choices("ab*?", k=rng.randint(0, 6)))
        text = "".join(rng.choices("ab", k=rng.randint(0, 5)))
        expression = re.compile(fnmatch.translate(pattern))
        assert under_test._matches(pattern, text) == bool(expression.match(text)), (pattern, text)
        # A pattern of six characters needs no longer continuation than six.
        endings = ("".join(ending) for length in range(7) for ending in itertools.product("ab", repeat=length))
        continued = any(expression.match(text + ending) for ending in endings)
        assert under_test._may_begin_with(pattern, text) == continued, (pattern, text)


def test_many_stars_are_no_trouble():
    assert not under_test._matches("*a" * 200 + "b", "a" * 400)
    assert under_test._may_begin_with("*a" * 200, "a" * 400)
