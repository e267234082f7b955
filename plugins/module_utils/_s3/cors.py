# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""CORS rules as values: check and compare them. Pure.

Rules have the form of boto3. SeaweedFS gives back MaxAgeSeconds 0 where it was left out, Ceph sorts the origins.
https://docs.aws.amazon.com/AmazonS3/latest/userguide/ManageCorsUsing.html says what a rule means.
"""

from __future__ import annotations

import typing as t

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.own_rules import (
    Language,
    Rule,
    RulesError,
    check_ids,
)

_METHODS = ("GET", "HEAD", "PUT", "POST", "DELETE")
_LISTS = ("AllowedOrigins", "AllowedMethods", "AllowedHeaders", "ExposeHeaders")
_ELEMENTS = ("ID", *_LISTS, "MaxAgeSeconds")


def check_cors_rules(wanted: t.Sequence[Rule], *, absent: bool = False) -> None:
    """Refuse rules that are not ours to manage, or that a store would refuse with an obscure message.

    absent: only the IDs are looked at.

    Raises RulesError.
    """
    check_ids(LANGUAGE, wanted)
    if not absent:
        for rule in wanted:
            _check_elements(rule, f"cors_rules: {rule['ID']}")


def _check_elements(rule: Rule, where: str) -> None:
    unknown = sorted(str(name) for name in rule if name not in _ELEMENTS)
    if unknown:
        raise RulesError(f"{where} has no element {', '.join(unknown)}; there are {', '.join(_ELEMENTS)}, case matters")
    for name in _LISTS:
        value = rule.get(name, [])
        if not isinstance(value, list) or not all(isinstance(each, str) and each for each in value):
            raise RulesError(f"{where}: {name} must be a list of strings")
        if name in ("AllowedOrigins", "AllowedMethods") and not value:
            raise RulesError(f"{where} needs {name}, such as {'https://example.com' if name == _LISTS[0] else 'GET'}")
        if name in ("AllowedOrigins", "AllowedHeaders") and any(each.count("*") > 1 for each in value):
            raise RulesError(f"{where}: each of {name} may hold one * at most")
    wrong = [each for each in rule["AllowedMethods"] if each not in _METHODS]
    if wrong:
        raise RulesError(f"{where}: AllowedMethods can't be {', '.join(wrong)}; there are {', '.join(_METHODS)}")
    age = rule.get("MaxAgeSeconds", 0)
    if not isinstance(age, int) or isinstance(age, bool) or age < 0:
        raise RulesError(f"{where}: MaxAgeSeconds is {age!r}; write a number of seconds, without quotes")


def _meaning(rule: Rule) -> dict[str, t.Any]:
    meaning: dict[str, t.Any] = {name: value for name, value in rule.items() if name not in _ELEMENTS}
    for name in _LISTS:
        # Names of headers are matched without regard to case.
        meaning[name] = {each.lower() if name.endswith("Headers") else each for each in rule.get(name) or []}
    meaning["MaxAgeSeconds"] = rule.get("MaxAgeSeconds") or 0
    return meaning


def _same(one: Rule, other: Rule) -> bool:
    return _meaning(one) == _meaning(other)


def _covers(theirs: Rule, ours: Rule) -> bool:
    """How long a browser may remember the answer is of no account."""
    has, needs = _meaning(theirs), _meaning(ours)
    for name in _LISTS:
        everything = "*" in has[name] and name in ("AllowedOrigins", "AllowedHeaders")
        if not everything and not needs[name] <= has[name]:
            return False
    return True


LANGUAGE = Language(
    option="cors_rules",
    noun="rule",
    id_name="ID",
    example="FediverseMastodonS3Cors",
    same=_same,
    covers=_covers,
)
