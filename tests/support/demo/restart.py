"""Starts, restarts and stops the stand-in for Mastodon's web process, and returns when the old one is gone.

Usage: restart.py start|stop HOME   (start ends an old one first)
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

PATIENCE = 20


def is_ours(pid: int) -> bool:
    """Whether this process is a web process of the demo."""
    try:
        return b"demo.web" in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False


def stop(home: Path) -> None:
    """Ends the running process, if there is one, and waits until it is gone."""
    record = home / "web.pid"
    pid = int(record.read_text(encoding="ascii")) if record.exists() else 0
    deadline = time.monotonic() + PATIENCE
    while pid and is_ours(pid):
        late = time.monotonic() > deadline
        os.kill(pid, signal.SIGKILL if late else signal.SIGTERM)
        time.sleep(0.1)
    record.unlink(missing_ok=True)


def start(home: Path) -> None:
    """Starts the process and waits until it answers."""
    settings = json.loads((home / "web.json").read_text(encoding="utf-8"))
    support = Path(__file__).resolve().parent.parent
    with (home / "web.log").open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "demo.web", str(home)],
            cwd=home,
            env={**os.environ, "PYTHONPATH": str(support), "PYTHONDONTWRITEBYTECODE": "1"},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    (home / "web.pid").write_text(str(process.pid), encoding="ascii")
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{settings['port']}/health", timeout=2) as answer:
                if answer.status == 200:
                    return
        except OSError as error:
            if process.poll() is not None or time.monotonic() > deadline:
                sys.exit(f"restart.py: the web process does not answer ({error}); see {home / 'web.log'}")
        time.sleep(0.1)


def main() -> None:
    """Reads the command line and obeys."""
    verb, home = sys.argv[1], Path(sys.argv[2])
    stop(home)
    if verb == "start":
        start(home)


if __name__ == "__main__":
    main()
