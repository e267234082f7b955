# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Brings the policy of a bucket to what is wanted, and makes sure that it stays so."""

from __future__ import annotations

import time
import typing as t

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.errors import (
    NotFoundError,
    PermissionDeniedError,
    UnsupportedError,
    translate,
)
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.policy import (
    Policy,
    PolicyError,
    Statement,
    as_text,
    merge_policy,
    parse_policy,
    satisfied,
    statements,
)
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.policy_exposure import openings

# A changed policy may take a while until each of a store's servers shows it.
_LOOKS = (0.0, 0.5, 1.0, 2.0, 4.0)


class PolicyChange(t.NamedTuple):
    """The policy before and after; {} stands for none."""

    before: dict[str, t.Any]
    after: dict[str, t.Any]

    @property
    def changed(self) -> bool:
        """Whether anything had or has to be written."""
        return self.before != self.after


class LostUpdateError(Exception):
    """The policy that was written is not the one that the bucket has now."""


def plan(
    current: Policy, wanted: t.Sequence[Statement], bucket: str, protected: t.Sequence[str], *, absent: bool = False
) -> PolicyChange:
    """Return the change that is to be made. Pure.

    Raises PolicyError if a protected prefix would be open to everybody afterwards, whoever made the statement.
    """
    after = merge_policy(current, wanted, absent=absent)
    refuse_openings(after, bucket, protected)
    return PolicyChange(dict(current), after)


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


def converge_policy(
    client: t.Any,
    bucket: str,
    wanted: t.Sequence[Statement],
    protected: t.Sequence[str],
    *,
    absent: bool = False,
    check_mode: bool = False,
) -> PolicyChange:
    """Merge the wanted statements into the bucket's policy, or take them out, and look whether that held.

    Raises PolicyError, before anything is written, if a protected prefix would be open; S3Error; LostUpdateError.
    """
    try:
        change = plan(read_policy(client, bucket), wanted, bucket, protected, absent=absent)
    except UnsupportedError:
        if not absent:
            raise
        return PolicyChange({}, {})
    if change.changed and not check_mode:
        _write(client, bucket, change.after)
        _confirm(client, bucket, wanted, absent=absent)
    return change


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


def _confirm(client: t.Any, bucket: str, wanted: t.Sequence[Statement], *, absent: bool) -> None:
    now: dict[str, t.Any] = {}
    for pause in _LOOKS:
        time.sleep(pause)
        now = read_policy(client, bucket)
        if satisfied(now, wanted, absent=absent):
            return
    sids = {str(statement["Sid"]) for statement in wanted}
    kept = sorted({str(each.get("Sid")) for each in statements(now)} & sids)
    if absent:
        what = f"{', '.join(kept)} is there again"
    elif set(kept) == sids:
        what = f"{', '.join(kept)} is there, but not as it was written"
    else:
        what = f"{', '.join(sorted(sids - set(kept)))} is not there"
    raise LostUpdateError(
        f"the policy of bucket {bucket} was written, but {what}. Somebody else changed the policy at the same time, or"
        " the store does not keep what it was given; run again, and look at the policy if that fails, too"
    )
