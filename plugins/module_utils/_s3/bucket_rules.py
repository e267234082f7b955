# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Brings the CORS or lifecycle rules of a bucket to what is wanted, and makes sure that they stay so.

A store keeps the rules of a kind as one list, which is read and written as a whole. So what boto3 does not understand
of an answer would be lost for whoever made it: then nothing is written.
"""

from __future__ import annotations

import typing as t
import xml.etree.ElementTree as ET
from dataclasses import dataclass, field

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3 import cors, lifecycle
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.convergence import Change, confirm
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.errors import (
    NotFoundError,
    S3Error,
    UnsupportedError,
    translate,
)
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.own_rules import (
    Language,
    Rule,
    RulesError,
    difference,
    id_of,
    merge,
)

# The size below which AWS does not move objects. It belongs to the whole configuration, and a write without it sets it
# back to the usual one.
_MINIMUM_SIZE = "TransitionDefaultMinimumObjectSize"
_MINIMUM_SIZE_HEADER = "x-amz-transition-default-minimum-object-size"
_USUAL_MINIMUM_SIZE = "all_storage_classes_128K"


@dataclass(frozen=True)
class Kind:
    """A kind of rules, and what the S3 API calls it.

    name: the key in a module's result.
    get, put, delete: operations, each with the method of boto3's client.
    configuration, rules: names of the configuration and of the list in it.
    missing: the code that says that there are none.
    refusals: codes of a store that does not know what our rules say, as MinIO does by InvalidArgument.
    meaning: what it means that a store has no such rules.
    """

    name: str
    language: Language
    get: tuple[str, str]
    put: tuple[str, str]
    delete: tuple[str, str]
    configuration: str
    rules: str
    missing: str
    meaning: str
    refusals: frozenset[str] = frozenset()
    complete: t.Callable[[Rule], dict[str, t.Any]] = dict
    regular: t.Callable[[Rule], dict[str, t.Any]] = dict


CORS = Kind(
    name="cors",
    language=cors.LANGUAGE,
    get=("GetBucketCors", "get_bucket_cors"),
    put=("PutBucketCors", "put_bucket_cors"),
    delete=("DeleteBucketCors", "delete_bucket_cors"),
    configuration="CORSConfiguration",
    rules="CORSRules",
    missing="NoSuchCORSConfiguration",
    meaning=(
        "Browsers need the header Access-Control-Allow-Origin from elsewhere: MinIO sends it for all buckets by itself,"
        " with other stores the proxy or CDN in front of the bucket must add it"
    ),
)
LIFECYCLE = Kind(
    name="lifecycle",
    language=lifecycle.LANGUAGE,
    get=("GetBucketLifecycleConfiguration", "get_bucket_lifecycle_configuration"),
    put=("PutBucketLifecycleConfiguration", "put_bucket_lifecycle_configuration"),
    delete=("DeleteBucketLifecycle", "delete_bucket_lifecycle"),
    configuration="LifecycleConfiguration",
    rules="Rules",
    missing="NoSuchLifecycleConfiguration",
    meaning=(
        "What unfinished uploads leave behind stays in the store and may cost; MinIO removes it after a day by itself,"
        " elsewhere remove it by hand now and then"
    ),
    refusals=frozenset({"InvalidArgument", "InvalidRequest", "MalformedXML"}),
    complete=lifecycle.complete,
    regular=lifecycle.regular,
)


@dataclass
class _Found:
    """What a bucket has, and what else the answer says.

    strange: elements that boto3 does not know. server: the store's name for itself.
    """

    rules: list[Rule] = field(default_factory=list)
    strange: list[str] = field(default_factory=list)
    server: str = ""
    minimum_size: str = ""


class BucketRules:
    """The rules of a kind that a bucket shall have, or shall not have if absent."""

    def __init__(self, kind: Kind, bucket: str, wanted: t.Sequence[Rule], *, absent: bool = False) -> None:
        self.name = kind.name
        self._kind = kind
        self._bucket = bucket
        self._wanted = list(wanted) if absent else [kind.complete(rule) for rule in wanted]
        self._absent = absent
        self._found = _Found()

    def predict(self) -> Change:
        """Plan for a bucket without rules."""
        return Change([], merge(self._kind.language, [], self._wanted, absent=self._absent))

    def plan(self, client: t.Any) -> Change:
        """Read the rules and return the change that is to be made.

        Raises S3Error; RulesError where others' rules could not be kept.
        """
        kind = self._kind
        try:
            self._found = _read(kind, client, self._bucket)
        except UnsupportedError as error:
            return Change([], [], "" if self._absent else _lacks(kind, error))
        before = self._found.rules
        change = Change(before, merge(kind.language, before, self._wanted, absent=self._absent))
        if change.changed and self._found.strange:
            raise RulesError(
                f"{kind.language.option}: the bucket has rules with {', '.join(self._found.strange)}, which boto3 on"
                " this host does not know and would drop. Install a newer boto3, or change the rules by the store's"
                " own means"
            )
        if change.changed and self._found.minimum_size and not _knows_minimum_size(client):
            raise RulesError(
                f"{kind.language.option}: the bucket has {_MINIMUM_SIZE}, which boto3 on this host does not know and"
                " would set back. Install boto3 1.35.24 or newer"
            )
        return change

    def foresee(self, change: Change) -> Change:
        """Return what will come of a change, as far as the store's name tells it, without writing."""
        if change.changed and not self._absent and self._found.server == "MinIO":
            return Change(change.before, change.before, _lacks(self._kind, None))
        return change

    def write(self, client: t.Any, change: Change) -> Change:
        """Write the planned rules and look whether that held.

        Raises S3Error; LostUpdateError.
        """
        kind = self._kind
        try:
            self._send(client, change.after)
        except S3Error as error:
            if self._absent or not (isinstance(error, UnsupportedError) or error.code in kind.refusals):
                raise
            return Change(change.before, change.before, _lacks(kind, error))
        confirm(f"{kind.language.option} of bucket {self._bucket}", lambda: self._trouble(client, change))
        return change

    def _send(self, client: t.Any, rules: t.Sequence[Rule]) -> None:
        kind = self._kind
        arguments: dict[str, t.Any] = {"Bucket": self._bucket}
        operation, method = kind.put if rules else kind.delete
        if rules:
            arguments[kind.configuration] = {kind.rules: [dict(rule) for rule in rules]}
            if self._found.minimum_size:
                arguments[_MINIMUM_SIZE] = self._found.minimum_size
        _call(client, operation, method, arguments)

    def _trouble(self, client: t.Any, change: Change) -> str | None:
        language = self._kind.language
        now = _read(self._kind, client, self._bucket).rules
        found = difference(language, now, self._wanted, absent=self._absent)
        ours = {str(rule[language.id_name]) for rule in self._wanted}
        theirs = [rule for rule in change.before if id_of(language, rule) and id_of(language, rule) not in ours]
        lost = [id_of(language, rule) for rule in theirs if not any(_is(language, rule, other) for other in now)]
        if found is None and lost:
            return f"the rule {lost[0]!r} of somebody else is not as it was"
        return found


def _is(language: Language, one: Rule, other: Rule) -> bool:
    return id_of(language, one) == id_of(language, other) and language.same(one, other)


def _lacks(kind: Kind, error: S3Error | None) -> str:
    reason = f" ({error.code or error.status})" if error else ""
    what = "CORS rules of a bucket" if kind is CORS else "lifecycle rules that end unfinished uploads"
    return f"The store has no {what}{reason}. {kind.meaning}."


def _read(kind: Kind, client: t.Any, bucket: str) -> _Found:
    answers: list[dict[str, t.Any]] = []

    def keep(response_dict: dict[str, t.Any] | None = None, **_others: t.Any) -> None:
        if response_dict:
            answers.append(response_dict)

    operation, method = kind.get
    event = f"response-received.s3.{operation}"
    client.meta.events.register(event, keep)
    try:
        answer = _call(client, operation, method, {"Bucket": bucket})
    except NotFoundError as error:
        if error.code != kind.missing:
            raise
        answer = {}
    finally:
        client.meta.events.unregister(event, keep)
    headers = answers[-1]["headers"] if answers else {}
    size = str(headers.get(_MINIMUM_SIZE_HEADER) or "")
    found = _Found(
        rules=[kind.regular(rule) for rule in answer.get(kind.rules) or []],
        server=str(headers.get("server") or ""),
        minimum_size="" if size == _USUAL_MINIMUM_SIZE else size,
    )
    if answer and answers:
        root = ET.fromstring(answers[-1]["body"])  # noqa: S314 - botocore has parsed it just so before
        if _tag(root) != kind.configuration:
            raise UnsupportedError(
                f"{operation}: the store answered {_tag(root)}", code=_tag(root), status=200, operation=operation
            )
        shape = client.meta.service_model.operation_model(operation).output_shape
        found.strange = sorted(set(_unknown(root, shape)))
    return found


def _call(client: t.Any, operation: str, method: str, arguments: dict[str, t.Any]) -> dict[str, t.Any]:
    try:
        return dict(getattr(client, method)(**arguments) or {})
    except Exception as error:
        raise translate(error, operation) from error


def _knows_minimum_size(client: t.Any) -> bool:
    operation = client.meta.service_model.operation_model(LIFECYCLE.put[0])
    return _MINIMUM_SIZE in operation.input_shape.members


def _unknown(element: ET.Element, shape: t.Any) -> t.Iterator[str]:
    """Yield the names of elements below `element` that botocore's shape of it has no place for."""
    members: dict[str, t.Any] = {}
    if shape.type_name == "structure":
        for name, member in shape.members.items():
            flat = member.type_name == "list" and member.serialization.get("flattened")
            # As botocore's parser has it: a flattened list's elements bear the name of its members.
            own = member.member.serialization.get("name") if flat else None
            members[own or member.serialization.get("name") or name] = member.member if flat else member
    elif shape.type_name == "list":
        members[shape.member.serialization.get("name") or "member"] = shape.member
    for child in element:
        if _tag(child) in members:
            yield from _unknown(child, members[_tag(child)])
        else:
            yield _tag(child)


def _tag(element: ET.Element) -> str:
    return element.tag.rpartition("}")[2]
