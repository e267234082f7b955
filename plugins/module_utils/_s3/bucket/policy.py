# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Bucket policies as values: parses, compares and merges them. Pure.

Stores return a policy in a different form: AWS turns lists of one into strings and account numbers into ARNs, MinIO
turns strings into lists and sorts them, Ceph and moto keep the text. So statements are compared by their meaning, as
defined in the AWS reference of policy elements.
"""

from __future__ import annotations

import json
import re
import typing as t

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.bucket.rules import (
    RulesError,
    RuleType,
    check_elements,
    check_ids,
    merge,
)

Statement = t.Mapping[str, t.Any]
Policy = t.Mapping[str, t.Any]

VERSION = "2012-10-17"

_ELEMENTS = (
    "Sid",
    "Effect",
    "Principal",
    "NotPrincipal",
    "Action",
    "NotAction",
    "Resource",
    "NotResource",
    "Condition",
)
_TOP_ELEMENTS = {"version": "Version", "id": "Id", "statement": "Statement"}


class PolicyError(RulesError):
    """A policy or a statement can't be used. The text names it and the remedy."""


def parse_policy(text: str | None) -> dict[str, t.Any]:
    """Return the policy in a store's response; {} for none.

    Raises:
        PolicyError: It is not a policy, or stores would understand it differently.
    """
    if not text or not text.strip():
        return {}
    try:
        policy = json.loads(text, object_pairs_hook=_without_doubles)
    except PolicyError:
        raise
    except (ValueError, RecursionError) as error:
        if text.lstrip().startswith("<"):
            raise PolicyError(
                "the server at endpoint_url is not an S3 API; check host and port in endpoint_url"
            ) from error
        raise PolicyError(f"the bucket's policy is not valid JSON ({error}); correct it manually") from error
    if not isinstance(policy, dict) or not all(isinstance(each, dict) for each in statements(policy)):
        raise PolicyError("the bucket's policy has no list of statements; correct it manually")
    for name in policy:
        known = _TOP_ELEMENTS.get(name.casefold(), name)
        if name != known:
            raise PolicyError(f"the bucket's policy has an element {name!r}; correct it manually and write {known}")
    return policy


def _without_doubles(pairs: list[tuple[str, t.Any]]) -> dict[str, t.Any]:
    """Refuse duplicate elements: some stores use the first, some the last, and some join them.

    Names that differ only in case are the same to stores written in Go.
    """
    seen: set[str] = set()
    for name, _value in pairs:
        if name.casefold() in seen:
            raise PolicyError(
                f"the bucket's policy has the element {name!r} twice, and stores differ in which one they use; correct"
                " it manually"
            )
        seen.add(name.casefold())
    return dict(pairs)


def statements(policy: Policy) -> list[t.Any]:
    """Return a policy's statements; a single one need not be in a list."""
    found = policy.get("Statement", [])
    return list(found) if isinstance(found, list) else [found]


def check_prefixes(prefixes: t.Sequence[str]) -> None:
    """Refuse prefixes that protect everything or nothing.

    Raises:
        PolicyError: A prefix can't be used.
    """
    for prefix in prefixes:
        if not prefix or prefix.startswith("/"):
            raise PolicyError(f"protected_prefixes: {prefix!r} is not a key prefix; write it like backups/")


def check_statements(wanted: t.Sequence[Statement], bucket: str, *, absent: bool = False) -> None:
    """Refuse statements that are not ours to manage, or that a store would refuse with an obscure message.

    If `absent`, only the Sids are checked.

    Raises:
        RulesError: A statement can't be used.
    """
    check_ids(STATEMENTS, wanted)
    if not absent:
        for statement in wanted:
            _check(statement, str(statement["Sid"]), bucket)


def _check(statement: Statement, sid: str, bucket: str) -> None:
    check_elements(STATEMENTS, statement, sid)
    if statement.get("Effect") not in ("Allow", "Deny"):
        raise PolicyError(f"{sid}: Effect is {statement.get('Effect')!r}; write Allow or Deny")
    for name in ("Principal", "Action", "Resource"):
        given = [each for each in (name, f"Not{name}") if each in statement]
        if len(given) != 1:
            raise PolicyError(f"{sid} needs either {name} or Not{name}, and not both")
        value = statement[given[0]]
        if name == "Principal":
            _check_principal(value, sid, given[0])
        elif not _is_texts(value):
            raise PolicyError(f"{sid}: {given[0]} must be a string or a list of strings, and not empty")
    for resource in _texts(statement.get("Resource", statement.get("NotResource"))):
        if not re.match(rf"arn:[^:]+:s3:[^:]*:[^:]*:{re.escape(bucket)}(/|$)", resource):
            raise PolicyError(
                f"{sid}: Resource {resource!r} is not in this bucket; write arn:aws:s3:::{bucket}/PREFIX/* or"
                f" arn:aws:s3:::{bucket}"
            )
    condition = statement.get("Condition", {})
    if not isinstance(condition, dict) or not all(isinstance(each, dict) for each in condition.values()):
        raise PolicyError(f"{sid}: Condition must map operators to keys and values")


def _check_principal(value: t.Any, sid: str, name: str) -> None:
    if value == "*" or (isinstance(value, dict) and value and all(_is_texts(each) for each in value.values())):
        return
    raise PolicyError(f'{sid}: {name} must be "*" or map AWS, CanonicalUser, Federated or Service to strings')


def merge_policy(current: Policy, wanted: t.Sequence[Statement], *, absent: bool = False) -> dict[str, t.Any]:
    """Return the current policy with the wanted statements in it, or without the statements with their Sids if absent.

    A statement with the same Sid and meaning is kept. One with the same Sid and a different meaning is replaced. A
    statement that exists under another Sid is not added, since MinIO would drop one of the two. Everything else keeps
    its place. The result equals the current policy if there is nothing to do, and is {} if no statement is left.
    """
    result = merge(STATEMENTS, statements(current), wanted, absent=absent)
    if result == statements(current):
        return dict(current)
    if not result:
        return {}
    return {"Version": VERSION, **current, "Statement": result}


def same_statement(one: Statement, other: Statement) -> bool:
    """Return whether two statements have the same meaning, whatever their Sids."""
    return _meaning(one) == _meaning(other)


def as_text(policy: Policy) -> str:
    """Return the policy as the JSON to send; the order of elements is kept."""
    return json.dumps(policy)


def _meaning(statement: Statement) -> dict[str, t.Any]:
    meaning: dict[str, t.Any] = {}
    for name, value in statement.items():
        if name in ("Principal", "NotPrincipal"):
            meaning[name] = _principal(value)
        elif name in ("Action", "NotAction"):
            # Actions are matched without regard to case.
            meaning[name] = sorted({text.lower() for text in _texts(value)})
        elif name in ("Resource", "NotResource"):
            meaning[name] = sorted(set(_texts(value)))
        elif name == "Condition" and isinstance(value, dict):
            if value:
                meaning[name] = _condition(value)
        elif name != "Sid":
            meaning[name] = value
    return meaning


def _principal(value: t.Any) -> dict[str, list[str]]:
    if not isinstance(value, dict):
        return {"AWS": sorted(set(_texts(value)))}
    return {kind: sorted({_account(text) for text in _texts(entries)}) for kind, entries in value.items()}


def _account(principal: str) -> str:
    """Return an account's number for its root ARN, which is the same principal; AWS returns the ARN."""
    found = re.fullmatch(r"arn:aws[a-z-]*:iam::(\d{12}):root", principal)
    return found.group(1) if found else principal


def _condition(value: t.Any) -> dict[str, dict[str, list[str]]]:
    result: dict[str, dict[str, list[str]]] = {}
    for operator, keys in value.items():
        # Keys are matched without regard to case.
        entries = keys.items() if isinstance(keys, dict) else [("", keys)]
        result[operator] = {key.lower(): sorted(set(_texts(values))) for key, values in entries}
    return result


def _is_texts(value: t.Any) -> bool:
    texts = value if isinstance(value, list) else [value]
    return bool(texts) and all(isinstance(text, str) and text for text in texts)


def _texts(value: t.Any) -> list[str]:
    entries = value if isinstance(value, list) else [value]
    return [str(entry).lower() if isinstance(entry, bool) else str(entry) for entry in entries]


STATEMENTS = RuleType(
    option="policy_statements",
    noun="statement",
    id_name="Sid",
    example="FediverseMastodonS3PublicRead",
    elements=_ELEMENTS,
    same=same_statement,
    # MinIO drops one of two statements that mean the same.
    covers=same_statement,
)
