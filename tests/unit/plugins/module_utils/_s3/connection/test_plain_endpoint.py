# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import dataclasses
import os
import sys
import types
from importlib.util import find_spec
from pathlib import Path

import botocore
import pytest

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.connection import plain_endpoint as under_test
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.connection.client import s3_client
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.connection.endpoint import endpoint_of
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.connection.options import connection_options
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.connection.plain_endpoint import plain_endpoint

CERTIFICATES = Path(botocore.__file__).with_name("cacert.pem")
PLAIN = {"bucket": "media", "endpoint_url": "http://store.example.org", "access_key": "key", "secret_key": "secret"}


@pytest.fixture(autouse=True)
def bare_host(monkeypatch, tmp_path):
    """A host where nothing but the options says where to send to."""
    for name in list(os.environ):
        if name.lower().startswith(("aws_", "boto")) or name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


def stated(**options):
    params = {**PLAIN, **options}
    return plain_endpoint(connection_options(params), params["bucket"])


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"endpoint_url": "http://127.0.0.1:9000"},
        {"endpoint_url": "http://[2001:db8::1]:9000/"},
        {"endpoint_url": "http://Store.example.org:8080"},
        {"endpoint_url": "https://store.example.org", "validate_certs": False},
        {"endpoint_url": "https://store.example.org:8443", "aws_ca_bundle": str(CERTIFICATES)},
        {"region": "eu-central-1", "session_token": "token"},
        {"region": "auto", "bucket": "media.example.org"},
        {"bucket": "Media_1"},
        {"endpoint_url": "http://media.example.org", "addressing_style": "path"},
    ],
    ids=str,
)
def test_it_is_what_boto3_says(options):
    params = {**PLAIN, **options}
    told = endpoint_of(s3_client(connection_options(params)), params["bucket"])
    found = stated(**options)
    assert found is not None
    certificates = told.ca_file if told.tls else None
    assert found == dataclasses.replace(told, user_agent=found.user_agent, ca_file=certificates)


def test_certificates_are_those_of_certifi_as_with_boto3(monkeypatch):
    if find_spec("certifi"):
        found = stated(endpoint_url="https://store.example.org")
        told = endpoint_of(
            s3_client(connection_options({**PLAIN, "endpoint_url": "https://store.example.org"})), "media"
        )
        assert found.ca_file == told.ca_file
    monkeypatch.setitem(sys.modules, "certifi", types.SimpleNamespace(where=lambda: str(CERTIFICATES)))
    assert stated(endpoint_url="https://store.example.org").ca_file == str(CERTIFICATES)
    monkeypatch.setitem(sys.modules, "certifi", None)
    assert stated(endpoint_url="https://store.example.org") is None


@pytest.mark.parametrize(
    "options",
    [
        {"endpoint_url": None},
        {"access_key": None, "secret_key": None},
        {"access_key": None, "secret_key": None, "profile": "other"},
        {"addressing_style": "virtual"},
        {"checksums": "when_supported"},
        {"aws_config": {"read_timeout": 5}},
        {"endpoint_url": "https://s3.eu-central-1.amazonaws.com", "addressing_style": "path"},
        {"bucket": "media--use1-az4--x-s3"},
        {"endpoint_url": "http://minio_server:9000"},
        {"endpoint_url": "http://a..b"},
        {"endpoint_url": f"http://{'a' * 64}.example.org"},
        {"region": "fr_par"},
        {"region": "a.b"},
        {"region": "123"},
        {"region": "aws-global"},
        {"region": "us-east-1-fips"},
    ],
    ids=str,
)
def test_what_is_not_plain_is_for_boto3(options):
    assert stated() is not None
    assert stated(**options) is None


@pytest.mark.parametrize("name", ["AWS_PROFILE", "AWS_ENDPOINT_URL_S3", "http_proxy", "HTTPS_PROXY", "BOTO_CONFIG"])
def test_the_environment_may_say_otherwise(monkeypatch, name):
    monkeypatch.setenv(name, "http://127.0.0.1:1")
    assert stated() is None


@pytest.mark.parametrize("name", ["config", "credentials"])
def test_so_may_files(bare_host, name):
    (bare_host / ".aws").mkdir()
    (bare_host / ".aws" / name).write_text("[default]\n")
    assert stated() is None


@pytest.mark.parametrize("missing", ["boto3", "botocore"])
def test_without_boto3_there_is_nobody_to_leave_the_rest_to(monkeypatch, missing):
    monkeypatch.setattr(under_test, "find_spec", lambda name: None if name == missing else name)
    assert stated() is None


def test_certificates_that_can_not_be_read_are_for_boto3_to_complain_of(monkeypatch):
    monkeypatch.setitem(sys.modules, "certifi", types.SimpleNamespace(where=lambda: "/nonexistent"))
    assert stated(endpoint_url="https://store.example.org") is None
