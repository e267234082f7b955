# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A walking process: plans one span of a tree against the journal, and tells what is to be done there."""

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
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.processes.messages import packed
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.tree.seen import Seen
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.tree.source import Source
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.tree.span import Span
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.tree.walk import Tree

_STEPS_TOLD = 128
_TELL_SECONDS = 0.2


@dataclass(frozen=True)
class Walk:
    """What a walker has to know. The journal is only read: its owner goes on writing behind the walker."""

    src: str
    prefix_bytes: int
    journal_path: str
    planner: Planner
    span: Span


class Found(NamedTuple):
    """What a walker has met since it last told so, and what is to be done there. `broken`: why it can't go on."""

    steps: list[Step]
    seen: Seen
    last: bool = False
    broken: str = ""


def tell_of(walk: Walk, root: int, channel: socket.socket) -> None:
    """Plan a span and tell of it through a socket, no faster than the other end listens."""
    channel.setblocking(True)
    try:
        for found in _founds(walk, root):
            channel.sendall(packed(found))
        channel.recv(1)  # so that its end is never taken for a breakdown
    except SyncError as error:
        channel.sendall(packed(Found([], Seen(), broken=str(error))))
    except Exception as error:  # noqa: BLE001 - whatever it is, the parent has to know
        with suppress(OSError):  # or it is the parent that is gone
            channel.sendall(packed(Found([], Seen(), broken=f"the walk broke off: {type(error).__name__}: {error}")))


def _founds(walk: Walk, root: int) -> Iterator[Found]:
    tree = Tree(Source.inherited(walk.src, root), prefix_bytes=walk.prefix_bytes, span=walk.span)
    journal = Journal.peek(walk.journal_path)
    told = time.monotonic()
    seen = Seen()
    steps: list[Step] = []
    for step in walk.planner.steps(tree, journal.rows(walk.span), None, seen):
        if not isinstance(step, Unchanged) or step.row is not None:
            steps.append(step)
        if len(steps) >= _STEPS_TOLD or time.monotonic() - told > _TELL_SECONDS:
            yield Found(steps, seen.taken())
            steps, told = [], time.monotonic()
    journal.close()  # before its owner does so: the last one to close it has to clear it up
    yield Found(steps, seen, last=True)
