# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Changes a bucket's list of rules, such as CORS or lifecycle rules, as wanted, and checks that the change lasts.

A store keeps the rules of a type as one list, which is read and written as a whole. Anything in a response that boto3
does not understand would be lost. So in that case nothing is written.
"""

from __future__ import annotations

import re
import typing as t
import xml.etree.ElementTree as ET
from dataclasses import dataclass, field

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.bucket.rules import (
    Rule,
    RuleListType,
    RulesError,
    difference,
    id_of,
    merge,
)
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.bucket.setting import Change, confirm
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.connection.errors import (
    BadCredentialsError,
    ClockSkewError,
    ConnectionFailedError,
    NotFoundError,
    S3Error,
    UnsupportedError,
    WrongRegionError,
)
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.connection.translation import translate

# The size below which AWS does not move objects. It belongs to the whole configuration, and a write without it sets it
# back to the usual one.
_MINIMUM_SIZE = "TransitionDefaultMinimumObjectSize"
_MINIMUM_SIZE_HEADER = "x-amz-transition-default-minimum-object-size"
_USUAL_MINIMUM_SIZE = "all_storage_classes_128K"


@dataclass
class _Found:
    """What a bucket has, and what else the response contains.

    Attributes:
        rules: The rules of the bucket.
        strange: Elements that boto3 does not know.
        server: The store's name for itself.
    """

    rules: list[Rule] = field(default_factory=list)
    strange: list[str] = field(default_factory=list)
    server: str = ""
    minimum_size: str = ""


class BucketRules:
    """The rules of one type that a bucket should have, or should not have if absent."""

    def __init__(self, rule_type: RuleListType, bucket: str, wanted: t.Sequence[Rule], *, absent: bool = False) -> None:
        self.name = rule_type.name
        self._type = rule_type
        self._bucket = bucket
        self._wanted = list(wanted) if absent else [rule_type.complete(rule) for rule in wanted]
        self._absent = absent
        self._found = _Found()

    def predict(self) -> Change:
        """Plan for a bucket without rules."""
        return Change([], merge(self._type, [], self._wanted, absent=self._absent))

    def plan(self, client: t.Any) -> Change:
        """Read the rules and return the change to make.

        Raises:
            RulesError: Rules of others could not be kept.
            S3Error: The rules can't be read.
        """
        rule_type = self._type
        try:
            self._found = _read(rule_type, client, self._bucket)
        except S3Error as error:
            if isinstance(error, UnsupportedError) and self._absent:
                return Change([], [])
            if self._absent or not _is_refusal(error):
                raise
            return Change([], [], _lacks(rule_type, error))
        before = self._found.rules
        change = Change(before, merge(rule_type, before, self._wanted, absent=self._absent))
        if change.changed and self._found.strange:
            raise RulesError(
                f"{rule_type.option}: the bucket has rules with {', '.join(self._found.strange)}, which boto3 on"
                " this host does not know and would drop. Install a newer boto3, or change the rules by the store's"
                " own means"
            )
        if change.changed and self._found.minimum_size and not _knows_minimum_size(client, rule_type.put[0]):
            raise RulesError(
                f"{rule_type.option}: the bucket has {_MINIMUM_SIZE}, which boto3 on this host does not know and"
                " would set back. Install boto3 1.35.24 or newer"
            )
        return change

    def forecast(self, change: Change) -> Change:
        """Return the likely result of a change, judged by the store's name, without writing."""
        if change.changed and not self._absent and self._found.server == "MinIO":
            return Change(change.before, change.before, _lacks(self._type, None))
        return change

    def write(self, client: t.Any, change: Change) -> Change:
        """Write the planned rules and check that they last.

        Raises:
            LostUpdateError: The bucket has different rules afterwards.
            S3Error: The rules can't be written.
        """
        rule_type = self._type
        try:
            self._send(client, change.after)
        except S3Error as error:
            if self._absent or not _is_refusal(error):
                raise
            return Change(change.before, change.before, _lacks(rule_type, error))
        confirm(f"{rule_type.option} of bucket {self._bucket}", lambda: self._trouble(client, change))
        return change

    def _send(self, client: t.Any, rules: t.Sequence[Rule]) -> None:
        rule_type = self._type
        arguments: dict[str, t.Any] = {"Bucket": self._bucket}
        operation, method = rule_type.put if rules else rule_type.delete
        if rules:
            arguments[rule_type.configuration] = {rule_type.rules: [dict(rule) for rule in rules]}
            if self._found.minimum_size:
                arguments[_MINIMUM_SIZE] = self._found.minimum_size
        _call(client, operation, method, arguments)

    def _trouble(self, client: t.Any, change: Change) -> str | None:
        rule_type = self._type
        now = _read(self._type, client, self._bucket).rules
        found = difference(rule_type, now, self._wanted, absent=self._absent)
        ours = {str(rule[rule_type.id_name]) for rule in self._wanted}
        theirs = [rule for rule in change.before if id_of(rule_type, rule) and id_of(rule_type, rule) not in ours]
        lost = [id_of(rule_type, rule) for rule in theirs if not any(_is(rule_type, rule, other) for other in now)]
        if found is None and lost:
            return f"the rule {lost[0]!r} of somebody else is not as it was"
        return found


def _is(rule_type: RuleListType, one: Rule, other: Rule) -> bool:
    return id_of(rule_type, one) == id_of(rule_type, other) and rule_type.same(one, other)


def _lacks(rule_type: RuleListType, error: S3Error | None) -> str:
    reason = f" ({error.code or error.status})" if error else ""
    if error is not None and not isinstance(error, UnsupportedError):
        return (
            f"The store does not support {rule_type.plural}, or this key may not use them{reason}. {rule_type.without}."
        )
    return f"The store has no {rule_type.plural}{reason}. {rule_type.without}."


def _is_refusal(error: S3Error) -> bool:
    """Return whether only these rules are not supported or not permitted, while everything else may work.

    Stores say this in many ways, even with 400 and 503. Errors that concern all requests are different.
    """
    general = (BadCredentialsError, ClockSkewError, ConnectionFailedError, NotFoundError, WrongRegionError)
    return isinstance(error, UnsupportedError) or (
        not isinstance(error, general) and error.status in (400, 403, 405, 501, 503)
    )


def _read(rule_type: RuleListType, client: t.Any, bucket: str) -> _Found:
    answers: list[dict[str, t.Any]] = []

    def keep(response_dict: dict[str, t.Any] | None = None, **_others: t.Any) -> None:
        if response_dict:
            answers.append(response_dict)

    operation, method = rule_type.get
    event = f"response-received.s3.{operation}"
    client.meta.events.register(event, keep)
    try:
        answer = _call(client, operation, method, {"Bucket": bucket})
    except NotFoundError as error:
        # Some stores use their own codes, such as NoSuchCORSConfigurationError.
        if not re.fullmatch(rule_type.no_rules, error.code):
            raise
        answer = {}
    finally:
        client.meta.events.unregister(event, keep)
    headers = answers[-1]["headers"] if answers else {}
    size = str(headers.get(_MINIMUM_SIZE_HEADER) or "")
    found = _Found(
        rules=[rule_type.sendable(rule) for rule in answer.get(rule_type.rules) or []],
        server=str(headers.get("server") or ""),
        minimum_size="" if size == _USUAL_MINIMUM_SIZE else size,
    )
    if answer and answers:
        try:
            root = ET.fromstring(answers[-1]["body"])  # noqa: S314 - the client has refused DTDs before
        except (ET.ParseError, ValueError, LookupError):
            # botocore treats a response without a body as one without rules.
            raise UnsupportedError(
                "the store's answer can't be read", code="Unreadable", status=200, operation=operation
            ) from None
        if _tag(root) != rule_type.configuration:
            raise UnsupportedError(f"the store answered {_tag(root)}", code=_tag(root), status=200, operation=operation)
        shape = client.meta.service_model.operation_model(operation).output_shape
        found.strange = sorted(set(_unknown(root, shape)))
    return found


def _call(client: t.Any, operation: str, method: str, arguments: dict[str, t.Any]) -> dict[str, t.Any]:
    try:
        return dict(getattr(client, method)(**arguments) or {})
    except Exception as error:  # noqa: BLE001 - what is not translated is raised as it is
        raise translate(error, operation) from None


def _knows_minimum_size(client: t.Any, operation_name: str) -> bool:
    operation = client.meta.service_model.operation_model(operation_name)
    return _MINIMUM_SIZE in operation.input_shape.members


def _unknown(element: ET.Element, shape: t.Any) -> t.Iterator[str]:
    """Yield the names of elements below `element` that botocore's shape of it does not contain."""
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
