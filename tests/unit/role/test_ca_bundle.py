# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import contextlib
import json
import os
import socket
import ssl
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from stores import certificates

ROLE = Path(__file__).resolve().parents[3] / "roles" / "mastodon_s3"


def trusts(bundle, server):
    """Return whether a client with this CA bundle completes a TLS handshake with a server."""
    serving, asking = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.create_default_context(cafile=bundle)
    serving.load_cert_chain(server.certificate, server.key)
    here, there = socket.socketpair()

    def serve():
        with contextlib.suppress(OSError), serving.wrap_socket(there, server_side=True) as connection:
            connection.recv(1)

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        with asking.wrap_socket(here, server_hostname="media.example.com"):
            return True
    except ssl.SSLCertVerificationError:
        return False
    finally:
        here.close()
        thread.join()
        there.close()


@pytest.mark.slow
def test_a_private_authority_is_trusted_in_addition_to_the_system(tmp_path):
    """A store with a certificate from its own authority, and a media host with an ordinary public certificate."""
    store, media_host, stranger = (
        certificates.make(tmp_path / name, ["media.example.com"]) for name in ("private", "public", "stranger")
    )
    variables = {
        "mastodon_s3_bucket": "social-media",
        "mastodon_s3_provider": "minio",
        "mastodon_s3_endpoint_url": "https://store.example.com",
        "mastodon_s3_ca_bundle": str(store.authority),
        "mastodon_s3_state_dir": str(tmp_path / "state"),
        "__mastodon_s3_instance": {"variables": {}, "units": [], "web_units": [], "sidekiq_units": []},
        "__mastodon_s3_state": {"record": {}, "source_of_truth": "disk", "restart_due": False},
        "__mastodon_s3_system_cas": ["/nonexistent/ca.pem", str(media_host.authority)],
    }
    include = {"name": str(ROLE), "tasks_from": "ca_bundle"}
    task = {"ansible.builtin.include_role": include, "vars": variables}
    play = {"hosts": "localhost", "connection": "local", "gather_facts": False, "tasks": [task]}
    (tmp_path / "play.json").write_text(json.dumps([play]), encoding="utf-8")
    environment = {**os.environ, "ANSIBLE_LOCAL_TEMP": str(tmp_path / "tmp"), "ANSIBLE_HOME": str(tmp_path / "home")}
    interpreter = f"ansible_python_interpreter={sys.executable}"
    command = [sys.executable, "-m", "ansible", "playbook", "play.json", "-e", interpreter]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    bundle = tmp_path / "state" / "ca.pem"
    assert [trusts(bundle, server) for server in (store, media_host, stranger)] == [True, True, False]
