# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._feed import names as names_module
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._feed.names import Names


@pytest.fixture
def names(tmp_path):
    names = Names(str(tmp_path))
    yield names
    names.close()


def everything(names, since=0):
    found, after = [], b""
    while True:
        page = names.page(since, after)
        if not page:
            return found
        found += page
        after = page[-1]


def test_names_come_in_the_order_of_bytes_and_once(names):
    names.add([b"b", b"a/", b"a", b"a-b", b"a/c", b"\xff", "ü".encode(), b"b"], 1)
    assert everything(names) == [b"a", b"a-b", b"a/", b"a/c", b"b", "ü".encode(), b"\xff"]


def test_more_than_one_page(names):
    wanted = [b"%06d" % number for number in range(2 * names_module.PAGE_NAMES + 1)]
    names.add(reversed(wanted), 1)
    assert everything(names) == wanted


def test_the_last_time_of_a_name_counts(names):
    names.add([b"a", b"b"], 1)
    names.add([b"b", b"c"], 2)
    assert everything(names, since=1) == [b"b", b"c"]
    names.forget(1)
    assert everything(names) == [b"b", b"c"]
    names.forget(2)
    assert names.count() == 0


def test_no_file_has_a_name_even_if_there_are_many(names, tmp_path):
    names.add((b"media_attachments/files/000/000/%09d/original/0123456789abcdef.png" % n for n in range(150_000)), 1)
    assert list(tmp_path.iterdir()) == []
    assert names.count() == 150_000


def test_it_is_full_at_its_limit_and_empty_after_that(names, monkeypatch):
    monkeypatch.setattr(names_module, "MOST_BYTES", 100_000)
    names.add((b"%050d" % number for number in range(1000)), 1)
    assert not names.is_full()
    names.add((b"%050d" % number for number in range(5000)), 2)
    assert names.is_full()
    names.clear()
    assert not names.is_full()
    assert everything(names) == []
