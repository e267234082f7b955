# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Compares a tree with a bucket: an ordered merge of the walk and the listing, in constant memory. Pure.

What both have is passed on as subjects, for closer checks.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Generic, NamedTuple, Optional, TypeVar

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.model import (
    Entry,
    Exposure,
    ExposureMode,
    Item,
    Listed,
    PathProblem,
    Reason,
)
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.plan.merge import pairs
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.rules.rules import Rules
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.tree.counts import OTHER_FOLDERS, part_of

_T = TypeVar("_T")
FOLDERS_KEPT = 60
CHANGED = "changed"  # why a file is left out, see `compare`
_SEED = 20190220  # any number: the same tree gives the same sample


class Pair(NamedTuple):
    """What tree and bucket have for one key; at least one of them is set. `hidden`: the walk could not look there."""

    item: Optional[Item]
    stored: Optional[Listed]
    hidden: bool = False


class Subject(NamedTuple):
    """An object that can be checked, and who may read it.

    `stored` is what a listing shows of it; None if it was not listed. `entry` is its file; None if there is none, or if
    the object should not exist: then only exposure can be judged.
    """

    key: str
    exposure: Exposure
    stored: Optional[Listed]
    entry: Optional[Entry] = None

    @property
    def public(self) -> bool:
        """Whether everybody should be able to read it."""
        return self.exposure is Exposure.PUBLIC


class Reservoir(Generic[_T]):
    """An even sample of a stream of unknown length (algorithm R, Vitter 1985)."""

    def __init__(self, size: int, seed: int = _SEED) -> None:
        """Keep up to `size` items; the same stream gives the same sample."""
        self.kept: list[_T] = []
        self._size = size
        self._offered = 0
        self._random = random.Random(seed)  # noqa: S311 - no secret depends on it

    def offer(self, value: _T) -> None:
        """Take `value` with the right probability."""
        self._offered += 1
        if len(self.kept) < self._size:
            self.kept.append(value)
        else:
            place = self._random.randrange(self._offered)
            if place < self._size:
                self.kept[place] = value


class Capped:
    """The first few of many names."""

    def __init__(self, limit: int) -> None:
        self.names: list[str] = []
        self._limit = limit

    def add(self, name: str) -> None:
        """Keep `name` if there is room; equal masked names are kept once."""
        if len(self.names) < self._limit and name not in self.names:
            self.names.append(name)


@dataclass
class FolderCounts:
    """The files below one folder of the tree that are expected in the bucket, and how many of them are private."""

    files: int = 0
    bytes: int = 0
    private: int = 0


@dataclass
class Comparison:
    """The result of a comparison. It counts files, except for `extra`, `exposed` and `out_of_scope`, which are objects.

    Attributes:
        on_extra: Is called with each object that counts as extra, with its unmasked key.
        exposed: Private objects that the bucket's policy, or the open bucket, makes public.
    """

    limit: int
    on_extra: Optional[Callable[[Listed], None]] = None
    files: int = 0
    bytes: int = 0
    present: int = 0
    exposed: int = 0
    out_of_scope: int = 0
    missing_count: int = 0
    extra_count: int = 0
    size_differs_count: int = 0
    left_out: Counter[str] = field(default_factory=Counter)
    folders: dict[str, FolderCounts] = field(default_factory=dict)
    missing: Capped = field(init=False)
    extra: Capped = field(init=False)
    size_differs: Capped = field(init=False)

    def __post_init__(self) -> None:
        self.missing, self.extra, self.size_differs = (Capped(self.limit) for _list in range(3))

    def expect(self, key: str, size: int, exposure: Exposure, rules: Rules) -> None:
        """Count a file that should be in the bucket, for its first two folders too. Private ones are not named."""
        self.files += 1
        self.bytes += size
        name = part_of(key)
        if key.startswith(rules.private_prefixes):
            name = name[: name.find("/") + 1]
        if name not in self.folders and len(self.folders) >= FOLDERS_KEPT:
            name = OTHER_FOLDERS
        folder = self.folders.setdefault(name, FolderCounts())
        folder.files += 1
        folder.bytes += size
        folder.private += exposure is Exposure.PRIVATE


def compare(
    pairs: Iterable[Pair],
    rules: Rules,
    result: Comparison,
    *,
    now_ns: int,
    newer_than: Optional[float] = None,
    settled_before_ns: Optional[int] = None,
) -> Iterator[Subject]:
    """Put into `result` what the pairs show, and yield the objects whose exposure is known, in order.

    newer_than: Seconds since the epoch; an object that was written before is not extra.
    settled_before_ns: A file with this ctime or a later one is left out.
    """
    for item, stored, hidden in pairs:
        subject = None
        if isinstance(item, Entry):
            subject = _file(item, stored, rules, result, now_ns, settled_before_ns)
        elif item is not None:
            result.left_out[item.kind.value] += 1
        elif stored is not None and not hidden:
            subject = _object(stored, rules, result, newer_than)
        if subject is not None:
            yield subject


def _file(
    entry: Entry,
    stored: Optional[Listed],
    rules: Rules,
    result: Comparison,
    now_ns: int,
    settled_before_ns: Optional[int],
) -> Optional[Subject]:
    if rules.may_be_unfinished(entry, now_ns):
        result.left_out[Reason.TOO_NEW.value] += 1
        return None
    changed = settled_before_ns is not None and entry.ctime_ns >= settled_before_ns
    verdict = rules.judge(entry)
    if verdict.exposure is None:
        reason = verdict.reason or Reason.UNKNOWN_FOLDER
        result.left_out[reason.value] += 1
        if reason is not Reason.LOCAL_ONLY or stored is None or changed:
            return None
        result.exposed += 1
        return Subject(entry.key, Exposure.PRIVATE, stored)
    if changed:
        result.left_out[CHANGED] += 1
        return None
    result.expect(entry.key, entry.size, verdict.exposure, rules)
    if stored is None:
        result.missing_count += 1
        result.missing.add(rules.masked(entry.key))
        return None
    result.present += 1
    if stored.size != entry.size:
        result.size_differs_count += 1
        result.size_differs.add(rules.masked(entry.key))
    return Subject(entry.key, verdict.exposure, stored, entry)


def _object(stored: Listed, rules: Rules, result: Comparison, newer_than: Optional[float]) -> Optional[Subject]:
    scope = rules.scope(stored.key).exposure
    private = scope is Exposure.PRIVATE
    if private and rules.mode is ExposureMode.OPEN_BUCKET:
        result.exposed += 1
    if newer_than is None or stored.modified > newer_than:
        if scope is not None:
            result.extra_count += 1
            if result.on_extra is not None:
                result.on_extra(stored)
            result.extra.add(rules.masked(stored.key))
        else:
            result.out_of_scope += 1
    # Without a file, only the location shows who may read it; below a public prefix that is not clear.
    return Subject(stored.key, Exposure.PRIVATE, stored) if private else None


def pairs_of(items: Iterable[Item], objects: Iterable[Listed]) -> Iterator[Pair]:
    """Merge the walk and the listing, both in the byte order of their keys, which are relative to the key prefix.

    An object below a folder that could not be read is `hidden`: its absence from the walk proves nothing.

    Raises:
        SyncError: The walk is not in order.
    """
    hidden: list[str] = []
    for item, stored in pairs(items, objects):
        if isinstance(item, PathProblem) and item.folder:
            hidden.append(item.key)
        yield Pair(item, stored) if item is not None or stored is None else _only_stored(stored, hidden)


def _only_stored(stored: Listed, hidden: list[str]) -> Pair:
    # Keys are in order: a folder does not appear again.
    hidden[:] = [folder for folder in hidden if stored.key < folder or stored.key.startswith(folder)]
    return Pair(None, stored, hidden=any(stored.key.startswith(folder) for folder in hidden))
