"""Runs a playbook of the collection on the sample server and shows its progress."""

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

# Tasks whose messages are shown.
_SHOWN = ("Preflight | Print the plan", "Report | Print the summary")
_TASK = re.compile(r"^TASK \[(?:[\w.]+ : )?(?P<name>.*?)\] \**$")
_RESULT = re.compile(r"^(?P<word>ok|changed): \[[\w-]+(?: -> \w+)?\]")
_ITEM = re.compile(r'^ {8}(?P<text>".*"),?$')


@dataclass(frozen=True)
class Run:
    """The result of a run of ansible-playbook.

    Attributes:
        status: Its exit status.
        seconds: How long it took.
        tasks: Number of tasks and loop items that were not skipped.
        changed: How many of them changed something.
        log: File with its output.
    """

    status: int
    seconds: float
    tasks: int
    changed: int
    log: Path


def write_inventory(path: Path, variables: dict[str, object]) -> None:
    """Write an inventory with one host. It is JSON, which is valid YAML."""
    path.write_text(json.dumps({"mastodon": {"hosts": {"demo": variables}}}, indent=2) + "\n", encoding="utf-8")


def run(name: str, inventory: Path, home: Path, folder: Path = environments.ROOT / "playbooks") -> Run:
    """Run one of the collection's playbooks, or one in another folder.

    Print one line for each task, and write its output to a log. `ansible.cfg` in `home` is its configuration.
    """
    log = home / f"{name}.log"
    settings = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "ANSIBLE_"))}
    configuration = home / "ansible.cfg"
    configuration.touch()
    # Do not use configuration, credentials and plugins of the user who runs the demo.
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
        str(folder / f"{name}.yml"),
    ]
    started = time.monotonic()
    output = _Output(started)
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
                output.read_line(line.rstrip("\n"))
        process.wait()
    finally:
        if process.poll() is None:
            process.terminate()
            process.wait()
    return Run(process.returncode, time.monotonic() - started, output.tasks, output.changed, log)


class _Output:
    """Prints a line for each finished task, and all error messages."""

    def __init__(self, started: float) -> None:
        self.tasks = 0
        self.changed = 0
        self._started = started
        self._task = ""
        self._failing = False

    def read_line(self, line: str) -> None:
        """Read one line of the output of ansible-playbook."""
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
        item = _ITEM.match(line) if self._task in _SHOWN else None
        if item:
            print(f"{'':20} {json.loads(item['text'])}", flush=True)
        elif self._failing and line:
            print(f"{'':20} {line}", flush=True)
