# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Merges rules of our own, each known by its ID, into a list that others write to as well. Pure."""

from __future__ import annotations

import re
import typing as t

Rule = t.Mapping[str, t.Any]

ID_PREFIX = "FediverseMastodonS3"


class RulesError(ValueError):
    """Rules can't be used. The text names the rule, and the remedy."""


class Language(t.NamedTuple):
    """What must be known about rules of a kind to merge them.

    option: the module's option that holds them, and noun: what one of them is called; both for messages.
    id_name: the name of a rule's ID.
    example: an ID of our own, for messages.
    same: whether two rules mean the same, whatever their IDs.
    covers: whether a rule of somebody else, its first argument, already does all that ours does.
    """

    option: str
    noun: str
    id_name: str
    example: str
    same: t.Callable[[Rule, Rule], bool]
    covers: t.Callable[[Rule, Rule], bool]


def check_ids(language: Language, wanted: t.Sequence[Rule]) -> None:
    """Refuse rules whose IDs are not ours, and IDs that are there twice.

    Raises RulesError.
    """
    seen: set[str] = set()
    for number, rule in enumerate(wanted, 1):
        identifier = rule.get(language.id_name)
        if not isinstance(identifier, str) or not re.fullmatch(ID_PREFIX + "[A-Za-z0-9]{1,200}", identifier):
            raise RulesError(
                f"{language.option}: the {language.id_name} of {language.noun} {number}, {identifier!r}, must begin"
                f" with {ID_PREFIX} and go on with letters and digits, like {language.example}, so that nobody else's"
                f" {language.noun} is touched"
            )
        if identifier in seen:
            raise RulesError(
                f"{language.option}: {identifier} is there twice; give each {language.noun} its own {language.id_name}"
            )
        seen.add(identifier)


def merge(
    language: Language, current: t.Sequence[Rule], wanted: t.Sequence[Rule], *, absent: bool = False
) -> list[Rule]:
    """Return current with the wanted rules in it, or without the rules of their IDs if absent.

    A rule of the same ID and meaning stays as it is; one of the same ID and another meaning is replaced in its place.
    What somebody else's rule covers is not added. All else stays as it is, in its order.
    """
    by_id = {str(rule[language.id_name]): rule for rule in wanted}
    result: list[Rule] = []
    done: set[str] = set()
    for rule in current:
        identifier = id_of(language, rule)
        if identifier not in by_id:
            result.append(rule)
        elif not absent and identifier not in done:
            result.append(rule if language.same(rule, by_id[identifier]) else dict(by_id[identifier]))
            done.add(identifier)
    if not absent:
        others = [rule for rule in result if id_of(language, rule) not in by_id]
        for identifier, rule in by_id.items():
            if identifier not in done and not any(language.covers(other, rule) for other in others):
                result.append(dict(rule))
    return result


def difference(
    language: Language, now: t.Sequence[Rule], wanted: t.Sequence[Rule], *, absent: bool = False
) -> str | None:
    """Return in words what is not as wanted, by IDs; None if all is."""
    if merge(language, now, wanted, absent=absent) == list(now):
        return None
    ids = {str(rule[language.id_name]) for rule in wanted}
    kept = {id_of(language, rule) for rule in now} & ids
    if absent:
        return f"{', '.join(sorted(kept))} is there again"
    if kept == ids:
        return f"{', '.join(sorted(kept))} is there, but not as it was written"
    return f"{', '.join(sorted(ids - kept))} is not there"


def id_of(language: Language, rule: Rule) -> str:
    """Return a rule's ID; empty if it has none."""
    return str(rule.get(language.id_name) or "")
