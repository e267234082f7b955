# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Merges our own rules, which are known by their IDs, into a list that others also write to. Pure."""

from __future__ import annotations

import re
import typing as t
from dataclasses import dataclass

Rule = t.Mapping[str, t.Any]

ID_PREFIX = "FediverseMastodonS3"


class RulesError(ValueError):
    """Rules can't be used. The text names the rule and the remedy."""


@dataclass(frozen=True)
class RuleType:
    """How to check and merge rules of one type.

    Attributes:
        option: The module's option with these rules, for messages.
        noun: What a rule is called, for messages.
        id_name: The name of a rule's ID.
        example: An ID of our own, for messages.
        elements: What a rule of our own may contain.
        same: Whether two rules have the same meaning, whatever their IDs.
        covers: Whether somebody else's rule, the first argument, already does all that ours does.
    """

    option: str
    noun: str
    id_name: str
    example: str
    elements: tuple[str, ...]
    same: t.Callable[[Rule, Rule], bool]
    covers: t.Callable[[Rule, Rule], bool]


@dataclass(frozen=True)
class RuleListType(RuleType):
    """A type of rules that a store keeps as one list per bucket, with its names in the S3 API.

    Attributes:
        check: Refuses a wanted rule that a store would refuse with an obscure message, or that is not ours to manage,
            with RulesError. Its second argument begins the message.
        name: The key in a module's result.
        plural: What they are called together, for messages.
        get, put, delete: Operations, each with the method of boto3's client.
        configuration, rules: Names of the configuration and of the list in it.
        no_rules: A regular expression for error codes that mean that there are no rules.
        without: The consequences if a store does not support such rules.
        complete: Returns a wanted rule with the defaults of missing elements.
        sendable: Returns a rule from a store's response in a form that can be sent back.
    """

    check: t.Callable[[Rule, str], None]
    name: str
    plural: str
    get: tuple[str, str]
    put: tuple[str, str]
    delete: tuple[str, str]
    configuration: str
    rules: str
    no_rules: str
    without: str
    complete: t.Callable[[Rule], dict[str, t.Any]] = dict
    sendable: t.Callable[[Rule], dict[str, t.Any]] = dict


def check_rules(rule_type: RuleListType, wanted: t.Sequence[Rule], *, absent: bool = False) -> None:
    """Refuse rules that are not ours to manage, or that a store would refuse with an obscure message.

    If `absent`, only the IDs are checked.

    Raises:
        RulesError: A rule can't be used.
    """
    check_ids(rule_type, wanted)
    if not absent:
        for rule in wanted:
            where = f"{rule_type.option}: {rule[rule_type.id_name]}"
            rule_type.check(rule, where)


def check_elements(rule_type: RuleType, rule: Rule, where: str) -> None:
    """Refuse a rule with an unknown element.

    Raises:
        RulesError: Names the element.
    """
    unknown = sorted(str(name) for name in rule if name not in rule_type.elements)
    if unknown:
        raise RulesError(
            f"{where} has no element {', '.join(unknown)}; there are {', '.join(rule_type.elements)}, case matters"
        )


def check_ids(rule_type: RuleType, wanted: t.Sequence[Rule]) -> None:
    """Refuse IDs that are not ours, and duplicate IDs.

    Raises:
        RulesError: Names the ID.
    """
    seen: set[str] = set()
    for number, rule in enumerate(wanted, 1):
        identifier = rule.get(rule_type.id_name)
        if not isinstance(identifier, str) or not re.fullmatch(ID_PREFIX + "[A-Za-z0-9]{1,200}", identifier):
            raise RulesError(
                f"{rule_type.option}: the {rule_type.id_name} of {rule_type.noun} {number}, {identifier!r}, must begin"
                f" with {ID_PREFIX} and continue with letters and digits, like {rule_type.example}, so that no"
                f" other {rule_type.noun} is changed"
            )
        if identifier in seen:
            raise RulesError(
                f"{rule_type.option}: {identifier} occurs twice; give each {rule_type.noun} its own {rule_type.id_name}"
            )
        seen.add(identifier)


def merge(
    rule_type: RuleType, current: t.Sequence[Rule], wanted: t.Sequence[Rule], *, absent: bool = False
) -> list[Rule]:
    """Return the current rules with the wanted ones in them, or without the rules with their IDs if absent.

    A rule with the same ID and meaning is kept. One with the same ID and a different meaning is replaced in its place.
    A rule that somebody else's rule covers is not added. Everything else keeps its place.
    """
    by_id = {str(rule[rule_type.id_name]): rule for rule in wanted}
    result: list[Rule] = []
    done: set[str] = set()
    for rule in current:
        identifier = id_of(rule_type, rule)
        if identifier not in by_id:
            result.append(rule)
        elif not absent and identifier not in done:
            result.append(rule if rule_type.same(rule, by_id[identifier]) else dict(by_id[identifier]))
            done.add(identifier)
    if not absent:
        others = [rule for rule in result if id_of(rule_type, rule) not in by_id]
        for identifier, rule in by_id.items():
            if identifier not in done and not any(rule_type.covers(other, rule) for other in others):
                result.append(dict(rule))
    return result


def difference(
    rule_type: RuleType, now: t.Sequence[Rule], wanted: t.Sequence[Rule], *, absent: bool = False
) -> str | None:
    """Return in words, with IDs, what differs from the wanted rules; None if nothing does."""
    if merge(rule_type, now, wanted, absent=absent) == list(now):
        return None
    ids = {str(rule[rule_type.id_name]) for rule in wanted}
    kept = {id_of(rule_type, rule) for rule in now} & ids
    if absent:
        return f"{', '.join(sorted(kept))} is there again"
    if kept == ids:
        return f"{', '.join(sorted(kept))} is there, but not as it was written"
    return f"{', '.join(sorted(ids - kept))} is not there"


def id_of(rule_type: RuleType, rule: Rule) -> str:
    """Return a rule's ID; empty if it has none."""
    return str(rule.get(rule_type.id_name) or "")
