# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The announce playbook, with an instance that reads its env file at a restart, and a web server in front of it."""

from __future__ import annotations

import json
import re
import ssl
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from stores import certificates

pytestmark = pytest.mark.slow

ADDED = "http://127.0.0.1:9/social-media/"


class Instance:
    """A web process that sends a policy as Mastodon 4.4 does, with the hosts of the env file that it has read.

    Attributes:
        front: What a web server in front adds, at `site`.
        obeys: Whether it reads the env file when it is restarted.
    """

    def __init__(self, env_file, folder):
        self.env_file, self.front, self.obeys, self.restarts = env_file, None, True, 0
        self.tls = certificates.make(folder, ["127.0.0.1"])
        self.read()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.tls.certificate, self.tls.key)
        self.servers = [self.server(front=False), self.server(front=True)]
        self.servers[1].socket = context.wrap_socket(self.servers[1].socket, server_side=True)
        self.url, self.site = (f"127.0.0.1:{server.server_address[1]}" for server in self.servers)
        self.threads = [
            threading.Thread(target=each.serve_forever, kwargs={"poll_interval": 0.02}) for each in self.servers
        ]
        for thread in self.threads:
            thread.start()

    def read(self):
        text = self.env_file.read_text(encoding="utf-8")
        hosts = re.findall(r"^EXTRA_MEDIA_HOSTS=[\"']?([^\n\"']*)", text, re.MULTILINE)
        sources = f"'self' https://social.example {' '.join(hosts).replace(',', ' ')}".strip()
        self.policy = f"default-src 'none'; img-src {sources}; media-src {sources}; connect-src {sources}"

    def restart(self):
        self.restarts += 1
        if self.obeys:
            self.read()

    def server(self, *, front):
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                body = json.dumps({"version": "4.4.2"} if self.path.startswith("/api/v2/instance") else []).encode()
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Security-Policy", outer.policy)
                if front and outer.front:
                    self.send_header("Content-Security-Policy", outer.front)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                if self.path == "/restart":
                    outer.restart()
                self.wfile.write(body)

            def log_message(self, *_arguments):
                pass

        return ThreadingHTTPServer(("127.0.0.1", 0), Handler)

    def close(self):
        for server, thread in zip(self.servers, self.threads):
            server.shutdown()
            thread.join()
            server.server_close()


@pytest.fixture
def instance(server):
    found = Instance(server.env_file, server.folder / "tls")
    fetch = f"import urllib.request as r; r.urlopen('http://{found.url}/restart').read()"
    server.variables |= {
        "mastodon_s3_web_url": f"http://{found.url}",
        "mastodon_s3_restart_command": f'{sys.executable} -c "{fetch}"',
        "mastodon_s3_protocol": "http",
        "mastodon_s3_health_timeout": 4,
    }
    yield found
    found.close()


def record(server):
    return json.loads((server.state / "social-media.announced.json").read_text(encoding="utf-8"))


def changed(output):
    return int(re.search(r"^one .*changed=(\d+)", output, re.MULTILINE)[1])


def test_the_media_host_is_announced_once_and_a_rollback_withdraws_it(server, instance):
    before = server.env_file.read_bytes()
    status, output = server.run("announce", "--check")
    assert status == 0, output
    assert f"{ADDED} would be announced in EXTRA_MEDIA_HOSTS" in output
    assert (server.env_file.read_bytes(), instance.restarts, server.state.exists()) == (before, 0, False)

    status, output = server.run("announce")
    assert status == 0, output
    assert server.env_file.read_bytes() == before + f"EXTRA_MEDIA_HOSTS={ADDED}\n".encode()
    assert ADDED in instance.policy
    assert instance.restarts == 1
    noted = record(server)
    assert re.fullmatch(r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\dZ", noted["since"])
    assert f"since {noted['since'][:10]}" in output
    assert "before 7 more days have passed" in output
    assert (server.state / "social-media.announced.json").stat().st_mode & 0o777 == 0o600

    status, output = server.run("announce")
    assert status == 0, output
    assert (changed(output), instance.restarts, record(server)) == (0, 1, noted)

    status, output = server.run("rollback")
    assert status == 0, output
    assert "Mastodon never used the bucket" in output
    assert server.env_file.read_bytes() == before
    assert instance.restarts == 2
    assert ADDED not in instance.policy
    assert not (server.state / "social-media.announced.json").exists()


def test_a_list_that_is_there_keeps_its_hosts_and_a_killed_run_is_finished(server, instance):
    server.env_file.write_text("EXTRA_MEDIA_HOSTS=https://old.example\nLOCAL_DOMAIN=social.example\n", encoding="utf-8")
    instance.obeys = False
    status, output = server.run("announce")
    assert status != 0
    assert "does not name http://127.0.0.1:9/social-media/. Find out what sets the environment" in output
    assert "The env file is as it was before, and the site answers." in output
    assert "https://old.example\nLOCAL" in server.env_file.read_text(encoding="utf-8")
    assert not (server.state / "social-media.announced.json").exists()
    assert instance.restarts == 2

    # As if a run had been killed before the restart
    instance.obeys = True
    written = f"https://old.example,{ADDED}"
    noted = {"source": ADDED, "variable": "EXTRA_MEDIA_HOSTS", "added": True, "before": "https://old.example"}
    text = json.dumps({**noted, "written": written, "since": ""})
    (server.state / "social-media.announced.json").write_text(text, encoding="utf-8")
    server.env_file.write_text(f"EXTRA_MEDIA_HOSTS={written}\nLOCAL_DOMAIN=social.example\n", encoding="utf-8")
    status, output = server.run("announce")
    assert status == 0, output
    assert instance.restarts == 3
    assert record(server)["since"]


def test_preflight_refuses_a_policy_that_a_web_server_adds(server, instance):
    server.env_file.write_text(f"LOCAL_DOMAIN=social.example\nWEB_DOMAIN={instance.site}\n", encoding="utf-8")
    instance.front = "img-src 'self'; media-src https: http:"
    # Without a bucket to manage, preflight asks only the public addresses
    settings = {
        "mastodon_s3_manage_bucket": False,
        "mastodon_s3_manage_ownership": False,
        "mastodon_s3_identity": "instance_profile",
        "mastodon_s3_access_key": "",
        "mastodon_s3_secret_key": "",
        "mastodon_s3_ca_bundle": str(instance.tls.authority),
        "mastodon_s3_boto3": "package",
    }
    status, output = server.run("preflight", **settings)
    assert status != 0
    assert f"sends a Content-Security-Policy header of its own with https://{instance.site}/" in output
    assert "add http://127.0.0.1:9/social-media/ to img-src, or remove the header" in output
    assert "media-src https" not in output
