# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Sends a probe's requests: in limited time, without exceptions for refusals, and with a record of what it wrote."""

from __future__ import annotations

import contextlib
import statistics
import time
import typing as t
from datetime import datetime, timezone
from urllib.parse import urlsplit

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.connection.errors import (
    S3Error,
    ThrottledError,
    UnsupportedError,
)
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.connection.translation import translate
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.http.transport_errors import TIMED_OUT
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.probe.model import Latency, Reply
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.probe.names import Names, is_abandoned

_CLEANING_SECONDS = 30.0
_PRESIGNED_SECONDS = 120
OTHER_CONTENT = "OtherContent"
STILL_THERE = "StillThere"


class StoreSilentError(Exception):
    """The store stopped answering, or the time is over. Nothing more should be tried."""


class ProbeClient:
    """Sends requests about one bucket with one client, and remembers what it wrote.

    All methods that send a request raise StoreSilentError if the store stops answering.
    """

    def __init__(self, client: t.Any, bucket: str, seconds: float) -> None:
        """Limit all requests together to `seconds`; the client's own settings limit each request."""
        self.boto3 = client
        self.bucket = bucket
        self._deadline = time.monotonic() + seconds
        self._objects: dict[str, None] = {}
        self._uploads: dict[str, str] = {}
        self._timed: list[tuple[float, str]] = []

    @property
    def latency(self) -> Latency | None:
        """How long the store took to answer so far; None without an answer."""
        if not self._timed:
            return None
        seconds, operation = max(self._timed)
        median = statistics.median(each for each, _operation in self._timed)
        return Latency(len(self._timed), round(median, 3), round(seconds, 3), operation)

    @property
    def addressing(self) -> str:
        """Where the client names the bucket: C(virtual), in the host, or C(path), which is used for IP addresses."""
        url = urlsplit(self.boto3.generate_presigned_url("head_bucket", Params={"Bucket": self.bucket}))
        return "virtual" if (url.hostname or "").startswith(f"{self.bucket.lower()}.") else "path"

    def check_time(self) -> None:
        """Raise StoreSilentError if the time is over."""
        if time.monotonic() > self._deadline:
            raise StoreSilentError

    def call(self, method: str, **arguments: t.Any) -> Reply:
        """Call a method of the client on the bucket, or on the one in the arguments."""
        return self.call_store(method, **{"Bucket": self.bucket, **arguments})

    def call_store(self, method: str, **arguments: t.Any) -> Reply:
        """Call a method of the client; a body in the response is read to its end."""
        self.check_time()
        begun = time.monotonic()
        try:
            answer = self._answer(method, arguments)
        except S3Error as error:
            return _refusal(error)
        # A retry waits before it asks again, so its time is not the store's.
        if not answer.get("ResponseMetadata", {}).get("RetryAttempts"):
            self._timed.append((time.monotonic() - begun, method))
        return Reply(True, "", answer)

    def _answer(self, method: str, arguments: dict[str, t.Any]) -> dict[str, t.Any]:
        try:
            found: dict[str, t.Any] = getattr(self.boto3, method)(**arguments)
            if hasattr(found.get("Body"), "read"):
                found["Body"] = found["Body"].read()
        except Exception as error:  # noqa: BLE001 - what is not translated is raised as it is
            raise translate(error, method) from None
        return found

    def put(self, key: str, body: bytes, **arguments: t.Any) -> Reply:
        """Store a small object that caches do not keep."""
        self._objects[key] = None  # before anything is sent: without a response, the object may still have been stored
        found = self.call(
            "put_object", Key=key, Body=body, ContentType="text/plain", CacheControl="no-store", **arguments
        )
        if found.ok is False:
            del self._objects[key]
        return found

    def read(self, key: str, body: bytes, **arguments: t.Any) -> Reply:
        """Read an object; the result is not ok if the content is different."""
        found = self.call("get_object", Key=key, **arguments)
        return Reply(False, OTHER_CONTENT) if found.ok and found.answer["Body"] != body else found

    def presigned(self, key: str) -> str:
        """Return an address with which anybody can read an object for two minutes: a secret."""
        found: str = self.boto3.generate_presigned_url(
            "get_object", Params={"Bucket": self.bucket, "Key": key}, ExpiresIn=_PRESIGNED_SECONDS
        )
        return found

    def start_upload(self, key: str) -> Reply:
        """Begin a multipart upload."""
        found = self.call("create_multipart_upload", Key=key, ContentType="text/plain", CacheControl="no-store")
        if found.ok:
            self._uploads[found.answer["UploadId"]] = key
        return found

    def finish_upload(self, key: str, upload: str, etag: str) -> Reply:
        """Complete an upload of one part."""
        self._objects[key] = None
        parts = {"Parts": [{"PartNumber": 1, "ETag": etag}]}
        found = self.call("complete_multipart_upload", Key=key, UploadId=upload, MultipartUpload=parts)
        if found.ok:
            del self._uploads[upload]
        return found

    def abort_upload(self, upload: str) -> Reply:
        """Abort an upload."""
        found = self.call("abort_multipart_upload", Key=self._uploads[upload], UploadId=upload)
        if found.ok:
            del self._uploads[upload]
        return found

    def confirm_deleted(self, key: str, removal: Reply) -> Reply:
        """Return the result of removing an object: it is only ok if a HEAD does not find the object."""
        if removal.ok and self.call("head_object", Key=key).ok:
            return Reply(False, STILL_THERE)
        if removal.ok:
            self._objects.pop(key, None)
        return removal

    def delete_abandoned(self, names: Names) -> None:
        """Remove the objects of probes that were killed, as far as this is allowed."""
        now = datetime.now(timezone.utc)
        for folder in names.folders:
            for each in self.call("list_objects_v2", Prefix=folder).answer.get("Contents") or []:
                if is_abandoned(each["Key"], (now - each["LastModified"]).total_seconds()):
                    self._objects[each["Key"]] = None
            for each in self.call("list_multipart_uploads", Prefix=folder).answer.get("Uploads") or []:
                if is_abandoned(each["Key"], (now - each["Initiated"]).total_seconds()):
                    self._uploads[each["UploadId"]] = each["Key"]
        self._remove_all()

    def delete_all(self) -> list[str]:
        """Remove all that was written, and return the keys that may still exist."""
        self._deadline = max(self._deadline, time.monotonic()) + _CLEANING_SECONDS
        with contextlib.suppress(StoreSilentError):
            self._remove_all()
        return sorted({*self._objects, *self._uploads.values()})

    def _remove_all(self) -> None:
        for upload in list(self._uploads):
            self.abort_upload(upload)
        for key in list(self._objects):
            if self.call("delete_object", Key=key).ok:
                del self._objects[key]


def _refusal(error: S3Error) -> Reply:
    if error.status is None:
        if error.code == TIMED_OUT:
            raise StoreSilentError from error
        return Reply(None, error.code)
    unsupported = isinstance(error, UnsupportedError)
    troubled = isinstance(error, ThrottledError) or (error.status >= 500 and not unsupported)
    return Reply(None if troubled else False, error.code or f"HTTP{error.status}", {}, unsupported)
