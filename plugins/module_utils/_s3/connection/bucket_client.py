# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Requests about one bucket through boto3."""

from __future__ import annotations

import typing as t

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.connection.translation import translate


class BucketClient:
    """Calls a boto3 client, which is created at the first call and may be missing."""

    def __init__(self, client: t.Callable[[], t.Any], bucket: str) -> None:
        self._client = client
        self._bucket = bucket

    def __call__(self, operation: str, method: str, **arguments: t.Any) -> t.Any:
        """Call the client's method of that name and return the response.

        Errors of `client`, and of a file that is read for the body, are raised unchanged.

        Raises:
            S3Error: The operation failed.
        """
        client = self._client()
        try:
            return getattr(client, method)(Bucket=self._bucket, **arguments)
        except Exception as error:  # noqa: BLE001 - what is not translated is raised as it is
            raise translate(error, operation) from None
