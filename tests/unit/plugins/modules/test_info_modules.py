# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""s3_storage_info and s3_sync_info as programs: what they refuse, and what they do where boto3 is missing."""

from __future__ import annotations

import importlib
import json
import os
import socket
import subprocess
import sys
import threading
import time
from dataclasses import asdict

import pytest
import yaml
from ansible.module_utils import basic

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.probe.model import Facts
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.probe.recommendation import recommend

MODULES = "ansible_collections.fediverse.mastodon_s3.plugins.modules"
KEYS = {
    "access_key": "AKIA",
    "secret_key": "the-secret-word",
    "region": "us-east-1",
    "endpoint_url": "http://127.0.0.1:1",
}

pytestmark = pytest.mark.filterwarnings("ignore:This process .* is multi-threaded")


@pytest.fixture
def run(monkeypatch, capsys):
    """Run a module in this process, which spares each test an interpreter that imports boto3."""

    def in_this_process(module, **options):
        monkeypatch.setattr(basic, "_ANSIBLE_ARGS", arguments(options).encode())
        monkeypatch.setattr(basic, "_ANSIBLE_PROFILE", "legacy", raising=False)
        with pytest.raises(SystemExit):
            importlib.import_module(f"{MODULES}.{module}").main()
        return result(*capsys.readouterr())

    return in_this_process


@pytest.fixture
def run_without_boto3(tmp_path, monkeypatch):
    """Run a module as a separate program that can't import boto3."""
    (tmp_path / "boto3.py").write_text("raise ImportError('No module named boto3')\n")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")]))

    def as_a_program(module, **options):
        command = [sys.executable, "-m", f"{MODULES}.{module}"]
        done = subprocess.run(command, input=arguments(options), capture_output=True, text=True, check=False)
        return result(done.stdout, done.stderr)

    return as_a_program


def arguments(options):
    return json.dumps({"ANSIBLE_MODULE_ARGS": {**KEYS, "bucket": "media", **options}})


def result(printed, complained):
    assert printed, complained
    assert "the-secret-word" not in complained
    answer = json.loads(printed)
    # From ansible-core 2.22 on a module names its secrets to the controller, which masks them in all that it shows.
    if "_ansible_new_secrets" in answer:
        assert "the-secret-word" in answer.pop("_ansible_new_secrets")
    else:
        assert "the-secret-word" not in printed
    return answer


def test_a_missing_boto3_is_unknown_in_check_mode_and_a_failure_without(run_without_boto3):
    found = run_without_boto3("s3_storage_info", _ansible_check_mode=True)
    assert found["usable"] is None
    assert found["problem"] is None
    assert found["boto3_version"] is None
    assert found["changed"] is False
    failed = run_without_boto3("s3_storage_info")
    assert failed["failed"] is True
    assert "boto3" in failed["msg"]
    assert "python3-boto3" in failed["msg"]


def test_no_probe_if_the_store_does_not_answer(run):
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        begun = time.monotonic()
        found = run(
            "s3_storage_info",
            probe=True,
            endpoint_url=f"http://127.0.0.1:{silent.getsockname()[1]}",
            aws_config={"read_timeout": 1, "connect_timeout": 1},
        )
    assert time.monotonic() - begun < 30
    assert (found["usable"], found["problem"]["code"], found["probe"]) == (False, "TimedOut", None)


def test_the_documentation_describes_the_probe():
    module = importlib.import_module(f"{MODULES}.s3_storage_info")
    documented = yaml.safe_load(module.RETURN)["probe"]["contains"]
    facts = asdict(Facts())
    assert set(documented) == {*facts, "recommendation"}
    for name in ("acl", "open_to_everybody", "cors", "addressing", "checksums", "rights"):
        assert set(documented[name]["contains"]) == set(facts[name])
    said = recommend(Facts())
    assert set(documented["recommendation"]["contains"]) == set(asdict(said))
    described = " ".join(documented["recommendation"]["contains"]["variables"]["description"])
    assert all(f"E({name})" in described for name in said.variables)


def test_problems_of_the_store_are_results_not_failures(run):
    found = run("s3_storage_info")
    assert "failed" not in found
    assert (found["usable"], found["problem"]["code"]) == (False, "ConnectionRefused")


@pytest.mark.parametrize(
    ("module", "options", "says"),
    [
        ("s3_storage_info", {"wait": -1}, "wait"),
        ("s3_storage_info", {"endpoint_url": "http://127.0.0.1:1/media"}, "endpoint_url"),
        ("s3_storage_info", {"aws_config": {"no_such_option": 1}}, "no_such_option"),
        ("s3_storage_info", {"public_prefix": ""}, "public_prefix"),
        ("s3_storage_info", {"public_url": "files.example.com"}, "public_url"),
        ("s3_sync_info", {"src": "/", "sample": -1}, "sample"),
        ("s3_sync_info", {"src": "/", "limit": -1}, "limit"),
        ("s3_sync_info", {"src": "/", "public_url": "files.example.com"}, "public_url"),
        ("s3_sync_info", {"src": "/", "public_prefixes": ["/accounts"]}, "public_prefixes"),
        ("s3_sync_info", {"src": "/", "inspect": ["acls"]}, "acls"),
        ("s3_sync_info", {"src": "/", "sent_after": -1}, "sent_after: -1"),
        ("s3_sync_info", {"src": "/", "sent_after": 1, "settled": True}, "mutually exclusive"),
        ("s3_sync_info", {"src": "/", "sent_after": 1, "state_dir": "state"}, "state_dir: 'state' is not an absolute"),
        ("s3_sync_info", {"src": "/", "settled": True, "state_dir": "/no/state"}, "run s3_sync first"),
        ("s3_sync_info", {"src": ""}, "src is empty"),
        ("s3_sync_info", {"src": "/no/such/folder"}, "/no/such/folder"),
        ("s3_sync_info", {"src": os.path.abspath(__file__)}, "not a folder"),
    ],
)
def test_invalid_options_are_refused_by_name(run, module, options, says):
    failed = run(module, **options)
    assert failed["failed"] is True
    assert says in failed["msg"]


def test_an_invalid_ca_bundle_is_refused(run, tmp_path, web):
    (tmp_path / "ca.pem").write_text("nothing")
    listing = b'<?xml version="1.0"?><ListBucketResult><IsTruncated>false</IsTruncated></ListBucketResult>'
    web.answer = lambda method, path, headers: (200, {}, listing)
    failed = run(
        "s3_sync_info",
        src=str(tmp_path),
        endpoint_url=web.url,
        public_url=web.url,
        public_ca_bundle=str(tmp_path / "ca.pem"),
    )
    assert failed["failed"] is True
    assert "ca.pem" in failed["msg"]


def test_a_store_that_stops_answering_fails_within_seconds(run, tmp_path, web):
    listed = ""
    for number in range(300):
        name = f"cache/{number:03}.png"
        (tmp_path / "cache").mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
        listed += (
            f"<Contents><Key>{name}</Key><Size>1</Size><ETag>e</ETag>"
            "<LastModified>2026-01-01T00:00:00.000Z</LastModified></Contents>"
        )
    listing = f"<ListBucketResult><IsTruncated>false</IsTruncated>{listed}</ListBucketResult>".encode()
    quiet = threading.Event()

    def answer(method, path, headers):
        if "list-type" not in path:
            quiet.wait(60)
        return (200, {}, listing)

    web.answer = answer
    began = time.monotonic()
    try:
        found = run(
            "s3_sync_info",
            src=str(tmp_path),
            endpoint_url=web.url,
            inspect=["acl", "headers"],
            full=True,
            aws_config={"read_timeout": 0.2, "retries": {"total_max_attempts": 1}},
        )["inspected"]
    finally:
        quiet.set()
    assert time.monotonic() - began < 45
    assert (found["acl"]["objects"], found["acl"]["unknown"]) == (300, 300)
    assert (found["headers"]["objects"], found["headers"]["unknown"]) == (300, 300)
    assert {example["reason"] for example in found["headers"]["examples"]} >= {"TimedOut"}
