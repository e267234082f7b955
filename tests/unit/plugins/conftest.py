# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Fixtures that tests of several folders use."""

from __future__ import annotations

import contextlib
import functools
import os
import stat
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import botocore.loaders
import pytest

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.connection.client import s3_client
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.connection.options import ConnectionOptions


class Web:
    """A real web server on a free port that answers what `answer(method, path, headers)` returns.

    That is a status, headers and a body. `requests` notes method, path, headers and the client's port of each.
    """

    def __init__(self):
        self.requests = []
        self.answer = lambda method, path, headers: (404, {}, b"")
        web = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                web.requests.append((self.command, self.path, dict(self.headers), self.client_address[1]))
                self.rfile.read(int(self.headers.get("Content-Length") or 0))
                status, headers, body = web.answer(self.command, self.path, self.headers)
                self.send_response(status)
                for name, value in {"Content-Length": str(len(body)), **headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                if self.command != "HEAD":
                    # Who only wanted the start of a large body hangs up.
                    with contextlib.suppress(ConnectionError):
                        self.wfile.write(body)

            do_HEAD = do_PUT = do_POST = do_OPTIONS = do_GET  # noqa: N815

            def log_message(self, *_arguments):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.02})
        self.thread.start()

    def close(self):
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


@pytest.fixture(scope="session", autouse=True)
def read_the_descriptions_of_s3_once():
    """Spare each new boto3 client the parsing of the same large JSON files, which costs more than most tests."""
    loader = botocore.loaders.JSONFileLoader
    original = loader.load_file
    read = functools.cache(lambda path: original(loader(), path))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loader, "load_file", lambda _self, path: read(path))
        yield


@pytest.fixture
def web(monkeypatch):
    for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY"):
        monkeypatch.delenv(name, raising=False)
    server = Web()
    yield server
    server.close()


@pytest.fixture
def client_of_web(web):
    """Make boto3 clients that send to `web`, each request up to so many times."""

    def make(attempts):
        return s3_client(
            ConnectionOptions(
                endpoint_url=web.url,
                region="r",
                access_key="AKIA",
                secret_key="secret",
                addressing_style="path",
                aws_config={"retries": {"mode": "standard", "total_max_attempts": attempts}},
            )
        )

    return make


@pytest.fixture
def kept_by_disk(monkeypatch):
    """Tell what a power cut right after each fsync would leave of a file: `look(path)` starts, and returns the list.

    Each entry is ("file", what was written out, what the path held at that moment) or ("folder", None, what the path
    held when its folder was written out). A path that is not there holds None.
    """
    real = os.fsync

    def look(path):
        seen = []

        def fsync(descriptor):
            real(descriptor)
            held = path.read_bytes() if path.exists() else None
            status = os.fstat(descriptor)
            if stat.S_ISREG(status.st_mode):
                with open(f"/proc/self/fd/{descriptor}", "rb") as written:
                    seen.append(("file", written.read(), held))
            elif os.path.samestat(status, path.parent.stat()):
                seen.append(("folder", None, held))

        monkeypatch.setattr(os, "fsync", fsync)
        return seen

    return look


@pytest.fixture
def as_root():
    """For tests that give files to other users."""
    if os.geteuid() != 0:
        pytest.skip("this test needs root")
