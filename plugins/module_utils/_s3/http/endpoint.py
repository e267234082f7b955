# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The destination of requests that are sent without boto3."""

from __future__ import annotations

import ssl
from dataclasses import dataclass, field
from typing import Optional

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.http.signature import Credentials

NO_BODY_MD5 = "1B2M2Y8AsgTpgAmY7PhCfg=="  # as Content-MD5


@dataclass(frozen=True)
class Endpoint:
    """Where the objects of a bucket are sent, and with which credentials.

    Attributes:
        host: Value of the Host header.
        path: What precedes an object's encoded key.
        credentials: None if they expire and have to be requested again and again.
        ca_file: Certificates to trust; None for no verification.
        read_timeout, connect_timeout: Seconds.
    """

    tls: bool
    hostname: str
    port: int
    host: str
    path: str
    region: str
    user_agent: str
    connect_timeout: float
    read_timeout: float
    ca_file: Optional[str] = None
    credentials: Optional[Credentials] = field(default=None, repr=False)

    def context(self) -> Optional[ssl.SSLContext]:
        """Return the TLS settings of a connection; None without TLS."""
        if not self.tls:
            return None
        context = ssl.create_default_context(cafile=self.ca_file)
        if self.ca_file is None:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        return context
