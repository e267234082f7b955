# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Walking processes, from the parent's side, for the most common runs: nearly the whole tree is in the journal.

Each walks one span of the keys and plans it against the journal. So all processors take part in the walk, and only the
actions come to the parent. If the journal is short, most files have to be sent. That takes longer than the walk, and
the parent walks alone.
"""

from __future__ import annotations

import os
import selectors
from collections.abc import Iterator, Sequence
from typing import Any, final

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.model import PathProblem, SyncError
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.plan.plan import Step, Unchanged
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.plan.walker import (
    Walk,
    WalkBatch,
    send_batches,
)
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.processes.channel import Channel
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.processes.child import Children, set_to_work
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.tree.counts import WalkCounts
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.tree.source import Source

MOST_WALKERS = 4
_WORTH_BYTES = 4 * 1024 * 1024  # of a journal: about 20,000 rows
_LOST = "a process that walks the tree was ended from outside: run again, nothing that was done is lost"


@final
class Walkers(Children):
    """Processes that walk and plan; none if they would not help."""

    def __init__(self, number: int) -> None:
        """Fork the processes; see `Children`."""
        super().__init__(number, _walk)

    def __enter__(self) -> Walkers:
        return self

    @classmethod
    def for_journal(cls, path: str) -> Walkers:
        """Fork as many processes as are useful on this machine with the journal at `path`."""
        try:
            worth = os.path.getsize(path) >= _WORTH_BYTES
        except OSError:
            worth = False
        processors = min(len(os.sched_getaffinity(0)), MOST_WALKERS)
        return cls(processors if worth and processors > 1 else 0)

    def steps(self, walks: Sequence[Walk], source: Source, counts: WalkCounts) -> Iterator[Step]:
        """Yield the results of all walks, one walk for each process; not in order.

        Raises:
            SyncError: A walk could not be completed.
        """
        channels = self.channels[: len(walks)]
        shown: set[PathProblem] = set()
        with selectors.DefaultSelector() as selector:
            for channel, walk in zip(channels, walks):
                try:
                    set_to_work(channel, source.descriptor, walk)
                except OSError as error:
                    raise SyncError(_LOST) from error
                selector.register(channel.socket, selectors.EVENT_READ, channel)
            while selector.get_map():
                for key, _events in selector.select():
                    for batch in _received(key.data):
                        counts.merge(batch.counts)
                        yield from (step for step in batch.steps if _is_new(step, walks, shown))
                        yield Unchanged()
                        if batch.last:
                            selector.unregister(key.data.socket)


def _is_new(step: Step, walks: Sequence[Walk], shown: set[PathProblem]) -> bool:
    """Return whether this was not reported before, and remember it: two walkers enter a folder in which a span ends."""
    if not isinstance(step, PathProblem) or not any(walk.span.ends_within(step.key) for walk in walks):
        return True
    if step in shown:
        return False
    shown.add(step)
    return True


def _received(channel: Channel) -> Iterator[WalkBatch]:
    try:
        for batch in channel.receive():
            if batch.broken:
                raise SyncError(batch.broken)
            yield batch
    except EOFError as error:
        raise SyncError(_LOST) from error


def _walk(channel: Channel, root: int, walk: Walk, _early: list[Any]) -> None:
    """Work as a walking process."""
    send_batches(walk, root, channel.socket)
