# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json

import pytest
from botocore.exceptions import ClientError

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.bucket import policy_setting as under_test
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.bucket import setting
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.bucket.policy import PolicyError
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.connection.errors import (
    NotFoundError,
    PermissionDeniedError,
    S3Error,
    UnsupportedError,
)

OURS = {
    "Sid": "FediverseMastodonS3PublicRead",
    "Effect": "Allow",
    "Principal": "*",
    "Action": "s3:GetObject",
    "Resource": "arn:aws:s3:::media/accounts/*",
}
FOREIGN = {**OURS, "Sid": "Theirs", "Principal": {"AWS": "123456789012"}}


def refused(code, status, operation):
    return ClientError({"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": status}}, operation)


class PolicyStore:
    """A bucket's policy, and what others do to it just after we wrote."""

    def __init__(self, policy=None, *, afterwards=()):
        self.policy = policy
        self.writes = 0
        self.afterwards = list(afterwards)
        self.trouble = {}

    def _maybe_fail(self, operation):
        if operation in self.trouble:
            raise refused(*self.trouble[operation], operation)

    def get_bucket_policy(self, Bucket):  # noqa: N803 - boto3's name
        self._maybe_fail("GetBucketPolicy")
        if self.writes and self.afterwards:
            self.policy = self.afterwards.pop(0)
        if self.policy is None:
            raise refused("NoSuchBucketPolicy", 404, "GetBucketPolicy")
        return {"Policy": json.dumps(self.policy)}

    def put_bucket_policy(self, Bucket, Policy):  # noqa: N803
        self._maybe_fail("PutBucketPolicy")
        self.writes += 1
        self.policy = json.loads(Policy)

    def delete_bucket_policy(self, Bucket):  # noqa: N803
        self._maybe_fail("DeleteBucketPolicy")
        self.writes += 1
        self.policy = None


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch):
    monkeypatch.setattr(setting.time, "sleep", lambda _seconds: None)


def policy(*statements):
    return {"Version": "2012-10-17", "Statement": list(statements)}


def ensured(store, wanted=None, protected=("backups/",), *, absent=False, check_mode=False):
    part = under_test.BucketPolicy("media", [wanted or OURS], protected, absent=absent)
    change = part.plan(store)
    return part.write(store, change) if change.changed and not check_mode else change


def test_a_first_and_a_second_run():
    store = PolicyStore()
    assert ensured(store).changed
    assert store.policy == policy(OURS)
    assert not ensured(store).changed
    assert store.writes == 1


def test_check_mode_writes_nothing():
    store = PolicyStore(policy(FOREIGN))
    change = ensured(store, check_mode=True)
    assert change.changed
    assert change.after == policy(FOREIGN, OURS)
    assert store.writes == 0


def test_the_last_statement_takes_the_policy_with_it():
    store = PolicyStore(policy(OURS))
    assert ensured(store, absent=True).after == {}
    assert store.policy is None
    assert not ensured(store, absent=True).changed


def test_an_open_protected_prefix_stops_before_anything_is_written():
    theirs = {**OURS, "Sid": "Theirs", "Resource": "arn:aws:s3:::media/*"}
    store = PolicyStore(policy(theirs))
    with pytest.raises(PolicyError, match=r"statement Theirs opens 'backups/' by arn:aws:s3:::media/\*"):
        ensured(store)
    assert store.writes == 0


@pytest.mark.parametrize("absent", [False, True])
def test_an_open_protected_prefix_is_reported_also_where_nothing_is_to_be_done(absent):
    theirs = {**OURS, "Sid": "Theirs", "Resource": "arn:aws:s3:::media/*"}
    store = PolicyStore(policy(theirs) if absent else policy(OURS, theirs))
    with pytest.raises(PolicyError, match="Theirs"):
        ensured(store, absent=absent)


def test_removal_does_not_trip_over_what_it_removes():
    ours = {**OURS, "Resource": "arn:aws:s3:::media/*"}
    assert ensured(PolicyStore(policy(ours)), absent=True).after == {}
    theirs = {**ours, "Sid": "Theirs"}
    unprotected = ensured(PolicyStore(policy(theirs, ours)), protected=(), absent=True)
    assert unprotected.after == policy(theirs)


def test_our_own_statement_must_not_open_a_protected_prefix():
    ours = {**OURS, "Resource": "arn:aws:s3:::media/*"}
    store = PolicyStore()
    with pytest.raises(PolicyError, match="FediverseMastodonS3PublicRead opens"):
        ensured(store, ours)
    assert store.writes == 0
    # What is replaced is not held against the new.
    assert ensured(PolicyStore(policy(ours))).changed


@pytest.mark.parametrize(
    ("later", "named"),
    [
        (policy(FOREIGN), "FediverseMastodonS3PublicRead is not there"),
        (policy({**OURS, "Action": "s3:PutObject"}), "is there, but not as it was written"),
        (None, "is not there"),
    ],
)
def test_a_lost_update_is_reported(later, named):
    with pytest.raises(setting.LostUpdateError, match=named):
        ensured(PolicyStore(policy(), afterwards=[later] * 9))


def test_a_lost_removal_is_reported():
    with pytest.raises(setting.LostUpdateError, match="is there again"):
        ensured(PolicyStore(policy(OURS, FOREIGN), afterwards=[policy(OURS)] * 9), absent=True)


def test_a_store_that_is_slow_to_show_the_policy_is_waited_for():
    store = PolicyStore(policy(FOREIGN), afterwards=[policy(FOREIGN), policy(FOREIGN), policy(FOREIGN, OURS)])
    assert ensured(store).changed


def test_what_others_add_at_the_same_time_is_no_trouble():
    assert ensured(PolicyStore(policy(), afterwards=[policy(OURS, FOREIGN)])).changed


def test_a_refused_public_policy_names_the_access_block():
    store = PolicyStore()
    store.trouble["PutBucketPolicy"] = ("AccessDenied", 403)
    with pytest.raises(PermissionDeniedError, match="BlockPublicPolicy") as caught:
        ensured(store)
    assert (caught.value.code, caught.value.operation) == ("AccessDenied", "PutBucketPolicy")


def test_what_ceph_says_of_a_malformed_policy_is_explained():
    store = PolicyStore()
    store.trouble["PutBucketPolicy"] = ("InvalidArgument", 400)
    with pytest.raises(S3Error, match="correct its statements"):
        ensured(store)


def test_a_missing_bucket_is_not_a_missing_policy():
    store = PolicyStore()
    store.trouble["GetBucketPolicy"] = ("NoSuchBucket", 404)
    with pytest.raises(NotFoundError, match="GetBucketPolicy: the bucket does not exist"):
        ensured(store)


def test_a_store_without_policies_has_none_to_remove():
    store = PolicyStore()
    store.trouble["GetBucketPolicy"] = ("NotImplemented", 501)
    with pytest.raises(UnsupportedError):
        ensured(store)
    assert not ensured(store, absent=True).changed


def test_a_bug_is_not_taken_for_the_stores_trouble():
    with pytest.raises(AttributeError):
        under_test.read_policy(object(), "media")
