# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
import re
import shutil
import subprocess

import pytest


@pytest.mark.slow
def test_variables_that_override_the_env_file_are_found_before_the_copy(server):
    """In a Compose file, and in the environment of a running process, wherever it comes from."""
    compose = "services:\n  web:\n    image: tootsuite/mastodon:v4.4.2\n    environment:\n      - S3_BUCKET=elsewhere\n"
    (server.live / "compose.yml").write_text(compose, encoding="utf-8")
    environment = {"S3_ENABLED": "false", "AWS_SECRET_ACCESS_KEY": "hidden-in-the-process"}
    web = subprocess.Popen(
        ["puma 6.4.3 (tcp://127.0.0.1:3000) [live]", "600"],
        executable=shutil.which("sleep"),
        cwd=server.live,
        env=environment,
    )
    try:
        status, output = server.run("role", "--tags", "mastodon_s3_preflight")
    finally:
        web.kill()
        web.wait()
    assert status != 0
    assert f"S3_BUCKET (`environment:` in {server.live}/compose.yml line 5)" in output
    assert f"S3_ENABLED=false is in the environment of web (process {web.pid})" in output


@pytest.mark.slow
@pytest.mark.parametrize(
    ("phase", "variables", "said"),
    [
        (
            "storage",
            {"mastodon_s3_admin_access_key": "two words"},
            "mastodon_s3_admin_access_key has white space in it",
        ),
        ("report", {"mastodon_s3_state_dir": "/dev/null/x"}, "mastodon_s3_state_dir: "),
    ],
)
def test_a_module_error_names_the_variable(server, phase, variables, said):
    status, output = server.run("role", "--tags", f"mastodon_s3_{phase}", **variables)
    assert status != 0
    assert said in output
    assert not re.search(r"(?<!\w)(access_key|state_dir)(?!\w)", output), (
        "neither in the result nor in Ansible's own line"
    )


@pytest.mark.slow
def test_a_password_in_an_address_is_not_repeated(server):
    # `run` itself looks for what is hidden.
    address = "https://AKID:hidden@media.example.com/path?key=hidden"
    names = [f"mastodon_s3_{name}" for name in ("bucket", "region", "endpoint_url", "alias_host", "key_prefix")]
    status, output = server.run("role", "--tags", "mastodon_s3_preflight", **dict.fromkeys(names, address))
    assert status != 0
    for name in names:
        assert f"{name}: '***media.example.com/path***'" in output or name == "mastodon_s3_key_prefix"


@pytest.mark.slow
def test_a_line_end_behind_a_value_is_found(server):
    """As in a value that was written with | in YAML."""
    names = {
        "bucket": "social-media",
        "region": "eu-central-1",
        "endpoint_url": "http://127.0.0.1:9",
        "alias_host": "a.b",
    }
    variables = {f"mastodon_s3_{name}": f"{value}\n" for name, value in names.items()}
    status, output = server.run("role", "--tags", "mastodon_s3_preflight", **variables)
    assert status != 0
    for name in variables:
        assert f"{name}: '" in output


@pytest.mark.slow
def test_what_would_stop_the_switch_is_found_before_the_copy(server):
    server.env_file.write_text('LOCAL_DOMAIN=social.example\nFOO-BAR="a\nS3_BUCKET=b\nZ=1"\n', encoding="utf-8")
    if os.geteuid() == 0:
        # A file of root's that the account can't read.
        os.chown(server.live, 4242, 4242)
    wrong = {
        "hostname": "https://AKID:hidden@s3.example.com",
        "web_url": "127.0.0.1:3000",
        "restart_command": " ",
        "web_units": [""],
        "sidekiq_units": ["mastodon-sidekiq@1.service", "mastodon\\x2dsidekiq.service"],
    }
    variables = {f"mastodon_s3_{name}": value for name, value in wrong.items()}
    status, output = server.run("role", "--tags", "mastodon_s3_preflight", **variables)
    assert status != 0
    for said in (
        "mastodon_s3_hostname: '***s3.example.com' is not a host",
        "mastodon_s3_web_url: '127.0.0.1:3000' is not an address",
        "mastodon_s3_restart_command is blank",
        "mastodon_s3_web_units and mastodon_s3_sidekiq_units: '' is not the name of a unit",
        f"{server.env_file} can't be edited: ",
        *(["it may have been moved there"] if os.geteuid() == 0 else []),
    ):
        assert said in output, said


@pytest.mark.slow
def test_a_variable_that_no_env_file_can_hold_is_found_before_the_copy(server):
    variables = {"mastodon_s3_extra_env": {"S3-TIMEOUT": "5"}}
    status, output = server.run("role", "--tags", "mastodon_s3_preflight", **variables)
    assert status != 0
    assert "can't be edited: 'S3-TIMEOUT' is not a name" in output
    assert "mastodon_s3_extra_env" in output
