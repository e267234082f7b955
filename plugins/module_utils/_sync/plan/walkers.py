# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Walking processes, from the parent's side. For the runs that a tree sees most: nearly all of it is in the journal.

Each walks one span of the keys and plans it against the journal, so that the tree is walked on all processors, and only
what is to be done comes to the parent. Where the journal is short, most files are to be sent, and that takes longer
than the walk, which the parent then does alone.
"""

from __future__ import annotations

import os
import selectors
from collections.abc import Iterator, Sequence
from typing import Any, final

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.model import Problem, SyncError
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.plan.plan import Step, Unchanged
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.plan.walker import Found, Walk, tell_of
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.processes.child import Children, set_to_work
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.processes.messages import Mailbox
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.tree.seen import Seen
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.tree.source import Source

MOST_WALKERS = 4
_WORTH_BYTES = 4 * 1024 * 1024  # of a journal: about 20,000 rows
_LOST = "a process that walks the tree was ended from outside: run again, nothing that was done is lost"


@final
class Walkers(Children):
    """Processes that walk and plan; none where they would be of no use."""

    def __init__(self, number: int) -> None:
        """Fork them; see `Children`."""
        super().__init__(number, _walk)

    def __enter__(self) -> Walkers:
        return self

    @classmethod
    def for_journal(cls, path: str) -> Walkers:
        """Fork as many as this machine and the journal at `path` have use for."""
        try:
            worth = os.path.getsize(path) >= _WORTH_BYTES
        except OSError:
            worth = False
        processors = min(len(os.sched_getaffinity(0)), MOST_WALKERS)
        return cls(processors if worth and processors > 1 else 0)

    def steps(self, walks: Sequence[Walk], source: Source, seen: Seen) -> Iterator[Step]:
        """Yield what is found in all walks, one for each walker; not in order.

        Raises:
            SyncError: one of them could not be walked to its end.
        """
        mailboxes = self.mailboxes[: len(walks)]
        shown: set[Problem] = set()
        with selectors.DefaultSelector() as selector:
            for mailbox, walk in zip(mailboxes, walks):
                try:
                    set_to_work(mailbox, source.descriptor, walk)
                except OSError as error:
                    raise SyncError(_LOST) from error
                selector.register(mailbox.socket, selectors.EVENT_READ, mailbox)
            while selector.get_map():
                for key, _events in selector.select():
                    for found in _received(key.data):
                        seen.merge(found.seen)
                        yield from (step for step in found.steps if _is_new(step, walks, shown))
                        yield Unchanged()
                        if found.last:
                            selector.unregister(key.data.socket)


def _is_new(step: Step, walks: Sequence[Walk], shown: set[Problem]) -> bool:
    """Return whether nobody told it yet, and remember it: two walkers come to a folder in which a span ends."""
    if not isinstance(step, Problem) or not any(walk.span.ends_within(step.key) for walk in walks):
        return True
    if step in shown:
        return False
    shown.add(step)
    return True


def _received(mailbox: Mailbox) -> Iterator[Found]:
    try:
        for found in mailbox.receive():
            if found.broken:
                raise SyncError(found.broken)
            yield found
    except EOFError as error:
        raise SyncError(_LOST) from error


def _walk(mailbox: Mailbox, root: int, walk: Walk, _early: list[Any]) -> None:
    """Be a walking process."""
    tell_of(walk, root, mailbox.socket)
