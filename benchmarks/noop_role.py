"""Measures a run of the migrate playbook that has nothing to do: executed tasks, walks of the tree, seconds.

It migrates the demo's sample server, then runs the same playbook again, with the connection `local` and over SSH to
this machine. Run it with `make benchmark-role`, which builds what it needs. See benchmarks/README.md.
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import os
import re
import select
import shutil
import struct
import sys
import threading
import typing as t
from dataclasses import dataclass
from pathlib import Path

sys.path[:0] = [str(Path(__file__).resolve().parent.parent / "tests" / "support")]

import environments  # noqa: E402
import ssh_server  # noqa: E402
import tables  # noqa: E402
from demo import __main__ as demo  # noqa: E402
from demo import playbook, sample  # noqa: E402
from measure import BenchmarkError  # noqa: E402
from stores import lifecycle, processes  # noqa: E402
from stores.model import StoreError, StoreServer  # noqa: E402

HOME = environments.CACHE / "noop-role"
_RECAP = re.compile(r"^demo\s+: ok=(\d+) +changed=(\d+)", re.MULTILINE)
_INCLUDED = re.compile(r"^included: ", re.MULTILINE)
_IN_OPEN = 0x20
_IN_NONBLOCK = 0o4000
_EVENT = struct.Struct("iIII")


class Walks:
    """Counts how often a folder is listed, with inotify(7).

    Every walk of the tree lists every folder once, so watching one folder deep in the tree is enough.
    """

    def __init__(self, folder: Path) -> None:
        libc = ctypes.CDLL(None, use_errno=True)
        self._descriptor = libc.inotify_init1(_IN_NONBLOCK)
        if self._descriptor < 0 or libc.inotify_add_watch(self._descriptor, os.fsencode(folder), _IN_OPEN) < 0:
            raise BenchmarkError(f"{folder} can't be watched: {os.strerror(ctypes.get_errno())}")
        self._count = 0
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def _watch(self) -> None:
        while not self._ended.is_set():
            if select.select([self._descriptor], [], [], 0.1)[0]:
                self._take(os.read(self._descriptor, 65536))

    def _take(self, data: bytes) -> None:
        while data:
            _watch, _mask, _cookie, length = _EVENT.unpack_from(data)
            name, data = data[_EVENT.size : _EVENT.size + length], data[_EVENT.size + length :]
            # An event without a name is about the folder itself.
            self._count += not name.strip(b"\0")

    def ended(self) -> int:
        """Stop watching, and return how often the folder was listed."""
        self._ended.set()
        self._thread.join()
        os.close(self._descriptor)
        return self._count


@dataclass(frozen=True)
class Cost:
    """What one run of the playbook took.

    Attributes:
        tasks: Executed tasks, `ok` plus `changed`; loops and includes count as one each.
        includes: How many of them only included a file of tasks.
        changed: Tasks that changed something.
        walks: How often the tree was walked.
        seconds: Wall time of `ansible-playbook`.
    """

    tasks: int
    includes: int
    changed: int
    walks: int
    seconds: float


def measured(inventory: Path, folder: Path) -> Cost:
    """Run the playbook once."""
    walks = Walks(folder)
    try:
        with (HOME / "output").open("w", encoding="utf-8") as stream, contextlib.redirect_stdout(stream):
            run = playbook.run("migrate", inventory, HOME)
    finally:
        count = walks.ended()
    output = run.log.read_text(encoding="utf-8")
    recap = _RECAP.search(output)
    if run.status or recap is None:
        raise BenchmarkError(f"The playbook failed with status {run.status}; see {run.log}.")
    return Cost(int(recap[1]), len(_INCLUDED.findall(output)), int(recap[2]), count, run.seconds)


def row(title: str, runs: list[Cost]) -> list[str]:
    """Return a row of the table."""
    least, seconds = min(runs, key=lambda cost: cost.seconds), tables.median(cost.seconds for cost in runs)
    return [title, str(least.tasks), str(least.includes), str(least.changed), str(least.walks), f"{seconds:.1f}"]


@contextlib.contextmanager
def server() -> t.Iterator[tuple[sample.Sample, StoreServer, int]]:
    """Start the sample server and a store for it, and stop both at the end."""
    shutil.rmtree(HOME, ignore_errors=True)
    HOME.mkdir(parents=True, mode=0o700)
    os.umask(0o022)
    demo.HOME = HOME
    laid_out = sample.lay_out(HOME / "live")
    store = lifecycle.start("moto", HOME / "store", bound_to_parent=True)
    port = processes.free_port("127.0.0.1")
    try:
        demo.start_services(laid_out, port)
        yield laid_out, store, port
    finally:
        demo.restart("stop")
        lifecycle.stop(HOME / "store")


@contextlib.contextmanager
def ssh() -> t.Iterator[dict[str, object]]:
    """Start an SSH server on the loopback, and yield Ansible's connection variables; none if it can't run."""
    missing = ssh_server.missing()
    if missing:
        say(f"not over SSH: {missing}")
        yield {}
        return
    running = ssh_server.SshServer(HOME / "ssh")
    try:
        yield running.variables()
    finally:
        running.cut_off()


def say(text: str) -> None:
    """Print one line of progress."""
    print(f"benchmark: {text}", file=sys.stderr, flush=True)


def measure(rounds: int) -> list[list[str]]:
    """Migrate the sample server, then run the playbook several times."""
    rows, inventory = [], HOME / "inventory.json"
    with server() as (laid_out, store, port), ssh() as over_ssh:
        variables = demo.variables(laid_out, store, port)
        folder = (laid_out.media / laid_out.thumbnail).parent
        playbook.write_inventory(inventory, variables)
        say("the first run")
        rows.append(row("first run, local", [measured(inventory, folder)]))
        for title, connection in (("no-op, local", {}), ("no-op, SSH", over_ssh)):
            if title.endswith("SSH") and not connection:
                continue
            playbook.write_inventory(inventory, variables | connection)
            runs = []
            for _round in range(rounds):
                runs.append(measured(inventory, folder))
                say(f"{title}: {runs[-1]}")
            if any(run.changed for run in runs):
                raise BenchmarkError(f"A run that had nothing to do changed something; see {HOME / 'migrate.log'}.")
            rows.append(row(title, runs))
    return rows


def main() -> int:
    """Parse the command line and run the benchmark. Return the exit status."""
    parser = argparse.ArgumentParser(prog="make benchmark-role ARGS=...", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3, help="no-op runs for each connection (default: %(default)s)")
    arguments = parser.parse_args()
    try:
        rows = measure(arguments.rounds)
    except (BenchmarkError, demo.DemoError, StoreError) as error:
        print(f"benchmark: {error}", file=sys.stderr)
        return 1
    head = ["run", "executed tasks", "of which includes", "changed", "walks", "seconds"]
    print(f"{tables.machine()}; medians of {arguments.rounds} rounds.\n\n{tables.table(head, rows)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
