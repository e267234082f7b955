# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Worker processes, from the parent's side: given orders, and asked what came of them."""

from __future__ import annotations

import os
import selectors
from collections.abc import Generator, Iterable, Iterator
from contextlib import suppress
from functools import partial
from itertools import chain, islice
from typing import Callable, final

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.model import (
    Action,
    Failure,
    Outcome,
)
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.processes.child import Children, set_to_work
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.processes.messages import (
    Job,
    Mailbox,
    News,
    Order,
)
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.report import Traffic
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.transfer.send import Performer
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.transfer.upload import failed
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.transfer.worker import Connect, Worker
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.tree.source import Source

MOST_WORKERS = 4
_QUEUED_PER_FILE = 2
_LEAST_QUEUED = 32
_AT_ONCE = 32
_LOST = Failure("the process that sent it was ended from outside; run again, and it is sent once more")


@final
class Workers(Children):
    """Processes that send."""

    def __init__(self, number: int, connect: Connect) -> None:
        """Fork them; see `Children`. `connect` is called in one that needs a store of its own."""
        super().__init__(number, partial(_work, connect))

    def __enter__(self) -> Workers:
        return self

    @classmethod
    def for_files(cls, files: int, connect: Connect) -> Workers:
        """Fork as many as this machine has use for, when so many files may be under way at once."""
        return cls(max(1, min(len(os.sched_getaffinity(0)), MOST_WORKERS, files)), connect)


def _work(connect: Connect, mailbox: Mailbox, root: int, job: Job, early: list[list[Order]]) -> None:
    """Be a worker process."""
    try:
        Worker(mailbox, job, Source.inherited(job.src, root), connect, early).run()
    except Exception as error:  # noqa: BLE001 - whatever it is, the parent has to know
        with suppress(OSError):
            mailbox.socket.setblocking(True)
            mailbox.post(News([], broken=f"{type(error).__name__}: {error}"))


class ProcessTransfer:
    """Does actions in worker processes; deletions, which are few requests, in this one."""

    def __init__(
        self, workers: Workers, make_job: Callable[[], Job], source: Source, performer: Performer, traffic: Traffic
    ) -> None:
        """`make_job` is called when the first action comes, so that a run without one needs no client."""
        self._make_job = make_job
        self._source = source
        self._performer = performer
        self._traffic = traffic
        self._room = 0
        self._mailboxes = list(workers.mailboxes)
        self._under_way: dict[Mailbox, dict[int, Action]] = {mailbox: {} for mailbox in self._mailboxes}
        self._broken = ""

    def run(self, actions: Iterable[Action]) -> Generator[Outcome, None, None]:
        """Do all actions; see `Transfer`."""
        numbered = enumerate(actions)
        first = next(numbered, None)
        if first is None:
            return
        self._begin()
        source = chain((first,), numbered)
        selector = selectors.DefaultSelector()
        for mailbox in self._mailboxes:
            selector.register(mailbox.socket, selectors.EVENT_READ, mailbox)
        with selector:
            more = True
            while self._mailboxes:
                more = more and self._give(source)
                if not more and not any(self._under_way.values()):
                    return
                for mailbox in self._mailboxes:
                    events = selectors.EVENT_READ | (selectors.EVENT_WRITE if mailbox.waiting else 0)
                    selector.modify(mailbox.socket, events, mailbox)
                hungry = more and any(self._room_of(mailbox) for mailbox in self._mailboxes)
                for key, events in selector.select(0 if hungry else None):
                    yield from self._attend(key.data, events, selector)
            for _number, action in source:
                yield failed(action, Failure(f"no process is left to send it {self._broken}".rstrip(), systemic=True))

    def delete(self, actions: list[Action]) -> list[Outcome]:
        """Delete one batch of objects."""
        return self._performer.delete(actions)

    def _begin(self) -> None:
        job = self._make_job()
        self._room = max(job.most * _QUEUED_PER_FILE, _LEAST_QUEUED)
        for mailbox in list(self._mailboxes):
            try:
                set_to_work(mailbox, self._source.descriptor, job)
            except OSError:
                self._drop(mailbox)

    def _give(self, source: Iterator[tuple[int, Action]]) -> bool:
        """Hand some actions to the worker with the most room; return whether there may be more of them."""
        mailbox = max(self._mailboxes, key=self._room_of, default=None)
        if mailbox is None or not self._room_of(mailbox):
            return True
        orders = [Order(number, action) for number, action in islice(source, min(_AT_ONCE, self._room_of(mailbox)))]
        if not orders:
            return False
        self._under_way[mailbox].update(orders)
        with suppress(OSError):  # its end is noticed by reading
            mailbox.post(orders)
        return True

    def _room_of(self, mailbox: Mailbox) -> int:
        return max(0, self._room - len(self._under_way[mailbox]))

    def _attend(self, mailbox: Mailbox, events: int, selector: selectors.BaseSelector) -> Iterator[Outcome]:
        under_way = self._under_way[mailbox]
        try:
            if events & selectors.EVENT_WRITE:
                mailbox.flush()
            if events & selectors.EVENT_READ:
                for news in mailbox.receive():
                    self._broken = news.broken or self._broken
                    if news.traffic is not None:
                        self._traffic.add(news.traffic)
                    for done in news.done:
                        yield done.outcome(under_way.pop(done.number))
        except (EOFError, OSError):
            selector.unregister(mailbox.socket)
            self._drop(mailbox)
            # What it was doing stays pending in the journal, and so is done again by the next run.
            for action in under_way.values():
                yield failed(action, _LOST)
            under_way.clear()

    def _drop(self, mailbox: Mailbox) -> None:
        self._mailboxes.remove(mailbox)
