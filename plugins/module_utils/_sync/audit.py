# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Compares a tree with a bucket and asks as a visitor; changes nothing."""

from __future__ import annotations

import threading
import time
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from typing import Any, Callable, Optional

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.anonymous import (
    Answer,
    Visitor,
    public_address,
)
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.compare import (
    Comparison,
    compare,
    pairs_of,
)
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.rules import Rules
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.source import Source
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.store import Store
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.tree import Tree
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.visitors import (
    Asker,
    Expectations,
    PrivateSample,
    PublicSample,
    ask_for_private,
    ask_for_public,
)

_LIST_QUERY = "/?list-type=2&max-keys=1"


@dataclass(frozen=True)
class Question:
    """What to compare.

    public_url: address below which the files' keys are public, without a slash at its end; None: nobody is asked.
    sample: how many public and how many private files are asked for.
    limit: how many names and examples are kept in each list.
    newer_than: seconds since the epoch; only objects written later count as extra.
    """

    rules: Rules
    public_url: Optional[str] = None
    public_ca_bundle: Optional[str] = None
    sample: int = 100
    limit: int = 20
    newer_than: Optional[float] = None


def audit(
    question: Question,
    source: Source,
    store: Store,
    stored_cache_control: Callable[[str], Optional[str]],
) -> dict[str, Any]:
    """Return what tree and bucket have and lack, and what visitors get of it, in the words of the module's result.

    Raises:
        S3Error: the bucket can't be listed.
        SyncError: the walk or the listing can't be used.
        AddressError: C(public_ca_bundle) can't be used.
    """
    if question.public_url is None:
        return {
            **_comparison(_compared(question, source, store, sample=0)),
            "sampled": {"public": _sample(PublicSample()), "private": _sample(PrivateSample())},
            "listable": None,
        }
    # First, so that options that can't be used fail before the long part.
    visitors = _Visitors(question)
    try:
        found = _compared(question, source, store, sample=question.sample)
        expected = Expectations(question.rules, source, stored_cache_control)
        asker = Asker(visitors.ask)
        public = ask_for_public(asker, found.public.kept, expected, question.limit)
        private = ask_for_private(asker, found.private.kept, question.rules.masked, question.limit)
        return {
            **_comparison(found),
            "sampled": {"public": _sample(public), "private": _sample(private)},
            "listable": visitors.may_list(store.prefix),
        }
    finally:
        visitors.close()


def _compared(question: Question, source: Source, store: Store, *, sample: int) -> Comparison:
    found = Comparison(limit=question.limit, sample=sample)
    compare(
        pairs_of(Tree(source, prefix_bytes=len(store.prefix.encode())), store.listing()),
        question.rules,
        found,
        now_ns=time.time_ns(),
        newer_than=question.newer_than,
    )
    return found


class _Visitors:
    """One visitor for each thread."""

    def __init__(self, question: Question) -> None:
        self._question = question
        self._own = threading.local()
        self._open = ExitStack()
        # Options that can't be used shall show here, not in a thread.
        self._first = self._new()

    def close(self) -> None:
        """Close all connections."""
        self._open.close()

    def ask(self, key: str) -> Answer:
        """Ask for a key. Safe for several threads."""
        visitor = getattr(self._own, "visitor", None)
        if visitor is None:
            visitor = self._own.visitor = self._new()
        answer: Answer = visitor.ask(public_address(self._question.public_url or "", key))
        return answer

    def may_list(self, prefix: str) -> Optional[bool]:
        """Return whether the root of the public address lists the bucket, None where no answer came."""
        base = (self._question.public_url or "") + "/"
        root = base[: -len(prefix)] if prefix and base.endswith("/" + prefix) else base
        answer = self._first.get(root.rstrip("/") + _LIST_QUERY)
        if answer.status is None:
            return None
        return answer.status == 200 and b"<ListBucketResult" in answer.start

    def _new(self) -> Visitor:
        visitor = Visitor(ca_bundle=self._question.public_ca_bundle)
        self._open.callback(visitor.close)
        return visitor


def _comparison(found: Comparison) -> dict[str, Any]:
    return {
        "counts": {
            "files": found.files,
            "bytes": found.bytes,
            "present": found.present,
            "missing": found.missing_count,
            "extra": found.extra_count,
            "size_differs": found.size_differs_count,
            "exposed": found.exposed,
            "out_of_scope": found.out_of_scope,
        },
        "left_out": dict(sorted(found.left_out.items())),
        "missing": found.missing.names,
        "extra": found.extra.names,
        "size_differs": found.size_differs.names,
    }


def _sample(sample: PublicSample | PrivateSample) -> dict[str, Any]:
    return {**asdict(sample), "examples": [example._asdict() for example in sample.examples]}
