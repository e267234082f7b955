"""Runs a command and measures all its processes: wall time, CPU time, memory."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

_PR_SET_CHILD_SUBREAPER = 36  # linux/prctl.h
_SAMPLE_SECONDS = 0.05
_ORPHAN_SECONDS = 10.0


class BenchmarkError(Exception):
    """A run did not do what it was measured for. The text says what was wrong."""


class Usage(NamedTuple):
    """What a command used: wall and CPU seconds, and bytes of memory at the peak. `out` and `err` are its output."""

    wall: float
    cpu: float
    memory: int
    status: int
    out: str
    err: str


def measured(command: Sequence[str | Path], *, env: Mapping[str, str], stdin: str = "") -> Usage:
    """Run a command and return what it and all its descendants used.

    CPU time is the user and system time from wait4(2) of the command, of the children it waited for, and of those that
    it left behind. Memory is the highest total of all its processes, sampled 20 times a second. Shared pages are
    counted once (Pss in /proc/PID/smaps_rollup).
    """
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    others = set(_children(os.getpid()))
    with tempfile.TemporaryFile("w+") as given, tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        given.write(stdin)
        given.seek(0)
        started = time.perf_counter()
        process = subprocess.Popen(
            [str(word) for word in command], stdin=given, stdout=out, stderr=err, env=dict(env), cwd="/"
        )
        sampler = _Sampler(process.pid)
        sampler.start()
        _pid, status, usage = os.wait4(process.pid, 0)
        wall = time.perf_counter() - started
        process.returncode = os.waitstatus_to_exitcode(status)
        sampler.stop()
        cpu = usage.ru_utime + usage.ru_stime
        for orphan in set(_children(os.getpid())) - others:
            cpu += _wait_for_orphan(orphan)
        texts = []
        for stream in (out, err):
            stream.seek(0)
            texts.append(stream.read().decode(errors="replace"))
    return Usage(wall, cpu, sampler.most, process.returncode, *texts)


class _Sampler(threading.Thread):
    """Samples the memory of a process and its descendants."""

    def __init__(self, pid: int) -> None:
        super().__init__(daemon=True)
        self.most = 0
        self._pid = pid
        self._ended = threading.Event()

    def run(self) -> None:
        while not self._ended.wait(_SAMPLE_SECONDS):
            self.most = max(self.most, sum(map(_memory, _with_descendants(self._pid))))

    def stop(self) -> None:
        self._ended.set()
        self.join()


def _with_descendants(pid: int) -> list[int]:
    found = [pid]
    for each in found:
        found += _children(each)
    return found


def _children(pid: int) -> list[int]:
    found: list[int] = []
    try:
        for task in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{task}/children", encoding="ascii") as listed:
                found += map(int, listed.read().split())
    except OSError:  # the process has ended
        pass
    return found


def _memory(pid: int) -> int:
    try:
        with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as lines:
            for line in lines:
                if line.startswith("Pss:"):
                    return int(line.split()[1]) * 1024
    except OSError:
        pass
    return 0


def _wait_for_orphan(pid: int) -> float:
    """Wait for a process that its parent left behind, and return its CPU seconds."""
    deadline = time.monotonic() + _ORPHAN_SECONDS
    while True:
        try:
            found, _status, usage = os.wait4(pid, os.WNOHANG)
        except ChildProcessError:
            return 0.0
        if found:
            return usage.ru_utime + usage.ru_stime
        if time.monotonic() > deadline:
            os.kill(pid, signal.SIGKILL)
        time.sleep(0.02)
