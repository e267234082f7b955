# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os

import pytest

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(
    "playbook", ["announce", "copy", "diagnose", "media_server", "migrate", "preflight", "rollback", "stop", "verify"]
)
def test_tags_that_select_nothing_are_an_error(server, playbook):
    status, output = server.run(playbook, "--tags", "nightly")
    assert status != 0
    assert "With --tags nightly and --skip-tags '' nothing of this playbook ran." in output


def programs_of(server, user):
    """Put an `id` that names this user, and a sudo that notes its calls and fails, in front of the real ones."""
    programs = server.folder / "programs"
    programs.mkdir()
    (programs / "id").write_text(f"#!/bin/sh\necho {user}\n", encoding="utf-8")
    (programs / "sudo").write_text(
        f"#!/bin/sh\necho called >> {server.folder}/sudo.log\necho sudo: not for you >&2\nexit 1\n", encoding="utf-8"
    )
    for program in programs.iterdir():
        program.chmod(0o755)
    server.environment["PATH"] = f"{programs}{os.pathsep}{os.environ['PATH']}"
    server.environment["ANSIBLE_BECOME_ALLOW_SAME_USER"] = "true"  # so that root, too, would call it
    del server.variables["ansible_become"]


def test_root_does_not_need_sudo(server):
    programs_of(server, 0)
    _status, output = server.run("preflight", mastodon_s3_mastodon_dir=str(server.folder))
    assert "is not the folder of a Mastodon instance" in output
    assert not (server.folder / "sudo.log").exists()


def test_a_broken_sudo_is_reported_with_a_remedy(server):
    programs_of(server, 1000)
    status, output = server.run("preflight")
    assert status != 0
    assert (server.folder / "sudo.log").exists()
    assert "No command can be run on one as the `become` user: " in output
    assert "sudo: not for you. If Ansible logs in as root" in output
    assert "install sudo and allow the login user to use it" in output


def test_a_broken_interpreter_is_reported(server):
    python = server.folder / "python"
    python.write_text("no program", encoding="utf-8")
    status, output = server.run("preflight", ansible_python_interpreter=str(python))
    assert status != 0
    assert f"ansible_python_interpreter: {python} can't be run on one: " in output
    assert "Permission denied" in output
    assert "such as /usr/bin/python3" in output


def test_a_start_in_the_middle_of_a_phase_is_explained(server):
    status, output = server.run(
        "migrate", "--start-at-task", "fediverse.mastodon_s3.mastodon_s3 : Sync | Record the exposure of the copy"
    )
    assert status != 0
    assert "a play can't start here (--start-at-task)" in output
    assert "run one phase by its tag" in output
    assert not server.state.exists()


def test_verify_refuses_before_it_writes_anything(server):
    authority = server.folder / "ca.pem"
    authority.write_text("-----BEGIN CERTIFICATE-----\n", encoding="utf-8")
    status, output = server.run("verify", mastodon_s3_ca_bundle=str(authority))
    assert status != 0
    assert "Mastodon does not use the bucket 'social-media', and no copy to it has been started" in output
    assert "Run the migrate playbook first" in output
    assert not server.state.exists()


def test_a_diagnosis_needs_a_url(server):
    status, output = server.run("diagnose")
    assert status != 0
    assert "There is no URL to look at" in output
    assert not server.state.exists()


def test_a_diagnosis_names_the_cause_and_the_remedy(server):
    keys = "AWS_ACCESS_KEY_ID=AKIDEXAMPLE\nAWS_SECRET_ACCESS_KEY=hidden-secret-key\n"
    server.env_file.write_text(server.env_file.read_text(encoding="utf-8") + keys, encoding="utf-8")
    url = "http://127.0.0.1:9/social-media/accounts/avatars/000/000/001/original/0123456789abcdef.png"
    status, output = server.run("diagnose", "-e", f"url={url}", mastodon_s3_protocol="http")
    assert status == 0, output
    assert f"{url}: no response ConnectionRefused" in output
    assert f"{url} can't be fetched: nothing listens there. Start the web server or proxy of 127.0.0.1:9" in output
    assert not server.state.exists()


def test_a_wait_that_can_not_end_is_refused_before_anything_changes(server):
    status, output = server.run("migrate", mastodon_s3_confirm="true", mastodon_s3_switch_when="/no/such/now")
    assert status != 0
    assert "mastodon_s3_switch_when: the folder /no/such does not exist on this host" in output
    assert "mastodon_s3_confirm and mastodon_s3_switch_when are both set" in output
    assert "mastodon_s3_confirm is true, but there is no terminal to ask on" in output
    assert not server.state.exists()


@pytest.mark.parametrize("wait", [{"mastodon_s3_confirm": True}, {"mastodon_s3_switch_when": "03:30"}])
def test_a_copy_without_a_terminal_ignores_the_question_before_the_switch(server, wait):
    """A nightly copy never switches. The store is the only problem that is left."""
    _status, output = server.run("copy", **wait)
    assert "no terminal" not in output
    assert "neither a time" not in output
    assert "can't use the store from the controller" in output
    assert not server.state.exists()
