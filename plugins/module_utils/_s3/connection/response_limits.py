# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Limits the cost of responses to a boto3 client: time, length, and the memory to parse them."""

from __future__ import annotations

import typing as t

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.connection.error_codes import NOT_S3, error_for
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.http.urllib3_pools import limited_pools
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.http.xml import refuse_expensive


def limit(client: t.Any) -> None:
    """Make a client abort slow and long responses, and refuse those that would take too much memory.

    An error response of this kind is treated as one without a body, so that its status says what it is. A successful
    response of this kind makes the client raise ConnectionFailedError with the code C(NotS3).
    """
    session = client._endpoint.http_session  # noqa: SLF001 - botocore has no public way, here and below
    pools = limited_pools(session._pool_classes_by_scheme)  # noqa: SLF001
    session._pool_classes_by_scheme = session._manager.pool_classes_by_scheme = pools  # noqa: SLF001
    send = session.send

    def send_and_check(request: t.Any) -> t.Any:
        response = send(request)
        if not request.stream_output:
            _check(response)
        return response

    session.send = send_and_check


def _check(response: t.Any) -> None:
    try:
        refuse_expensive(response.content)
    except ValueError as error:
        if response.status_code >= 300:
            response._content = b""  # noqa: SLF001
            return
        status = response.status_code
        raise error_for(NOT_S3, status=status, details=f"HTTP {status}; its response can't be read: {error}") from None
