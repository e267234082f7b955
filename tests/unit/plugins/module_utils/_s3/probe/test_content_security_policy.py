# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whether a page may load media by its policies, as browsers decide it."""

from __future__ import annotations

import pytest

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.http.anonymous_client import AnonymousResponse
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.probe.content_security_policy import (
    DIRECTIVES,
    blocked,
    judge_site,
    parse,
)

PAGE = "https://social.example/"
MEDIA = "https://files.example/media/a.png"
# As Mastodon 4.4 sends it, shortened
OWN = (
    "base-uri 'none'; default-src 'none'; img-src 'self' data: blob: https://social.example; media-src 'self' data:"
    " https://social.example; connect-src 'self' https://social.example wss://social.example; style-src 'self'"
    " 'nonce-{}'"
)


@pytest.mark.parametrize(
    ("sources", "media", "allowed"),
    [
        ("https:", MEDIA, True),
        ("http:", MEDIA, True),
        ("https:", "http://files.example/a.png", False),
        ("*", MEDIA, True),
        ("'none'", MEDIA, False),
        ("", MEDIA, False),
        ("'self' data: blob:", MEDIA, False),
        ("'self'", "https://social.example/system/a.png", True),
        ("'self'", "http://social.example/system/a.png", False),
        ("'self'", "https://social.example:8443/a.png", False),
        ("https://files.example", MEDIA, True),
        ("https://FILES.example/", MEDIA, True),
        ("files.example", MEDIA, True),
        ("files.example", "http://files.example/a.png", False),
        ("http://files.example", MEDIA, True),
        ("http://files.example:80", MEDIA, True),
        ("https://files.example:443", MEDIA, True),
        ("https://files.example:8443", MEDIA, False),
        ("https://files.example", "https://files.example:8443/a.png", False),
        ("https://files.example:*", "https://files.example:8443/a.png", True),
        ("https://example", MEDIA, False),
        ("https://*.example", MEDIA, True),
        ("https://*.files.example", MEDIA, False),
        ("https://files.example/media/", MEDIA, True),
        ("https://files.example/media", MEDIA, False),
        ("https://files.example/other/", MEDIA, False),
        ("https://files.example/m%65dia/", MEDIA, True),
        ("https://[2001:db8::7]/", "https://[2001:db8::7]/a.png", True),
        ("'nonce-abc' 'strict-dynamic' 'unsafe-inline'", MEDIA, False),
        ("https://other.example https://files.example", MEDIA, True),
    ],
)
def test_sources(sources, media, allowed):
    (policy,) = parse(f"default-src {sources}")
    assert blocked(policy, media, PAGE) == ([] if allowed else list(DIRECTIVES))


def test_a_directive_of_its_own_counts_instead_of_the_default_and_the_first_one_wins():
    (policy,) = parse("IMG-SRC https: ; img-src 'none'; default-src 'self';; media-src *")
    assert blocked(policy, MEDIA, PAGE) == ["connect-src"]
    assert blocked(parse("script-src 'self'")[0], MEDIA, PAGE) == []


FROM_WEB = OWN.format("b")


def judged(*policies, own=FROM_WEB, status=200):
    headers = {"content-security-policy": ", ".join(policies)} if policies else {}
    return judge_site(PAGE, AnonymousResponse(status, "HTTP500", headers), "https://files.example", own)


def test_mastodons_own_policy_is_no_problem_since_the_switch_changes_it():
    found = judged(OWN.format("a"))
    assert (found.allows, found.problems) == (False, ())


def test_a_policy_that_a_web_server_adds_must_allow_the_media():
    found = judged(OWN.format("a"), "img-src 'self'; media-src https:")
    (problem,) = found.problems
    assert (found.allows, problem.code) == (False, "PolicyBlocksMedia")
    assert problem.message.endswith("do not load media from https://files.example/: img-src 'self'.")
    assert "add https://files.example/ to img-src, or remove the header" in problem.remedy


def test_a_policy_by_its_default_directive():
    (problem,) = judged("default-src 'self' https://social.example").problems
    assert problem.message.endswith(": default-src 'self' https://social.example.")
    assert "to img-src, media-src, connect-src," in problem.remedy


def test_a_harmless_policy_of_a_web_server():
    found = judged("frame-ancestors 'none'", OWN.format("a").replace("'self'", "'self' https://files.example/"))
    assert (found.allows, found.problems) == (True, ())


def test_nothing_is_concluded_from_what_is_not_known():
    assert judged("img-src 'self'", own="").problems == ()
    unread = judged("img-src 'self'", status=500)
    assert (unread.allows, unread.status, unread.reason, unread.problems) == (None, 500, "HTTP500", ())
    assert judged().allows is True
