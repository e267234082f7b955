# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the answers of a public address mean."""

from __future__ import annotations

import pytest

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.http.anonymous_client import AnonymousResponse
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.probe.media_address import (
    judge_object,
    judge_server,
    plain,
)

URL = "https://files.example/social"
ORIGIN = "https://social.example"
BODY = b"an object\n"


@pytest.mark.parametrize(
    ("headers", "cors"),
    [
        ({"access-control-allow-origin": "*"}, True),
        ({"access-control-allow-origin": ORIGIN}, True),
        ({"access-control-allow-origin": "https://another.example"}, False),
        ({}, False),
    ],
)
def test_an_object_that_is_served_and_what_pages_may_do_with_it(headers, cors):
    found = judge_object(URL, AnonymousResponse(200, "", headers, BODY), BODY, ORIGIN)
    assert (found.readable, found.problem, found.cors) == (True, None, cors)


@pytest.mark.parametrize(
    ("answer", "code", "says", "remedy"),
    [
        (
            AnonymousResponse(None, "NameNotResolved"),
            "NameNotResolved",
            "the name files.example has no DNS entry",
            "to the DNS",
        ),
        (
            AnonymousResponse(None, "ConnectionRefused"),
            "ConnectionRefused",
            "nothing listens",
            "files.example, and see that the port",
        ),
        (AnonymousResponse(None, "TimedOut"), "TimedOut", "there was no response", "firewall"),
        (AnonymousResponse(None, "NotTls"), "NotTls", "does not use TLS", "Set up TLS"),
        (
            AnonymousResponse(None, "CertificateNotTrusted"),
            "CertificateNotTrusted",
            "does not trust",
            "private authority",
        ),
        (
            AnonymousResponse(None, "CertificateOfOtherHost"),
            "CertificateOfOtherHost",
            "another name than files.example",
            "wildcard",
        ),
        (AnonymousResponse(None, "CertificateExpired"), "CertificateExpired", "has expired", "Renew"),
        (AnonymousResponse(None, "BadStatusLine"), "BadStatusLine", "the request failed (BadStatusLine)", "Check"),
        (
            AnonymousResponse(403, "AccessDenied"),
            "AccessDenied",
            "the answer is 403 (AccessDenied)",
            "Let everybody read",
        ),
        (AnonymousResponse(404, "NoSuchKey"), "NoSuchKey", "the answer is 404 (NoSuchKey)", "points to this bucket"),
        (AnonymousResponse(301, "HTTP301"), "HTTP301", "the answer is 301,", "points to this bucket"),
        (AnonymousResponse(502, "HTTP502"), "HTTP502", "the answer is 502,", "log of the proxy of files.example"),
        (
            AnonymousResponse(200, "", {}, b"<html>"),
            "OtherContent",
            "an unrelated server answers",
            "Point files.example at the bucket",
        ),
    ],
)
def test_an_object_that_is_not_served(answer, code, says, remedy):
    found = judge_object(URL, answer, BODY, ORIGIN)
    assert (found.readable, found.cors, found.problem.code) == (False, None, code)
    assert f"public address of the media would be {URL}/, but " in found.problem.message
    assert says.rstrip(",") in found.problem.message
    assert remedy in found.problem.remedy
    assert plain(found.problem) == {
        "code": code,
        "message": found.problem.message,
        "remedy": found.problem.remedy,
    }


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (AnonymousResponse(None, "ConnectionRefused"), "ConnectionRefused"),
        (AnonymousResponse(200, "", {}, b"<html>welcome"), "OtherContent"),
        (AnonymousResponse(403, "AccessDenied"), None),
        (AnonymousResponse(404, "NoSuchBucket"), None),
        (AnonymousResponse(404, "HTTP404"), None),
        (AnonymousResponse(502, "HTTP502"), None),
    ],
)
def test_before_there_is_a_bucket_only_the_server_can_be_judged(answer, code):
    found = judge_server(URL, answer)
    assert (found and found.code) == code
