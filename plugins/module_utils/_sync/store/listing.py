# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Lists a bucket in the byte order of its keys, many pages at once, in constant memory.

A page can only be asked for once the one before it is known. So the key space is split into ranges, at the names of
folders, and the ranges are listed side by side, each a few pages ahead of the reader.
"""

from __future__ import annotations

import queue
import threading
from collections import deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple, Optional, Protocol, Union

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.model import Listed, SyncError

_AT_ONCE = 8
_PAGES_AHEAD = 8
# A bucket that fills no more than this many pages is listed sooner than its folders are found.
_FEW_PAGES = 4
_MOST_RANGES = 512
_MOST_LOOKS = 64
_POLL_SECONDS = 0.2


class Page(NamedTuple):
    """One answer: objects in the order of their keys, folders (where they were asked for), and how to go on."""

    objects: list[Listed]
    folders: list[str]
    token: Optional[str]


class Pages(Protocol):
    """Asks a store for one page of the objects below `folder`; keys are relative to the key prefix.

    With `folders` what lies deeper comes as names of folders. `after` is a key that the page begins behind.
    """

    def __call__(self, folder: str, *, after: str, token: Optional[str], folders: bool) -> Page: ...


class _Range(NamedTuple):
    """Keys from `begin` on and below `end`; None: to the last one."""

    begin: str
    end: Optional[str]


_Message = Union[list[Listed], Exception, None]


def listed(pages: Pages) -> Iterator[Listed]:
    """Yield all objects in the byte order of their keys.

    Raises:
        S3Error: a page can't be had.
        SyncError: the store lists in another order.
    """
    last, token = "", None
    for _number in range(_FEW_PAGES):
        page = pages("", after="", token=token, folders=False)
        for found in page.objects:
            yield _in_order(found, last)
            last = found.key
        token = page.token
        if token is None:
            return
    with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="listing") as pool:
        ranges = _ranges(pages, pool, last)
    for found in _side_by_side(pages, ranges):
        # A store that does not know where to begin sends the first ones again.
        if found.key > last:
            yield found
            last = found.key


def _in_order(found: Listed, last: str) -> Listed:
    if found.key < last:
        raise SyncError("the store does not list in the order of keys: its listing can't be held against a tree")
    return found


def _ranges(pages: Pages, pool: ThreadPoolExecutor, after: str) -> list[_Range]:
    """Split what lies behind `after` at the names of folders, found level by level until there are enough.

    A range costs a whole page, however few objects are in it. So each has as many folders as the first pages passed.
    """
    found: set[str] = set()
    level, looks = [""], 0
    while level and len(found) < _MOST_RANGES and looks < _MOST_LOOKS:
        level = level[: _MOST_LOOKS - looks]
        looks += len(level)
        below = pool.map(lambda folder: pages(folder, after="", token=None, folders=True).folders, level)
        level = sorted(folder for folders in below for folder in folders)
        found.update(level)
    behind = sorted(folder for folder in found if folder > after)
    step = max(1, len(found) - len(behind), len(behind) // _MOST_RANGES)
    borders = [after, *behind[::step]]
    return [_Range(begin, end) for begin, end in zip(borders, [*borders[1:], None])]


def _side_by_side(pages: Pages, ranges: list[_Range]) -> Iterator[Listed]:
    waiting = deque(ranges)
    reading: deque[_Reader] = deque()
    over = threading.Event()
    try:
        while waiting or reading:
            while waiting and len(reading) < _AT_ONCE:
                reading.append(_Reader(pages, waiting.popleft(), over))
            yield from reading[0].objects()
            reading.popleft().join()
    finally:
        over.set()


class _Reader(threading.Thread):
    """Lists one range ahead of whoever takes its objects."""

    def __init__(self, pages: Pages, bounds: _Range, over: threading.Event) -> None:
        super().__init__(name="listing", daemon=True)
        self._pages = pages
        self._bounds = bounds
        self._over = over
        self._messages: queue.Queue[_Message] = queue.Queue(_PAGES_AHEAD)
        self.start()

    def objects(self) -> Iterator[Listed]:
        """Yield the range's objects."""
        last = ""
        while True:
            message = self._messages.get()
            if message is None:
                return
            if isinstance(message, Exception):
                raise message
            for found in message:
                yield _in_order(found, last)
                last = found.key

    def run(self) -> None:
        try:
            self._read()
        except Exception as error:  # noqa: BLE001 - it belongs to whoever takes the objects
            self._tell(error)
        else:
            self._tell(None)

    def _read(self) -> None:
        begin, end = self._bounds
        token: Optional[str] = None
        while not self._over.is_set():
            page = self._pages("", after=begin, token=token, folders=False)
            within = [found for found in page.objects if begin <= found.key and (end is None or found.key < end)]
            if within:
                self._tell(within)
            token = page.token
            if token is None or (end is not None and page.objects and page.objects[-1].key >= end):
                return

    def _tell(self, message: _Message) -> None:
        while not self._over.is_set():
            try:
                self._messages.put(message, timeout=_POLL_SECONDS)
            except queue.Full:
                continue
            return
