# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Runs many checks at a time, and returns their results in order, in constant memory and limited time."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Callable, TypeVar

_Item = TypeVar("_Item")
_Answer = TypeVar("_Answer")
_AHEAD_PER_THREAD = 8


def in_order(function: Callable[[_Item], _Answer], items: Iterable[_Item], threads: int) -> Iterator[_Answer]:
    """Yield `function` of each item, in the order of the items. Items are taken only when there is room for them.

    `items` is read in the caller's thread.
    """
    waiting: deque[Future[_Answer]] = deque()
    with ThreadPoolExecutor(threads, thread_name_prefix="ask") as pool:
        try:
            for item in items:
                waiting.append(pool.submit(function, item))
                if len(waiting) >= threads * _AHEAD_PER_THREAD:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()


class SilenceLimit:
    """Counts consecutive checks without a response. After too many, more would only cost time. For several threads."""

    def __init__(self, most: int) -> None:
        """`most` should be more than a short outage causes, which is one check for each thread."""
        self._most = most
        self._silences = 0
        self._lock = threading.Lock()

    @property
    def reached(self) -> bool:
        """Whether there were too many."""
        return self._silences >= self._most

    def note(self, *, answered: bool) -> None:
        """Record the result of a check."""
        with self._lock:
            if not self.reached:
                self._silences = 0 if answered else self._silences + 1
