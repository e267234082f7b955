"""Simulates Mastodon's web process and Sidekiq on a host without systemd.

Usage: web.py restart|stop|serve LIVE PORT
Both have the process titles of the real programs. Web reads the env file when it starts, and returns picture addresses.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

THUMBNAIL = "site_uploads/files/000/000/001/@1x/0123456789abcdef.png"
AVATAR = "accounts/avatars/000/000/001/original/0000000000000001.png"
KINDS = ("serve", "work")


def read_env(live: Path) -> dict[str, str]:
    """Return the variables of the env file, without quotes and references."""
    lines = (live / ".env.production").read_text(encoding="utf-8").splitlines()
    return dict(line.split("=", 1) for line in lines if "=" in line and not line.startswith("#"))


def media_url(env: dict[str, str], key: str) -> str:
    """Return the address of a picture, on the web host or in the bucket."""
    if env.get("S3_ENABLED") != "true":
        return f"https://{env['LOCAL_DOMAIN']}/system/{key}"
    return f"{env['S3_PROTOCOL']}://{env['S3_HOSTNAME']}/{env['S3_BUCKET']}/{key}"


def serve(live: Path, port: int) -> None:
    """Answer requests until the process is stopped."""
    env = read_env(live)
    instance = {"domain": env["LOCAL_DOMAIN"], "thumbnail": {"url": media_url(env, THUMBNAIL)}}
    accounts = [{"id": "1", "avatar": media_url(env, AVATAR), "avatar_static": media_url(env, AVATAR)}]
    known = {
        "/health": b"OK",
        "/api/v2/instance": json.dumps(instance).encode(),
        "/api/v1/directory": json.dumps(accounts).encode(),
    }

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = known.get(self.path.partition("?")[0])
            self.send_response(200 if body else 404)
            self.send_header("Content-Type", "text/plain" if self.path == "/health" else "application/json")
            self.end_headers()
            self.wfile.write(body or b"{}")

    HTTPServer(("127.0.0.1", port), Handler).serve_forever()


def number_of(live: Path, kind: str) -> Path:
    """Return the file with a process's PID."""
    return live / ("web.pid" if kind == "serve" else "sidekiq.pid")


def stop(live: Path) -> None:
    """Stop the processes in the PID files, and wait until they have ended."""
    for kind in KINDS:
        number = number_of(live, kind)
        if not number.exists():
            continue
        pid = int(number.read_text(encoding="ascii"))
        with contextlib.suppress(OSError):
            while b"web.py\0" + kind.encode() in Path(f"/proc/{pid}/cmdline").read_bytes():
                os.kill(pid, signal.SIGTERM)
                time.sleep(0.1)
        number.unlink()


def restart(live: Path, port: int) -> None:
    """Wait until the new process answers."""
    stop(live)
    titles = (f"puma 6.4.3 (tcp://127.0.0.1:{port}) [live]", "sidekiq 7.3.9 live [0 of 25 busy]")
    for kind, title in zip(KINDS, titles):
        with (live / "web.log").open("ab") as log:
            process = subprocess.Popen(
                [title, __file__, kind, str(live), str(port)],
                executable=os.path.realpath(sys.executable), env={**os.environ, "PYTHONHOME": sys.base_prefix},
                cwd=live, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip
        number_of(live, kind).write_text(str(process.pid), encoding="ascii")
    for _attempt in range(100):
        with contextlib.suppress(OSError), urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=2):
            return
        time.sleep(0.1)
    sys.exit("web.py: it does not answer")


def main() -> None:
    """Parse the command line and run the command."""
    verb, live, port = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
    if verb == "serve":
        serve(live, port)
    elif verb == "work":
        signal.pause()
    elif verb == "restart":
        restart(live, port)
    else:
        stop(live)


if __name__ == "__main__":
    main()
