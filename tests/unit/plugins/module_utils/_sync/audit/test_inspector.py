# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import hashlib
import threading

import pytest

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.connection.errors import PermissionDeniedError
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.http.anonymous_client import AnonymousResponse
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.objects.acl import Acl
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.objects.objects import Head
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.audit.compare import Subject
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.audit.findings import Faults, Unknown
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.audit.inspector import Inspection, Inspector
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.model import (
    Entry,
    Exposure,
    ExposureMode,
    Listed,
)
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.rules.rules import Rules
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.tree.source import Source

CACHE = "max-age=9"
CONTENT = b"content"
SIZE = len(CONTENT)
ETAG = hashlib.md5(CONTENT, usedforsecurity=False).hexdigest()
GOOD = Head("image/png", CACHE, ETAG, encrypted=False)
CLOSED = Acl(False, False, True)
PUBLIC_KEY, PRIVATE_KEY = "accounts/a.png", "backups/a.zip"


class Told:
    """A store that gives fixed answers, or raises them, and counts how often it was asked."""

    def __init__(self, head=GOOD, acl=CLOSED):
        self.asked = []
        self._answers = {"head": head, "acl": acl}
        self._lock = threading.Lock()

    def _answer(self, kind, key):
        with self._lock:
            self.asked.append((kind, key))
        found = self._answers[kind]
        if isinstance(found, Exception):
            raise found
        return found

    def describe(self, key):
        return self._answer("head", key)

    def acl(self, key):
        return self._answer("acl", key)


@pytest.fixture
def look(tmp_path):
    source = Source(str(tmp_path))

    def entry(key):
        path = tmp_path / key
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(CONTENT)
        status = path.stat()
        return Entry(key, status.st_size, status.st_mtime_ns, status.st_ctime_ns, 0o644)

    def run(told, *aspects, key=PUBLIC_KEY, etag=ETAG, size=SIZE, mode="acl", file=True, visit=None, times=1):
        rules = Rules(ExposureMode(mode), ("accounts/",), ("backups/",), cache_control=CACHE)
        inspector = Inspector(rules, source, told, aspects=aspects, visit=visit, silence_limit=3)
        exposure = Exposure.PRIVATE if key.startswith("backups/") else Exposure.PUBLIC
        subject = Subject(key, exposure, Listed(key, size, etag), entry(key) if file else None)
        return [inspector.inspect(subject) for _time in range(times)][-1]

    yield run
    source.close()


ALL = tuple(Inspection)


def test_all_is_asked_and_head_only_once(look):
    told = Told(head=GOOD._replace(etag="0" * 32))
    found = look(told, *ALL, etag="0" * 32, visit=lambda key: AnonymousResponse(200, "", {"content-type": "image/png"}))
    assert sorted(told.asked) == [("acl", PUBLIC_KEY), ("head", PUBLIC_KEY)]
    assert (found.acl, found.headers, found.same_content) == (CLOSED, Faults(), False)
    # The visitor's cache header is missing, but the store keeps the right one.
    assert found.visit.faults == Faults()


def test_the_right_content_costs_no_request(look):
    told = Told()
    assert look(told, Inspection.CONTENT).same_content is True
    assert told.asked == []


@pytest.mark.parametrize(
    ("head", "etag", "reason"),
    [
        (GOOD._replace(encrypted=True), "0" * 32, "not a digest"),
        (GOOD._replace(etag="1" * 32), "0" * 32, "replaced"),
        (GOOD, "odd", "not a digest"),
        (PermissionDeniedError("", code="AccessDenied"), "0" * 32, "AccessDenied"),
    ],
)
def test_contents_that_can_not_be_told(look, head, etag, reason):
    found = look(Told(head), Inspection.CONTENT, etag=etag).same_content
    assert isinstance(found, Unknown)
    assert reason in found.reason


def test_another_size_is_no_question_of_content(look):
    assert look(Told(), Inspection.CONTENT, size=1).same_content is None


def test_what_is_asked_for_only(look):
    told = Told()
    found = look(told)
    assert (found.visit, found.acl, found.headers, found.same_content) == (None, None, None, None)
    assert told.asked == []


@pytest.mark.parametrize("mode", ["policy", "open_bucket"])
def test_without_acls_only_those_of_private_objects_are_asked_for(look, mode):
    assert look(Told(), Inspection.ACL, mode=mode).acl is None
    assert look(Told(), Inspection.ACL, mode=mode, key=PRIVATE_KEY).acl == CLOSED


def test_without_a_file_only_exposure_is_looked_at(look):
    found = look(Told(), *ALL, key=PRIVATE_KEY, file=False, visit=lambda key: AnonymousResponse(403))
    assert (found.headers, found.same_content) == (None, None)
    assert (found.acl, found.visit.answer.status, found.key) == (CLOSED, 403, "backups/***")


@pytest.mark.parametrize(
    "aspects_and_visit",
    [
        ((Inspection.ACL,), None),
        ((Inspection.HEADERS,), None),
        ((), lambda key: AnonymousResponse(404, "NoSuchKey")),
        ((), lambda key: AnonymousResponse(403, "AccessDenied")),
    ],
)
def test_an_object_that_is_gone_is_no_difference(look, aspects_and_visit):
    aspects, visit = aspects_and_visit
    found = look(Told(head=None, acl=None), *aspects, visit=visit)
    assert found.gone
    assert (found.visit, found.acl, found.headers) == (None, None, None)


def test_one_that_visitors_can_not_read_but_is_there_is_one(look):
    found = look(Told(), visit=lambda key: AnonymousResponse(403, "AccessDenied"))
    assert not found.gone
    assert found.visit.answer.reason == "AccessDenied"


def test_after_some_refusals_no_more_is_asked(look):
    told = Told(acl=PermissionDeniedError("", code="AccessDenied"))
    found = look(told, Inspection.ACL, Inspection.HEADERS, times=10)
    assert [kind for kind, _key in told.asked].count("acl") == 3
    assert [kind for kind, _key in told.asked].count("head") == 10
    assert "not checked any more" in found.acl.reason
    assert found.headers == Faults()


def test_after_some_silences_nobody_visits_any_more(look):
    visits = []

    def silent(key):
        visits.append(key)
        return AnonymousResponse(None, "TimedOut")

    assert look(Told(), visit=silent, times=10).visit is None
    assert len(visits) == 3
