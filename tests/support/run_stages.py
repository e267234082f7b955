"""Runs stages of the tests, two at a time, and prints a table and a line `N passed, N failed`.

Usage: run_stages.py all | STAGE ...

A stage writes to .cache/logs/<stage>.log. The exit status 77 means that a stage can't run on this machine, for example
without root. With CI=true this is a failure. Otherwise the stage is listed with the reason, the last line of its log.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple, TextIO

from environments import CACHE, CANNOT_RUN, DEFAULT, LOGS, ROOT, in_ci

AT_ONCE = 2
SAY_EVERY = 30.0
SUPPORT = "tests/support"
# Parts of other stages, for the quick loop.
ONLY_QUICK = ("unit", "shipped")


class Stage(NamedTuple):
    """An independent part: its command, how a user runs it alone, its requirements, and what it can't share."""

    command: tuple[str, ...]
    alone: str
    needs: tuple[str, ...] = ("setup",)
    exclusive: str = ""


def _script(name: str, *words: str) -> tuple[str, ...]:
    return (sys.executable, f"{SUPPORT}/{name}", *words)


def _stages() -> dict[str, Stage]:
    """Return all stages. They are started in this order, so the longest come first."""
    scenarios = sorted(path.parent.name for path in ROOT.glob("molecule/*/molecule.yml"))
    venv_python = str(CACHE / "venv" / "bin" / "python")
    stores = ("setup", "programs")
    return {
        "setup": Stage(_script("environments.py", *DEFAULT), "make setup", ()),
        "programs": Stage((venv_python, f"{SUPPORT}/programs.py"), f"{venv_python} {SUPPORT}/programs.py"),
        **{
            f"molecule-{name}": Stage(
                _script("molecule_scenario.py", name), f"make molecule SCENARIO={name}", stores, "molecule"
            )
            for name in scenarios
        },
        "stores": Stage(_script("unit.py", "stores"), "make stores", stores),
        "parsers": Stage(_script("unit.py", "parsers"), "make parsers"),
        "browser": Stage(_script("unit.py", "browser"), "make browser"),
        **{
            f"integration-{end}": Stage(
                _script("ansible_test.py", "integration", end), f"make integration END={end}", stores
            )
            for end in ("oldest", "newest")
        },
        **{
            f"sanity-{core}": Stage(
                _script("ansible_test.py", "sanity", f"core-{core}"), f"make sanity CORE=core-{core}"
            )
            for core in ("2.19", "2.20", "2.21", "2.22")
        },
        "demo": Stage((f"{SUPPORT}/demo/run.sh",), "make demo"),
        "build": Stage(_script("check_build.py"), "make build"),
        **{
            f"unit-{name.removeprefix('core-')}": Stage(_script("unit.py", name), f"make unit ENV={name}")
            for name in ("core-2.19", "core-2.20", "core-2.21", "core-2.22", "node-3.9", "node-3.14")
        },
        "ansible-lint": Stage(_script("lint.py", "ansible-lint"), "make lint ONLY=ansible-lint"),
        "docs": Stage(_script("lint.py", "antsibull-docs"), "make docs"),
        "docs-site": Stage(_script("docs_site.py"), "make docs-site"),
        "lint": Stage(_script("lint.py", "--quick"), "make lint"),
        "types": Stage(_script("lint.py", "mypy"), "make types"),
        "unit": Stage(_script("unit.py", "venv", "-m", "not slow"), "make unit ARGS=\"-m 'not slow'\""),
        "shipped": Stage(_script("lint.py", "shipped"), "make lint ONLY=shipped"),
    }


class Running(NamedTuple):
    """A running stage."""

    process: subprocess.Popen[bytes]
    log: TextIO
    started: float


class StageResult(NamedTuple):
    """The result of a stage: passed, failed, cannot (run here) or blocked (another stage failed), and its seconds."""

    verdict: str
    seconds: float
    text: str = ""


class Board:
    """Starts stages when they can run, waits for them, and keeps the results."""

    def __init__(self, stages: dict[str, Stage]) -> None:
        self.stages = stages
        self.running: dict[str, Running] = {}
        self.results: dict[str, StageResult] = {}
        self.cpu_seconds: dict[str, float] = {}
        self.started = time.monotonic()
        self.said = self.started

    def run(self) -> None:
        """Run all stages. If interrupted, stop the running ones."""
        try:
            while len(self.results) < len(self.stages):
                self._start_what_can()
                self._collect()
                time.sleep(0.2)
        finally:
            for running in self.running.values():
                os.killpg(running.process.pid, signal.SIGTERM)

    def _start_what_can(self) -> None:
        for name, stage in self.stages.items():
            if name in self.results or name in self.running:
                continue
            needs = [need for need in stage.needs if need in self.stages]
            broken = [need for need in needs if need in self.results and self.results[need].verdict != "passed"]
            if broken:
                self._finish(name, StageResult("blocked", 0.0, f"needs {broken[0]}, which did not pass"))
                continue
            taken = {self.stages[other].exclusive for other in self.running} - {""}
            if (
                len(self.running) < AT_ONCE
                and all(need in self.results for need in needs)
                and stage.exclusive not in taken
            ):
                log = (LOGS / f"{name}.log").open("w", encoding="utf-8")
                process = subprocess.Popen(
                    stage.command,
                    cwd=ROOT,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                    env={**os.environ, "PYTHONUNBUFFERED": "1"},
                )
                self.running[name] = Running(process, log, time.monotonic())

    def _collect(self) -> None:
        for name, running in list(self.running.items()):
            pid, status, used = os.wait4(running.process.pid, os.WNOHANG)
            if not pid:
                continue
            status = running.process.returncode = os.waitstatus_to_exitcode(status)
            running.log.close()
            del self.running[name]
            self.cpu_seconds[name] = used.ru_utime + used.ru_stime
            seconds = time.monotonic() - running.started
            if status == CANNOT_RUN and not in_ci():
                lines = log_lines(name)
                self._finish(name, StageResult("cannot", seconds, lines[-1] if lines else "no reason given"))
            else:
                self._finish(
                    name, StageResult("failed" if status else "passed", seconds, f"status {status}" if status else "")
                )
        if self.running and time.monotonic() - self.said > SAY_EVERY:
            self.said = time.monotonic()
            under_way = ", ".join(f"{name} ({self.said - run.started:.0f} s)" for name, run in self.running.items())
            print(f"{'':14}still running: {under_way}", flush=True)

    def _finish(self, name: str, result: StageResult) -> None:
        self.results[name] = result
        self.said = time.monotonic()
        count = f"{len(self.results)}/{len(self.stages)}"
        clock = f"{(self.said - self.started) / 60:.1f} min"
        words = {"passed": "passed", "failed": "FAILED", "cannot": "CANNOT RUN HERE", "blocked": "BLOCKED"}[
            result.verdict
        ]
        print(f"{clock:>8} {count:>5} {name} {words} ({result.seconds:.0f} s) {result.text}", flush=True)


def log_lines(name: str) -> list[str]:
    """Return the lines of a stage's log."""
    try:
        return (LOGS / f"{name}.log").read_text(encoding="utf-8", errors="replace").splitlines()
    except FileNotFoundError:
        return []


def summarise(board: Board, seconds: float) -> int:
    """Print the results. Return the exit status.

    CPU seconds leave out processes that nobody waited for.
    """
    stages, results = board.stages, board.results
    failed = [name for name, result in results.items() if result.verdict in ("failed", "blocked")]
    for name in failed:
        if results[name].verdict == "failed":
            print(f"\n--- {name}: the end of {Path(LOGS / f'{name}.log').relative_to(ROOT)} ---")
            print("\n".join(log_lines(name)[-40:]))
            print(f"--- to run it alone: {stages[name].alone} ---")
    print(f"\n{'stage':24} {'result':10} {'seconds':>8} {'CPU':>8}")
    for name in stages:
        result = results[name]
        cpu_seconds = board.cpu_seconds.get(name, 0.0)
        print(f"{name:24} {result.verdict:10} {result.seconds:8.0f} {cpu_seconds:8.0f}  {result.text}")
    for name, result in results.items():
        if result.verdict == "cannot":
            print(f"not run on this machine: {name}: {result.text}")
    for name in stages:
        for line in log_lines(name):
            # What pytest left out inside of a stage that passed.
            if results[name].verdict == "passed" and line.startswith("SKIPPED ["):
                print(f"left out in {name}: {line}")
    for name in stages:
        print("".join(f"{line}\n" for line in log_lines(name) if line.startswith("coverage: ")), end="")
    passed = sum(result.verdict == "passed" for result in results.values())
    print(f"{seconds / 60:.1f} minutes. Logs: {LOGS.relative_to(ROOT)}/")
    print(f"{passed} passed, {len(failed)} failed")
    return 1 if failed else 0


def main() -> int:
    """Parse the command line and run the command."""
    stages = _stages()
    wanted = sys.argv[1:]
    unknown = [name for name in wanted if name != "all" and name not in stages]
    if unknown or not wanted:
        print(f"run_stages.py: no stage {', '.join(unknown)}; there are: all {' '.join(stages)}", file=sys.stderr)
        return 2
    names = [name for name in stages if name not in ONLY_QUICK] if "all" in wanted else wanted
    chosen = {name: stages[name] for name in names}
    LOGS.mkdir(parents=True, exist_ok=True)
    board = Board(chosen)
    print(f"{len(chosen)} stages, {AT_ONCE} at a time: {', '.join(chosen)}", flush=True)
    board.run()
    return summarise(board, time.monotonic() - board.started)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
