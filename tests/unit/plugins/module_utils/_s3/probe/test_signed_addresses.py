# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whether visitors can use signed addresses of an endpoint."""

from __future__ import annotations

import socket

import pytest

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.probe.signed_addresses import (
    addresses_of,
    judge_endpoint,
)


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch):
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.mark.parametrize(
    ("url", "addresses", "codes"),
    [
        ("https://s3.example.com", ["198.51.99.7"], []),
        ("https://s3.example.com:9000", ["2600:1f18::7"], []),
        ("https://8.8.8.8", ["8.8.8.8"], []),
        # One public address is enough: browsers try them all
        ("https://s3.example.com", ["10.0.0.7", "8.8.8.8"], []),
        ("https://s3.example.com", None, []),
        ("http://s3.example.com", ["8.8.8.8"], ["PlainHttp"]),
        ("https://s3.example.com", ["10.0.0.7", "fd00::7"], ["PrivateAddress"]),
        ("https://s3.example.com", ["192.168.1.7"], ["PrivateAddress"]),
        ("https://s3.example.com", ["172.31.0.7"], ["PrivateAddress"]),
        ("https://s3.example.com", ["100.64.0.7"], ["PrivateAddress"]),
        ("https://s3.example.com", ["::ffff:10.0.0.7"], ["PrivateAddress"]),
        ("https://s3.example.com", ["fe80::7"], ["PrivateAddress"]),
        ("https://[::1]:9000", ["::1"], ["PrivateAddress"]),
        ("http://127.0.0.1:9000", ["127.0.0.1"], ["PlainHttp", "PrivateAddress"]),
        # Names of Compose services and of local networks, whatever the DNS here says
        ("http://minio:9000", None, ["PlainHttp", "PrivateAddress"]),
        ("https://minio", [], ["PrivateAddress"]),
        ("https://store.internal", ["8.8.8.8"], ["PrivateAddress"]),
        ("https://store.LAN.", None, ["PrivateAddress"]),
        ("https://internal.example.com", ["8.8.8.8"], []),
        ("https://s3.example.com", [], ["NameNotResolved"]),
    ],
)
def test_what_keeps_visitors_away(url, addresses, codes):
    found = judge_endpoint(url, addresses)
    assert [problem.code for problem in found] == codes
    for problem in found:
        assert problem.message.startswith(f"Users download their account archives from signed addresses of {url}")
        assert "endpoint_url" in problem.remedy


def test_private_addresses_of_a_name_are_shown():
    assert "s3.example.com (10.0.0.7) is a private" in judge_endpoint("https://s3.example.com", ["10.0.0.7"])[0].message
    assert "10.0.0.7 is a private" in judge_endpoint("https://10.0.0.7", ["10.0.0.7"])[0].message


def test_addresses_of_this_machine():
    assert addresses_of("https://127.0.0.1:9000") == ["127.0.0.1"]
    assert set(addresses_of("https://localhost")) <= {"127.0.0.1", "::1"}
    assert addresses_of("https://localhost")


@pytest.mark.parametrize(("error", "found"), [(socket.EAI_NONAME, []), (socket.EAI_AGAIN, None)])
def test_a_dns_that_does_not_answer_is_no_missing_entry(monkeypatch, error, found):
    def fail(*_arguments, **_options):
        raise socket.gaierror(error, "as the resolver says")

    monkeypatch.setattr(socket, "getaddrinfo", fail)
    assert addresses_of("https://s3.example.com") == found


def test_behind_a_proxy_nothing_is_known(monkeypatch):
    monkeypatch.setenv("https_proxy", "http://proxy.example:3128")
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_arguments, **_options: pytest.fail("asked the DNS"))
    assert addresses_of("https://s3.example.com") is None
