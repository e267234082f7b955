# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Merges streams in the byte order of their keys. Pure: the iterators do the reading."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Callable, NamedTuple, Optional, TypeVar

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.model import (
    Entry,
    Item,
    Listed,
    PathProblem,
    PathProblemKind,
    Row,
    SyncError,
)

_UNCHANGED_AT_ONCE = 100


class Known(NamedTuple):
    """What journal and listing know about a key."""

    key: str
    row: Optional[Row]
    listed: Optional[Listed]


There = TypeVar("There", Row, Known, Listed)


def pairs(
    items: Iterable[Item],
    others: Iterable[There],
    is_unchanged: Optional[Callable[[Entry, There], bool]] = None,
) -> Iterator[tuple[Optional[Item], Optional[There]]]:
    """Merge two ordered streams by key. A problem with a path counts as present: its absence proves nothing.

    Unchanged pairs are left out. For many of them, one empty pair is yielded.

    Raises:
        SyncError: The items are not in order, which would make files look gone.
    """
    known = iter(others)
    there = next(known, None)
    last = ""
    unchanged = 0
    for item in items:
        key = item.key
        if isinstance(item, PathProblem) and (item.folder or item.kind is PathProblemKind.BAD_NAME):
            yield item, None
            continue
        if key < last:
            raise SyncError("the walk is not in order: this is a bug")
        last = key
        while there is not None and there.key < key:
            yield None, there
            there = next(known, None)
        if there is None or there.key != key:
            yield item, None
            continue
        if is_unchanged is not None and isinstance(item, Entry) and is_unchanged(item, there):
            unchanged += 1
            if unchanged == _UNCHANGED_AT_ONCE:
                yield None, None
                unchanged = 0
        else:
            yield item, there
        there = next(known, None)
    while there is not None:
        yield None, there
        there = next(known, None)
    if unchanged:
        yield None, None


def merge_known(rows: Iterable[Row], listing: Iterable[Listed]) -> Iterator[Known]:
    """Merge what journal and listing know, each in the byte order of its keys."""
    objects = iter(listing)
    listed = next(objects, None)
    for row in rows:
        while listed is not None and listed.key < row.key:
            yield Known(listed.key, None, listed)
            listed = next(objects, None)
        if listed is not None and listed.key == row.key:
            yield Known(row.key, row, listed)
            listed = next(objects, None)
        else:
            yield Known(row.key, row, None)
    while listed is not None:
        yield Known(listed.key, None, listed)
        listed = next(objects, None)
