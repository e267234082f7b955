# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.http.anonymous_client import AnonymousResponse
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.objects.acl import Acl
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.audit.findings import (
    Example,
    Faults,
    Finding,
    Findings,
    Unknown,
    Visit,
)

CLOSED, OPEN = Acl(False, False, True), Acl(True, False, False)
PICTURE, NOTHING = Visit(AnonymousResponse(200)), Visit(AnonymousResponse(None, "TimedOut"))


def counted(*found, limit=20):
    findings = Findings(limit)
    for each in found:
        findings.add(each)
    return findings


def test_what_visitors_got_of_public_files():
    found = counted(
        Finding("a", True, visit=PICTURE),
        Finding("b", True, visit=Visit(AnonymousResponse(403, "AccessDenied"))),
        Finding("c", True, visit=Visit(AnonymousResponse(206), Faults("wrong type", "wrong cache"))),
        Finding("d", True, visit=NOTHING),
    ).public
    assert (found.requested, found.readable, found.unreadable) == (4, 2, 2)
    assert (found.wrong_type, found.wrong_cache_header) == (1, 1)
    assert [tuple(example) for example in found.examples] == [
        ("b", 403, "AccessDenied"),
        ("c", 206, "wrong type"),
        ("c", 206, "wrong cache"),
        ("d", None, "TimedOut"),
    ]


def test_what_visitors_got_of_private_ones():
    answers = [
        AnonymousResponse(403, "AccessDenied"),
        AnonymousResponse(404),
        AnonymousResponse(200),
        AnonymousResponse(503, "SlowDown"),
        AnonymousResponse(416),
        AnonymousResponse(301, "HTTP301"),
    ]
    found = counted(*(Finding(str(number), False, visit=Visit(each)) for number, each in enumerate(answers))).private
    assert (found.requested, found.denied, found.readable, found.unanswered) == (6, 2, 2, 2)
    assert [(example.key, example.reason) for example in found.examples] == [
        ("2", "readable by everybody"),
        ("3", "SlowDown"),
        ("4", "readable by everybody"),
        ("5", "HTTP301"),
    ]


@pytest.mark.parametrize(
    ("public", "acl", "counts"),
    [
        (True, OPEN, "public_as_wanted"),
        (True, CLOSED, "hidden"),
        (True, Acl(False, False, False), "hidden"),
        (True, Acl(True, True, False), "exposed"),
        (False, CLOSED, "private_as_wanted"),
        (False, OPEN, "exposed"),
        (False, Acl(False, False, False), "exposed"),
        (False, Acl(False, True, False), "exposed"),
        (False, Unknown("AccessDenied"), "unknown"),
    ],
)
def test_what_an_acl_means(public, acl, counts):
    found = counted(Finding("a", public, acl=acl)).acl
    names = ("public_as_wanted", "private_as_wanted", "exposed", "hidden", "unknown")
    assert {name: getattr(found, name) for name in names} == {name: int(name == counts) for name in names}
    assert found.objects == 1
    assert bool(found.examples) == (not counts.endswith("wanted"))


def test_headers_and_contents():
    found = counted(
        Finding("a", True, headers=Faults(), same_content=True),
        Finding("b", True, headers=Faults("type", "cache"), same_content=False),
        Finding("c", True, headers=Unknown("AccessDenied"), same_content=Unknown("parts")),
        Finding("d", True, headers=Faults(None, "cache")),
    )
    headers, content = found.headers, found.content
    assert (headers.objects, headers.as_wanted, headers.unknown) == (4, 1, 1)
    assert (headers.wrong_type, headers.wrong_cache_header) == (1, 2)
    assert (content.objects, content.same, content.differs, content.unknown) == (3, 1, 1, 1)
    assert content.examples == [Example("b", "different content of the same size"), Example("c", "parts")]


def test_what_is_gone_is_counted_as_that_alone():
    found = counted(Finding("a", True, gone=True))
    assert found.vanished == 1
    assert (found.public.requested, found.acl.objects, found.headers.objects, found.content.objects) == (0, 0, 0, 0)


def test_examples_are_capped_and_what_is_unknown_does_not_crowd_out_what_is_wrong():
    unknown = [Finding(str(number), False, acl=Unknown("AccessDenied")) for number in range(50)]
    found = counted(*unknown, *(Finding(f"open{number}", False, acl=OPEN) for number in range(9)), limit=4).acl
    assert (found.unknown, found.exposed) == (50, 9)
    assert [example.key for example in found.examples] == ["0", "open0", "open1", "open2"]
