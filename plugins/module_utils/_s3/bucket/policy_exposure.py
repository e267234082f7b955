# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Finds the statements of a bucket policy that make given keys public. Pure.

In doubt, a statement counts as public. A Deny that would restrict an Allow is ignored, and so is a condition, unless
it certainly excludes visitors. Anything that is not understood counts as public. So keys that pass are private as far
as the policy goes, and keys that fail may be less public than it seems.
"""

from __future__ import annotations

import re
import typing as t

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.bucket.policy import (
    Policy,
    Statement,
    statements,
)
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.bucket.policy_callers import (
    Elements,
    admits_visitors,
)

_ELEMENTS = {
    *("sid", "effect", "principal", "notprincipal", "action", "notaction", "resource", "notresource", "condition"),
}
# Actions on the bucket itself that neither show its keys nor let anybody open or delete them. Not by a list of the
# harmful ones: MinIO alone adds s3:ListenBucketNotification, which shows keys, and s3:ForceDeleteBucket.
_HARMLESS_ON_A_BUCKET = re.compile(r"s3:(get[a-z]*\*?|headbucket)\Z")
_HARMLESS_ACTIONS = {"s3:getbucketlocation"}


class Opening(t.NamedTuple):
    """A statement that makes something public: its name for messages, and what it makes public."""

    statement: str
    prefix: str
    resource: str


def openings(policy: Policy, bucket: str, prefixes: t.Iterable[str]) -> list[Opening]:
    """Return the statements through which everybody could read, write or list keys that begin with one of the prefixes.

    There is one entry for each statement and prefix. A prefix is compared as text, V(backups/) or a whole key.
    """
    found = []
    for number, statement in enumerate(statements(policy), 1):
        elements = _elements(statement)
        effects = elements.get("effect", [])
        denies = bool(effects) and all(effect == "Deny" for effect in effects)
        if denies or not admits_visitors(elements):
            continue
        sid = (elements.get("sid") or [None])[0]
        name = str(sid) if sid else f"number {number}, which has no Sid"
        for prefix in prefixes:
            resource = _opened_by(elements, bucket, prefix)
            if resource is not None:
                found.append(Opening(name, prefix, resource))
    return found


def _elements(statement: Statement) -> Elements:
    elements: dict[str, list[t.Any]] = {}
    for name, value in statement.items():
        # As Go does it, which takes even \u017f for an s.
        elements.setdefault(str(name).casefold(), []).append(value)
    return elements


def _opened_by(statement: Elements, bucket: str, prefix: str) -> str | None:
    """Return the resource with which a statement makes keys of the prefix public, or None."""
    strange = _strange(statement)
    if strange:
        return f"what is not understood in it, {strange}"
    actions = {action.casefold() for action in _texts(statement.get("action"))}
    if actions and actions <= _HARMLESS_ACTIONS:
        return None
    if "notresource" in statement:
        return f"all but {', '.join(_texts(statement['notresource']))}"
    on_the_bucket = not actions or not all(_HARMLESS_ON_A_BUCKET.match(action) for action in actions)
    for resource in _texts(statement["resource"]):
        pattern = _without_arn(resource)
        if _is_a_detour(pattern) or _may_begin_with(pattern, f"{bucket}/{prefix}"):
            return resource
        if on_the_bucket and _matches(pattern.rstrip("/"), bucket):
            return resource
    return None


def _strange(statement: Elements) -> str:
    """Return in words what makes a statement unlike any in the S3 API's documentation, or an empty string."""
    for name, values in statement.items():
        if name not in _ELEMENTS:
            return f"the element {name}"
        if len(values) > 1:
            return f"{name} twice"
        if name in ("action", "notaction", "resource", "notresource") and not _are_texts(values[0]):
            return name
    for name in ("action", "resource"):
        if (name in statement) == (f"not{name}" in statement):
            return f"neither {name} nor not{name}" if name not in statement else f"{name} beside not{name}"
    return ""


def _is_a_detour(pattern: str) -> bool:
    """Return whether a store may read a resource as a different one, as VersityGW does with dots and double slashes."""
    path = pattern.replace("\\", "/").lower().replace("%2e", ".").replace("%2f", "/").replace("%5c", "/")
    return "//" in path or path.startswith("/") or any(part in (".", "..") for part in path.split("/"))


def _without_arn(resource: str) -> str:
    """Return the part of an S3 ARN after its fifth colon; of any other text, all of it."""
    found = re.fullmatch(r"arn:[^:]*:[^:]*:[^:]*:[^:]*:(.*)", resource, re.DOTALL | re.IGNORECASE)
    # A wildcard spans colons, so that a shorter ARN may reach into the bucket, too.
    return found.group(1) if found else ("*" if "*" in resource else resource)


def _may_begin_with(pattern: str, beginning: str) -> bool:
    """Return whether a text that begins like this could match the pattern. * matches any text, ? any character.

    Some stores compare bytes, so that a character that is not ASCII needs several ?.
    """
    return bool(_after(pattern, beginning)) or bool(_after(_bytes(pattern), _bytes(beginning)))


def _bytes(text: str) -> str:
    """Return a text with a character for each byte of UTF-8."""
    return text.encode("utf-8", "surrogatepass").decode("latin-1")


def _matches(pattern: str, text: str) -> bool:
    """Return whether the pattern matches the whole text."""
    return len(_tokens(pattern)) in _after(pattern, text)


def _after(pattern: str, text: str) -> set[int]:
    """Return the positions in the pattern's tokens that a match can reach with this text."""
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
    """Add the positions that can be reached without a character, since * may match nothing."""
    result = set(places)
    for place in places:
        following = place
        while following < len(tokens) and tokens[following] == "*":
            following += 1
            result.add(following)
    return result


def _tokens(pattern: str) -> list[str]:
    """Split into characters. A policy variable, such as ${aws:username}, and everything after it may match anything."""
    return list(re.sub(r"\$\{.*", "*", pattern, flags=re.DOTALL))


def _texts(values: t.Sequence[t.Any] | None) -> list[str]:
    """Return the strings of an element, each of whose values is a string or a list of strings."""
    return [str(entry) for value in values or () for entry in (value if isinstance(value, list) else [value])]


def _are_texts(value: t.Any) -> bool:
    texts = value if isinstance(value, list) else [value]
    return bool(texts) and all(isinstance(text, str) and text for text in texts)
