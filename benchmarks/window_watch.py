"""Notes when the processes of a container's units end and start, as the kernel reports it."""

from __future__ import annotations

import os
import select
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import final

_LOOK_SECONDS = 0.02
# systemd forks, and moves the new process into its unit's control group a moment later.
_YOUNG_SECONDS = 1.0
_WORKING = (b"sidekiq ", b" busy]")


@dataclass
class Process:
    """A process of a unit.

    Attributes:
        pid: Its number on this machine.
        parent: That of its parent when it was seen first.
        unit: The unit's name, without `.service`.
        seen: When it was seen first, in seconds since the epoch.
        ended: When it ended, or None.
        working: When it first had the title of a Sidekiq that takes jobs, or None.
    """

    pid: int
    parent: int
    unit: str
    seen: float
    ended: float | None = None
    working: float | None = None


@final
@dataclass
class Watcher:
    """Watches all processes of a container's units, from `with` to its end.

    Ends come from pidfd_open(2), so they are exact. Starts and titles are read from /proc every 20 ms.

    Attributes:
        container: ID of the container, which is part of the names of its control groups.
        processes: All that were seen.
    """

    container: str
    processes: list[Process] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._known: dict[int, float] = {}
        self._open: dict[int, Process] = {}
        self._poll = select.poll()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Watcher:
        self._look()
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._stopped.set()
        self._thread.join()
        for descriptor in self._open:
            os.close(descriptor)

    def alive(self, unit: str) -> list[Process]:
        """Return the processes of a unit that run now."""
        return [process for process in self.processes if process.unit == unit and process.ended is None]

    def last_end(self, old: list[Process]) -> float | None:
        """Return when the last of these processes and of their later children ended, None if one still runs."""
        family, ends = {process.pid for process in old}, []
        since = min((process.seen for process in old), default=0.0)
        for process in self.processes:
            if process in old or (process.parent in family and process.seen >= since):
                family.add(process.pid)
                if process.ended is None:
                    return None
                ends.append(process.ended)
        return max(ends, default=None)

    def working_since(self, unit: str, moment: float) -> float | None:
        """Return when a process of this unit first took jobs after this moment, or None."""
        return min(
            (
                process.working
                for process in self.processes
                if process.unit == unit and process.seen > moment and process.working is not None
            ),
            default=None,
        )

    def _run(self) -> None:
        while not self._stopped.is_set():
            for descriptor, _event in self._poll.poll(_LOOK_SECONDS * 1000):
                self._open.pop(descriptor).ended = time.time()
                self._poll.unregister(descriptor)
                os.close(descriptor)
            self._look()

    def _look(self) -> None:
        now = time.time()
        pids = [int(name) for name in os.listdir("/proc") if name.isdigit()]
        self._known = {pid: self._known.get(pid, now) for pid in pids}
        watched = {process.pid for process in self._open.values()}
        for pid in pids:
            if pid not in watched and now - self._known[pid] <= _YOUNG_SECONDS:
                self._watch(pid)
        for process in list(self._open.values()):
            if process.working is None and _is_working(process.pid):
                process.working = time.time()

    def _watch(self, pid: int) -> None:
        try:
            unit = unit_of(pid, self.container)
            if unit is None:
                return
            descriptor = os.pidfd_open(pid)
            words = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
        except OSError:  # it has ended
            return
        process = Process(pid, int(words[1]), unit, self._known[pid])
        self.processes.append(process)
        self._open[descriptor] = process
        self._poll.register(descriptor, select.POLLIN)


def unit_of(pid: int, container: str) -> str | None:
    """Return the unit, without `.service`, that a process belongs to; None if it is not one of this container.

    Raises:
        OSError: The process has ended.
    """
    for line in Path(f"/proc/{pid}/cgroup").read_text(encoding="utf-8").splitlines():
        if container in line and line.endswith(".service"):
            return line.rpartition("/")[2].removesuffix(".service")
    return None


def _is_working(pid: int) -> bool:
    """Return whether this is a Sidekiq that takes jobs, which its title says once it has booted."""
    try:
        title = Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False
    return title.startswith(_WORKING[0]) and _WORKING[1] in title and b"stopping" not in title
