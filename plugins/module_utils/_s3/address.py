# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Learns from a boto3 client where and how it would send an object, for what is sent without it."""

from __future__ import annotations

import re
import ssl
from dataclasses import dataclass, field
from typing import Any, Optional
from urllib.parse import unquote, urlsplit

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.signature import Keys

NO_BODY_MD5 = "1B2M2Y8AsgTpgAmY7PhCfg=="  # as Content-MD5
_PROBE_KEY = "address"
_SCOPE = re.compile(r"AWS4-HMAC-SHA256 Credential=[^/]+/\d{8}/([^/]+)/s3/aws4_request,")


@dataclass(frozen=True)
class Address:
    """Where the objects of a bucket are sent, and as whom.

    host: value of the Host header; path: what stands before an object's encoded key.
    keys: None where they expire and have to be asked for again and again.
    ca_file: certificates to trust, None for no verification; read_timeout and connect_timeout in seconds.
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
    keys: Optional[Keys] = field(default=None, repr=False)

    def context(self) -> Optional[ssl.SSLContext]:
        """Return the TLS settings of a connection, None where there is no TLS."""
        if not self.tls:
            return None
        context = ssl.create_default_context(cafile=self.ca_file)
        if self.ca_file is None:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        return context


def address_of(client: Any, bucket: str) -> Optional[Address]:
    """Return the address that the client would send to, None where only the client itself can do so.

    That is through a proxy, with a client certificate, with another signature than version 4 and with checksums of
    botocore's own. The client prepares and signs a request for this, which is never sent.
    """
    try:
        return _address_of(client, bucket)
    except Exception:  # noqa: BLE001 - whatever is the matter, the client's own requests tell it best
        return None


def keys_of(client: Any) -> Keys:
    """Return the client's keys as they are now; those that are about to expire are renewed.

    Raises:
        OSError: they can't be had at the moment. Those who send without the client leave the request to it then.
    """
    try:
        found = client._request_signer._credentials.get_frozen_credentials()  # noqa: SLF001 - botocore has no public way
    except Exception as error:
        raise OSError(f"no keys: {error}") from error
    return Keys(found.access_key, found.secret_key, found.token)


def _address_of(client: Any, bucket: str) -> Optional[Address]:
    from botocore.httpsession import get_cert_path
    from botocore.utils import get_environ_proxies

    config = client.meta.config
    session = client._endpoint.http_session  # noqa: SLF001 - botocore has no public way
    request = _prepared(client, bucket)
    url = urlsplit(request.url)
    headers = {name.lower(): _text(value) for name, value in request.headers.items()}
    scope = _SCOPE.match(headers.get("authorization", ""))
    path = unquote(url.path)
    if (
        scope is None
        or url.query
        or not url.hostname
        or not path.endswith(f"/{_PROBE_KEY}")
        or config.proxies
        or get_environ_proxies(request.url)
        or config.client_cert
        or getattr(config, "request_checksum_calculation", None) == "when_supported"
    ):
        return None
    tls = url.scheme == "https"
    verify = session._verify  # noqa: SLF001 - botocore has no public way
    credentials = client._request_signer._credentials  # noqa: SLF001 - as above
    return Address(
        tls=tls,
        hostname=url.hostname,
        port=url.port or (443 if tls else 80),
        host=url.netloc.rpartition("@")[2],
        path=url.path[: -len(_PROBE_KEY)],
        region=scope.group(1),
        user_agent=headers.get("user-agent", ""),
        connect_timeout=float(config.connect_timeout or 10),
        read_timeout=float(config.read_timeout or 60),
        ca_file=get_cert_path(verify) if verify else None,
        keys=None if hasattr(credentials, "refresh_needed") else keys_of(client),
    )


class _PreparedError(Exception):
    """Ends a request once it is prepared; carries it."""

    def __init__(self, request: Any) -> None:
        super().__init__("prepared")
        self.request = request


def _prepared(client: Any, bucket: str) -> Any:
    """Return the request that the client would send to store a small object."""

    def stop(request: Any, **_others: Any) -> None:
        raise _PreparedError(request)

    client.meta.events.register_first("before-send.s3.PutObject", stop)
    try:
        client.put_object(Bucket=bucket, Key=_PROBE_KEY, Body=b"", ContentMD5=NO_BODY_MD5)
    except _PreparedError as prepared:
        return prepared.request
    finally:
        client.meta.events.unregister("before-send.s3.PutObject", stop)
    raise AssertionError("the request went past before-send")


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)
