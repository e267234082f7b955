# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import threading

import pytest

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.anonymous import Answer
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync import visitors as under_test
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.model import ExposureMode
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.rules import Rules
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.source import Source

CACHE = "public, max-age=315576000, immutable"
RULES = Rules(ExposureMode.ACL, ("accounts/",), ("backups/",), cache_control=CACHE)


@pytest.fixture
def source(tmp_path):
    (tmp_path / "accounts").mkdir()
    (tmp_path / "accounts" / "plain").write_bytes(b"\x89PNG\r\n\x1a\n")
    found = Source(str(tmp_path))
    yield found
    found.close()


def good(content_type="image/png", cache=CACHE, status=200):
    return Answer(status, "", {"content-type": content_type, "cache-control": cache})


def public(answers, source, *, stored=lambda key: None, limit=20, rules=RULES):
    expected = under_test.Expectations(rules, source, stored)
    return under_test.ask_for_public(under_test.Asker(answers.__getitem__), list(answers), expected, limit)


def test_what_is_as_it_should_be_is_only_counted(source):
    found = public(
        {
            "accounts/a.png": good(),
            "accounts/b.webp": good("image/webp; charset=binary", "PUBLIC,max-age=315576000,  immutable", 206),
            "accounts/plain": good(),
        },
        source,
    )
    assert found == under_test.PublicSample(asked=3, readable=3)


def test_each_fault_is_counted_and_told(source):
    found = public(
        {
            "accounts/a.png": Answer(403, "AccessDenied"),
            "accounts/b.png": good("binary/octet-stream"),
            "accounts/c.png": good(cache="no-cache"),
            "accounts/d.webp": Answer(200),
            "accounts/plain": good("image/gif"),
            "accounts/f.png": Answer(None, "CertificateNotTrusted"),
        },
        source,
    )
    counts = (found.asked, found.readable, found.unreadable, found.wrong_type, found.wrong_cache_header)
    assert counts == (6, 4, 2, 3, 2)
    assert [tuple(example) for example in found.examples] == [
        ("accounts/a.png", 403, "AccessDenied"),
        ("accounts/b.png", 200, "content type binary/octet-stream instead of image/png"),
        ("accounts/c.png", 200, f"cache header no-cache instead of {CACHE}"),
        ("accounts/d.webp", 200, "content type missing instead of image/webp"),
        ("accounts/d.webp", 200, f"cache header missing instead of {CACHE}"),
        ("accounts/plain", 200, "content type image/gif instead of image/png"),
        ("accounts/f.png", None, "CertificateNotTrusted"),
    ]


def test_a_web_server_may_send_its_own_cache_header_if_the_store_keeps_the_right_one(source):
    answers = {"accounts/a.png": good(cache="max-age=60")}
    assert public(answers, source, stored=lambda key: CACHE).wrong_cache_header == 0
    assert public(answers, source, stored=lambda key: "max-age=1").wrong_cache_header == 1


def test_without_a_wanted_cache_header_none_is_compared(source):
    found = public(
        {"accounts/a.png": good(cache="")}, source, rules=RULES.__class__(ExposureMode.ACL, ("a/",), ("b/",))
    )
    assert found.wrong_cache_header == 0


def test_a_file_that_is_gone_has_no_expected_type(source):
    assert public({"accounts/gone": good("x/y")}, source).wrong_type == 0


def test_examples_are_capped(source):
    found = public({f"accounts/{number}.png": Answer(403, "AccessDenied") for number in range(50)}, source, limit=4)
    assert (found.unreadable, len(found.examples)) == (50, 4)


def test_private_files_must_be_denied_and_are_masked():
    answers = {
        "backups/a.zip": Answer(403, "AccessDenied"),
        "backups/b.zip": Answer(404, "NoSuchKey"),
        "backups/c.zip": good(),
        "backups/d.zip": Answer(503, "SlowDown"),
        "accounts/e.png": good(status=206),
        "backups/f.zip": Answer(301, "HTTP301"),
    }
    found = under_test.ask_for_private(under_test.Asker(answers.__getitem__), list(answers), RULES.masked, limit=20)
    assert (found.asked, found.denied, found.readable, found.unanswered) == (6, 2, 2, 2)
    assert [tuple(example) for example in found.examples] == [
        ("backups/***", 200, "readable by everybody"),
        ("backups/***", 503, "SlowDown"),
        ("accounts/e.png", 206, "readable by everybody"),
        ("backups/***", 301, "HTTP301"),
    ]


def test_when_nothing_answers_asking_stops():
    asked = []

    def ask(key):
        asked.append(key)
        return Answer(None, "TimedOut")

    answers = list(under_test.Asker(ask).answers([str(number) for number in range(500)]))
    # Those that were under way when silence was noticed are still counted.
    assert 3 <= len(answers) == len(asked) < 20


def test_single_silences_do_not_stop_it():
    lock = threading.Lock()
    count = [0]

    def ask(key):
        with lock:
            count[0] += 1
        return Answer(None, "TimedOut") if key.endswith("0") else good()

    keys = [str(number) for number in range(200)]
    assert [key for key, _answer in under_test.Asker(ask).answers(keys)] == keys
