# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Walks a tree in a process of its own, while this one reads the listing and compares. The walk is half of the work."""

from __future__ import annotations

import os
import select
from collections.abc import Iterator
from contextlib import suppress
from itertools import islice
from typing import Any, NamedTuple, final

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.model import Item, SyncError
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.processes.channel import Channel, packed
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.processes.child import Children, set_to_work
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.tree.source import Source
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.tree.walk import Tree

_ITEMS_AT_ONCE = 500
_LOST = "the process that walks the tree was ended from outside: run again, nothing was changed"


class _Walk(NamedTuple):
    """What to walk."""

    src: str
    prefix_bytes: int


class _Batch(NamedTuple):
    """The next items, in order; none at the end. `broken`: why there are no more."""

    items: list[Item]
    broken: str = ""


@final
class TreeWalker(Children):
    """A process that walks one tree; with a single processor there is none, and this process walks."""

    def __init__(self) -> None:
        """Fork the process; see `Children`."""
        super().__init__(1 if len(os.sched_getaffinity(0)) > 1 else 0, _work)

    def __enter__(self) -> TreeWalker:
        return self

    def items(self, source: Source, *, prefix_bytes: int) -> Iterator[Item]:
        """Yield what `Tree` yields. This can be called once. The walk is never further ahead than a socket has room.

        Raises:
            SyncError: The walk could not be completed.
        """
        if not self.channels:
            yield from Tree(source, prefix_bytes=prefix_bytes)
            return
        (channel,) = self.channels
        try:
            set_to_work(channel, source.descriptor, _Walk(source.path, prefix_bytes))
            while True:
                select.select([channel.socket], [], [])
                for batch in channel.receive():
                    if batch.broken:
                        raise SyncError(batch.broken)
                    if not batch.items:
                        return
                    yield from batch.items
        except (OSError, EOFError) as error:
            raise SyncError(_LOST) from error


def _work(channel: Channel, root: int, walk: _Walk, _early: list[Any]) -> None:
    """Walk, and report what is found, no faster than the other end reads."""
    channel.socket.setblocking(True)
    with suppress(OSError):  # the parent is gone, or needs no more
        for batch in _batches(walk, root):
            channel.socket.sendall(packed(batch))
        channel.socket.recv(1)  # so that its end is never mistaken for a crash


def _batches(walk: _Walk, root: int) -> Iterator[_Batch]:
    items = iter(Tree(Source.inherited(walk.src, root), prefix_bytes=walk.prefix_bytes))
    try:
        while batch := list(islice(items, _ITEMS_AT_ONCE)):
            yield _Batch(batch)
    except Exception as error:  # noqa: BLE001 - whatever it is, the parent has to know
        yield _Batch([], broken=f"the walk failed: {type(error).__name__}: {error}")
    else:
        yield _Batch([])
