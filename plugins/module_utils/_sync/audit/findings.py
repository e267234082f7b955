# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Counts the results of the checks: what visitors get, and what the store has. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Generic, NamedTuple, Optional, TypeVar, Union

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.http.anonymous_client import AnonymousResponse
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.objects.acl import Acl

OPENED = "readable by everybody"


class Unknown(NamedTuple):
    """A result that is not available; `reason` is a few words."""

    reason: str


class Faults(NamedTuple):
    """What is wrong with an object's headers, or None for each."""

    content_type: Optional[str] = None
    cache: Optional[str] = None

    def told(self) -> list[str]:
        """Return the faults, one line for each."""
        return [fault for fault in self if fault]


class Visit(NamedTuple):
    """What a visitor got, and what is wrong with its headers."""

    answer: AnonymousResponse
    faults: Faults = Faults()


class Finding(NamedTuple):
    """The results for one object. `key` is masked if it has to be. None means not checked.

    gone: The object was deleted after it was listed, or was not listed and does not exist; there are no other results.
    size_differs: For an object that was not listed, whether it has another size than its file.
    """

    key: str
    public: bool
    gone: bool = False
    size_differs: Optional[bool] = None
    visit: Optional[Visit] = None
    acl: Union[Acl, Unknown, None] = None
    headers: Union[Faults, Unknown, None] = None
    same_content: Union[bool, Unknown, None] = None


class Visited(NamedTuple):
    """An example of a response that a visitor should not have got."""

    key: str
    status: Optional[int]
    reason: str


class Example(NamedTuple):
    """An object with a fault."""

    key: str
    reason: str


_Shown = TypeVar("_Shown", Visited, Example)
_Kept = TypeVar("_Kept")


@dataclass
class PublicSample:
    """The results of requesting public files as a visitor. `wrong_*` are readable too."""

    requested: int = 0
    readable: int = 0
    wrong_type: int = 0
    wrong_cache_header: int = 0
    unreadable: int = 0
    examples: list[Visited] = field(default_factory=list)

    def add(self, key: str, visit: Visit, limit: int) -> None:
        """Count one file, and keep up to `limit` examples of what is wrong."""
        answer, faults = visit
        self.requested += 1
        if not answer.readable:
            self.unreadable += 1
            _keep(self.examples, [Visited(key, answer.status, answer.reason)], limit)
            return
        self.readable += 1
        self.wrong_type += faults.content_type is not None
        self.wrong_cache_header += faults.cache is not None
        _keep(self.examples, [Visited(key, answer.status, fault) for fault in faults.told()], limit)


@dataclass
class PrivateSample:
    """The results of requesting private files as a visitor. `unanswered`: no response, or an unclear one."""

    requested: int = 0
    denied: int = 0
    readable: int = 0
    unanswered: int = 0
    examples: list[Visited] = field(default_factory=list)

    def add(self, key: str, visit: Visit, limit: int) -> None:
        """Count one file, and keep up to `limit` examples of what is wrong."""
        answer = visit.answer
        self.requested += 1
        if answer.readable:
            self.readable += 1
            _keep(self.examples, [Visited(key, answer.status, OPENED)], limit)
        elif answer.status is not None and 400 <= answer.status < 500:
            self.denied += 1
        else:
            self.unanswered += 1
            _keep(self.examples, [Visited(key, answer.status, answer.reason)], limit)


@dataclass
class _Inspected(Generic[_Kept]):
    """What the store has for some objects. `unknown`: it could not be read."""

    objects: int = 0
    unknown: int = 0
    examples: list[Example] = field(default_factory=list)

    def add(self, key: str, public: bool, kept: Union[_Kept, Unknown, None], limit: int) -> None:
        """Count one object, unless it was not checked, and keep up to `limit` examples of faults.

        For unknown objects, there is one example for each reason.
        """
        if kept is None:
            return
        self.objects += 1
        if isinstance(kept, Unknown):
            self.unknown += 1
            if all(example.reason != kept.reason for example in self.examples):
                _keep(self.examples, [Example(key, kept.reason)], limit)
        else:
            _keep(self.examples, [Example(key, fault) for fault in self._judged(public, kept)], limit)

    def _judged(self, public: bool, kept: _Kept) -> list[str]:
        """Count it, and return what is wrong with it."""
        raise NotImplementedError


@dataclass
class AclsFound(_Inspected[Acl]):
    """The ACLs, whatever a policy says. `objects` is the sum of the others."""

    public_as_wanted: int = 0
    private_as_wanted: int = 0
    exposed: int = 0
    hidden: int = 0

    def _judged(self, public: bool, kept: Acl) -> list[str]:
        if kept.changeable or not (public or kept.closed):
            self.exposed += 1
            return ["everybody can change it" if kept.changeable else OPENED]
        if public and not kept.readable:
            self.hidden += 1
            return ["private, but should be public"]
        self.public_as_wanted += public
        self.private_as_wanted += not public
        return []


@dataclass
class HeadersFound(_Inspected[Faults]):
    """The headers in the store. Both can be wrong in one object."""

    as_wanted: int = 0
    wrong_type: int = 0
    wrong_cache_header: int = 0

    def _judged(self, public: bool, kept: Faults) -> list[str]:  # noqa: ARG002 - both are alike
        self.as_wanted += not kept.told()
        self.wrong_type += kept.content_type is not None
        self.wrong_cache_header += kept.cache is not None
        return kept.told()


@dataclass
class ContentsFound(_Inspected[bool]):
    """The contents of objects that have the right size. `objects` is the sum of the others."""

    same: int = 0
    differs: int = 0

    def _judged(self, public: bool, kept: bool) -> list[str]:  # noqa: ARG002 - both are alike
        self.same += kept
        self.differs += not kept
        return [] if kept else ["different content of the same size"]


@dataclass
class Findings:
    """All results. `limit` is the maximum length of each list of examples."""

    limit: int
    vanished: int = 0
    public: PublicSample = field(default_factory=PublicSample)
    private: PrivateSample = field(default_factory=PrivateSample)
    acl: AclsFound = field(default_factory=AclsFound)
    headers: HeadersFound = field(default_factory=HeadersFound)
    content: ContentsFound = field(default_factory=ContentsFound)

    def add(self, found: Finding) -> None:
        """Count one object."""
        if found.gone:
            self.vanished += 1
            return
        if found.visit is not None:
            (self.public if found.public else self.private).add(found.key, found.visit, self.limit)
        self.acl.add(found.key, found.public, found.acl, self.limit)
        self.headers.add(found.key, found.public, found.headers, self.limit)
        self.content.add(found.key, found.public, found.same_content, self.limit)


def _keep(examples: list[_Shown], new: list[_Shown], limit: int) -> None:
    examples += new
    del examples[limit:]
