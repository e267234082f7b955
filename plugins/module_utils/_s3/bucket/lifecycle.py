# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Lifecycle rules as values: checks and compares them. Pure.

Rules have the form of boto3. Our rules may abort unfinished multipart uploads and nothing else: every other lifecycle
action deletes or moves objects, and so could lose media.
https://docs.aws.amazon.com/AmazonS3/latest/userguide/intro-lifecycle-rules.html explains the rules.
"""

from __future__ import annotations

import typing as t

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.bucket.rules import (
    Rule,
    RuleListType,
    RulesError,
    check_elements,
)

_ABORT = "AbortIncompleteMultipartUpload"
_DAYS = "DaysAfterInitiation"
_ELEMENTS = ("ID", "Status", "Filter", _ABORT)
_DANGERS = (
    *("Expiration", "Transitions", "Transition"),
    *("NoncurrentVersionExpiration", "NoncurrentVersionTransitions", "NoncurrentVersionTransition"),
)


def _check(rule: Rule, where: str) -> None:
    dangers = [name for name in _DANGERS if name in rule]
    if dangers:
        raise RulesError(
            f"{where}: {', '.join(dangers)} would delete or move media; only {_ABORT} is managed here. Remove it"
        )
    check_elements(LIFECYCLE, rule, where)
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
            f"{where}: {_ABORT} is {abort!r}; write {{'{_DAYS}': 7}}, a number of days, at least 1, without quotes"
        )


def _complete(rule: Rule) -> dict[str, t.Any]:
    """Return a wanted rule with the defaults of missing elements."""
    return {"Status": "Enabled", "Filter": {"Prefix": ""}, **rule}


def _sendable(rule: Rule) -> dict[str, t.Any]:
    """Return a rule from a store's response in a form that can be sent back.

    Ceph returns the prefix next to And or Tag, and ignores it when it is sent back like that. A rule that expires some
    objects below a prefix would then expire them in the whole bucket.
    """
    chosen = rule.get("Filter")
    if not isinstance(chosen, dict) or len(chosen) < 2:
        return dict(rule)
    together = dict(chosen.get("And") or {})
    tags = [*together.pop("Tags", []), *([chosen["Tag"]] if "Tag" in chosen else [])]
    together.update({name: value for name, value in chosen.items() if name not in ("And", "Tag")})
    return {**rule, "Filter": {"And": {**together, **({"Tags": tags} if tags else {})}}}


def _prefix(rule: Rule) -> str | None:
    """Return the prefix of a rule; None if it applies only to some of the objects there."""
    chosen = rule.get("Filter") or {}
    if set(chosen) - {"Prefix"}:
        return None
    # The older form has the prefix outside a filter. Ceph returns it if the prefix is empty.
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


LIFECYCLE = RuleListType(
    option="lifecycle_rules",
    noun="rule",
    id_name="ID",
    example="FediverseMastodonS3AbortUploads",
    elements=_ELEMENTS,
    same=_same,
    covers=_covers,
    check=_check,
    name="lifecycle",
    plural="lifecycle rules that end unfinished uploads",
    get=("GetBucketLifecycleConfiguration", "get_bucket_lifecycle_configuration"),
    put=("PutBucketLifecycleConfiguration", "put_bucket_lifecycle_configuration"),
    delete=("DeleteBucketLifecycle", "delete_bucket_lifecycle"),
    configuration="LifecycleConfiguration",
    rules="Rules",
    no_rules="NoSuch[A-Za-z]*Lifecycle[A-Za-z]*",
    without=(
        "Parts of unfinished uploads stay in the store and may cost money; MinIO removes it after a day,"
        " elsewhere remove it by hand now and then"
    ),
    complete=_complete,
    sendable=_sendable,
)
