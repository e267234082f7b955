# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Worker processes, from the parent's side."""

from __future__ import annotations

import os
import selectors
import traceback
from collections.abc import Generator, Iterable, Iterator
from contextlib import suppress
from functools import partial
from itertools import chain, islice
from typing import Callable, Optional, final

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.connection.errors import S3Error
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.execution.executor import Executor
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.execution.upload import failed
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.model import (
    Action,
    Failure,
    Outcome,
    SyncError,
)
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.processes.channel import Channel
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.processes.child import Children, set_to_work
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.report import Traffic
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.transfer.messages import (
    Job,
    ResultBatch,
    Task,
)
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.transfer.threads import Connect
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.transfer.transfer import IDLE_SECONDS
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.transfer.worker import Worker
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.tree.source import Source

MOST_WORKERS = 4
_QUEUED_PER_FILE = 2
_LEAST_QUEUED = 32
_AT_ONCE = 32
_BROKEN = "the process that was to send it failed"
_LOST = Failure("the process that sent it was ended from outside; run again, and it is sent once more")


@final
class Workers(Children):
    """Processes that send."""

    def __init__(self, number: int, connect: Connect) -> None:
        """Fork the processes; see `Children`. `connect` is called in a process that needs its own store."""
        super().__init__(number, partial(_work, connect))

    def __enter__(self) -> Workers:
        return self

    @classmethod
    def for_files(cls, files: int, connect: Connect) -> Workers:
        """Fork as many processes as are useful on this machine with this number of files at once."""
        return cls(max(1, min(len(os.sched_getaffinity(0)), MOST_WORKERS, files)), connect)


def _work(connect: Connect, channel: Channel, root: int, job: Job, early: list[list[Task]]) -> None:
    """Work as a worker process."""
    try:
        Worker(channel, job, Source.inherited(job.src, root), connect, early).run()
    except Exception as error:  # noqa: BLE001 - whatever it is, the parent has to know
        with suppress(OSError):
            channel.socket.setblocking(True)
            channel.send(ResultBatch([], broken=_cause(error)))


def _cause(error: Exception) -> str:
    """Return what ended a process, without words of the error that may contain a header or a key."""
    if isinstance(error, (S3Error, SyncError, OSError)):
        return f"{type(error).__name__}: {error}"
    frames = traceback.extract_tb(error.__traceback__)
    place = f" in {os.path.basename(frames[-1].filename)}, line {frames[-1].lineno}" if frames else ""
    advice = "; check that the credentials contain only ASCII characters" if isinstance(error, UnicodeError) else ""
    return f"{type(error).__name__}{place}{advice}"


class ProcessTransfer:
    """Does actions in worker processes, and deletions, which are few requests, in this process."""

    def __init__(
        self, workers: Workers, make_job: Callable[[], Job], source: Source, executor: Executor, traffic: Traffic
    ) -> None:
        """`make_job` is called with the first action, so that a run without actions needs no client."""
        self._make_job = make_job
        self._source = source
        self._executor = executor
        self._traffic = traffic
        self._room = 0
        self._channels = list(workers.channels)
        self._under_way: dict[Channel, dict[int, Action]] = {channel: {} for channel in self._channels}
        self._broken = ""

    def run(self, actions: Iterable[Action]) -> Generator[Optional[Outcome], None, None]:
        """Do all actions; see `Transfer`."""
        numbered = enumerate(actions)
        first = next(numbered, None)
        if first is None:
            return
        self._begin()
        source = chain((first,), numbered)
        selector = selectors.DefaultSelector()
        for channel in self._channels:
            selector.register(channel.socket, selectors.EVENT_READ, channel)
        with selector:
            more = True
            while self._channels:
                more = more and self._give(source)
                if not more and not any(self._under_way.values()):
                    return
                for channel in self._channels:
                    events = selectors.EVENT_READ | (selectors.EVENT_WRITE if channel.waiting else 0)
                    selector.modify(channel.socket, events, channel)
                hungry = more and any(self._room_of(channel) for channel in self._channels)
                ready = selector.select(0 if hungry else IDLE_SECONDS)
                if not ready:
                    yield None
                for key, events in ready:
                    yield from self._attend(key.data, events, selector)
            for _number, action in source:
                yield failed(action, Failure(f"no process is left to send it {self._broken}".rstrip(), systemic=True))

    def delete(self, actions: list[Action]) -> list[Outcome]:
        """Delete one batch of objects."""
        return self._executor.delete(actions)

    def _begin(self) -> None:
        job = self._make_job()
        self._room = max(job.most * _QUEUED_PER_FILE, _LEAST_QUEUED)
        for channel in list(self._channels):
            try:
                set_to_work(channel, self._source.descriptor, job)
            except OSError:
                self._drop(channel)

    def _give(self, source: Iterator[tuple[int, Action]]) -> bool:
        """Give some actions to the worker with the most room; return whether there may be more."""
        channel = max(self._channels, key=self._room_of, default=None)
        if channel is None or not self._room_of(channel):
            return True
        tasks = [Task(number, action) for number, action in islice(source, min(_AT_ONCE, self._room_of(channel)))]
        if not tasks:
            return False
        self._under_way[channel].update(tasks)
        with suppress(OSError):  # reading shows that it has ended
            channel.send(tasks)
        return True

    def _room_of(self, channel: Channel) -> int:
        return max(0, self._room - len(self._under_way[channel]))

    def _attend(self, channel: Channel, events: int, selector: selectors.BaseSelector) -> Iterator[Outcome]:
        under_way = self._under_way[channel]
        try:
            if events & selectors.EVENT_WRITE:
                channel.flush()
            if events & selectors.EVENT_READ:
                for batch in channel.receive():
                    self._broken = batch.broken or self._broken
                    if batch.traffic is not None:
                        self._traffic.add(batch.traffic)
                    for result in batch.results:
                        yield result.outcome(under_way.pop(result.number))
        except (EOFError, OSError):
            selector.unregister(channel.socket)
            self._drop(channel)
            # Its actions stay pending in the journal, so the next run repeats them.
            lost = Failure(f"{_BROKEN} ({self._broken})", systemic=True) if self._broken else _LOST
            for action in under_way.values():
                yield failed(action, lost)
            under_way.clear()

    def _drop(self, channel: Channel) -> None:
        self._channels.remove(channel)
