# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The connections of one worker. They are kept for further requests, and each response belongs to its own request."""

from __future__ import annotations

import socket
import time
from collections.abc import Mapping

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.http.endpoint import Endpoint
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.senders.put_connection import (
    Address,
    PutConnection,
    PutConnectionError,
)

_NAME_SECONDS = 60.0


class PutConnections:
    """The connections of one worker to one endpoint."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._context = endpoint.context()
        self._idle: list[PutConnection] = []
        self._addresses: list[Address] = []
        self._known_until = 0.0

    def take(self, digests: Mapping[str, str]) -> PutConnection:
        """Return an idle connection, or one that is being established, for content with these digests.

        No response may be mistaken for the response to another request. So an idle connection must have no unread data.
        If a repetition of its last response would look right for this content, the connection is not used.

        Raises:
            PutConnectionError: The host name has no address, or no socket is available.
        """
        while self._idle:
            connection = self._idle.pop()
            if (connection.last_id or not may_be_alike(connection, digests)) and not connection.hung_up():
                return connection
            connection.close()
        if time.monotonic() > self._known_until:
            self._look_up()
        return PutConnection(self._addresses[0], self._endpoint.hostname, self._context)

    def give_back(self, connection: PutConnection, *, keep: bool) -> None:
        """Keep a connection for the next request, or close it if it is not wanted or says that it ends."""
        if keep and not connection.ends:
            self._idle.append(connection)
            return
        if not connection.connected:
            self._addresses.append(self._addresses.pop(0))
        connection.close()

    def drop(self, connection: PutConnection) -> None:
        """Close an idle connection."""
        if connection in self._idle:
            self._idle.remove(connection)
        connection.close()

    def _look_up(self) -> None:
        try:
            found = socket.getaddrinfo(self._endpoint.hostname, self._endpoint.port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:
            raise PutConnectionError(str(error)) from error
        self._addresses = [(family, where) for family, _kind, _protocol, _name, where in found]
        self._known_until = time.monotonic() + _NAME_SECONDS


def may_be_alike(connection: PutConnection, digests: Mapping[str, str]) -> bool:
    """Return whether a connection's last response, if repeated, could look like the response for this content."""
    return not connection.last_digests.items().isdisjoint(digests.items())
