# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.fediverse.mastodon_s3.plugins.filter.unsafe_nginx_values import _RULES, unsafe_nginx_values

GOOD = {
    "host": ["media.example.com", "xn--media-kva.example", "localhost"],
    "url": [
        "https://media.example.com",
        "https://s3.example.com:9000/social-media/prefix",
        "http://[2001:db8::1]:9000/media",
        "https://media.example.com/@1x",
    ],
    "path": ["/etc/letsencrypt/live/media.example.com/fullchain.pem", "/home/mastodon/live/public/system"],
    "key": ["prefix", "instances/one"],
    "secret": ["wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY="],
    "header": ["X-Media-Refresh"],
    "word": ["eu-central-1", "AKIDEXAMPLE"],
    "size": ["10g", "512m", "1024"],
    "resolver": ["192.0.2.53", "127.0.0.1:5353", "[2001:db8::53]"],
}
DANGEROUS = [";", "{", "}", "'", '"', "$", "\n", "\r", "\t", "\0", " ", "\\", "#", "\u2028", "é"]
BAD = {
    "host": ["https://media.example.com", "media.example.com/", "media.example.com:443", "-a.example", "a..b"],
    "url": [
        "media.example.com",
        "https://media.example.com/",
        "https://user:word@media.example.com",
        "https://media.example.com/?a=b",
        "https://media.example.com/../x",
        "ftp://media.example.com",
    ],
    "path": ["etc/nginx", "/", "/srv/../etc", "/srv//media", "/srv/media/"],
    "key": ["/prefix", "prefix/", "a/../b", "."],
    "secret": ["a b"],
    "header": ["X_Media", "X-Media: 1"],
    "word": ["eu central"],
    "size": ["10 GB", "0", "-1"],
    "resolver": ["dns.example.com"],
}


@pytest.mark.parametrize(("kind", "value"), [(kind, value) for kind, values in GOOD.items() for value in values])
def test_ordinary_values_are_accepted_and_none_with_a_dangerous_character(kind, value):
    assert unsafe_nginx_values({"x": value}, {"x": kind}) == []
    for character in DANGEROUS:
        for changed in (value + character, character + value, value[:3] + character + value[3:]):
            assert unsafe_nginx_values({"x": changed}, {"x": kind}), changed


@pytest.mark.parametrize(("kind", "value"), [(kind, value) for kind, values in BAD.items() for value in values])
def test_values_of_another_kind_are_refused(kind, value):
    (problem,) = unsafe_nginx_values({"x": value}, {"x": kind})
    assert problem.startswith("x ")
    assert _RULES[kind][1] in problem
    assert (repr(value) in problem) == (kind != "secret")


@given(st.text())
def test_nothing_that_is_accepted_can_end_a_directive(text):
    for kind in _RULES:
        if not unsafe_nginx_values({"x": text}, {"x": kind}):
            assert not set(text) & set(DANGEROUS)


def test_empty_values_lists_and_other_types():
    kinds = {"a": "host", "b": "host", "c": "resolver", "d": "host", "missing": "host"}
    values = {"a": "", "b": None, "c": ["192.0.2.1", "two"], "d": 7}
    assert unsafe_nginx_values(values, kinds) == [
        "c is 'two'. Set it to an IP address such as 192.0.2.53.",
        "d is '7'. Set it to a host name such as media.example.com, without scheme, port and path.",
    ]
