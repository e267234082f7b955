# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Refuses answers that report success, but come from something that is no S3 store, such as a web server's own page.

botocore looks for what it knows and takes the rest for absent: a page of HTML is an empty bucket to it, and an upload
that a web server swallowed is a stored object.
"""

from __future__ import annotations

import typing as t

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.errors import ConnectionFailedError

_LISTING = "ListObjectsV2"
_REMEDY = "check host and port in endpoint_url"
# What every store says in a success. Not CompleteMultipartUpload, to which Ceph RGW answers with an empty ETag.
_SAID = {
    "PutObject": "ETag",
    "UploadPart": "ETag",
    "CreateMultipartUpload": "UploadId",
    "HeadObject": "ETag",
}
_OF_EACH = ("Key", "Size", "LastModified")


def watch(client: t.Any) -> None:
    """Let a boto3 client raise ConnectionFailedError, of the code C(NotS3), for such answers."""
    client.meta.events.register_first("after-call.s3", _refuse)


def _refuse(
    http_response: t.Any = None, parsed: t.Mapping[str, t.Any] | None = None, model: t.Any = None, **_others: t.Any
) -> None:
    if http_response is None or parsed is None or http_response.status_code >= 300:
        return
    operation = str(getattr(model, "name", ""))
    if operation == _LISTING:
        strange = not _is_listing(http_response.content, parsed)
    else:
        strange = operation in _SAID and not parsed.get(_SAID[operation])
    if strange:
        raise ConnectionFailedError(
            f"{operation}: what answers at endpoint_url is not an S3 API; {_REMEDY}"
            f" (HTTP {http_response.status_code}).",
            code="NotS3",
            status=http_response.status_code,
            operation=operation,
            remedy=_REMEDY,
        )


def _is_listing(content: bytes, parsed: t.Mapping[str, t.Any]) -> bool:
    return (
        b"ListBucketResult" in content[:1024]
        and all(found.get(name) is not None for found in parsed.get("Contents") or [] for name in _OF_EACH)
        and bool(parsed.get("NextContinuationToken") or not parsed.get("IsTruncated"))
    )
