# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Counts what came of looking at objects: what visitors got, and what the store keeps. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple, Optional, TypeVar, Union

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.acl import Acl
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.anonymous import Answer

OPENED = "readable by everybody"


class Unknown(NamedTuple):
    """What was asked for did not come; `reason` is a word or a few."""

    reason: str


class Faults(NamedTuple):
    """What is wrong with an object's headers; None where nothing is."""

    content_type: Optional[str] = None
    cache: Optional[str] = None

    def told(self) -> list[str]:
        """Return what is wrong, one line for each."""
        return [fault for fault in self if fault]


class Visit(NamedTuple):
    """What a visitor got, and what is wrong with the headers of it."""

    answer: Answer
    faults: Faults = Faults()


class Finding(NamedTuple):
    """What was found of one object. `key` is masked where it has to be; None stands for what was not asked.

    gone: the object was deleted since it was listed, and nothing else is said of it.
    """

    key: str
    public: bool
    gone: bool = False
    visit: Optional[Visit] = None
    acl: Union[Acl, Unknown, None] = None
    headers: Union[Faults, Unknown, None] = None
    same_content: Union[bool, Unknown, None] = None


class Visited(NamedTuple):
    """An example of what a visitor should not have got."""

    key: str
    status: Optional[int]
    reason: str


class Example(NamedTuple):
    """An object that is not as it should be."""

    key: str
    reason: str


_Shown = TypeVar("_Shown", Visited, Example)


@dataclass
class PublicSample:
    """What came of asking for public files as a visitor. `wrong_*` are readable, too."""

    asked: int = 0
    readable: int = 0
    wrong_type: int = 0
    wrong_cache_header: int = 0
    unreadable: int = 0
    examples: list[Visited] = field(default_factory=list)

    def add(self, key: str, visit: Visit) -> list[Visited]:
        """Count one file; return what is wrong with it."""
        answer, faults = visit
        self.asked += 1
        if not answer.readable:
            self.unreadable += 1
            return [Visited(key, answer.status, answer.reason)]
        self.readable += 1
        self.wrong_type += faults.content_type is not None
        self.wrong_cache_header += faults.cache is not None
        return [Visited(key, answer.status, fault) for fault in faults.told()]


@dataclass
class PrivateSample:
    """What came of asking for private files as a visitor. `unanswered`: no answer, or one that shows nothing."""

    asked: int = 0
    denied: int = 0
    readable: int = 0
    unanswered: int = 0
    examples: list[Visited] = field(default_factory=list)

    def add(self, key: str, visit: Visit) -> list[Visited]:
        """Count one file; return what is wrong with it."""
        answer = visit.answer
        self.asked += 1
        if answer.readable:
            self.readable += 1
            return [Visited(key, answer.status, OPENED)]
        if answer.status is not None and 400 <= answer.status < 500:
            self.denied += 1
            return []
        self.unanswered += 1
        return [Visited(key, answer.status, answer.reason)]


@dataclass
class AclsFound:
    """What the ACLs say, whatever a policy says beside them. All but `objects` add up to it."""

    objects: int = 0
    public_as_wanted: int = 0
    private_as_wanted: int = 0
    exposed: int = 0
    hidden: int = 0
    unknown: int = 0
    examples: list[Example] = field(default_factory=list)

    def add(self, key: str, public: bool, acl: Union[Acl, Unknown]) -> list[Example]:
        """Count one object; return what is wrong with it."""
        self.objects += 1
        if isinstance(acl, Unknown):
            self.unknown += 1
            return [Example(key, acl.reason)]
        if acl.changeable or not (public or acl.closed):
            self.exposed += 1
            return [Example(key, "everybody can change it" if acl.changeable else OPENED)]
        if public and not acl.readable:
            self.hidden += 1
            return [Example(key, "private, but should be public")]
        self.public_as_wanted += public
        self.private_as_wanted += not public
        return []


@dataclass
class HeadersFound:
    """What the store keeps as headers. An object may have both of them wrong."""

    objects: int = 0
    as_wanted: int = 0
    wrong_type: int = 0
    wrong_cache_header: int = 0
    unknown: int = 0
    examples: list[Example] = field(default_factory=list)

    def add(self, key: str, faults: Union[Faults, Unknown]) -> list[Example]:
        """Count one object; return what is wrong with it."""
        self.objects += 1
        if isinstance(faults, Unknown):
            self.unknown += 1
            return [Example(key, faults.reason)]
        self.as_wanted += not faults.told()
        self.wrong_type += faults.content_type is not None
        self.wrong_cache_header += faults.cache is not None
        return [Example(key, fault) for fault in faults.told()]


@dataclass
class ContentsFound:
    """What the contents are like, of objects that have the right size. All but `objects` add up to it."""

    objects: int = 0
    same: int = 0
    differs: int = 0
    unknown: int = 0
    examples: list[Example] = field(default_factory=list)

    def add(self, key: str, same: Union[bool, Unknown]) -> list[Example]:
        """Count one object; return what is wrong with it."""
        self.objects += 1
        if isinstance(same, Unknown):
            self.unknown += 1
            return [Example(key, same.reason)]
        self.same += same
        self.differs += not same
        return [] if same else [Example(key, "another content of the same size")]


@dataclass
class Findings:
    """All that was found. `limit` bounds each list of examples; of those that are unknown, each reason has one."""

    limit: int
    vanished: int = 0
    public: PublicSample = field(default_factory=PublicSample)
    private: PrivateSample = field(default_factory=PrivateSample)
    acl: AclsFound = field(default_factory=AclsFound)
    headers: HeadersFound = field(default_factory=HeadersFound)
    content: ContentsFound = field(default_factory=ContentsFound)

    def add(self, found: Finding) -> None:
        """Count one object."""
        key = found.key
        if found.gone:
            self.vanished += 1
            return
        if found.visit is not None:
            sample = self.public if found.public else self.private
            self._keep(sample.examples, sample.add(key, found.visit))
        if found.acl is not None:
            self._keep(
                self.acl.examples, self.acl.add(key, found.public, found.acl), unknown=isinstance(found.acl, Unknown)
            )
        if found.headers is not None:
            self._keep(
                self.headers.examples, self.headers.add(key, found.headers), unknown=isinstance(found.headers, Unknown)
            )
        if found.same_content is not None:
            self._keep(
                self.content.examples,
                self.content.add(key, found.same_content),
                unknown=isinstance(found.same_content, Unknown),
            )

    def _keep(self, examples: list[_Shown], new: list[_Shown], *, unknown: bool = False) -> None:
        if unknown and any(example.reason == new[0].reason for example in examples):
            return
        examples += new
        del examples[self.limit :]
