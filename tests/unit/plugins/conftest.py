# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Fixtures that tests of several folders use."""

from __future__ import annotations

import contextlib
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.client import s3_client
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.options import ConnectionOptions


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
