# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Lifecycle rules as values: check and compare them. Pure.

Rules have the form of boto3. What is ours may end unfinished multipart uploads and nothing else: every other action of
a lifecycle deletes or moves objects, and so could lose media.
https://docs.aws.amazon.com/AmazonS3/latest/userguide/intro-lifecycle-rules.html says what a rule means.
"""

from __future__ import annotations

import typing as t

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.own_rules import (
    Language,
    Rule,
    RulesError,
    check_ids,
)

_ABORT = "AbortIncompleteMultipartUpload"
_DAYS = "DaysAfterInitiation"
_ELEMENTS = ("ID", "Status", "Filter", _ABORT)
_DANGERS = (
    *("Expiration", "Transitions", "Transition"),
    *("NoncurrentVersionExpiration", "NoncurrentVersionTransitions", "NoncurrentVersionTransition"),
)


def check_lifecycle_rules(wanted: t.Sequence[Rule], *, absent: bool = False) -> None:
    """Refuse rules that are not ours to manage, and those that would do more than end unfinished uploads.

    absent: only the IDs are looked at.

    Raises RulesError.
    """
    check_ids(LANGUAGE, wanted)
    if not absent:
        for rule in wanted:
            _check_elements(rule, f"lifecycle_rules: {rule['ID']}")


def _check_elements(rule: Rule, where: str) -> None:
    dangers = [name for name in _DANGERS if name in rule]
    if dangers:
        raise RulesError(
            f"{where}: {', '.join(dangers)} would delete or move media; only {_ABORT} is managed here. Remove it"
        )
    unknown = sorted(str(name) for name in rule if name not in _ELEMENTS)
    if unknown:
        raise RulesError(f"{where} has no element {', '.join(unknown)}; there are {', '.join(_ELEMENTS)}, case matters")
    if rule.get("Status", "Enabled") not in ("Enabled", "Disabled"):
        raise RulesError(f"{where}: Status is {rule['Status']!r}; write Enabled or Disabled")
    chosen = rule.get("Filter", {})
    if not isinstance(chosen, dict) or set(chosen) - {"Prefix"} or not isinstance(chosen.get("Prefix", ""), str):
        raise RulesError(
            f"{where}: Filter is {chosen!r}; write {{'Prefix': 'accounts/'}}, or leave it out for the whole bucket."
            " Uploads that are not finished have no tags and no size"
        )
    abort = rule.get(_ABORT)
    days = abort.get(_DAYS) if isinstance(abort, dict) and set(abort) == {_DAYS} else None
    if not isinstance(days, int) or isinstance(days, bool) or days < 1:
        raise RulesError(
            f"{where}: {_ABORT} is {abort!r}; write {{'{_DAYS}': 7}}, a number of days from 1 on, without quotes"
        )


def complete(rule: Rule) -> dict[str, t.Any]:
    """Return a wanted rule with what may be left out."""
    return {"Status": "Enabled", "Filter": {"Prefix": ""}, **rule}


def regular(rule: Rule) -> dict[str, t.Any]:
    """Return a rule of a store's answer in the form that can be sent back.

    Ceph puts the prefix beside And or Tag, and drops it when that comes back: a rule that expires some objects below a
    prefix would then expire them in the whole bucket.
    """
    chosen = rule.get("Filter")
    if not isinstance(chosen, dict) or len(chosen) < 2:
        return dict(rule)
    together = dict(chosen.get("And") or {})
    tags = [*together.pop("Tags", []), *([chosen["Tag"]] if "Tag" in chosen else [])]
    together.update({name: value for name, value in chosen.items() if name not in ("And", "Tag")})
    return {**rule, "Filter": {"And": {**together, **({"Tags": tags} if tags else {})}}}


def _prefix(rule: Rule) -> str | None:
    """Return the prefix that a rule is about, None if it is about some of the objects there only."""
    chosen = rule.get("Filter") or {}
    if set(chosen) - {"Prefix"}:
        return None
    # The older form has the prefix outside of a filter. Ceph gives it back where the prefix is empty.
    return str(chosen.get("Prefix") or rule.get("Prefix") or "")


def _same(one: Rule, other: Rule) -> bool:
    return _meaning(one) == _meaning(other)


def _meaning(rule: Rule) -> dict[str, t.Any]:
    meaning = {name: value for name, value in rule.items() if name not in ("ID", "Filter", "Prefix")}
    prefix = _prefix(rule)
    return {**meaning, "where": rule.get("Filter") if prefix is None else prefix}


def _covers(theirs: Rule, ours: Rule) -> bool:
    prefix, days = _prefix(theirs), (theirs.get(_ABORT) or {}).get(_DAYS)
    return (
        theirs.get("Status") == ours["Status"] == "Enabled"
        and prefix is not None
        and days is not None
        and str(_prefix(ours)).startswith(prefix)
        and int(days) <= int(ours[_ABORT][_DAYS])
    )


LANGUAGE = Language(
    option="lifecycle_rules",
    noun="rule",
    id_name="ID",
    example="FediverseMastodonS3AbortUploads",
    same=_same,
    covers=_covers,
)
