# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import struct

import pytest

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._feed import kernel
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._feed.errors import FeedError
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._feed.events import Event, LostEventsError, parse

SYSTEM = b"\1\2\3\4\5\6\7\10"


def handle(number):
    return struct.pack("=Ii", 8, 1) + struct.pack("=Q", number)


def event(kinds, number=1, name=b"a", *, kind=2, version=3):
    """What the kernel writes for one event: padded to four bytes, as in linux/fs/notify/fanotify/fanotify_user.c."""
    text = name + b"\0"
    text += b"\0" * (-len(text) % 4)
    body = SYSTEM + handle(number) + text
    info = struct.pack("=BBH", kind, 0, 4 + len(body)) + body
    return struct.pack("=IBBHQii", 24 + len(info), version, 0, 24, kinds, -1, 1) + info


def test_events_are_read_in_their_order():
    buffer = event(kernel.CREATE, 1, b"a") + event(kernel.DELETE | kernel.ONDIR, 2, "ü".encode())
    assert list(parse(buffer, ())) == [
        Event(kernel.CREATE, SYSTEM + handle(1), b"a"),
        Event(kernel.DELETE | kernel.ONDIR, SYSTEM + handle(2), "ü".encode()),
    ]


@pytest.mark.parametrize("name", [b"a", b"ab", b"abc", b"abcd", b"bad\xff", b"n" * 255])
def test_names_end_where_they_end(name):
    assert [found.name for found in parse(event(kernel.CREATE, 1, name) * 2, ())] == [name, name]


def test_events_in_foreign_folders_are_left_out():
    buffer = event(kernel.MODIFY, 1) + event(kernel.MODIFY, 2) + event(kernel.MODIFY, 1)
    assert [found.folder for found in parse(buffer, {SYSTEM + handle(1)})] == [SYSTEM + handle(2)]


def test_lost_events_are_told_after_those_before_them():
    lost = struct.pack("=IBBHQii", 24, 3, 0, 24, kernel.Q_OVERFLOW, -1, 0)
    found = parse(event(kernel.CREATE) + lost + event(kernel.CREATE), ())
    assert next(found).name == b"a"
    with pytest.raises(LostEventsError):
        next(found)


def test_an_event_without_a_name_names_nothing():
    assert list(parse(event(kernel.ATTRIB, kind=3), ())) == []


def test_another_format_is_refused():
    with pytest.raises(FeedError, match="unknown format 4"):
        list(parse(event(kernel.CREATE, version=4), ()))
