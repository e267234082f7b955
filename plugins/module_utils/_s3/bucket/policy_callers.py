# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Decides whether a statement of a bucket policy applies to visitors without credentials. Pure.

A statement counts as restricted only if it certainly names other callers. Any other principal or condition counts as
public, because stores read policies differently: Ceph treats an ARN without an account, and MinIO an empty name, as
everybody.
"""

from __future__ import annotations

import re
import typing as t

# A statement's elements by their names in lower case, each with all its values: Go's JSON parser, which most stores
# use, ignores case, and takes the last of several.
Elements = t.Mapping[str, t.Sequence[t.Any]]

_NAME = r"[\w+=,.@-]+"
_ACCOUNT = re.compile(r"(?!0+\Z)\d{12}\Z", re.ASCII)
# Ceph has tenants in place of accounts, and none for most users.
_ARN = re.compile(
    rf"arn:aws[a-z-]*:(iam|sts)::(?P<account>[\w$.-]*):"
    rf"(?P<who>root|(user|role|assumed-role|federated-user)(/{_NAME})+)\Z",
    re.ASCII,
)
_BARE_NAME = re.compile(rf"{_NAME}\Z", re.ASCII)
_PROVIDER = re.compile(rf"arn:aws[a-z-]*:iam::\d{{12}}:(saml|oidc)-provider(/{_NAME})+\Z", re.ASCII)
_SERVICE = re.compile(r"[a-z0-9-]+(\.[a-z0-9-]+)*\.amazonaws\.com(\.cn)?\Z", re.ASCII)
_CANONICAL_ID = re.compile(r"[0-9a-f]{64}\Z", re.ASCII)
# Words that some store uses for visitors, anywhere in a name.
_VISITORS = re.compile(r"anonym|everyone|everybody|nobody|allusers|authenticated|public|guest|visitor")


def admits_visitors(statement: Elements) -> bool:
    """Return whether a statement may apply to a visitor without credentials."""
    if len(statement.get("condition", [])) == 1 and _names_callers(statement["condition"][0]):
        return False
    principals = statement.get("principal", [])
    return "notprincipal" in statement or len(principals) != 1 or not _names_somebody(principals[0])


def _names_somebody(principal: t.Any) -> bool:
    if not isinstance(principal, dict):
        return False
    kinds = [str(kind).casefold() for kind in principal]
    return len(set(kinds)) == len(kinds) and all(
        kind in _NAMES and _are_all(_NAMES[kind], entries) for kind, entries in zip(kinds, principal.values())
    )


def _is_account_or_user(text: str) -> bool:
    if _ACCOUNT.match(text):
        return True
    found = _ARN.match(text)
    if found:
        nameless = found.group("who") == "root" and not found.group("account").strip("0")
        return not nameless and "anonym" not in text.casefold()
    # The name of a user of VersityGW, or Amazon's ID of a user who was deleted.
    return bool(_BARE_NAME.match(text)) and not text.isdigit() and not _VISITORS.search(text.casefold())


_NAMES: dict[str, t.Callable[[str], t.Any]] = {
    "aws": _is_account_or_user,
    "canonicaluser": _CANONICAL_ID.match,
    "federated": _PROVIDER.match,
    "service": _SERVICE.match,
}

# Conditions that no visitor can meet: Amazon S3 sets these from a signature, from the service that calls, or from the
# network that a request comes through. A user's name or ID is not among them, because MinIO takes it from the query
# of the address. Neither are addresses: that of a proxy or a cache stands for everybody.
_NAMING_KEYS: dict[str, t.Callable[[str], t.Any]] = {
    "aws:principalaccount": _ACCOUNT.match,
    "aws:principalarn": lambda text: text.startswith("arn:") and _is_account_or_user(text),
    "aws:principalorgid": re.compile(r"o-[a-z0-9]+\Z").match,
    "aws:sourceaccount": _ACCOUNT.match,
    "aws:sourcearn": re.compile(r"arn:aws[a-z-]*:[a-z0-9-]+:[a-z0-9-]*:\d{12}:[\w/:.-]+\Z", re.ASCII).match,
    "aws:sourceorgid": re.compile(r"o-[a-z0-9]+\Z").match,
    "aws:sourcevpc": re.compile(r"vpc-[a-z0-9]+\Z").match,
    "aws:sourcevpce": re.compile(r"vpce-[a-z0-9]+\Z").match,
}
# Not those with IfExists and not ForAllValues: they hold where a visitor leaves the value out. Nor negated ones.
_NAMING_OPERATORS = {"StringEquals", "StringEqualsIgnoreCase", "StringLike", "ArnEquals", "ArnLike"}


def _names_callers(condition: t.Any) -> bool:
    """Return whether one condition (all of them must hold) certainly restricts a statement to named callers."""
    if not isinstance(condition, dict):
        return False
    return any(
        operator in _NAMING_OPERATORS and isinstance(keys, dict) and _has_naming_key(keys)
        for operator, keys in condition.items()
    )


def _has_naming_key(keys: t.Mapping[str, t.Any]) -> bool:
    # A key that is there twice, in another case, may count as either or as both.
    names = [str(key).casefold() for key in keys]
    return any(
        name in _NAMING_KEYS and names.count(name) == 1 and _are_all(_NAMING_KEYS[name], values)
        for name, values in zip(names, keys.values())
    )


def _are_all(test: t.Callable[[str], t.Any], values: t.Any) -> bool:
    """Return whether there are values, all of them are strings, and each passes the test."""
    entries = values if isinstance(values, list) else [values]
    return bool(entries) and all(isinstance(entry, str) and bool(test(entry)) for entry in entries)
