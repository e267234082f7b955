# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROLE = Path(__file__).resolve().parents[3] / "roles" / "mastodon_s3"


@pytest.mark.parametrize(
    ("options", "unknown"),
    [
        (["--tags", "media", "--skip-tags", "slow"], ""),
        (["--tags", "sync"], "sync"),
        (["--skip-tags", "mastodon_s3_restrat"], "mastodon_s3_restrat"),
    ],
)
def test_tags_that_only_look_like_those_of_a_phase_are_refused(tmp_path, options, unknown):
    role = {"role": str(ROLE), "vars": {"mastodon_s3_bucket": "media"}}
    play = [{"hosts": "localhost", "connection": "local", "gather_facts": False, "roles": [role]}]
    (tmp_path / "play.yml").write_text(json.dumps(play), encoding="utf-8")
    command = [sys.executable, "-m", "ansible", "playbook", "play.yml", *options]
    environment = {**os.environ, "ANSIBLE_LOCAL_TEMP": str(tmp_path), "ANSIBLE_HOME": str(tmp_path)}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    said = done.stdout + done.stderr
    assert (done.returncode == 0) == (not unknown), said
    assert ("No phase has the tag" in said) == bool(unknown), said
    assert f"No phase has the tag {unknown}" in said or not unknown
