"""Starts server processes that can outlive the caller, and stops only these."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import socket
import subprocess
import time
import typing as t
from pathlib import Path

from stores.model import StoreError

_PR_SET_PDEATHSIG = 1
# Children of this very process, so that they are reaped when they end.
_children: dict[int, subprocess.Popen[bytes]] = {}


def free_port(host: str) -> int:
    """Return a free TCP port of this address."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.bind((host, 0))
        return int(probe.getsockname()[1])


def spawn(
    command: t.Sequence[str | Path], log: Path, *, env: dict[str, str] | None = None, bound_to_parent: bool = False
) -> int:
    """Start a process in a new session, with its output in log, and return its PID.

    bound_to_parent: the kernel kills it when the calling thread ends for any reason.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    words = [str(word) for word in command]
    libc = ctypes.CDLL(None, use_errno=True)

    def die_with_parent() -> None:
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)

    with log.open("ab") as output:
        child = subprocess.Popen(
            words,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**os.environ, **(env or {})},
            start_new_session=True,
            preexec_fn=die_with_parent if bound_to_parent else None,  # noqa: PLW1509 - one thread only
        )
    _children[child.pid] = child
    return child.pid


def run(command: t.Sequence[str | Path], *, timeout: float = 60) -> str:
    """Run a command and return its output.

    Raises StoreError with the command's message.
    """
    words = [str(word) for word in command]
    try:
        done = subprocess.run(
            words, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=timeout
        )
    except subprocess.TimeoutExpired as error:
        raise StoreError(f"`{' '.join(words[:3])} ...` did not end within {timeout:.0f} s") from error
    if done.returncode:
        said = (done.stderr or done.stdout)[-2000:].strip()
        raise StoreError(f"`{' '.join(words[:3])} ...` ended with status {done.returncode}: {said}")
    return done.stdout


def birth(pid: int) -> str | None:
    """Return the start time of a process in clock ticks, or None if it does not exist or is a zombie."""
    child = _children.get(pid)
    if child is not None and child.poll() is not None:
        return None
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace")
    except OSError:
        return None
    fields = stat.rpartition(")")[2].split()
    return None if fields[0] in "ZX" else fields[19]


def with_birth(pids: t.Iterable[int]) -> tuple[tuple[int, str], ...]:
    """Return the PIDs with their start times, so that a PID used again later is never mistaken for ours."""
    return tuple((pid, birth(pid) or "") for pid in pids)


def end(processes: t.Iterable[tuple[int, str]], *, seconds: float = 10) -> None:
    """End processes, the last started first, by SIGTERM and after so many seconds by SIGKILL.

    Other processes are left alone, also one that has got the pid of ours in the meantime.
    """
    for pid, started in reversed(list(processes)):
        if not started or birth(pid) != started:
            continue
        _signal(pid, signal.SIGTERM)
        if not _gone(pid, started, seconds):
            _signal(pid, signal.SIGKILL)
            if not _gone(pid, started, 5):
                raise StoreError(f"process {pid} does not end, not even by SIGKILL")
        child = _children.pop(pid, None)
        if child is not None:
            child.wait()


def _signal(pid: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


def _gone(pid: int, started: str, seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while birth(pid) == started:
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def listens(host: str, port: int) -> bool:
    """Whether somebody takes connections at this address, which may be one that stands for all."""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104
    try:
        with socket.create_connection((host, port), timeout=1):
            return True
    except OSError:
        return False


def wait_until(
    ready: t.Callable[[], bool], pids: t.Sequence[int], log: Path, what: str, *, seconds: float = 60
) -> None:
    """Wait until ready() is true.

    Raises StoreError with the log's end when one of the processes ends, or after so many seconds.
    """
    deadline = time.monotonic() + seconds
    while not ready():
        dead = [pid for pid in pids if birth(pid) is None]
        late = time.monotonic() > deadline
        if dead or late:
            tail = log.read_text(encoding="utf-8", errors="replace")[-1500:] if log.exists() else ""
            trouble = "ended at once" if dead else f"is not ready after {seconds:.0f} s"
            raise StoreError(f"{what} {trouble}. The end of {log}:\n{tail}")
        time.sleep(0.1)


def ready_or_ended(ready: t.Callable[[], bool], pid: int, log: Path, what: str) -> tuple[tuple[int, str], ...]:
    """Wait until ready() is true and return the process with its start time; where that fails, end it first.

    Raises StoreError as wait_until does.
    """
    pids = with_birth([pid])
    try:
        wait_until(ready, [pid], log, what)
    except BaseException:
        end(pids)
        raise
    return pids
