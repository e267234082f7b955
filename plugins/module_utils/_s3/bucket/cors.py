# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""CORS rules as values: checks and compares them. Pure.

Rules have the form of boto3. SeaweedFS returns MaxAgeSeconds 0 if it was not set, and Ceph sorts the origins.
https://docs.aws.amazon.com/AmazonS3/latest/userguide/ManageCorsUsing.html explains the rules.
"""

from __future__ import annotations

import typing as t

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.bucket.rules import (
    Rule,
    RuleListType,
    RulesError,
    check_elements,
)

_METHODS = ("GET", "HEAD", "PUT", "POST", "DELETE")
_LISTS = ("AllowedOrigins", "AllowedMethods", "AllowedHeaders", "ExposeHeaders")
_ELEMENTS = ("ID", *_LISTS, "MaxAgeSeconds")


def _check(rule: Rule, where: str) -> None:
    check_elements(CORS, rule, where)
    for name in _LISTS:
        value = rule.get(name, [])
        if not isinstance(value, list) or not all(isinstance(each, str) and each for each in value):
            raise RulesError(f"{where}: {name} must be a list of strings")
        if name in ("AllowedOrigins", "AllowedMethods") and not value:
            raise RulesError(f"{where} needs {name}, such as {'https://example.com' if name == _LISTS[0] else 'GET'}")
        if name in ("AllowedOrigins", "AllowedHeaders") and any(each.count("*") > 1 for each in value):
            raise RulesError(f"{where}: each of {name} may contain at most one *")
    wrong = [each for each in rule["AllowedMethods"] if each not in _METHODS]
    if wrong:
        raise RulesError(f"{where}: AllowedMethods can't be {', '.join(wrong)}; there are {', '.join(_METHODS)}")
    age = rule.get("MaxAgeSeconds", 0)
    if not isinstance(age, int) or isinstance(age, bool) or age < 0:
        raise RulesError(f"{where}: MaxAgeSeconds is {age!r}; write a number of seconds, without quotes")


def _meaning(rule: Rule) -> dict[str, t.Any]:
    meaning: dict[str, t.Any] = {name: value for name, value in rule.items() if name not in _ELEMENTS}
    for name in _LISTS:
        # Header names are matched without regard to case.
        meaning[name] = {each.lower() if name.endswith("Headers") else each for each in rule.get(name) or []}
    meaning["MaxAgeSeconds"] = rule.get("MaxAgeSeconds") or 0
    return meaning


def _same(one: Rule, other: Rule) -> bool:
    return _meaning(one) == _meaning(other)


def _covers(theirs: Rule, ours: Rule) -> bool:
    """Compare what is allowed. How long a browser may cache the response does not matter."""
    has, needs = _meaning(theirs), _meaning(ours)
    for name in _LISTS:
        everything = "*" in has[name] and name in ("AllowedOrigins", "AllowedHeaders")
        if not everything and not needs[name] <= has[name]:
            return False
    return True


CORS = RuleListType(
    option="cors_rules",
    noun="rule",
    id_name="ID",
    example="FediverseMastodonS3Cors",
    elements=_ELEMENTS,
    same=_same,
    covers=_covers,
    check=_check,
    name="cors",
    plural="CORS rules of a bucket",
    get=("GetBucketCors", "get_bucket_cors"),
    put=("PutBucketCors", "put_bucket_cors"),
    delete=("DeleteBucketCors", "delete_bucket_cors"),
    configuration="CORSConfiguration",
    rules="CORSRules",
    no_rules="NoSuch[A-Za-z]*C(ors|ORS)[A-Za-z]*",
    without=(
        "Browsers need the header Access-Control-Allow-Origin from elsewhere: MinIO sends it for all buckets,"
        " with other stores the proxy or CDN in front of the bucket must add it"
    ),
)
