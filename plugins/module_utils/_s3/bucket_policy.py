# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Brings the policy of a bucket to what is wanted, and makes sure that it stays so."""

from __future__ import annotations

import typing as t

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.convergence import Change, confirm
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.errors import (
    NotFoundError,
    PermissionDeniedError,
    UnsupportedError,
    translate,
)
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.own_rules import difference
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.policy import (
    LANGUAGE,
    Policy,
    PolicyError,
    Statement,
    as_text,
    merge_policy,
    parse_policy,
    statements,
)
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.policy_exposure import openings


class BucketPolicy:
    """The statements that a bucket's policy shall have, or shall not have if absent."""

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

        Raises PolicyError as `plan` does.
        """
        return self._planned({})

    def plan(self, client: t.Any) -> Change:
        """Read the policy and return the change that is to be made.

        Raises PolicyError if a protected prefix would be open to everybody, whoever made the statement; S3Error.
        """
        try:
            return self._planned(read_policy(client, self._bucket))
        except UnsupportedError:
            if not self._absent:
                raise
            return Change({}, {})

    def foresee(self, change: Change) -> Change:
        """Return the change itself: whether a store takes a policy shows only when it is written."""
        return change

    def write(self, client: t.Any, change: Change) -> Change:
        """Write the planned policy and look whether that held.

        Raises S3Error; LostUpdateError.
        """
        _write(client, self._bucket, change.after)
        confirm(
            f"the policy of bucket {self._bucket}",
            lambda: difference(
                LANGUAGE, statements(read_policy(client, self._bucket)), self._wanted, absent=self._absent
            ),
        )
        return change

    def _planned(self, current: Policy) -> Change:
        after = merge_policy(current, self._wanted, absent=self._absent)
        refuse_openings(after, self._bucket, self._protected)
        return Change(dict(current), after)


def refuse_openings(policy: Policy, bucket: str, protected: t.Sequence[str]) -> None:
    """Raise PolicyError, with the statements named, if one opens a protected prefix to everybody."""
    found = openings(policy, bucket, protected)
    if found:
        what = "; ".join(
            f"statement {opening.statement} opens {opening.prefix!r} by {opening.resource}" for opening in found
        )
        raise PolicyError(
            f"the policy of bucket {bucket} would let everybody at what must stay private: {what}. Narrow the Resource"
            " of the statement to the public prefixes, or remove it. A Deny or a condition beside it is not counted on"
        )


def read_policy(client: t.Any, bucket: str) -> dict[str, t.Any]:
    """Return the bucket's policy, {} if it has none.

    Raises S3Error; PolicyError for a policy that can't be understood.
    """
    try:
        answer = client.get_bucket_policy(Bucket=bucket)
    except Exception as error:
        trouble = translate(error, "GetBucketPolicy")
        if isinstance(trouble, NotFoundError) and trouble.code == "NoSuchBucketPolicy":
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
        hint = ""
        if policy and isinstance(trouble, PermissionDeniedError):
            hint = (
                " If the key may do this, the bucket's public access block refuses public policies: set"
                " BlockPublicPolicy to false first."
            )
        elif trouble.code == "InvalidArgument":
            # All that Ceph says of a malformed policy.
            hint = " The store does not accept the policy; correct its statements."
        raise type(trouble)(
            f"{trouble}{hint}", code=trouble.code, status=trouble.status, operation=operation
        ) from error
