# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json

import pytest

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._minio.identity import (
    ExistingIdentity,
    IdentityError,
    Steps,
    Wanted,
    after,
    check,
    more_rights,
    plan,
    refuse_administrator,
    shown,
)

SECRET = "a-secret-that-shows-nowhere"
STATEMENT = {"Effect": "Allow", "Action": ["s3:GetObject", "s3:PutObject"], "Resource": "arn:aws:s3:::media/*"}
POLICY = {"Version": "2012-10-17", "Statement": [STATEMENT]}
STORED = {"Version": "2012-10-17", "Statement": [{**STATEMENT, "Resource": ["arn:aws:s3:::media/*"]}]}
OTHER = {"Version": "2012-10-17", "Statement": [{**STATEMENT, "Action": ["s3:GetObject"]}]}
WANTED = Wanted("mastodon", "media", POLICY, SECRET)
DONE = ExistingIdentity(True, True, ("media",), (), STORED, (), True)


def wanted(**parts):
    return Wanted(**{"name": "mastodon", "policy_name": "media", "policy": POLICY, "secret_key": SECRET, **parts})


def found(**parts):
    return ExistingIdentity(**{**DONE.__dict__, **parts})


def policy(**parts):
    return {"Version": "2012-10-17", "Statement": [{**STATEMENT, **parts}]}


@pytest.mark.parametrize(
    ("parts", "named"),
    [
        ({"name": "ab"}, "name 'ab' is not a valid access key for MinIO; write 3 to 20"),
        ({"name": "a" * 21}, "is not a valid access key for MinIO"),
        ({"name": "a=b"}, "is not a valid access key for MinIO"),
        ({"policy_name": "a,b"}, "policy_name 'a,b' is not a valid name of a policy"),
        ({"policy_name": "readwrite"}, "policy_name readwrite is MinIO's own policy"),
        ({"secret_key": "secret7"}, "user_secret_key is not a valid secret key for MinIO; give 8 to 40"),
        ({"secret_key": "s" * 41}, "give 8 to 40 ASCII characters"),
        ({"secret_key": "with a blank"}, "without blanks"),
        ({"policy": None}, "policy is missing"),
        ({"policy": {}}, "policy has no list of statements"),
        ({"policy": {"Statement": ["x"]}}, "policy has no list of statements"),
        ({"policy": policy(Effect="allow")}, "statement 1: Effect is 'allow'"),
        ({"policy": policy(Principal="*")}, "statement 1 has a Principal"),
        ({"policy": policy(Action=[])}, "statement 1: Action must be a string or a list"),
        ({"policy": policy(Resource=None)}, "statement 1: Resource must be a string or a list"),
        ({"policy": policy(Resource="*")}, "statement 1 allows something in every bucket"),
        ({"policy": policy(Resource=["arn:aws:s3:::media/*", "arn:aws:s3:::*"])}, "in every bucket"),
        ({"policy": policy(Resource="arn:aws:s3:::?*/x")}, "in every bucket"),
        ({"policy": policy(Condition={"x": {1, 2}})}, "can't be written as JSON"),
    ],
)
def test_what_is_refused(parts, named):
    with pytest.raises(IdentityError) as caught:
        check(wanted(**parts))
    assert named in str(caught.value)
    assert "secret7" not in str(caught.value)
    assert "with a blank" not in str(caught.value)


def test_what_is_taken():
    check(WANTED)
    check(wanted(secret_key=None, policy=policy(Effect="Deny", Resource="arn:aws:s3:::*")))
    check(Wanted("mastodon", "media"), absent=True)
    with pytest.raises(IdentityError, match="is not a valid access key"):
        check(Wanted("ab", "media"), absent=True)


def test_the_administrator_is_not_made_a_user():
    refuse_administrator(WANTED, "admin")
    with pytest.raises(IdentityError, match="administrator's own access key"):
        refuse_administrator(WANTED, "mastodon")


@pytest.mark.parametrize(
    ("state", "steps"),
    [
        (DONE, Steps()),
        (ExistingIdentity(), Steps(put_policy=True, put_user=True, attach=True)),
        # Where an earlier run was cut off after each step.
        (ExistingIdentity(policy=STORED), Steps(put_user=True, attach=True)),
        (found(policies=()), Steps(attach=True)),
        # The secret is another, or none was given.
        (found(secret_works=False), Steps(put_user=True)),
        (found(secret_works=None), Steps(put_user=True)),
        (found(enabled=False), Steps(put_user=True)),
        (found(policy=OTHER), Steps(put_policy=True)),
        (found(policy=STORED, policy_holders=("user other",)), Steps()),
        (found(policies=("media", "more"), groups=("staff",)), Steps()),
    ],
)
def test_the_steps(state, steps):
    assert plan(WANTED, state) == steps
    assert steps.changed is (steps != Steps())
    # All is done after them, but that the secret was not tried.
    finished = after(WANTED, state, steps)
    assert plan(WANTED, ExistingIdentity(**{**finished.__dict__, "secret_works": True})) == Steps()


@pytest.mark.parametrize(
    ("state", "steps"),
    [
        (DONE, Steps(remove_user=True, remove_policy=True)),
        (ExistingIdentity(), Steps()),
        (ExistingIdentity(policy=STORED), Steps(remove_policy=True)),
        (found(policy=None, policies=()), Steps(remove_user=True)),
        (found(policy_holders=("group staff",)), Steps(remove_user=True)),
    ],
)
def test_the_steps_of_a_removal(state, steps):
    assert plan(Wanted("mastodon", "media"), state, absent=True) == steps


@pytest.mark.parametrize("absent", [False, True])
def test_somebody_elses_user_is_left_alone(absent):
    for state in (found(policies=("consoleAdmin",)), found(policies=(), groups=("staff",))):
        with pytest.raises(IdentityError, match=r"user mastodon exists and has .*another application"):
            plan(WANTED, state, absent=absent)


def test_a_policy_that_others_have_is_not_rewritten():
    with pytest.raises(IdentityError, match="is attached to group staff, user other, too"):
        plan(WANTED, found(policy=OTHER, policy_holders=("group staff", "user other")))


@pytest.mark.parametrize(
    ("one", "changes"),
    [
        ([{**STATEMENT, "Action": ["s3:putobject", "s3:GetObject"], "Resource": ["arn:aws:s3:::media/*"]}], False),
        ([{**STATEMENT, "Sid": "Any"}], False),
        ([STATEMENT, {**STATEMENT, "Effect": "Deny"}], True),
        ([], True),
    ],
)
def test_policies_are_compared_by_meaning(one, changes):
    assert plan(WANTED, found(policy={"Version": "2012-10-17", "Statement": one})).put_policy is changes


def test_other_rights_are_named():
    assert more_rights(WANTED, found(policies=("media", "more"), groups=("staff",))) == ["policy more", "group staff"]
    assert more_rights(WANTED, DONE) == []


def test_the_diff_shows_policy_and_user_but_no_secret():
    before, later = (
        shown(WANTED, ExistingIdentity()),
        shown(WANTED, after(WANTED, ExistingIdentity(), plan(WANTED, ExistingIdentity()))),
    )
    assert json.loads(before) == {"policy": None, "user": None}
    assert json.loads(later) == {
        "policy": {"name": "media", "content": POLICY},
        "user": {"name": "mastodon", "enabled": True, "policies": ["media"]},
    }
    assert SECRET not in later + repr(WANTED)
    gone = after(WANTED, DONE, plan(WANTED, DONE, absent=True))
    assert json.loads(shown(WANTED, gone)) == {"policy": None, "user": None}
