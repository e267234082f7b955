# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Changes the policy of a bucket as wanted, and checks that the change lasts."""

from __future__ import annotations

import re
import typing as t

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.bucket.policy import (
    STATEMENTS,
    Policy,
    PolicyError,
    Statement,
    as_text,
    merge_policy,
    parse_policy,
    statements,
)
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.bucket.policy_exposure import openings
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.bucket.rules import difference
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.bucket.setting import Change, confirm
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.connection.error_codes import MEANINGS
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.connection.errors import (
    NotFoundError,
    PermissionDeniedError,
    UnsupportedError,
)
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.connection.translation import translate


class BucketPolicy:
    """The statements that a bucket's policy should have, or should not have if absent."""

    name = "policy"

    def __init__(
        self, bucket: str, wanted: t.Sequence[Statement], protected: t.Sequence[str], *, absent: bool = False
    ) -> None:
        self._bucket = bucket
        self._wanted = wanted
        self._protected = protected
        self._absent = absent

    def predict(self) -> Change:
        """Plan for a bucket without a policy.

        Raises:
            PolicyError: See `plan`.
        """
        return self._planned({})

    def plan(self, client: t.Any) -> Change:
        """Read the policy and return the change to make.

        Raises:
            PolicyError: A protected prefix would be public, no matter through whose statement.
            S3Error: The policy can't be read.
        """
        try:
            return self._planned(read_policy(client, self._bucket))
        except UnsupportedError:
            if not self._absent:
                raise
            return Change({}, {})

    def forecast(self, change: Change) -> Change:
        """Return the change itself: only writing shows whether a store accepts a policy."""
        return change

    def write(self, client: t.Any, change: Change) -> Change:
        """Write the planned policy and check that it lasts.

        Raises:
            LostUpdateError: The bucket has a different policy afterwards.
            S3Error: The policy can't be written.
        """
        _write(client, self._bucket, change.after)
        confirm(
            f"the policy of bucket {self._bucket}",
            lambda: difference(
                STATEMENTS, statements(read_policy(client, self._bucket)), self._wanted, absent=self._absent
            ),
        )
        return change

    def _planned(self, current: Policy) -> Change:
        after = merge_policy(current, self._wanted, absent=self._absent)
        refuse_openings(after, self._bucket, self._protected)
        return Change(dict(current), after)


def refuse_openings(policy: Policy, bucket: str, protected: t.Sequence[str]) -> None:
    """Refuse a policy that makes a protected prefix public.

    Raises:
        PolicyError: Names the statements.
    """
    found = openings(policy, bucket, protected)
    if found:
        what = "; ".join(
            f"statement {opening.statement} opens {opening.prefix!r} by {opening.resource}" for opening in found
        )
        raise PolicyError(
            f"the policy of bucket {bucket} would make private objects public: {what}. Narrow the Resource"
            " of the statement to the public prefixes, or remove it. Deny statements are not taken into account, and"
            " neither are conditions that a visitor can meet"
        )


def read_policy(client: t.Any, bucket: str) -> dict[str, t.Any]:
    """Return the bucket's policy, {} if it has none.

    Raises:
        PolicyError: The policy is not valid.
        S3Error: The policy can't be read.
    """
    try:
        answer = client.get_bucket_policy(Bucket=bucket)
    except Exception as error:
        trouble = translate(error, "GetBucketPolicy")
        # Some stores use their own codes, such as NoSuchPolicyConfiguration.
        if isinstance(trouble, NotFoundError) and re.fullmatch("NoSuch[A-Za-z]*Policy[A-Za-z]*", trouble.code):
            return {}
        raise trouble from error
    return parse_policy(answer.get("Policy"))


def _write(client: t.Any, bucket: str, policy: Policy) -> None:
    operation = "PutBucketPolicy" if policy else "DeleteBucketPolicy"
    try:
        if policy:
            client.put_bucket_policy(Bucket=bucket, Policy=as_text(policy))
        else:
            client.delete_bucket_policy(Bucket=bucket)
    except Exception as error:
        trouble = translate(error, operation)
        if policy and isinstance(trouble, PermissionDeniedError):
            trouble = trouble.copy_with(
                remedy=f"{trouble.remedy}. If the key may do this, the bucket's public access block refuses public"
                " policies: set BlockPublicPolicy to false first"
            )
        elif trouble.code == "InvalidArgument":
            # This is all that Ceph says about a malformed policy.
            meaning = MEANINGS["MalformedPolicy"]
            trouble = trouble.copy_with(fault=meaning.fault, remedy=meaning.remedy)
        raise trouble from error
