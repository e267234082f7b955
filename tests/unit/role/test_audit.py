# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The comparison before the switch: an old fault ends the play, and what Mastodon has just written does not."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "support"))

from fake_s3_server import BUCKET, FakeS3Server

SYNC = "ansible_collections.fediverse.mastodon_s3.plugins.modules.s3_sync"
KEYS = {"access_key": "AKIDEXAMPLE", "secret_key": "hidden-secret-key", "region": "us-east-1"}
ENV_FILE = "LOCAL_DOMAIN=social.example\nAWS_ACCESS_KEY_ID=AKIDEXAMPLE\nAWS_SECRET_ACCESS_KEY=hidden-secret-key\n"


@pytest.fixture
def store():
    """A store that honours ACLs."""
    running = FakeS3Server()
    yield running
    running.close()


@pytest.mark.slow
def test_an_old_fault_stops_the_play_before_anything_is_quieted_and_a_new_file_does_not(server, store):
    server.env_file.write_text(ENV_FILE)
    time.sleep(0.2)
    options = {"src": str(server.media), "bucket": BUCKET, "endpoint_url": store.url, "state_dir": str(server.state)}
    sent = subprocess.run(
        [sys.executable, "-m", SYNC],
        input=json.dumps({"ANSIBLE_MODULE_ARGS": {**options, **KEYS, "minimum_age": 0}}),
        capture_output=True,
        text=True,
        check=False,
    )
    assert json.loads(sent.stdout)["actions"]["upload"]["count"] == 1, sent.stdout + sent.stderr
    server.picture.with_name("new.png").write_text("posted during the comparison")
    server.variables |= {
        "mastodon_s3_bucket": BUCKET,
        "mastodon_s3_provider": "other",
        "mastodon_s3_region": "us-east-1",
        "mastodon_s3_endpoint_url": store.url,
        "mastodon_s3_addressing_style": "path",
        "mastodon_s3_protocol": "http",
        "mastodon_s3_exposure": "acl",
        "mastodon_s3_identity": "env_file",
        "mastodon_s3_verify_sample": 0,  # this store sends visitors no headers
    }

    status, output = server.run("role", "--tags", "mastodon_s3_audit")
    assert status == 0, output

    picture = str(server.picture.relative_to(server.media))
    del store.s3.objects[picture]
    status, output = server.run("role", "--tags", "mastodon_s3_audit")
    assert status != 0
    assert "nothing was stopped, and Mastodon still uses the disk" in output, output
    assert f"1 files are not in the bucket: {picture}. Run again with mastodon_s3_repair=true" in output
    assert "new.png" not in output
    assert server.env_file.read_bytes() == ENV_FILE.encode()
