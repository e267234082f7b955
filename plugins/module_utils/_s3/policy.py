# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Bucket policies as values: parse, compare and merge them. Pure.

Stores give a policy back in another form than they got it: AWS turns lists of one into strings and account numbers
into ARNs, MinIO turns strings into lists and sorts them, Ceph and moto keep the text. So statements are compared by
what they mean, as the AWS reference of policy elements has it.
"""

from __future__ import annotations

import json
import re
import typing as t

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.own_rules import (
    Language,
    RulesError,
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


class PolicyError(RulesError):
    """A policy or a statement can't be used. The text names it, and the remedy."""


def parse_policy(text: str | None) -> dict[str, t.Any]:
    """Return the policy in a store's answer; {} for none.

    Raises PolicyError for what is no policy.
    """
    if not text or not text.strip():
        return {}
    try:
        policy = json.loads(text)
    except ValueError as error:
        if text.lstrip().startswith("<"):
            raise PolicyError("what answers at endpoint_url is not an S3 API; check host and port") from error
        raise PolicyError(f"the bucket's policy is not JSON ({error}); look at it and put it right by hand") from error
    if not isinstance(policy, dict) or not all(isinstance(each, dict) for each in statements(policy)):
        raise PolicyError("the bucket's policy has no list of statements; look at it and put it right by hand")
    return policy


def statements(policy: Policy) -> list[t.Any]:
    """Return a policy's statements; a single one need not be in a list."""
    found = policy.get("Statement", [])
    return list(found) if isinstance(found, list) else [found]


def check_prefixes(prefixes: t.Sequence[str]) -> None:
    """Refuse prefixes that protect everything or nothing.

    Raises PolicyError.
    """
    for prefix in prefixes:
        if not prefix or prefix.startswith("/"):
            raise PolicyError(f"protected_prefixes: {prefix!r} is no prefix of a key; write it like backups/")


def check_statements(wanted: t.Sequence[Statement], bucket: str, *, absent: bool = False) -> None:
    """Refuse statements that are not ours to manage, or that a store would refuse with an obscure message.

    absent: only the Sids are looked at.

    Raises RulesError.
    """
    check_ids(LANGUAGE, wanted)
    if not absent:
        for statement in wanted:
            _check_elements(statement, str(statement["Sid"]), bucket)


def _check_elements(statement: Statement, sid: str, bucket: str) -> None:
    unknown = sorted(str(name) for name in statement if name not in _ELEMENTS)
    if unknown:
        raise PolicyError(f"{sid} has no element {', '.join(unknown)}; there are {', '.join(_ELEMENTS)}, case matters")
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
    """Return current with the wanted statements in it, or without the statements of their Sids if absent.

    A statement of the same Sid and meaning stays as it is; one of the same Sid and another meaning is replaced.
    A statement that another Sid already makes is not made again, since MinIO would drop one of the two.
    All else stays as it is, in its order. The result equals current where nothing is to be done, and is {} if no
    statement is left.
    """
    result = merge(LANGUAGE, statements(current), wanted, absent=absent)
    if result == statements(current):
        return dict(current)
    if not result:
        return {}
    return {"Version": VERSION, **current, "Statement": result}


def same_statement(one: Statement, other: Statement) -> bool:
    """Whether two statements mean the same, whatever their Sids."""
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
    """An account's number and its root ARN are the same principal; AWS gives back the latter."""
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


LANGUAGE = Language(
    option="policy_statements",
    noun="statement",
    id_name="Sid",
    example="FediverseMastodonS3PublicRead",
    same=same_statement,
    # MinIO drops one of two statements that mean the same.
    covers=same_statement,
)
