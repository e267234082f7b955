# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The header x-amz-checksum-mode that Mastodon sends, and how long answers take, with a server that misbehaves."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import boto3
import pytest
from botocore.config import Config

sys.path.insert(0, str(Path(__file__).resolve().parents[5] / "support"))

from fake_s3_server import FakeS3Server

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.probe.model import Facts
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.probe.names import Names
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.probe.operations import try_checksums
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.probe.probe_client import ProbeClient
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.probe.recommendation import recommend


@pytest.fixture
def server():
    running = FakeS3Server()
    yield running
    running.close()


@pytest.fixture
def client(server):
    config = Config(s3={"addressing_style": "path"}, retries={"mode": "standard", "total_max_attempts": 2})
    found = boto3.client(
        "s3",
        endpoint_url=server.url,
        region_name="us-east-1",
        aws_access_key_id="AKIA",
        aws_secret_access_key="secret",
        config=config,
    )
    return ProbeClient(found, "media", 60.0)


@pytest.mark.parametrize(
    ("refused", "disabled", "enabled", "recommended"),
    [
        ((), True, True, None),
        # VersityGW 1.8 (s3api/controllers/object-get.go)
        (("DISABLED",), False, True, "true"),
        (("DISABLED", "ENABLED"), False, False, None),
    ],
)
def test_both_modes_are_tried(server, client, monkeypatch, refused, disabled, enabled, recommended):
    answered = server.answer

    def answer(seen):
        if seen.method == "GET" and seen.headers.get("x-amz-checksum-mode") in refused:
            return 400, {}, b"<Error><Code>InvalidRequest</Code></Error>"
        return answered(seen)

    monkeypatch.setattr(server, "answer", answer)
    facts = Facts()
    try_checksums(client, Names("accounts/", "backups/"), facts.checksums)
    assert (facts.checksums.response_mode_disabled, facts.checksums.response_mode) == (disabled, enabled)
    assert recommend(facts).variables["S3_ENABLE_CHECKSUM_MODE"].value == recommended
    # As Ruby's SDK sends it: the header is signed
    seen = [seen for seen in server.requests if seen.headers.get("x-amz-checksum-mode") == "DISABLED"]
    assert len(seen) == 1
    assert "x-amz-checksum-mode" in seen[0].headers["authorization"]


def test_a_slow_answer_is_noticed(server, client, monkeypatch):
    answered = server.answer

    def answer(seen):
        if seen.method == "HEAD":
            time.sleep(1.4)
        return answered(seen)

    monkeypatch.setattr(server, "answer", answer)
    assert client.latency is None
    for _again in range(4):
        client.put("accounts/a", b"a")
    client.call("head_object", Key="accounts/a")
    found = client.latency
    assert (found.requests, found.slowest_operation) == (5, "head_object")
    assert found.median_seconds < 1.4 <= found.slowest_seconds < 5
    assert int(recommend(Facts(latency=found)).variables["S3_READ_TIMEOUT"].value) >= 10


def test_refused_and_repeated_requests_are_not_timed(server, client, monkeypatch):
    answered, failed = server.answer, []

    def answer(seen):
        if seen.method == "HEAD" and not failed:
            failed.append(seen)
            return 503, {}, b""
        return answered(seen)

    monkeypatch.setattr(server, "answer", answer)
    client.put("accounts/a", b"a")
    assert client.call("head_object", Key="accounts/a").ok is True
    assert client.call("get_object", Key="accounts/absent").ok is False
    assert failed
    assert client.latency.requests == 1
