# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A MinIO user with one policy, as values: what is wanted, what exists, and the steps in between. Pure.

https://min.io/docs/minio/linux/administration/identity-access-management/minio-user-management.html describes users
and policies. MinIO accepts access keys of 3 to 20 and secret keys of 8 to 40 characters.
"""

from __future__ import annotations

import json
import re
import typing as t
from dataclasses import dataclass, field

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.bucket.policy import same_statement, statements

# Every MinIO has them, and others rely on their content.
_BUILT_IN = ("consoleAdmin", "diagnostics", "readonly", "readwrite", "writeonly")


class IdentityError(ValueError):
    """The wanted identity is impossible, or would affect another application. The text names the remedy."""


@dataclass(frozen=True)
class Wanted:
    """An identity. Its repr contains no secret.

    Attributes:
        name: The access key.
        secret_key: The secret key; None if it has to be created.
        policy_name: Name of the policy.
        policy: What the user may do; None if only the names matter.
    """

    name: str
    policy_name: str
    policy: t.Mapping[str, t.Any] | None = None
    secret_key: str | None = field(default=None, repr=False)


@dataclass(frozen=True)
class ExistingIdentity:
    """What MinIO has.

    Attributes:
        enabled: Whether the user may sign in.
        policies: Policies that are attached to the user.
        groups: Groups of the user.
        policy: The policy with the wanted name; None if there is none.
        policy_holders: Other users and groups that have this policy.
        secret_works: Whether the wanted secret key is the user's; None if none was given.
    """

    exists: bool = False
    enabled: bool = False
    policies: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    policy: t.Mapping[str, t.Any] | None = None
    policy_holders: tuple[str, ...] = ()
    secret_works: bool | None = None


class Steps(t.NamedTuple):
    """What to do, in this order, so that a user never has a key before the policy is right."""

    put_policy: bool = False
    put_user: bool = False
    attach: bool = False
    remove_user: bool = False
    remove_policy: bool = False

    @property
    def changed(self) -> bool:
        """Whether there is anything to do."""
        return any(self)


def check(wanted: Wanted, *, absent: bool = False) -> None:
    """Refuse what MinIO would refuse, and names that belong to another application. If `absent`, check only the names.

    Raises:
        IdentityError: The identity can't be used.
    """
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{2,19}", wanted.name):
        raise IdentityError(
            f"name {wanted.name!r} is not a valid access key for MinIO; write 3 to 20 letters, digits, and . _ -"
        )
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}", wanted.policy_name):
        raise IdentityError(
            f"policy_name {wanted.policy_name!r} is not a valid name of a policy; write letters, digits, and . _ -"
        )
    if wanted.policy_name in _BUILT_IN:
        raise IdentityError(
            f"policy_name {wanted.policy_name} is MinIO's own policy, which must stay as it is; choose another name"
        )
    if absent:
        return
    if wanted.secret_key is not None and not re.fullmatch(r"[!-~]{8,40}", wanted.secret_key):
        raise IdentityError(
            "user_secret_key is not a valid secret key for MinIO; give 8 to 40 ASCII characters without blanks,"
            " or leave it out (default(omit)) for a new one"
        )
    _check_policy(wanted.policy)


def refuse_administrator(wanted: Wanted, access_key: str) -> None:
    """Refuse the identity of the administrator itself: MinIO does not list its first administrator as a user.

    Raises:
        IdentityError: The identity is that of the administrator.
    """
    if wanted.name == access_key:
        raise IdentityError(f"name {wanted.name!r} is the administrator's own access key; give the instance another")


def _check_policy(policy: t.Mapping[str, t.Any] | None) -> None:
    if policy is None:
        raise IdentityError("policy is missing; set it to what the user may do")
    found = statements(policy)
    if not found or not all(isinstance(each, dict) for each in found):
        raise IdentityError("policy has no list of statements; write {'Version': '2012-10-17', 'Statement': [...]}")
    for number, statement in enumerate(found, 1):
        where = f"policy: statement {number}"
        if statement.get("Effect") not in ("Allow", "Deny"):
            raise IdentityError(f"{where}: Effect is {statement.get('Effect')!r}; write Allow or Deny")
        if "Principal" in statement or "NotPrincipal" in statement:
            raise IdentityError(f"{where} has a Principal; remove it, because a user's policy applies to that user")
        for name in ("Action", "Resource"):
            value = statement.get(name)
            texts = value if isinstance(value, list) else [value]
            if not texts or not all(isinstance(text, str) and text for text in texts):
                raise IdentityError(f"{where}: {name} must be a string or a list of strings, and not empty")
            if name == "Resource" and statement["Effect"] == "Allow" and _is_every_bucket(texts):
                raise IdentityError(
                    f"{where} allows something in every bucket; write arn:aws:s3:::BUCKET and arn:aws:s3:::BUCKET/*"
                )
    try:
        json.dumps(policy)
    except (TypeError, ValueError) as error:
        raise IdentityError(
            f"policy can't be written as JSON: {error}; use plain lists, mappings and strings"
        ) from error


def _is_every_bucket(resources: t.Sequence[str]) -> bool:
    return any(re.match(r"(\*|arn:[^:]*:s3:[^:]*:[^:]*:[*?])", resource) for resource in resources)


def plan(wanted: Wanted, found: ExistingIdentity, *, absent: bool = False) -> Steps:
    """Return what to do.

    Raises:
        IdentityError: The user or the policy belongs to another application.
    """
    _refuse_foreign_user(wanted, found)
    if absent:
        return Steps(remove_user=found.exists, remove_policy=found.policy is not None and not found.policy_holders)
    put_policy = found.policy is None or not _same_policy(found.policy, wanted.policy or {})
    if put_policy and found.policy is not None and found.policy_holders:
        raise IdentityError(
            f"policy {wanted.policy_name} has a different content and is attached to {', '.join(found.policy_holders)},"
            " too; choose another policy_name, or detach it there"
        )
    return Steps(
        put_policy=put_policy,
        put_user=not (found.exists and found.enabled and found.secret_works),
        attach=wanted.policy_name not in found.policies,
    )


def _refuse_foreign_user(wanted: Wanted, found: ExistingIdentity) -> None:
    """Refuse a user with other policies or groups, which belongs to another application."""
    others = [*found.policies, *(f"group {group}" for group in found.groups)]
    if found.exists and others and wanted.policy_name not in found.policies:
        raise IdentityError(
            f"user {wanted.name} exists and has {', '.join(others)}, but not policy {wanted.policy_name}, so it is"
            " used by another application, whose key would stop working; choose another name, or attach the policy"
            " yourself first"
        )


def more_rights(wanted: Wanted, found: ExistingIdentity) -> list[str]:
    """Return what else gives the user rights, in words."""
    policies = [f"policy {name}" for name in found.policies if name != wanted.policy_name]
    return policies + [f"group {name}" for name in found.groups]


def _same_policy(one: t.Mapping[str, t.Any], other: t.Mapping[str, t.Any]) -> bool:
    """Compare policies. MinIO turns strings into lists and sorts them."""
    mine, theirs = statements(one), statements(other)
    return (
        len(mine) == len(theirs)
        and all(any(same_statement(each, candidate) for candidate in theirs) for each in mine)
        and all(any(same_statement(each, candidate) for candidate in mine) for each in theirs)
    )


def after(wanted: Wanted, found: ExistingIdentity, steps: Steps) -> ExistingIdentity:
    """Return the state after the steps."""
    policy = None if steps.remove_policy else wanted.policy if steps.put_policy else found.policy
    if steps.remove_user:
        return ExistingIdentity(policy=policy)
    policies = (*found.policies, wanted.policy_name) if steps.attach else found.policies
    there = found.exists or steps.put_user
    return ExistingIdentity(there, found.enabled or steps.put_user, policies, found.groups, policy)


def shown(wanted: Wanted, state: ExistingIdentity) -> str:
    """Return a state for a diff. It contains no secret, so a new secret key is not shown."""
    user = None
    if state.exists:
        user = {"name": wanted.name, "enabled": state.enabled, "policies": sorted(state.policies)}
    policy = None if state.policy is None else {"name": wanted.policy_name, "content": state.policy}
    return json.dumps({"policy": policy, "user": user}, indent=2, sort_keys=True) + "\n"
