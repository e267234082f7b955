"""Starts, restarts and stops the demo's web and Sidekiq processes. It returns when the old ones have ended.

Usage: restart.py start|stop HOME   (start stops old ones first)
"""

from __future__ import annotations

import json
import os
import signal
import site
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

TIMEOUT_SECONDS = 20
# The commands of web.py, each with the process title of the real program.
TITLES = {"serve": "puma 6.4.3 (tcp://127.0.0.1:{port}) [live]", "work": "sidekiq 7.3.9 live [0 of 25 busy]"}


def is_ours(pid: int) -> bool:
    """Return whether a process belongs to the demo."""
    try:
        return b"demo.web" in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False


def stop(home: Path) -> None:
    """Stop the running processes, if there are any, and wait until they have ended."""
    for kind in TITLES:
        record = home / f"{kind}.pid"
        pid = int(record.read_text(encoding="ascii")) if record.exists() else 0
        deadline = time.monotonic() + TIMEOUT_SECONDS
        while pid and is_ours(pid):
            late = time.monotonic() > deadline
            os.kill(pid, signal.SIGKILL if late else signal.SIGTERM)
            time.sleep(0.1)
        record.unlink(missing_ok=True)


def run(kind: str, home: Path, settings: dict[str, str]) -> subprocess.Popen[bytes]:
    """Start one of the processes in the instance's folder, with the title of the real program."""
    # With another program name, Python does not find its packages.
    packages = [str(Path(__file__).resolve().parent.parent), *site.getsitepackages()]
    with (home / f"{kind}.log").open("ab") as log:
        process = subprocess.Popen(
            [TITLES[kind].format(**settings), "-m", "demo.web", kind, str(home)],
            executable=os.path.realpath(sys.executable),
            cwd=settings["live"],
            env={
                **os.environ,
                "PYTHONHOME": sys.base_prefix,
                "PYTHONPATH": os.pathsep.join(packages),
                "PYTHONDONTWRITEBYTECODE": "1",
            },
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    (home / f"{kind}.pid").write_text(str(process.pid), encoding="ascii")
    return process


def start(home: Path) -> None:
    """Start the processes, and wait until web answers."""
    settings = json.loads((home / "web.json").read_text(encoding="utf-8"))
    web, _sidekiq = [run(kind, home, settings) for kind in TITLES]
    deadline = time.monotonic() + TIMEOUT_SECONDS
    while True:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{settings['port']}/health", timeout=2) as answer:
                if answer.status == 200:
                    return
        except OSError as error:
            if web.poll() is not None or time.monotonic() > deadline:
                sys.exit(f"restart.py: the web process does not answer ({error}); see {home / 'serve.log'}")
        time.sleep(0.1)


def main() -> None:
    """Parse the command line and run the command."""
    verb, home = sys.argv[1], Path(sys.argv[2])
    stop(home)
    if verb == "start":
        start(home)


if __name__ == "__main__":
    main()
