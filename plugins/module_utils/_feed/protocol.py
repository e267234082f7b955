# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How a feed and those who use it talk: one request and one answer for each connection, each a line of JSON.

The socket is in the state folder, which only root (or the calling user) can enter.
"""

from __future__ import annotations

import hashlib
import json
import os
import socket
from typing import Any

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._feed.errors import FeedError

SECONDS = 60.0  # for one answer
MOST_BYTES = 16 * 1024 * 1024
NAMES_AT_ONCE = 1000
_CHUNK = 64 * 1024


def base_name(src: str) -> str:
    """Return how the names of a feed's files in the state folder begin; it is its unit's name as well."""
    return f"mastodon-s3-feed-{hashlib.sha256(os.path.realpath(src).encode(errors='surrogateescape')).hexdigest()[:12]}"


def socket_path(folder: int, src: str) -> str:
    """Return the path of a feed's socket in an open folder; short, because sockets allow only 107 bytes."""
    return f"/proc/self/fd/{folder}/{base_name(src)}.sock"


def send(connection: socket.socket, message: dict[str, Any]) -> None:
    """Send one message.

    Raises:
        OSError: The other end is gone.
    """
    connection.sendall(json.dumps(message).encode() + b"\n")


def receive(connection: socket.socket) -> dict[str, Any]:
    """Return one message.

    Raises:
        OSError: The other end is gone, or too slow.
        FeedError: It says something else.
    """
    data = b""
    while not data.endswith(b"\n"):
        more = connection.recv(_CHUNK)
        if not more:
            raise ConnectionResetError("the other end is gone")
        data += more
        if len(data) > MOST_BYTES:
            raise FeedError("a message of the feed is too long")
    try:
        message = json.loads(data)
    except (ValueError, RecursionError):
        message = None
    if not isinstance(message, dict):
        raise FeedError("a message of the feed can't be understood")
    return message


def as_text(key: bytes) -> str:
    """Return a key as text, whatever its bytes are."""
    return key.decode(errors="surrogateescape")


def as_bytes(text: str) -> bytes:
    """Return the key that `as_text` turned into text."""
    return text.encode(errors="surrogateescape")
