# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import fnmatch
import itertools
import random
import re

import pytest

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.bucket import policy_exposure as under_test

BUCKET = "media"
ARN = "arn:aws:s3:::media"


def opens(prefix="backups/", **parts):
    statement = {"Sid": "Theirs", "Effect": "Allow", "Principal": "*", "Action": "s3:GetObject", "Resource": f"{ARN}/*"}
    for name, value in parts.items():
        if value is None and name in statement:
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
        f"{ARN}/${{aws:username, '}}'}}ackups/*",
        f"{ARN}/b${{",
        "media/*",
        "ARN:AWS:S3:::media/*",
        f"{ARN}/backups/*/",
        # VersityGW cleans a resource as if it were a path.
        f"{ARN}/accounts/../backups/*",
        f"{ARN}/accounts/*/../../backups/*",
        f"{ARN}/./backups/*",
        f"{ARN}//backups/*",
        "arn:aws:s3:::/media/*",
        "arn:aws:s3:::other/../media/*",
        f"{ARN}/accounts/%2E%2e/backups/*",
        f"{ARN}/accounts\\..\\backups/*",
        None,
        "",
        [],
        {"a": "b"},
        [f"{ARN}/accounts/*", 5],
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
        f"{ARN}/accounts/a..b/*",
        f"{ARN}",
        f"{ARN}/",
        "arn:aws:s3:::media-old/*",
        "arn:aws:s3:::other/media/backups/*",
        [f"{ARN}/accounts/*", f"{ARN}/cache/*"],
    ],
)
def test_resources_that_do_not(resource):
    assert not opens(Resource=resource)


EVERYBODY = [
    "*",
    "",
    None,
    5,
    ["*"],
    "arn:aws:iam::123456789012:root",
    {"AWS": "*"},
    {"aws": "*"},
    {"AWS": ["123456789012", "*"]},
    {"*": "*"},
    {"Everyone": "x"},
    {"AWS": ""},
    {"AWS": []},
    {"AWS": None},
    {"AWS": 123456789012},
    {"AWS": " * "},
    {"AWS": "?"},
    {"AWS": "000000000000"},
    {"AWS": "123456789012", "aws": "*"},
    {"AWS": "arn:aws:iam::*:root"},
    {"AWS": "arn:aws:iam:::root"},
    {"AWS": "arn:aws-cn:iam:::root"},
    {"AWS": "arn:aws:iam::000000000000:root"},
    {"AWS": "arn:aws:iam:::user/anonymous"},
    {"AWS": "arn:aws-us-gov:iam:::user/anonymous"},
    {"AWS": "arn:aws:iam:::user/Anonymous:x"},
    {"AWS": "arn:aws:iam::anonymous:root"},
    {"AWS": "arn:aws:iam:::user/"},
    {"AWS": "arn:aws:iam:::user/*"},
    {"AWS": "arn:aws:iam:::user/?"},
    {"AWS": "arn:aws:iam:::user/${aws:username}"},
    {"AWS": "arn:aws:iam::123456789012:user/mastodon\n"},
    {"AWS": "arn:aws:iam::123456789012"},
    {"AWS": "anonymous"},
    {"AWS": "AllUsers"},
    {"CanonicalUser": "*"},
    {"CanonicalUser": "65a011a29cdf8ec533ec3d1ccaae921c"},  # Amazon's own for visitors
    {"Federated": "*"},
    {"Federated": "cognito-identity.amazonaws.com"},
    {"Service": "*"},
    {"Service": "*.amazonaws.com"},
]


@pytest.mark.parametrize("principal", EVERYBODY, ids=str)
def test_everybody(principal):
    statement = {"Effect": "Allow", "Principal": principal, "Action": "s3:GetObject", "Resource": f"{ARN}/*"}
    assert under_test.openings({"Statement": [statement]}, BUCKET, ["backups/"])
    listing = {**statement, "Action": "s3:ListBucket", "Resource": ARN}
    assert under_test.openings({"Statement": [listing]}, BUCKET, ["backups/"])


def test_a_statement_without_a_principal_is_not_understood():
    assert opens(Principal=None)


@pytest.mark.parametrize(
    "principal",
    [
        {"AWS": "123456789012"},
        {"aws": "123456789012"},
        {"AWS": ["arn:aws:iam::123456789012:user/mastodon"]},
        {"AWS": "arn:aws-cn:iam::123456789012:root"},
        {"AWS": "arn:aws:iam::123456789012:role/team/mastodon+x"},
        {"AWS": "arn:aws:sts::123456789012:assumed-role/mastodon/session@example.com"},
        {"AWS": "arn:aws:iam:::user/mastodon"},  # Ceph, of a user without a tenant
        {"AWS": "arn:aws:iam::tenant:root"},
        {"AWS": "mastodon"},  # VersityGW
        {"Service": "cloudfront.amazonaws.com"},
        {"Federated": "arn:aws:iam::123456789012:saml-provider/example"},
        {"CanonicalUser": "79a59df900b949e55d96a1e698fbacedfd6e09d98eacf8f8d5218e7cd47ef2be"},
        {},
    ],
    ids=str,
)
def test_not_everybody(principal):
    assert not opens(Principal=principal)


def test_everybody_but_somebody_is_everybody():
    assert opens(Principal=None, NotPrincipal={"AWS": "123456789012"})
    assert opens(Principal={"AWS": "123456789012"}, NotPrincipal={"AWS": "123456789013"})


@pytest.mark.parametrize("name", ["Effect", "Principal", "Action", "Resource"])
@pytest.mark.parametrize("change", [str.lower, str.upper, lambda name: name.replace("s", "\u017f")])
def test_names_of_elements_in_another_case(name, change):
    statement = {"Effect": "Allow", "Principal": "*", "Action": "s3:GetObject", "Resource": f"{ARN}/*"}
    written = {change(key) if key == name else key: value for key, value in statement.items()}
    assert under_test.openings({"Statement": [written]}, BUCKET, ["backups/"])


@pytest.mark.parametrize(
    "parts",
    [
        {"Principal": {"AWS": "123456789012"}, "principal": "*"},
        {"Resource": f"{ARN}/accounts/*", "RESOURCE": f"{ARN}/*"},
        {"Action": "s3:GetBucketLocation", "action": "s3:GetObject"},
        {"Effect": "Deny", "effect": "Allow"},
        {"Condition": {"StringEquals": {"aws:PrincipalAccount": "123456789012"}}, "condition": {}},
        {"Resource": f"{ARN}/accounts/*", "NotResource": f"{ARN}/imports/*"},
        {"Action": "s3:GetBucketLocation", "NotAction": "s3:PutObject"},
        {"Resource": f"{ARN}/accounts/*", "Resources": f"{ARN}/*"},
        {"Action": None},
        {"Action": []},
    ],
)
def test_what_is_there_twice_or_not_known_is_open(parts):
    assert opens(**parts)


def test_a_deny_in_a_strange_form_opens_nothing():
    assert not opens(Effect="Deny", resource=f"{ARN}/*", Unheard="x")
    assert opens(Effect="deny")


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
        ("s3:PutReplicationConfiguration", True),
        ("s3:PutInventoryConfiguration", True),
        ("s3:ListenBucketNotification", True),
        ("s3:ForceDeleteBucket", True),
        ("s3:g*", True),
        ("s3:get*b*", True),
        ("s3:Get*", False),
        ("s3:HeadBucket", False),
        ("s3:GetObject", False),
        ("s3:GetBucketCORS", False),
        ("s3:GetBucketLocation", False),
    ],
)
def test_actions_on_the_bucket_that_reach_its_keys(action, reaches):
    assert opens(Action=action, Resource=ARN) is reaches
    assert opens(Action=["s3:GetBucketLocation", action], Resource=[f"{ARN}/accounts/*", f"{ARN}/"]) is reaches


ACCOUNT = {"aws:PrincipalAccount": "123456789012"}


@pytest.mark.parametrize(
    "condition",
    [
        {"StringEquals": ACCOUNT},
        {"StringEquals": {"AWS:principalOrgId": ["o-1", "o-2"]}},
        {"ArnEquals": {"aws:SourceArn": "arn:aws:cloudfront::123456789012:distribution/E"}},
        {"ArnLike": {"aws:PrincipalArn": "arn:aws:iam::123456789012:user/x"}},
        {"StringEquals": {"aws:sourceVpce": "vpce-1"}, "StringLike": {"aws:Referer": "*"}},
        {"StringEqualsIfExists": {"aws:userid": "x"}, "StringEquals": {**ACCOUNT, "aws:Referer": "x"}},
    ],
    ids=str,
)
def test_conditions_that_no_visitor_can_meet(condition):
    assert not opens(Condition=condition)


@pytest.mark.parametrize(
    "condition",
    [
        {},
        [],
        None,
        "odd",
        {"StringEquals": "odd"},
        {"StringEquals": {}},
        # What a visitor sends, or stands behind.
        {"IpAddress": {"aws:SourceIp": "192.0.2.1/32"}},
        {"IpAddress": {"aws:SourceIp": "0.0.0.0/0"}},
        {"StringEquals": {"aws:Referer": "https://example.com"}},
        {"StringEquals": {"aws:UserAgent": "x"}},
        {"StringLike": {"s3:prefix": "accounts/*"}},
        {"StringEquals": {"s3:authType": "REST-HEADER"}},
        {"StringEquals": {"s3:x-amz-content-sha256": "UNSIGNED-PAYLOAD"}},
        {"Bool": {"aws:SecureTransport": "true"}},
        # MinIO takes these from the query of the address.
        {"StringEquals": {"aws:userid": "AIDAEXAMPLE"}},
        {"StringEquals": {"aws:username": "mastodon"}},
        {"StringEquals": {"aws:principaltype": "User"}},
        {"StringEquals": {"jwt:sub": "x"}},
        {"StringEquals": {"aws:userid": ""}},
        {"StringEquals": {"aws:userid": ["x", ""]}},
        {"StringLike": {"aws:userid": "${aws:userid}"}},
        # What holds where a visitor leaves it out.
        {"StringEqualsIfExists": ACCOUNT},
        {"ForAllValues:StringEquals": ACCOUNT},
        {"ForAnyValue:StringEquals": ACCOUNT},
        {"Null": {"aws:PrincipalAccount": "true"}},
        {"StringNotEquals": ACCOUNT},
        {"ArnNotEquals": {"aws:PrincipalArn": "arn:aws:iam::123456789012:user/x"}},
        {"stringequals": ACCOUNT},
        # Values that name nobody.
        {"StringEquals": {"aws:PrincipalAccount": ""}},
        {"StringEquals": {"aws:PrincipalAccount": []}},
        {"StringEquals": {"aws:PrincipalAccount": ["123456789012", ""]}},
        {"StringEquals": {"aws:PrincipalAccount": "anonymous"}},
        {"StringEquals": {"aws:PrincipalAccount": 123456789012}},
        {"StringLike": {"aws:PrincipalAccount": "*"}},
        {"StringLike": {"aws:PrincipalAccount": "?23456789012"}},
        {"StringLike": {"aws:PrincipalAccount": "${aws:PrincipalAccount}"}},
        {"StringLike": {"aws:PrincipalArn": "arn:aws:iam::*:user/x"}},
        {"StringLike": {"aws:PrincipalArn": "arn:aws:iam::123456789012:user/?"}},
        {"ArnLike": {"aws:PrincipalArn": "arn:aws:iam:::user/anonymous"}},
        {"StringEquals": {"aws:PrincipalArn": ""}},
        {"ArnLike": {"aws:SourceArn": "arn:aws:s3:::?"}},
        {"StringLike": {"aws:PrincipalOrgID": "o-?"}},
        {"StringLike": {"aws:SourceVpce": "vpce-?"}},
        {"StringEquals": {**ACCOUNT, "AWS:PrincipalAccount": "*"}},
    ],
    ids=str,
)
def test_conditions_that_do_not_keep_visitors_out(condition):
    assert opens(Condition=condition)


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


@pytest.mark.parametrize("effect", [["Deny"], [], {}, {"Deny": 1}, None, 0, "deny"])
def test_an_effect_that_is_not_understood_is_no_deny(effect):
    assert opens(Effect=effect)


def test_a_question_mark_may_stand_for_a_part_of_a_character():
    """Stores that count bytes match one character that is not ASCII with several of them."""
    assert opens(prefix="f\u00f6to/backups/", Resource=f"{ARN}/f??to/backups/*")
    assert opens(prefix="f\u00f6to/backups/", Resource=f"{ARN}/f?to/backups/*")
    assert not opens(prefix="f\u00f6to/backups/", Resource=f"{ARN}/f??to/accounts/*")
    assert not opens(prefix="f\u00f6to/backups/", Resource=f"{ARN}/f???to/backups/*")
    assert not opens(prefix="foto/backups/", Resource=f"{ARN}/f??to/backups/*")
