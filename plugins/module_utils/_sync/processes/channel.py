# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Sends messages between the processes of a run."""

from __future__ import annotations

import pickle
import socket
import struct
from collections.abc import Iterator
from typing import Any

_LENGTH = struct.Struct("!I")
_RECEIVE_BYTES = 256 * 1024


def packed(message: Any) -> bytes:
    """Return a message as it is sent. Only this program's own processes may be at the other end."""
    content = pickle.dumps(message, protocol=pickle.HIGHEST_PROTOCOL)
    return _LENGTH.pack(len(content)) + content


class Channel:
    """One end of a pair of connected sockets, which never blocks."""

    def __init__(self, end: socket.socket) -> None:
        end.setblocking(False)
        self.socket = end
        self._got = bytearray()
        self._out = bytearray()

    @property
    def waiting(self) -> bool:
        """Whether something is still to be sent, for which the socket has to be ready."""
        return bool(self._out)

    def send(self, message: Any) -> None:
        """Send a message, or keep it if the other end has no room."""
        self._out += packed(message)
        self.flush()

    def flush(self) -> None:
        """Send as many waiting messages as there is room for.

        Raises:
            OSError: The other end is closed.
        """
        while self._out:
            try:
                sent = self.socket.send(self._out)
            except BlockingIOError:
                return
            del self._out[:sent]

    def receive(self) -> Iterator[Any]:
        """Yield the messages that have arrived.

        Raises:
            EOFError: The other end is closed.
        """
        while True:
            try:
                data = self.socket.recv(_RECEIVE_BYTES)
            except BlockingIOError:
                break
            except OSError as error:
                raise EOFError from error
            if not data:
                raise EOFError
            self._got += data
            if len(data) < _RECEIVE_BYTES:
                break
        while len(self._got) >= _LENGTH.size:
            (length,) = _LENGTH.unpack_from(self._got)
            end = _LENGTH.size + length
            if len(self._got) < end:
                return
            message = pickle.loads(bytes(self._got[_LENGTH.size : end]))  # noqa: S301 - our own process wrote it
            del self._got[:end]
            yield message
