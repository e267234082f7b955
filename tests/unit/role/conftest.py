# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Runs the role and its playbooks here, with an instance in a temporary folder and a store that never answers."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
ENV = "LOCAL_DOMAIN=social.example\nSECRET_KEY_BASE=0123456789abcdef\n"
PICTURE = "accounts/avatars/000/000/001/original/0123456789abcdef.png"


class LocalInstance:
    """An instance with one picture, and the variables of a migration of it.

    `run` starts a playbook of the collection, or as "role" a play with the role, and returns status and output.
    """

    def __init__(self, folder):
        self.folder = folder
        self.live = folder / "live"
        self.media = self.live / "public" / "system"
        self.picture = self.media / PICTURE
        self.picture.parent.mkdir(parents=True)
        self.picture.write_text("picture", encoding="utf-8")
        self.env_file = self.live / ".env.production"
        self.env_file.write_text(ENV, encoding="utf-8")
        self.env_file.chmod(0o600)
        self.environment = {}
        self.state = folder / "state"
        self.variables = {
            "ansible_connection": "local",
            "ansible_become": False,
            "ansible_python_interpreter": sys.executable,
            "mastodon_s3_provider": "minio",
            "mastodon_s3_bucket": "social-media",
            "mastodon_s3_endpoint_url": "http://127.0.0.1:9",
            "mastodon_s3_identity": "given",
            "mastodon_s3_access_key": "AKIDEXAMPLE",
            "mastodon_s3_secret_key": "hidden-secret-key",
            "mastodon_s3_admin_access_key": "ADMINEXAMPLE",
            "mastodon_s3_admin_secret_key": "hidden-admin-key",
            "mastodon_s3_restart_command": "true",
            "mastodon_s3_mastodon_dir": str(self.live),
            "mastodon_s3_mastodon_version": "4.4.2",
            "mastodon_s3_state_dir": str(self.state),
            "mastodon_s3_web_url": "http://127.0.0.1:9",
            "mastodon_s3_boto3": "none",
        }

    def run(self, playbook, *options, **variables):
        hosts = variables.pop("hosts", ["one"])
        inventory = {"mastodon": {"hosts": {host: {} for host in hosts}, "vars": {**self.variables, **variables}}}
        (self.folder / "inventory.json").write_text(json.dumps(inventory), encoding="utf-8")
        path = ROOT / "playbooks" / f"{playbook}.yml"
        if playbook == "role":
            path = self.folder / "play.yml"
            role = str(ROOT / "roles" / "mastodon_s3")
            path.write_text(json.dumps([{"hosts": "all", "gather_facts": False, "roles": [role]}]), encoding="utf-8")
        environment = {
            **os.environ,
            "ANSIBLE_LOCAL_TEMP": str(self.folder / "tmp"),
            "ANSIBLE_HOME": str(self.folder / "home"),
            "ANSIBLE_NOCOLOR": "1",
            "ANSIBLE_CALLBACK_RESULT_FORMAT": "json",
            **self.environment,
        }
        command = [sys.executable, "-m", "ansible", "playbook", "-i", "inventory.json", str(path), *options]
        done = subprocess.run(command, cwd=self.folder, env=environment, capture_output=True, text=True, check=False)
        said = done.stdout + done.stderr
        assert "hidden-" not in said
        return done.returncode, said


@pytest.fixture
def server(tmp_path):
    return LocalInstance(tmp_path)
