"""What a killed task leaves behind holds no key: neither in the temporary nor the async folder, nor in the journal."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from stores.fixtures import new_bucket

ANSIBLE = Path(sys.executable).with_name("ansible")
FILES = 1500


@pytest.fixture
def host(tmp_path, monkeypatch):
    """Folders of an imagined host, with many files to send, and Ansible told to use only these."""
    for folder in ("tmp", "async", "tree/accounts"):
        (tmp_path / folder).mkdir(parents=True)
    for number in range(FILES):
        (tmp_path / "tree" / "accounts" / f"{number}.png").write_bytes(b"picture")
    monkeypatch.setenv("ANSIBLE_REMOTE_TMP", str(tmp_path / "tmp"))
    monkeypatch.setenv("ANSIBLE_LOCAL_TEMP", str(tmp_path / "tmp"))
    monkeypatch.setenv("ANSIBLE_ASYNC_DIR", str(tmp_path / "async"))
    monkeypatch.setenv("ANSIBLE_COLLECTIONS_PATH", os.environ["PYTHONPATH"].split(os.pathsep)[0])
    return tmp_path


def _start(host, module, arguments, *words):
    command = [str(ANSIBLE), "localhost", "-i", "localhost,", "-c", "local", "-m", f"fediverse.mastodon_s3.{module}"]
    return subprocess.Popen(
        [*command, "-e", f"ansible_python_interpreter={sys.executable}", "-a", json.dumps(arguments), *words],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )


def _below(host):
    """The processes that were started in the imagined host, by the folder that is in their command line."""
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit() and int(folder.name) != os.getpid():
            try:
                command = (folder / "cmdline").read_bytes()
            except OSError:
                continue
            if str(host).encode() in command:
                found.append(int(folder.name))
    return found


def _kill_all(host, process):
    os.killpg(process.pid, signal.SIGKILL)
    for pid in _below(host):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    process.wait()


def _holding(host, secret, *left_out):
    found = []
    for path in host.rglob("*"):
        with contextlib.suppress(FileNotFoundError):
            if path.is_file() and path not in left_out and secret.encode() in path.read_bytes():
                found.append(str(path))
    return found


@pytest.mark.parametrize("words", [(), ("-B", "120", "-P", "5")], ids=["at once", "async"])
def test_a_killed_sync_leaves_no_key(moto, host, words):
    secret = secrets.token_hex(20)
    env_file = host / ".env.production"
    env_file.write_text(f"AWS_ACCESS_KEY_ID={moto.access_key}\nAWS_SECRET_ACCESS_KEY={secret}\n")
    arguments = {
        "src": str(host / "tree"),
        "bucket": new_bucket(moto),
        "endpoint_url": moto.endpoint_url,
        "credentials_file": str(env_file),
        "state_dir": str(host / "state"),
    }
    process = _start(host, "s3_sync", arguments, *words)
    client = moto.client()
    until = time.monotonic() + 90
    commands = b""
    while not client.list_objects_v2(Bucket=arguments["bucket"], MaxKeys=1).get("KeyCount"):
        assert process.poll() is None, process.stdout.read()
        assert time.monotonic() < until, "nothing was sent"
    for pid in _below(host):
        commands += Path(f"/proc/{pid}/cmdline").read_bytes() + Path(f"/proc/{pid}/environ").read_bytes()
    _kill_all(host, process)
    sent = sum(
        page["KeyCount"] for page in client.get_paginator("list_objects_v2").paginate(Bucket=arguments["bucket"])
    )
    assert 0 < sent < FILES, "the kill came too late to prove anything"
    assert [path for path in (host / "tmp").rglob("*") if path.is_file()], "nothing was left behind to look at"
    assert [path for path in (host / "state").rglob("*") if path.is_file()], "there is no journal to look at"
    assert b"s3_sync" in commands
    assert secret.encode() not in commands
    assert _holding(host, secret, env_file) == []


def test_the_task_that_writes_the_key_makes_no_file_of_it(host):
    secret = secrets.token_hex(20)
    env_file = host / ".env.production"
    env_file.write_text("LOCAL_DOMAIN=social.example\n")
    # A validation that takes its time holds the module where it knows the secret.
    arguments = {
        "path": str(env_file),
        "secrets": {"AWS_SECRET_ACCESS_KEY": secret},
        "validate": f"{sys.executable} -c 'import time; time.sleep(60)' %s",
    }
    variables = host / "vars.json"
    variables.write_text(json.dumps({"arguments": arguments}))
    playbook = host / "play.yml"
    playbook.write_text(
        "- hosts: localhost\n  gather_facts: false\n  tasks:\n    - fediverse.mastodon_s3.env_file:\n"
        "        path: '{{ arguments.path }}'\n        secrets: '{{ arguments.secrets }}'\n"
        "        validate: '{{ arguments.validate }}'\n      vars:\n        ansible_pipelining: true\n"
    )
    process = subprocess.Popen(
        [
            str(ANSIBLE.with_name("ansible-playbook")),
            *("-i", "localhost,", "-c", "local", "-e", f"ansible_python_interpreter={sys.executable}"),
            *("-e", f"@{variables}", str(playbook)),
        ],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    until = time.monotonic() + 90
    validating = b""
    while b"time.sleep(60)" not in validating:
        assert process.poll() is None, process.stdout.read()
        assert time.monotonic() < until, "the module did not come to its validation"
        validating = b"".join(
            (Path("/proc") / str(pid) / "cmdline").read_bytes() for pid in _below(host) if Path(f"/proc/{pid}").exists()
        )
    assert secret.encode() not in validating
    held = _holding(host, secret, variables)
    assert len(held) == 1, "only the copy that is being validated"
    assert Path(held[0]).stat().st_mode & 0o077 == 0
    assert Path(held[0]).parent.stat().st_mode & 0o077 == 0, "in the module's own temporary folder"
    _kill_all(host, process)
    assert env_file.read_text() == "LOCAL_DOMAIN=social.example\n"
    assert set(_holding(host, secret, variables)) <= set(held)
