# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Refuses successful responses that do not come from an S3 store, such as a web server's own page.

botocore looks for known elements and treats all others as absent. So it takes an HTML page for an empty bucket, and an
upload to a web server for a stored object.
"""

from __future__ import annotations

import typing as t

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.connection.error_codes import NOT_S3, error_for
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.http.xml import is_size

_LISTING = "ListObjectsV2"
# Headers of every store's success. Not for CompleteMultipartUpload, for which Ceph RGW returns an empty ETag.
_SAID = {
    "PutObject": "ETag",
    "UploadPart": "ETag",
    "CreateMultipartUpload": "UploadId",
    "HeadObject": "ETag",
}
# The root element of responses that would otherwise be read as empty, or as complete.
_ROOTS = {
    _LISTING: b"ListBucketResult",
    "GetObjectAcl": b"AccessControlPolicy",
    "DeleteObjects": b"DeleteResult",
}
_OF_EACH = ("Key", "Size", "LastModified")


def refuse_other_responses(client: t.Any) -> None:
    """Make a boto3 client raise ConnectionFailedError, with the code C(NotS3), for such responses."""
    client.meta.events.register_first("after-call.s3", _refuse)


def _refuse(
    http_response: t.Any = None, parsed: t.Mapping[str, t.Any] | None = None, model: t.Any = None, **_others: t.Any
) -> None:
    if http_response is None or parsed is None or http_response.status_code >= 300:
        return
    operation = str(getattr(model, "name", ""))
    strange = operation in _SAID and not parsed.get(_SAID[operation])
    if operation in _ROOTS:
        strange = _ROOTS[operation] not in http_response.content[:1024]
    if operation == _LISTING:
        strange = strange or not _is_listing(parsed)
    if strange:
        status = http_response.status_code
        raise error_for(NOT_S3, operation=operation, status=status, details=f"HTTP {status}")


def _is_listing(parsed: t.Mapping[str, t.Any]) -> bool:
    contents = parsed.get("Contents") or []
    return (
        all(found.get(name) is not None for found in contents for name in _OF_EACH)
        and all(is_size(str(found["Size"])) for found in contents)
        and bool(parsed.get("NextContinuationToken") or not parsed.get("IsTruncated"))
    )
