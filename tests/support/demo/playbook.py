"""Runs the collection's playbook on the sample server and shows how it goes."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import environments

# Tasks whose messages are worth reading.
_TOLD = ("Preflight | Print the plan", "Report | Say what was done")
_TASK = re.compile(r"^TASK \[(?:[\w.]+ : )?(?P<name>.*?)\] \**$")
_RESULT = re.compile(r"^(?P<word>ok|changed): \[demo(?: -> \w+)?\]")
_ITEM = re.compile(r'^ {8}(?P<text>".*"),?$')


@dataclass(frozen=True)
class Run:
    """How a run of ansible-playbook went.

    Attributes:
        status: Its exit status.
        seconds: How long it took.
        tasks: Number of results, that is of tasks and loop items that were not skipped.
        changed: How many of them changed something.
        log: All it said.
    """

    status: int
    seconds: float
    tasks: int
    changed: int
    log: Path


def write_inventory(path: Path, variables: dict[str, object]) -> None:
    """Writes an inventory with the one host, as JSON, which is YAML too."""
    path.write_text(json.dumps({"mastodon": {"hosts": {"demo": variables}}}, indent=2) + "\n", encoding="utf-8")


def run(name: str, inventory: Path, home: Path) -> Run:
    """Runs one of the collection's playbooks, with one line for each task and everything in a log."""
    log = home / f"{name}.log"
    settings = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "ANSIBLE_"))}
    configuration = home / "ansible.cfg"
    configuration.touch()
    # Nothing of whoever tries the demo is to be used: no configuration, no credentials, no plugins.
    settings |= {
        "ANSIBLE_CONFIG": str(configuration),
        "ANSIBLE_COLLECTIONS_PATH": str(environments.CACHE / "collections"),
        "ANSIBLE_HOME": str(home / "ansible"),
        "ANSIBLE_NOCOLOR": "1",
        "ANSIBLE_FORCE_COLOR": "0",
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_EC2_METADATA_DISABLED": "true",
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "PYTHONUNBUFFERED": "1",
    }
    command = [
        str(Path(sys.executable).parent / "ansible-playbook"),
        "--inventory",
        str(inventory),
        str(environments.ROOT / "playbooks" / f"{name}.yml"),
    ]
    started = time.monotonic()
    watcher = _Watcher(started)
    process = subprocess.Popen(
        command,
        cwd=environments.ROOT,
        env=settings,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        encoding="utf-8",
        errors="replace",
    )
    try:
        with log.open("w", encoding="utf-8") as stream:
            for line in process.stdout or ():
                stream.write(line)
                watcher.see(line.rstrip("\n"))
        process.wait()
    finally:
        if process.poll() is None:
            process.terminate()
            process.wait()
    return Run(process.returncode, time.monotonic() - started, watcher.tasks, watcher.changed, log)


class _Watcher:
    """Tells of each task that did something, when it is done, and all of what went wrong."""

    def __init__(self, started: float) -> None:
        self.tasks = 0
        self.changed = 0
        self._started = started
        self._task = ""
        self._failing = False

    def see(self, line: str) -> None:
        """Takes one line of ansible-playbook's output."""
        task = _TASK.match(line)
        if task:
            self._task, self._failing = task["name"], False
            return
        result = _RESULT.match(line)
        if result:
            self.tasks += 1
            self.changed += result["word"] == "changed"
            print(f"  {time.monotonic() - self._started:6.1f} s  {result['word']:8} {self._task}", flush=True)
        elif line.startswith(("fatal:", "failed:", "[ERROR]", "ERROR")):
            self._failing = True
        told = _ITEM.match(line) if self._task in _TOLD else None
        if told:
            print(f"{'':20} {json.loads(told['text'])}", flush=True)
        elif self._failing and line:
            print(f"{'':20} {line}", flush=True)
