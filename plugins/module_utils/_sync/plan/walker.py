# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A walking process: plans one span of a tree against the journal, and reports what has to be done there."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import NamedTuple

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.journal.journal import Journal
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.model import SyncError
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.plan.plan import Planner, Step, Unchanged
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.processes.channel import packed
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.tree.counts import WalkCounts
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.tree.source import Source
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.tree.span import Span
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.tree.walk import Tree

_STEPS_TOLD = 128
_TELL_SECONDS = 0.2


@dataclass(frozen=True)
class Walk:
    """What a walker has to know. It only reads the journal, while the owner continues to write it."""

    src: str
    prefix_bytes: int
    journal_path: str
    planner: Planner
    span: Span


class WalkBatch(NamedTuple):
    """What a walker has found since its last report, and what has to be done. `broken`: why it can't continue."""

    steps: list[Step]
    counts: WalkCounts
    last: bool = False
    broken: str = ""


def send_batches(walk: Walk, root: int, sock: socket.socket) -> None:
    """Plan a span and report it through a socket, no faster than the other end reads."""
    sock.setblocking(True)
    try:
        for batch in _batches(walk, root):
            sock.sendall(packed(batch))
        sock.recv(1)  # so that its end is never mistaken for a crash
    except SyncError as error:
        sock.sendall(packed(WalkBatch([], WalkCounts(), broken=str(error))))
    except Exception as error:  # noqa: BLE001 - whatever it is, the parent has to know
        with suppress(OSError):  # or the parent is gone
            sock.sendall(
                packed(WalkBatch([], WalkCounts(), broken=f"the walk failed: {type(error).__name__}: {error}"))
            )


def _batches(walk: Walk, root: int) -> Iterator[WalkBatch]:
    tree = Tree(Source.inherited(walk.src, root), prefix_bytes=walk.prefix_bytes, span=walk.span)
    journal = Journal.peek(walk.journal_path)
    told = time.monotonic()
    counts = WalkCounts()
    steps: list[Step] = []
    for step in walk.planner.steps(tree, journal.rows(walk.span), None, counts):
        if not isinstance(step, Unchanged) or step.row is not None:
            steps.append(step)
        if len(steps) >= _STEPS_TOLD or time.monotonic() - told > _TELL_SECONDS:
            yield WalkBatch(steps, counts.taken())
            steps, told = [], time.monotonic()
    counts.linked = tree.linked
    journal.close()  # before its owner does: the last one to close it has to clean up
    yield WalkBatch(steps, counts, last=True)
