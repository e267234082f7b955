# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What visitors get: asks for a sample of objects without credentials and judges the answers."""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import NamedTuple, Optional

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.anonymous import Answer
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.content_types import SNIFF_BYTES, by_content
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.rules import Rules
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.source import Source

_THREADS = 8
# So many requests in a row without any answer: the rest would only cost time.
_ENOUGH_SILENCE = 3


class Example(NamedTuple):
    """One object that is not as it should be. `key` is masked where it is a capability."""

    key: str
    status: Optional[int]
    reason: str


@dataclass
class PublicSample:
    """What came of asking for public files. `wrong_*` are readable, too."""

    asked: int = 0
    readable: int = 0
    wrong_type: int = 0
    wrong_cache_header: int = 0
    unreadable: int = 0
    examples: list[Example] = field(default_factory=list)


@dataclass
class PrivateSample:
    """What came of asking for private files. `unanswered`: no answer, or one that shows nothing."""

    asked: int = 0
    denied: int = 0
    readable: int = 0
    unanswered: int = 0
    examples: list[Example] = field(default_factory=list)


class Asker:
    """Asks for many keys with a few threads. `ask` must be safe for several threads."""

    def __init__(self, ask: Callable[[str], Answer]) -> None:
        self._ask = ask
        self._silence = 0
        self._lock = threading.Lock()

    def answers(self, keys: Sequence[str]) -> Iterator[tuple[str, Answer]]:
        """Yield keys and answers in the order of `keys`; stop asking when nothing answers at all."""
        with ThreadPoolExecutor(max_workers=_THREADS) as threads:
            for key, answer in zip(keys, threads.map(self._one, keys)):
                if answer is not None:
                    yield key, answer

    def _one(self, key: str) -> Optional[Answer]:
        if self._silence >= _ENOUGH_SILENCE:
            return None
        answer = self._ask(key)
        with self._lock:
            self._silence = self._silence + 1 if answer.status is None else 0
        return answer


class Expectations:
    """What a visitor should get for a public file. Files without a telling extension are looked into."""

    def __init__(self, rules: Rules, source: Source, stored_cache_control: Callable[[str], Optional[str]]) -> None:
        """`stored_cache_control` asks the store itself what it keeps for a key."""
        self._rules = rules
        self._source = source
        self._stored_cache_control = stored_cache_control

    def content_type_fault(self, key: str, answer: Answer) -> Optional[str]:
        """Return what is wrong with the content type, None where nothing is."""
        expected = self._rules.headers(key).content_type or self._sniffed(key)
        found = answer.headers.get("content-type", "").partition(";")[0].strip().lower()
        if expected is None or found == expected:
            return None
        return f"content type {found or 'missing'} instead of {expected}"

    def cache_fault(self, key: str, answer: Answer) -> Optional[str]:
        """Return what is wrong with the cache header, None where nothing is.

        A web server before the store may send its own: then what the store keeps counts.
        """
        expected = self._rules.cache_control
        found = answer.headers.get("cache-control")
        if not expected or _same_directives(found, expected):
            return None
        if _same_directives(self._stored_cache_control(key), expected):
            return None
        return f"cache header {found or 'missing'} instead of {expected}"

    def _sniffed(self, key: str) -> Optional[str]:
        try:
            descriptor = self._source.open_file(key)
        except OSError:
            return None
        try:
            return by_content(os.read(descriptor, SNIFF_BYTES))
        except OSError:
            return None
        finally:
            os.close(descriptor)


def ask_for_public(asker: Asker, keys: Sequence[str], expected: Expectations, limit: int) -> PublicSample:
    """Ask for files that everybody shall read; `limit` bounds the examples."""
    result = PublicSample()
    for key, answer in asker.answers(keys):
        result.asked += 1
        if not answer.readable:
            result.unreadable += 1
            faults = [answer.reason]
        else:
            result.readable += 1
            content_type, cache = expected.content_type_fault(key, answer), expected.cache_fault(key, answer)
            result.wrong_type += content_type is not None
            result.wrong_cache_header += cache is not None
            faults = [fault for fault in (content_type, cache) if fault]
        result.examples += [Example(key, answer.status, fault) for fault in faults]
        del result.examples[limit:]
    return result


def ask_for_private(asker: Asker, keys: Sequence[str], masked: Callable[[str], str], limit: int) -> PrivateSample:
    """Ask for files that nobody shall read; `limit` bounds the examples, whose keys are `masked`."""
    result = PrivateSample()
    for key, answer in asker.answers(keys):
        result.asked += 1
        if answer.readable:
            result.readable += 1
            result.examples.append(Example(masked(key), answer.status, "readable by everybody"))
        elif answer.status is not None and 400 <= answer.status < 500:
            result.denied += 1
        else:
            result.unanswered += 1
            result.examples.append(Example(masked(key), answer.status, answer.reason))
        del result.examples[limit:]
    return result


def _same_directives(found: Optional[str], expected: str) -> bool:
    return found is not None and _directives(found) == _directives(expected)


def _directives(value: str) -> set[str]:
    return {re.sub(r"\s", "", part).lower() for part in value.split(",") if part.strip()}
