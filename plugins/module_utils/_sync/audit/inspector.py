# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Checks single objects: as a visitor, with the key, and against their files. Safe for several threads."""

from __future__ import annotations

from collections.abc import Collection
from enum import Enum
from typing import Callable, Optional, TypeVar, Union

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.connection.errors import S3Error
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.connection.masking import Masking
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.http.anonymous_client import AnonymousResponse
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.objects.acl import Acl
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.objects.objects import Head
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.audit.compare import Subject
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.audit.expectations import Expectations
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.audit.findings import (
    Faults,
    Finding,
    Unknown,
    Visit,
)
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.audit.pool import SilenceLimit
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.content.content import (
    ContentUnknownError,
    is_same,
)
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.model import ExposureMode, Listed
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.rules.rules import Rules
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.store.store import Store
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.tree.source import Source

_Kept = TypeVar("_Kept", Head, Acl)


class Inspection(str, Enum):
    """What can be checked with the key."""

    ACL = "acl"
    HEADERS = "headers"
    CONTENT = "content"


class _GoneError(Exception):
    """The object does not exist, or not any more."""


class Inspector:
    """Runs the requested checks on subjects.

    visit: Requests a key as a visitor; None: no such checks.
    silence_limit: Number of consecutive checks of one kind without a response after which that kind is given up.
    """

    def __init__(
        self,
        rules: Rules,
        source: Source,
        store: Store,
        *,
        aspects: Collection[Inspection],
        visit: Optional[Callable[[str], AnonymousResponse]],
        silence_limit: int,
    ) -> None:
        self._rules = rules
        self._masking = Masking(rules.masked, rules.private_prefixes)
        self._source = source
        self._store = store
        self._aspects = frozenset(aspects)
        self._visit = visit
        self._expected = Expectations(rules, source)
        self._visits, self._heads, self._acls = (SilenceLimit(silence_limit) for _kind in range(3))

    def inspect(self, subject: Subject) -> Finding:
        """Return the results for a subject."""
        key = self._rules.masked(subject.key)
        head = _Once(lambda: self._asked(self._heads, self._store.describe, subject.key))
        try:
            subject, size_differs = self._looked_up(subject, head)
            return Finding(
                key,
                subject.public,
                size_differs=size_differs,
                visit=self._visited(subject, head),
                acl=self._acl(subject),
                headers=self._headers(subject, head),
                same_content=self._content(subject, head),
            )
        except _GoneError:
            return Finding(key, subject.public, gone=True)

    def _looked_up(self, subject: Subject, head: _Once) -> tuple[Subject, Optional[bool]]:
        """Return the subject with what the store says of it, if it was not listed, and whether its size is wrong."""
        if subject.stored is not None:
            return subject, None
        kept = head.answer()
        if isinstance(kept, Unknown) or kept.size is None:
            return subject, None
        stored = Listed(subject.key, kept.size, kept.etag)
        return subject._replace(stored=stored), subject.entry is not None and subject.entry.size != kept.size

    def _visited(self, subject: Subject, head: _Once) -> Optional[Visit]:
        if self._visit is None or self._visits.reached:
            return None
        answer = self._visit(subject.key)
        self._visits.note(answered=answer.status is not None)
        if not subject.public:
            return Visit(answer)
        if not answer.readable:
            if answer.status is not None:
                head.answer()  # it may be gone
            return Visit(answer)
        cache = self._expected.cache_fault(answer.headers.get("cache-control"))
        if cache is not None:
            # A web server in front of the store may send its own headers: then those of the store matter.
            kept = head.answer()
            if isinstance(kept, Head) and self._expected.cache_fault(kept.cache_control) is None:
                cache = None
        content_type = self._expected.content_type_fault(subject.key, answer.headers.get("content-type"))
        return Visit(answer, Faults(content_type, cache))

    def _acl(self, subject: Subject) -> Union[Acl, Unknown, None]:
        # Without ACL mode, a private ACL means nothing, but a public one does.
        if Inspection.ACL not in self._aspects or (subject.public and self._rules.mode is not ExposureMode.ACL):
            return None
        return self._asked(self._acls, self._store.acl, subject.key)

    def _headers(self, subject: Subject, head: _Once) -> Union[Faults, Unknown, None]:
        if Inspection.HEADERS not in self._aspects or subject.entry is None:
            return None
        kept = head.answer()
        if isinstance(kept, Unknown):
            return kept
        return Faults(
            self._expected.content_type_fault(subject.key, kept.content_type),
            self._expected.cache_fault(kept.cache_control),
        )

    def _content(self, subject: Subject, head: _Once) -> Union[bool, Unknown, None]:
        entry, stored = subject.entry, subject.stored
        if Inspection.CONTENT not in self._aspects or entry is None or stored is None or entry.size != stored.size:
            return None
        try:
            same = is_same(self._source, entry, stored.etag)
        except ContentUnknownError as error:
            return Unknown(str(error))
        if same:
            return True
        # A listing does not show which ETags are not digests.
        kept = head.answer()
        if isinstance(kept, Unknown):
            return kept
        if kept.encrypted:
            return Unknown("the ETag is not a digest of the content")
        return Unknown("the object was replaced in the meantime") if kept.etag != stored.etag else False

    def _asked(self, limit: SilenceLimit, ask: Callable[[str], Optional[_Kept]], key: str) -> Union[_Kept, Unknown]:
        if limit.reached:
            return Unknown("not checked any more, because the store did not answer")
        try:
            found = ask(key)
        except S3Error as error:
            limit.note(answered=False)
            return Unknown(self._masking.text(error.code or str(error), key))
        limit.note(answered=True)
        if found is None:
            raise _GoneError
        return found


class _Once:
    """The response to HEAD for one object, requested at most once."""

    def __init__(self, ask: Callable[[], Union[Head, Unknown]]) -> None:
        self._ask = ask
        self._said: Union[Head, Unknown, None] = None

    def answer(self) -> Union[Head, Unknown]:
        """Return the response. Raises _GoneError."""
        if self._said is None:
            self._said = self._ask()
        return self._said
