# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Finds out from a boto3 client where and how it would send an object, for requests without boto3."""

from __future__ import annotations

import re
from typing import Any, Optional
from urllib.parse import unquote, urlsplit

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.http.endpoint import NO_BODY_MD5, Endpoint
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.http.signature import Credentials

_PROBE_KEY = "address"
_SCOPE = re.compile(r"AWS4-HMAC-SHA256 Credential=[^/]+/\d{8}/([^/]+)/s3/aws4_request,")


def endpoint_of(client: Any, bucket: str) -> Optional[Endpoint]:
    """Return the endpoint that the client would use; None if only the client itself can send there.

    This is the case with a proxy, a client certificate, another signature than version 4, and botocore's own checksums.
    The client prepares and signs a request for this, which is never sent.
    """
    try:
        return _endpoint_of(client, bucket)
    except Exception:  # noqa: BLE001 - whatever is the matter, the client's own requests tell it best
        return None


def credentials_of(client: Any) -> Credentials:
    """Return the client's current credentials; those that are about to expire are renewed.

    Raises:
        OSError: They are not available at the moment. Leave the request to the client then.
    """
    try:
        found = client._request_signer._credentials.get_frozen_credentials()  # noqa: SLF001 - botocore has no public way
    except Exception as error:
        raise OSError(f"no keys: {error}") from error
    return Credentials(found.access_key, found.secret_key, found.token)


def _endpoint_of(client: Any, bucket: str) -> Optional[Endpoint]:
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
    return Endpoint(
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
        credentials=None if hasattr(credentials, "refresh_needed") else credentials_of(client),
    )


class _PreparedError(Exception):
    """Aborts a request as soon as it is prepared, and carries it."""

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
