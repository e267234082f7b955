# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Finds out whether a server that got a plain HTTP request expects TLS. Servers say so in many ways or not at all."""

from __future__ import annotations

import socket
import ssl
from urllib.parse import urlsplit

_SECONDS = 5.0


def speaks_tls(url: str) -> bool:
    """Return whether the server at a URL uses TLS. The certificate does not matter; no request is sent."""
    where = urlsplit(url)
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    try:
        with socket.create_connection((where.hostname or "", where.port or 80), timeout=_SECONDS) as connection:
            # A server that waits for more than a greeting is no reason to wait long.
            connection.settimeout(_SECONDS)
            with context.wrap_socket(connection, server_hostname=where.hostname):
                return True
    except (OSError, ValueError):
        return False
