# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A user of MinIO with one policy, as values: what is wanted, what there is, and the steps between. Pure.

https://min.io/docs/minio/linux/administration/identity-access-management/minio-user-management.html says what MinIO
makes of users and policies. It takes access keys of 3 to 20 and secret keys of 8 to 40 characters.
"""

from __future__ import annotations

import json
import re
import typing as t
from dataclasses import dataclass, field

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.policy import same_statement, statements

# They are in every MinIO, and others count on what they say.
_BUILT_IN = ("consoleAdmin", "diagnostics", "readonly", "readwrite", "writeonly")


class IdentityError(ValueError):
    """What is wanted can't be, or would do harm to somebody else. The text says why, and the remedy."""


@dataclass(frozen=True)
class Wanted:
    """An identity. Its repr holds no secret.

    name: the access key. secret_key: the secret key, None for one that is to be made.
    policy: what the user may do, None where only the names count.
    """

    name: str
    policy_name: str
    policy: t.Mapping[str, t.Any] | None = None
    secret_key: str | None = field(default=None, repr=False)


@dataclass(frozen=True)
class Found:
    """What MinIO has.

    enabled: whether the user may sign in. policies, groups: what is attached to the user.
    policy: what the policy of the wanted name says, None if there is none.
    policy_holders: users and groups, but for the user, that have the policy.
    secret_works: whether the wanted secret key is the user's, None where none was given.
    """

    exists: bool = False
    enabled: bool = False
    policies: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    policy: t.Mapping[str, t.Any] | None = None
    policy_holders: tuple[str, ...] = ()
    secret_works: bool | None = None


class Steps(t.NamedTuple):
    """What is to be done, in this order, so that a user never has a key before the policy is what it should be."""

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
    """Refuse what MinIO would refuse, and what would take somebody else's things for ours.

    absent: only the names are looked at.

    Raises IdentityError.
    """
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{2,19}", wanted.name):
        raise IdentityError(
            f"name {wanted.name!r} is no access key for MinIO; write 3 to 20 letters, digits, and . _ -"
        )
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}", wanted.policy_name):
        raise IdentityError(
            f"policy_name {wanted.policy_name!r} is no name of a policy; write letters, digits, and . _ -"
        )
    if wanted.policy_name in _BUILT_IN:
        raise IdentityError(
            f"policy_name {wanted.policy_name} is MinIO's own policy, which must stay as it is; choose another name"
        )
    if absent:
        return
    if wanted.secret_key is not None and not re.fullmatch(r"[!-~]{8,40}", wanted.secret_key):
        raise IdentityError(
            "user_secret_key is no secret key for MinIO; give 8 to 40 characters of plain ASCII without blanks, or"
            " leave it out (default(omit)) for a new one"
        )
    _check_policy(wanted.policy)


def refuse_administrator(wanted: Wanted, access_key: str) -> None:
    """Raise IdentityError if the identity is that which makes it: MinIO shows its first administrator as no user."""
    if wanted.name == access_key:
        raise IdentityError(f"name {wanted.name!r} is the administrator's own access key; give the instance another")


def _check_policy(policy: t.Mapping[str, t.Any] | None) -> None:
    if policy is None:
        raise IdentityError("policy is missing; say what the user may do")
    found = statements(policy)
    if not found or not all(isinstance(each, dict) for each in found):
        raise IdentityError("policy has no list of statements; write {'Version': '2012-10-17', 'Statement': [...]}")
    for number, statement in enumerate(found, 1):
        where = f"policy: statement {number}"
        if statement.get("Effect") not in ("Allow", "Deny"):
            raise IdentityError(f"{where}: Effect is {statement.get('Effect')!r}; write Allow or Deny")
        if "Principal" in statement or "NotPrincipal" in statement:
            raise IdentityError(f"{where} has a Principal; remove it, a user's policy is about that user")
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


def plan(wanted: Wanted, found: Found, *, absent: bool = False) -> Steps:
    """Return what is to be done.

    Raises IdentityError where the user or the policy is somebody else's.
    """
    _refuse_stranger(wanted, found)
    if absent:
        return Steps(remove_user=found.exists, remove_policy=found.policy is not None and not found.policy_holders)
    put_policy = found.policy is None or not _same_policy(found.policy, wanted.policy or {})
    if put_policy and found.policy is not None and found.policy_holders:
        raise IdentityError(
            f"policy {wanted.policy_name} says something else and is attached to {', '.join(found.policy_holders)},"
            " too; choose another policy_name, or detach it there"
        )
    return Steps(
        put_policy=put_policy,
        put_user=not (found.exists and found.enabled and found.secret_works),
        attach=wanted.policy_name not in found.policies,
    )


def _refuse_stranger(wanted: Wanted, found: Found) -> None:
    """A user that was half made has nothing attached yet; one that has something else is somebody's."""
    others = [*found.policies, *(f"group {group}" for group in found.groups)]
    if found.exists and others and wanted.policy_name not in found.policies:
        raise IdentityError(
            f"user {wanted.name} exists and has {', '.join(others)}, but not policy {wanted.policy_name}, so it is"
            " somebody else's and its key would be lost; choose another name, or attach the policy by hand first"
        )


def more_rights(wanted: Wanted, found: Found) -> list[str]:
    """Return what else gives the user rights, in words."""
    policies = [f"policy {name}" for name in found.policies if name != wanted.policy_name]
    return policies + [f"group {name}" for name in found.groups]


def _same_policy(one: t.Mapping[str, t.Any], other: t.Mapping[str, t.Any]) -> bool:
    """MinIO gives back lists where strings were, and sorts them."""
    mine, theirs = statements(one), statements(other)
    return (
        len(mine) == len(theirs)
        and all(any(same_statement(each, candidate) for candidate in theirs) for each in mine)
        and all(any(same_statement(each, candidate) for candidate in mine) for each in theirs)
    )


def after(wanted: Wanted, found: Found, steps: Steps) -> Found:
    """Return what there will be after the steps."""
    policy = None if steps.remove_policy else wanted.policy if steps.put_policy else found.policy
    if steps.remove_user:
        return Found(policy=policy)
    policies = (*found.policies, wanted.policy_name) if steps.attach else found.policies
    there = found.exists or steps.put_user
    return Found(there, found.enabled or steps.put_user, policies, found.groups, policy)


def shown(wanted: Wanted, state: Found) -> str:
    """Return a state for a diff. No secret is in it, so a new one does not show."""
    user = None
    if state.exists:
        user = {"name": wanted.name, "enabled": state.enabled, "policies": sorted(state.policies)}
    policy = None if state.policy is None else {"name": wanted.policy_name, "content": state.policy}
    return json.dumps({"policy": policy, "user": user}, indent=2, sort_keys=True) + "\n"
