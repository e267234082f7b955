# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Requests about one bucket through boto3."""

from __future__ import annotations

import typing as t

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.errors import translate


class Calls:
    """Calls a boto3 client, which is made, or may be missing, when the first call is due."""

    def __init__(self, client: t.Callable[[], t.Any], bucket: str) -> None:
        self._client = client
        self._bucket = bucket

    def __call__(self, operation: str, method: str, **arguments: t.Any) -> t.Any:
        """Return the answer to an operation, asked by the client's method of that name. Raises S3Error.

        What `client` raises, and an error of a file that is read for the body, comes out as it is.
        """
        client = self._client()
        try:
            return getattr(client, method)(Bucket=self._bucket, **arguments)
        except Exception as error:
            raise translate(error, operation) from error
