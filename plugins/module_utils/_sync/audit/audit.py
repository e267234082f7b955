# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Compares a tree with a bucket and checks some or all objects; changes nothing."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import asdict, dataclass
from typing import Any, Callable, Optional, Union

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.http.anonymous_client import (
    AnonymousClient,
    AnonymousResponse,
    public_address,
)
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.audit.compare import (
    Comparison,
    Reservoir,
    Subject,
    compare,
    pairs_of,
)
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.audit.findings import (
    AclsFound,
    ContentsFound,
    Findings,
    HeadersFound,
    PrivateSample,
    PublicSample,
)
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.audit.inspector import Inspection, Inspector
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.audit.key_list import KeyList
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.audit.pool import in_order
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.audit.tree_walker import TreeWalker
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.model import Entry, Row, RowState
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.rules.rules import Rules
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.store.store import Store
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.tree.source import Source
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.tree.walk import Tree

THREADS = 32
# More than one short outage of the store causes.
_SILENCE_LIMIT = 2 * THREADS
_LIST_QUERY = "/?list-type=2&max-keys=1"


@dataclass(frozen=True)
class Question:
    """What to compare.

    Attributes:
        public_url: Address below which the files' keys are public, without a slash at its end; None: not checked.
        aspects: What to check with the key.
        sample: How many public and how many private objects to check; None: all of them.
        limit: Maximum number of names and examples in each list.
        newer_than: Seconds since the epoch; only objects written later count as extra.
        settled_before_ns: A file with this ctime or a later one is left out; None: no file.
        extra_file: Path of a file for a list of all extra objects; None: no list.
    """

    rules: Rules
    public_url: Optional[str] = None
    public_ca_bundle: Optional[str] = None
    aspects: tuple[Inspection, ...] = ()
    sample: Optional[int] = 100
    limit: int = 20
    newer_than: Optional[float] = None
    settled_before_ns: Optional[int] = None
    extra_file: Optional[str] = None


def audit(question: Question, source: Source, store: Store, walker: Optional[TreeWalker] = None) -> dict[str, Any]:
    """Return what tree and bucket have and lack, and the results of the checks, as in the module's result.

    Without `walker`, this process walks the tree itself.

    Raises:
        S3Error: The bucket can't be listed.
        SyncError: The walk or the listing can't be used.
        KeyListError: C(extra_file) can't be written.
        AddressError: C(public_ca_bundle) can't be used.
    """
    with ExitStack() as stack:
        # First, so that invalid options fail before the long part.
        public = stack.enter_context(_public_address(question))
        inspector = _inspector(question, source, store, public.check if public else None)
        extra = stack.enter_context(KeyList(question.extra_file)) if question.extra_file else None
        compared = Comparison(question.limit, on_extra=extra.add if extra else None)
        found = Findings(question.limit)
        prefix_bytes = len(store.prefix.encode())
        walk = walker.items if walker is not None else Tree
        subjects: Iterable[Subject] = compare(
            pairs_of(walk(source, prefix_bytes=prefix_bytes), store.listing()),
            question.rules,
            compared,
            now_ns=time.time_ns(),
            newer_than=question.newer_than,
            settled_before_ns=question.settled_before_ns,
        )
        if question.sample is not None:
            subjects = _sampled(subjects, question.sample)
        if public or question.aspects:
            for finding in in_order(inspector.inspect, subjects, THREADS):
                found.add(finding)
        else:
            for _subject in subjects:
                pass
        if extra is not None:
            extra.finish()
        return _result(question, compared, found, public.may_list(store.prefix) if public else None)


def audit_sent(question: Question, rows: Iterable[Row], source: Source, store: Store) -> dict[str, Any]:
    """Check the objects of these rows of the journal, without a walk or a listing; the result is that of `audit`.

    All of them are checked, whatever `question.sample` says. Visitors fetch them with GET. An object that does not
    exist is missing.

    Raises:
        AddressError: C(public_ca_bundle) can't be used.
        SyncError: The journal can't be read.
    """
    with _public_address(question) as public:
        inspector = _inspector(question, source, store, public.fetch if public else None)
        compared, found = Comparison(question.limit), Findings(question.limit)
        for finding in in_order(inspector.inspect, _sent(rows, question.rules, compared), THREADS):
            if finding.gone:
                compared.missing_count += 1
                compared.missing.add(finding.key)
                continue
            compared.present += finding.size_differs is not None
            if finding.size_differs:
                compared.size_differs_count += 1
                compared.size_differs.add(finding.key)
            found.add(finding)
        return _result(question, compared, found, public.may_list(store.prefix) if public else None)


def _sent(rows: Iterable[Row], rules: Rules, result: Comparison) -> Iterator[Subject]:
    for row in rows:
        if row.state != RowState.DONE.value:
            continue  # nothing is known to be in the bucket
        entry = Entry(row.key, row.size, row.mtime_ns, row.ctime_ns, row.mode)
        exposure = rules.judge(entry).exposure
        if exposure is not None:
            result.expect(row.key, row.size, exposure, rules)
            yield Subject(row.key, exposure, None, entry)


def _sampled(subjects: Iterable[Subject], size: int) -> Iterator[Subject]:
    """Yield an even sample of the public and of the private ones, after all have been seen."""
    public, private = Reservoir[Subject](size), Reservoir[Subject](size)
    for subject in subjects:
        (public if subject.public else private).offer(subject)
    yield from public.kept
    yield from private.kept


@contextmanager
def _public_address(question: Question) -> Iterator[Optional[_PublicAddress]]:
    if question.public_url is None:
        yield None
        return
    with closing(_PublicAddress(question.public_url, question.public_ca_bundle)) as public:
        yield public


def _inspector(
    question: Question, source: Source, store: Store, visit: Optional[Callable[[str], AnonymousResponse]]
) -> Inspector:
    return Inspector(question.rules, source, store, aspects=question.aspects, visit=visit, silence_limit=_SILENCE_LIMIT)


class _PublicAddress:
    """The public address of the files, as a visitor sees it. Safe for several threads."""

    def __init__(self, base: str, ca_bundle: Optional[str]) -> None:
        self._base = base
        self._client = AnonymousClient(ca_bundle=ca_bundle)

    def close(self) -> None:
        """Close all connections."""
        self._client.close()

    def check(self, key: str) -> AnonymousResponse:
        """Return what a visitor gets of a key."""
        return self._client.check(public_address(self._base, key))

    def fetch(self, key: str) -> AnonymousResponse:
        """Return what a visitor gets who loads a key. Only the first byte is requested."""
        address = public_address(self._base, key)
        answer = self._client.get(address, {"Range": "bytes=0-0"})
        # An empty object has no first byte, and the error says nothing about its headers.
        return self._client.get(address) if answer.status == 416 else answer

    def may_list(self, prefix: str) -> Optional[bool]:
        """Return whether the root of the public address lists the bucket; None without a response."""
        base = self._base + "/"
        root = base[: -len(prefix)] if prefix and base.endswith("/" + prefix) else base
        answer = self._client.get(root.rstrip("/") + _LIST_QUERY)
        if answer.status is None:
            return None
        return answer.status == 200 and b"<ListBucketResult" in answer.start


def _result(question: Question, compared: Comparison, found: Findings, listable: Optional[bool]) -> dict[str, Any]:
    return {
        **_comparison(compared, found),
        "sampled": {"public": _plain(found.public), "private": _plain(found.private)},
        "inspected": {
            aspect.value: _plain(getattr(found, aspect.value)) if aspect in question.aspects else None
            for aspect in Inspection
        },
        "listable": listable,
    }


def _comparison(compared: Comparison, found: Findings) -> dict[str, Any]:
    return {
        "counts": {
            "files": compared.files,
            "bytes": compared.bytes,
            "present": compared.present,
            "missing": compared.missing_count,
            "extra": compared.extra_count,
            "size_differs": compared.size_differs_count,
            "exposed": compared.exposed,
            "out_of_scope": compared.out_of_scope,
            "vanished": found.vanished,
        },
        "folders": {name.rstrip("/"): asdict(counts) for name, counts in sorted(compared.folders.items())},
        "left_out": dict(sorted(compared.left_out.items())),
        "missing": compared.missing.names,
        "extra": compared.extra.names,
        "size_differs": compared.size_differs.names,
    }


def _plain(counted: Union[PublicSample, PrivateSample, AclsFound, HeadersFound, ContentsFound]) -> dict[str, Any]:
    return {**asdict(counted), "examples": [example._asdict() for example in counted.examples]}
