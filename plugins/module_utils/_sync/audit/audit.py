# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Compares a tree with a bucket, and looks closer at some or all of the objects; changes nothing."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from typing import Any, Optional, Union

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.anonymous import (
    Answer,
    Visitor,
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
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.audit.pool import in_order
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.rules.rules import Rules
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.store.store import Store
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.tree.source import Source
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.tree.walk import Tree

THREADS = 32
# More than one short silence of the store costs.
_PATIENCE = 2 * THREADS
_LIST_QUERY = "/?list-type=2&max-keys=1"


@dataclass(frozen=True)
class Question:
    """What to compare.

    public_url: address below which the files' keys are public, without a slash at its end; None: nobody is asked.
    aspects: what is looked at with the key.
    sample: how many public and how many private objects are looked at; None: all of them.
    limit: how many names and examples are kept in each list.
    newer_than: seconds since the epoch; only objects written later count as extra.
    """

    rules: Rules
    public_url: Optional[str] = None
    public_ca_bundle: Optional[str] = None
    aspects: tuple[Inspection, ...] = ()
    sample: Optional[int] = 100
    limit: int = 20
    newer_than: Optional[float] = None


def audit(question: Question, source: Source, store: Store) -> dict[str, Any]:
    """Return what tree and bucket have and lack, and what was found of objects, in the words of the module's result.

    Raises:
        S3Error: the bucket can't be listed.
        SyncError: the walk or the listing can't be used.
        AddressError: C(public_ca_bundle) can't be used.
    """
    with ExitStack() as stack:
        visitors = None
        if question.public_url is not None:
            # First, so that options that can't be used fail before the long part.
            visitors = _Visitors(question.public_url, question.public_ca_bundle)
            stack.callback(visitors.close)
        inspector = Inspector(
            question.rules,
            source,
            store,
            aspects=question.aspects,
            visit=visitors.ask if visitors else None,
            patience=_PATIENCE,
        )
        compared, found = Comparison(question.limit), Findings(question.limit)
        subjects: Iterable[Subject] = compare(
            pairs_of(Tree(source, prefix_bytes=len(store.prefix.encode())), store.listing()),
            question.rules,
            compared,
            now_ns=time.time_ns(),
            newer_than=question.newer_than,
        )
        if question.sample is not None:
            subjects = _sampled(subjects, question.sample)
        if visitors or question.aspects:
            for finding in in_order(inspector.look, subjects, THREADS):
                found.add(finding)
        else:
            for _subject in subjects:
                pass
        return {
            **_comparison(compared, found),
            "sampled": {"public": _plain(found.public), "private": _plain(found.private)},
            "inspected": {
                aspect.value: _plain(getattr(found, aspect.value)) if aspect in question.aspects else None
                for aspect in Inspection
            },
            "listable": visitors.may_list(store.prefix) if visitors else None,
        }


def _sampled(subjects: Iterable[Subject], size: int) -> Iterator[Subject]:
    """Yield an even sample of the public and of the private ones, when all have been seen."""
    public, private = Reservoir[Subject](size), Reservoir[Subject](size)
    for subject in subjects:
        (public if subject.public else private).offer(subject)
    yield from public.kept
    yield from private.kept


class _Visitors:
    """One visitor for each thread."""

    def __init__(self, base: str, ca_bundle: Optional[str]) -> None:
        self._base = base
        self._own = threading.local()
        # Options that can't be used shall show here, not in a thread.
        self._first = Visitor(ca_bundle=ca_bundle)
        self._all = [self._first]

    def close(self) -> None:
        """Close all connections."""
        for visitor in self._all:
            visitor.close()

    def ask(self, key: str) -> Answer:
        """Ask for a key. Safe for several threads."""
        visitor: Optional[Visitor] = getattr(self._own, "visitor", None)
        if visitor is None:
            visitor = self._own.visitor = self._first.sibling()
            self._all.append(visitor)
        return visitor.ask(public_address(self._base, key))

    def may_list(self, prefix: str) -> Optional[bool]:
        """Return whether the root of the public address lists the bucket, None where no answer came."""
        base = self._base + "/"
        root = base[: -len(prefix)] if prefix and base.endswith("/" + prefix) else base
        answer = self._first.get(root.rstrip("/") + _LIST_QUERY)
        if answer.status is None:
            return None
        return answer.status == 200 and b"<ListBucketResult" in answer.start


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
        "left_out": dict(sorted(compared.left_out.items())),
        "missing": compared.missing.names,
        "extra": compared.extra.names,
        "size_differs": compared.size_differs.names,
    }


def _plain(counted: Union[PublicSample, PrivateSample, AclsFound, HeadersFound, ContentsFound]) -> dict[str, Any]:
    return {**asdict(counted), "examples": [example._asdict() for example in counted.examples]}
