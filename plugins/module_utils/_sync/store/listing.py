# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Lists a bucket in the byte order of its keys, many pages at once, in constant memory.

A page can be requested only when the previous one is known. So the key space is split into ranges at the names of
folders. The ranges are listed in parallel, each a few pages ahead of the reader.
"""

from __future__ import annotations

import queue
import threading
from collections import deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple, Optional, Protocol, Union

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.objects.pages import Pages
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.model import Listed, SyncError

_AT_ONCE = 8
_PAGES_AHEAD = 8
# Listing a bucket with up to this many pages is faster than finding its folders.
_FEW_PAGES = 4
_MOST_RANGES = 512
_MOST_LOOKS = 64
_POLL_SECONDS = 0.2


class Page(NamedTuple):
    """One response: objects in the order of their keys, folders (if requested), and how to continue.

    last: The last key in the response, even if it is not an object that counts.
    """

    objects: list[Listed]
    folders: list[str]
    token: Optional[str]
    last: str = ""


class PageReader(Protocol):
    """Requests one page of the objects below `folder`; keys are relative to the key prefix.

    With `folders`, deeper keys are returned as names of folders. The page begins after the key `after`.
    """

    def __call__(self, folder: str, *, after: str, token: Optional[str], folders: bool) -> Page: ...


class _Range(NamedTuple):
    """Keys from `begin` up to, but not including, `end`; None: up to the last one."""

    begin: str
    end: Optional[str]


_Message = Union[list[Listed], Exception, None]


def listed(pages: PageReader) -> Iterator[Listed]:
    """Yield all objects in the byte order of their keys.

    Raises:
        S3Error: A page can't be listed.
        SyncError: The store lists in a different order.
    """
    last, token, watch = "", None, _Watch()
    for _number in range(_FEW_PAGES):
        page = pages("", after="", token=token, folders=False)
        watch.took(page)
        for found in page.objects:
            # The second of two with one key would look like an object without a file.
            if _in_order(found, last).key != last:
                yield found
            last = found.key
        token = page.token
        if token is None:
            return
    with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="listing") as pool:
        ranges = _ranges(pages, pool, last)
    for found in _side_by_side(pages, ranges):
        # A store that ignores where to begin sends the first ones again.
        if found.key > last:
            yield found
            last = found.key


class _Watch:
    """Watches the pages of one range."""

    def __init__(self) -> None:
        self._watch = Pages("ListObjectsV2")
        self._last = ""

    def took(self, page: Page) -> None:
        """Record a page; S3Error if the listing makes no progress."""
        last = page.last or (page.objects[-1].key if page.objects else "")
        self._watch.took(page.token, new=last > self._last)
        self._last = max(last, self._last)


def _in_order(found: Listed, last: str) -> Listed:
    if found.key < last:
        raise SyncError("the store does not list in the order of keys: its listing can't be compared with a tree")
    return found


def _ranges(pages: PageReader, pool: ThreadPoolExecutor, after: str) -> list[_Range]:
    """Split the keys after `after` at the names of folders, which are listed level by level until there are enough.

    A range needs at least one page, even for a few objects. So each has as many folders as the first pages contained.
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


def _side_by_side(pages: PageReader, ranges: list[_Range]) -> Iterator[Listed]:
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
    """Lists one range ahead of the consumer of its objects."""

    def __init__(self, pages: PageReader, bounds: _Range, over: threading.Event) -> None:
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
        watch = _Watch()
        while not self._over.is_set():
            page = self._pages("", after=begin, token=token, folders=False)
            watch.took(page)
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
