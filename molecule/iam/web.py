"""Stands in for Mastodon's web process where there is no systemd.

Usage: web.py restart|stop|serve LIVE PORT
It reads the env file once, when it starts, and tells where the instance's picture is.
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


def read_env(live: Path) -> dict[str, str]:
    """The plain assignments of the env file."""
    lines = (live / ".env.production").read_text(encoding="utf-8").splitlines()
    return dict(line.split("=", 1) for line in lines if "=" in line and not line.startswith("#"))


def thumbnail(env: dict[str, str]) -> str:
    """The picture's address: on the web host, or in the bucket."""
    if env.get("S3_ENABLED") != "true":
        return f"https://{env['LOCAL_DOMAIN']}/system/{THUMBNAIL}"
    return f"{env['S3_PROTOCOL']}://{env['S3_HOSTNAME']}/{env['S3_BUCKET']}/{THUMBNAIL}"


def serve(live: Path, port: int) -> None:
    """Answers until it is ended."""
    env = read_env(live)
    instance = {"domain": env["LOCAL_DOMAIN"], "thumbnail": {"url": thumbnail(env)}}
    known = {"/health": b"OK", "/api/v2/instance": json.dumps(instance).encode()}

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = known.get(self.path)
            self.send_response(200 if body else 404)
            self.send_header("Content-Type", "text/plain" if self.path == "/health" else "application/json")
            self.end_headers()
            self.wfile.write(body or b"{}")

    HTTPServer(("127.0.0.1", port), Handler).serve_forever()


def stop(live: Path) -> None:
    """Ends the process that wrote its number down, and waits until it is gone."""
    number = live / "web.pid"
    if not number.exists():
        return
    pid = int(number.read_text(encoding="ascii"))
    with contextlib.suppress(OSError):
        while b"web.py\0serve" in Path(f"/proc/{pid}/cmdline").read_bytes():
            os.kill(pid, signal.SIGTERM)
            time.sleep(0.1)
    number.unlink()


def restart(live: Path, port: int) -> None:
    """Returns when the new process answers."""
    stop(live)
    with (live / "web.log").open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, __file__, "serve", str(live), str(port)],
            stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
        )  # fmt: skip
    (live / "web.pid").write_text(str(process.pid), encoding="ascii")
    for _attempt in range(100):
        with contextlib.suppress(OSError), urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=2):
            return
        time.sleep(0.1)
    sys.exit("web.py: it does not answer")


def main() -> None:
    """Reads the command line."""
    verb, live, port = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
    if verb == "serve":
        serve(live, port)
    elif verb == "restart":
        restart(live, port)
    else:
        stop(live)


if __name__ == "__main__":
    main()
