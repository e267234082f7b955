# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Parses what the kernel reports: who changed is not known, only in which folder, and under which name. Pure."""

from __future__ import annotations

import struct
from collections.abc import Container, Iterator
from typing import NamedTuple

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._feed.errors import FeedError
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._feed.kernel import Q_OVERFLOW

# struct fanotify_event_metadata: length, version, reserved, length of this, mask, descriptor, process.
_METADATA = struct.Struct("=IBBHQii")
# struct fanotify_event_info_fid: kind, padding, length, ID of the file system; then the handle: its length and type.
_INFO = struct.Struct("=BBHQIi")
_VERSION = 3
_FOLDER_AND_NAME = 2  # FAN_EVENT_INFO_TYPE_DFID_NAME
_HANDLE_AT = _METADATA.size + 4 + 8
_LENGTH_AND_TYPE = 8


class Event(NamedTuple):
    """Something happened to `name` in a folder; `kinds` are the bits of all that happened since the last event.

    folder: identifies it: the ID of its file system (8 bytes), and its handle.
    """

    kinds: int
    folder: bytes
    name: bytes


class LostEventsError(FeedError):
    """The kernel has dropped events, because too many were waiting."""


def parse(buffer: bytes, foreign: Container[bytes]) -> Iterator[Event]:
    """Yield the events in what was read from a group, except those in folders that are `foreign`.

    Raises:
        LostEventsError: See there; what comes behind it in the buffer is not yielded.
        FeedError: The kernel uses another format.
    """
    # A database on the same file system causes many times the events of the tree: so as little as possible for those.
    at, end = 0, len(buffer)
    metadata, info = _METADATA.unpack_from, _INFO.unpack_from
    while at < end:
        length, version, _reserved, _own_length, kinds, _descriptor, _process = metadata(buffer, at)
        if version != _VERSION or length < _METADATA.size:
            raise FeedError(f"the kernel reports changes in the unknown format {version}")
        if kinds & Q_OVERFLOW:
            raise LostEventsError("the kernel dropped changes, because too many were waiting")
        if length > _METADATA.size:
            kind, _padding, _info_length, _system, handle_length, _type = info(buffer, at + _METADATA.size)
            if kind == _FOLDER_AND_NAME:
                start = at + _HANDLE_AT
                name_at = start + _LENGTH_AND_TYPE + handle_length
                folder = buffer[start - 8 : name_at]
                if folder not in foreign:
                    yield Event(kinds, folder, buffer[name_at : buffer.index(0, name_at)])
        at += length
