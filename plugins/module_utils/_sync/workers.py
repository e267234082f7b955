# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Worker processes, from the parent's side: started early, given orders, gone when the parent is.

They are forked before the parent has threads, clients or a journal, so that they share nothing with it but code. Each
ends itself when the other end of its socket is closed, and the kernel ends it when the parent dies (prctl(2),
PR_SET_PDEATHSIG).
"""

from __future__ import annotations

import ctypes
import gc
import multiprocessing
import os
import selectors
import signal
import socket
from collections.abc import Generator, Iterable, Iterator
from contextlib import suppress
from itertools import islice
from multiprocessing.process import BaseProcess
from typing import Optional, final

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.messages import (
    Job,
    Mailbox,
    News,
    Order,
)
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.model import (
    Action,
    Failure,
    Outcome,
)
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.report import Traffic
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.send import Performer
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.source import Source
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.upload import failed
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.worker import Connect, Worker

MOST_WORKERS = 4
_PR_SET_PDEATHSIG = 1  # linux/prctl.h
_END_SECONDS = 5.0
_QUEUED_PER_FILE = 2
_LEAST_QUEUED = 32
_AT_ONCE = 32
_LOST = Failure("the process that sent it was ended from outside; run again, and it is sent once more")


@final
class Workers:
    """Some idle processes, and the sockets to talk to them."""

    def __init__(self, number: int, connect: Connect) -> None:
        """Fork them. `connect` is called in a worker that needs a store of its own.

        To be called while the process has a single thread and no client.
        """
        context = multiprocessing.get_context("fork")
        parent = os.getpid()
        self.mailboxes: list[Mailbox] = []
        self._processes: list[BaseProcess] = []
        for _each in range(number):
            ours, theirs = socket.socketpair()
            foreign = [mailbox.socket for mailbox in self.mailboxes] + [ours]
            process = context.Process(target=_work, args=(theirs, foreign, parent, connect), daemon=True)
            process.start()
            theirs.close()
            self.mailboxes.append(Mailbox(ours))
            self._processes.append(process)

    @classmethod
    def for_files(cls, files: int, connect: Connect) -> Workers:
        """Fork as many as this machine has use for, when so many files may be under way at once."""
        return cls(max(1, min(len(os.sched_getaffinity(0)), MOST_WORKERS, files)), connect)

    def __enter__(self) -> Workers:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def close(self) -> None:
        """End them all, whatever they are doing."""
        for mailbox in self.mailboxes:
            mailbox.socket.close()
        for process in self._processes:
            process.join(_END_SECONDS)
            if process.is_alive():
                process.kill()
                process.join()


def _work(theirs: socket.socket, foreign: list[socket.socket], parent: int, connect: Connect) -> None:
    """Be a worker process."""
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)  # it died before prctl was called
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent ends its workers itself
    for other in foreign:
        other.close()
    nothing = os.open(os.devnull, os.O_RDWR)
    for standard in (0, 1, 2):
        os.dup2(nothing, standard)
    try:
        _data, (root, *_more), _flags, _address = socket.recv_fds(theirs, 1, 1)
    except (OSError, ValueError):
        os._exit(0)  # never needed
    gc.freeze()  # what the parent has loaded stays, and need not be looked at again
    mailbox = Mailbox(theirs)
    selector = selectors.DefaultSelector()
    selector.register(theirs, selectors.EVENT_READ)
    job: Optional[Job] = None
    early: list[list[Order]] = []
    try:
        while job is None:
            selector.select()
            for message in mailbox.receive():
                if job is None:
                    job = message
                else:
                    early.append(message)
        Worker(mailbox, job, Source.inherited(job.src, root), connect, early).run()
    except EOFError:
        pass
    except Exception as error:  # noqa: BLE001 - whatever it is, the parent has to know
        with suppress(OSError):
            theirs.setblocking(True)
            mailbox.post(News([], broken=f"{type(error).__name__}: {error}"))
    os._exit(0)


class ProcessTransfer:
    """Does actions in worker processes; deletions, which are few requests, in this one."""

    def __init__(self, workers: Workers, job: Job, source: Source, performer: Performer, traffic: Traffic) -> None:
        self._performer = performer
        self._traffic = traffic
        self._room = max(job.most * _QUEUED_PER_FILE, _LEAST_QUEUED)
        self._mailboxes = list(workers.mailboxes)
        self._under_way: dict[Mailbox, dict[int, Action]] = {mailbox: {} for mailbox in self._mailboxes}
        self._broken = ""
        for mailbox in list(self._mailboxes):
            try:
                socket.send_fds(mailbox.socket, [b"!"], [source.descriptor])
                mailbox.post(job)
            except OSError:
                self._drop(mailbox)

    def run(self, actions: Iterable[Action]) -> Generator[Outcome, None, None]:
        """Do all actions; see `Transfer`."""
        source = enumerate(actions)
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
                yield failed(action, Failure(f"no process is left to send it {self._broken}".rstrip(), fatal=True))

    def delete(self, actions: list[Action]) -> list[Outcome]:
        """Delete one batch of objects."""
        return self._performer.delete(actions)

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
