# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A phase that runs alone, by its tag, refuses what preflight would refuse, before anything changes."""

from __future__ import annotations

import json
import shutil
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest


@pytest.fixture
def web():
    """The address of an instance's API that shows a picture which is not on disk."""
    avatar = "https://social.example/system/accounts/avatars/000/000/009/original/fedcba9876543210.png"
    answers = {"/api/v1/instance": {"version": "4.4.2"}, "/api/v1/directory": [{"avatar": avatar}]}

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            answer = answers.get(self.path.partition("?")[0])
            self.send_response(200 if answer else 404)
            self.send_header("Content-Type", "application/json")
            self.end_headers()
            self.wfile.write(json.dumps(answer).encode())

        def log_message(self, *_arguments):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    thread.join()
    server.server_close()


def refused(server, phase, **variables):
    """Run a phase and return what it says, after a look that it changed nothing."""
    before = server.env_file.read_bytes()
    status, output = server.run("role", "--tags", f"mastodon_s3_{phase}", **variables)
    assert status != 0
    assert "Nothing was changed. Correct this first:" in output, output
    assert server.env_file.read_bytes() == before
    assert not server.state.exists()
    return output


@pytest.mark.slow
def test_unknown_variables_and_shared_buckets(server):
    output = refused(server, "identity", mastodon_s3_secretkey="x", hosts=["one", "two"])
    assert "mastodon_s3_secretkey (did you mean mastodon_s3_secret_key?)" in output
    assert "one and two would share the bucket" in output
    assert "two and one would share the bucket" in output


@pytest.mark.slow
def test_an_empty_tree(server):
    shutil.rmtree(server.media / "accounts")
    assert "set mastodon_s3_new_server to true" in refused(server, "storage").replace("\\n", " ")


@pytest.mark.slow
def test_missing_pictures_of_the_api(server, web):
    output = refused(server, "configure", mastodon_s3_web_url=web)
    assert "1 of 1 pictures that Mastodon shows right now are not on disk" in output


@pytest.mark.slow
def test_phases_that_only_read_need_no_settings_for_writing(server):
    status, output = server.run("role", "--tags", "mastodon_s3_report", mastodon_s3_secret_key="")
    assert "Correct this first" not in output
    assert "mastodon_s3_secret_key is not set" in refused(server, "identity", mastodon_s3_secret_key="")
    assert status != 0, "there is no folder for the report"
