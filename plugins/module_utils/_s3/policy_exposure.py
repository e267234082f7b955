# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which statements of a bucket policy open given keys to everybody. Pure.

Errs on the side of caution: a Deny that would narrow an Allow is not counted on, nor is a condition, unless it names
the callers for good. What passes here is private as far as the policy goes; what fails may be narrower than it looks.
"""

from __future__ import annotations

import re
import typing as t

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.policy import Policy, Statement, statements

# Conditions on these keys name the callers, so that a statement with one is not for everybody (the meaning of "public"
# in AWS's guide on blocking public access). Addresses are left out: those of a proxy or a cache stand for everybody.
_NAMING_KEYS = {
    "aws:principalarn",
    "aws:principalaccount",
    "aws:principalorgid",
    "aws:principalorgpaths",
    "aws:sourceaccount",
    "aws:sourcearn",
    "aws:sourceorgid",
    "aws:sourcevpc",
    "aws:sourcevpce",
    "aws:userid",
}
_NAMING_OPERATORS = {"StringEquals", "StringEqualsIgnoreCase", "StringLike", "ArnEquals", "ArnLike"}
# Actions on the bucket itself that show its keys, or that let one open or delete them; more follow each beginning.
_BUCKET_ACTIONS = (
    "s3:listbucket",
    "s3:putbucket",
    "s3:deletebucket",
    "s3:putinventoryconfiguration",
    "s3:putlifecycleconfiguration",
    "s3:putreplicationconfiguration",
)
_HARMLESS_ACTIONS = {"s3:getbucketlocation"}


class Opening(t.NamedTuple):
    """A statement that opens something to everybody: its name for people, and what it opens."""

    statement: str
    prefix: str
    resource: str


def openings(policy: Policy, bucket: str, prefixes: t.Iterable[str]) -> list[Opening]:
    """Return the statements by which everybody could read, write or list keys that begin with one of the prefixes.

    One entry for each statement and prefix. A prefix is compared as text: V(backups/), or a whole key.
    """
    found = []
    for number, statement in enumerate(statements(policy), 1):
        if not _is_for_everybody(statement):
            continue
        sid = statement.get("Sid")
        name = str(sid) if sid else f"number {number}, which has no Sid"
        for prefix in prefixes:
            resource = _opened_by(statement, bucket, prefix)
            if resource is not None:
                found.append(Opening(name, prefix, resource))
    return found


def _is_for_everybody(statement: Statement) -> bool:
    if statement.get("Effect") == "Deny" or _names_callers(statement.get("Condition")):
        return False
    if "NotPrincipal" in statement:
        return True
    principal = statement.get("Principal")
    entries = principal.values() if isinstance(principal, dict) else [principal]
    return any("*" in text for entry in entries for text in _texts(entry))


def _names_callers(condition: t.Any) -> bool:
    """Whether one condition (all must hold) admits only named callers. Operators with IfExists admit anonymous ones."""
    if not isinstance(condition, dict):
        return False
    return any(
        key.lower() in _NAMING_KEYS and _is_fixed(values)
        for operator, keys in condition.items()
        if operator in _NAMING_OPERATORS and isinstance(keys, dict)
        for key, values in keys.items()
    )


def _is_fixed(values: t.Any) -> bool:
    texts = _texts(values)
    return bool(texts) and not any(re.search(r"[*?]|\$\{", text) for text in texts)


def _opened_by(statement: Statement, bucket: str, prefix: str) -> str | None:
    """Return the resource by which a statement opens keys of the prefix, or None."""
    if "NotAction" not in statement and _actions(statement) <= _HARMLESS_ACTIONS:
        return None
    if "NotResource" in statement:
        return f"all but {', '.join(_texts(statement['NotResource']))}"
    for resource in _texts(statement.get("Resource")):
        pattern = _without_arn(resource)
        if _may_begin_with(pattern, f"{bucket}/{prefix}"):
            return resource
        if _matches(pattern, bucket) and _reaches_keys_by_the_bucket(statement):
            return resource
    return None


def _reaches_keys_by_the_bucket(statement: Statement) -> bool:
    if "NotAction" in statement:
        return True
    return any(_may_begin_with(action, known) for action in _actions(statement) for known in _BUCKET_ACTIONS)


def _actions(statement: Statement) -> set[str]:
    return {action.lower() for action in _texts(statement.get("Action"))}


def _without_arn(resource: str) -> str:
    """Return the part of an S3 ARN after its fifth colon, whatever partition, region and tenant; else all of it."""
    found = re.fullmatch(r"arn:[^:]*:[^:]*:[^:]*:[^:]*:(.*)", resource, re.DOTALL)
    # A wildcard spans colons, so that a shorter ARN may reach into the bucket, too.
    return found.group(1) if found else ("*" if "*" in resource else resource)


def _may_begin_with(pattern: str, beginning: str) -> bool:
    """Whether a text that begins so could match the pattern, in which * stands for any text and ? for any character."""
    return bool(_after(pattern, beginning))


def _matches(pattern: str, text: str) -> bool:
    """Whether the pattern matches this text as a whole."""
    return len(_tokens(pattern)) in _after(pattern, text)


def _after(pattern: str, text: str) -> set[int]:
    """Return the places in the pattern's tokens at which a match may stand after this text."""
    tokens = _tokens(pattern)
    places = _over_stars(tokens, {0})
    for character in text:
        reached = set()
        for place in places:
            if place == len(tokens):
                continue
            if tokens[place] == "*":
                reached.add(place)
            elif tokens[place] in ("?", character):
                reached.add(place + 1)
        places = _over_stars(tokens, reached)
    return places


def _over_stars(tokens: t.Sequence[str], places: set[int]) -> set[int]:
    """Add the places that are reached without a character, since * may stand for nothing."""
    result = set(places)
    for place in places:
        following = place
        while following < len(tokens) and tokens[following] == "*":
            following += 1
            result.add(following)
    return result


def _tokens(pattern: str) -> list[str]:
    """Split into characters; a policy variable, like ${aws:username}, may stand for anything."""
    return list(re.sub(r"\$\{[^}]*\}", "*", pattern))


def _texts(value: t.Any) -> list[str]:
    return [str(entry) for entry in (value if isinstance(value, list) else [value]) if entry is not None]
