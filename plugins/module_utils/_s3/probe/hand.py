# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Sends the requests of a probe: in bounded time, without exceptions for what a store refuses, and tidily."""

from __future__ import annotations

import contextlib
import time
import typing as t
from datetime import datetime, timezone
from urllib.parse import urlsplit

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.errors import (
    S3Error,
    ThrottledError,
    UnsupportedError,
    translate,
)
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.probe.model import Reply
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.probe.names import Names, is_abandoned
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.problems import TIMED_OUT, problem_of

_CLEANING_SECONDS = 30.0
_PRESIGNED_SECONDS = 120
OTHER_CONTENT = "OtherContent"
STILL_THERE = "StillThere"


class StoreSilentError(Exception):
    """The store answered no more, or the time is over: nothing more is to be asked."""


class Hand:
    """Asks with one client about one bucket, and remembers what it wrote."""

    def __init__(self, client: t.Any, bucket: str, seconds: float) -> None:
        """Bound all requests together by `seconds`; each one is bounded by the client's own settings."""
        self.client = client
        self.bucket = bucket
        self._deadline = time.monotonic() + seconds
        self._objects: dict[str, None] = {}
        self._uploads: dict[str, str] = {}

    @property
    def addressing(self) -> str:
        """Where the client names the bucket: C(virtual), in the host, or C(path), always where that is an address."""
        url = urlsplit(self.client.generate_presigned_url("head_bucket", Params={"Bucket": self.bucket}))
        return "virtual" if (url.hostname or "").startswith(f"{self.bucket.lower()}.") else "path"

    def check_time(self) -> None:
        """Raise StoreSilentError if the time is over."""
        if time.monotonic() > self._deadline:
            raise StoreSilentError

    def ask(self, method: str, **arguments: t.Any) -> Reply:
        """Call a method of the client on the bucket, or on the one in the arguments. Raises StoreSilentError."""
        return self.ask_store(method, **{"Bucket": self.bucket, **arguments})

    def ask_store(self, method: str, **arguments: t.Any) -> Reply:
        """Call a method of the client; a body in the answer is read to its end. Raises StoreSilentError."""
        self.check_time()
        try:
            return Reply(True, "", self._answer(method, arguments))
        except S3Error as error:
            return _refusal(error)

    def _answer(self, method: str, arguments: dict[str, t.Any]) -> dict[str, t.Any]:
        try:
            found: dict[str, t.Any] = getattr(self.client, method)(**arguments)
            if hasattr(found.get("Body"), "read"):
                found["Body"] = found["Body"].read()
        except Exception as error:
            raise translate(error, method) from error
        return found

    def put(self, key: str, body: bytes, **arguments: t.Any) -> Reply:
        """Store a small object that no cache keeps. Raises StoreSilentError."""
        self._objects[key] = None  # before anything is sent: what is not answered may have been stored all the same
        found = self.ask(
            "put_object", Key=key, Body=body, ContentType="text/plain", CacheControl="no-store", **arguments
        )
        if found.ok is False:
            del self._objects[key]
        return found

    def read(self, key: str, body: bytes, **arguments: t.Any) -> Reply:
        """Read an object; it is not ok if it has another content. Raises StoreSilentError."""
        found = self.ask("get_object", Key=key, **arguments)
        return Reply(False, OTHER_CONTENT) if found.ok and found.answer["Body"] != body else found

    def presigned(self, key: str) -> str:
        """Return an address by which anybody can read an object for two minutes: a secret."""
        found: str = self.client.generate_presigned_url(
            "get_object", Params={"Bucket": self.bucket, "Key": key}, ExpiresIn=_PRESIGNED_SECONDS
        )
        return found

    def start_upload(self, key: str) -> Reply:
        """Begin a multipart upload. Raises StoreSilentError."""
        found = self.ask("create_multipart_upload", Key=key, ContentType="text/plain", CacheControl="no-store")
        if found.ok:
            self._uploads[found.answer["UploadId"]] = key
        return found

    def finish_upload(self, key: str, upload: str, etag: str) -> Reply:
        """Complete an upload of one part. Raises StoreSilentError."""
        self._objects[key] = None
        parts = {"Parts": [{"PartNumber": 1, "ETag": etag}]}
        found = self.ask("complete_multipart_upload", Key=key, UploadId=upload, MultipartUpload=parts)
        if found.ok:
            del self._uploads[upload]
        return found

    def abort_upload(self, upload: str) -> Reply:
        """Give an upload up. Raises StoreSilentError."""
        found = self.ask("abort_multipart_upload", Key=self._uploads[upload], UploadId=upload)
        if found.ok:
            del self._uploads[upload]
        return found

    def gone(self, key: str, removal: Reply) -> Reply:
        """Return what came of removing an object: it is only ok if a HEAD does not find it. Raises StoreSilentError."""
        if removal.ok and self.ask("head_object", Key=key).ok:
            return Reply(False, STILL_THERE)
        if removal.ok:
            self._objects.pop(key, None)
        return removal

    def sweep(self, names: Names) -> None:
        """Remove what probes that were killed left behind, as far as that is allowed. Raises StoreSilentError."""
        now = datetime.now(timezone.utc)
        for folder in names.folders:
            for each in self.ask("list_objects_v2", Prefix=folder).answer.get("Contents") or []:
                if is_abandoned(each["Key"], (now - each["LastModified"]).total_seconds()):
                    self._objects[each["Key"]] = None
            for each in self.ask("list_multipart_uploads", Prefix=folder).answer.get("Uploads") or []:
                if is_abandoned(each["Key"], (now - each["Initiated"]).total_seconds()):
                    self._uploads[each["UploadId"]] = each["Key"]
        self._remove_all()

    def clean(self) -> list[str]:
        """Remove all that was written, and return the keys of what may still be there."""
        self._deadline = max(self._deadline, time.monotonic()) + _CLEANING_SECONDS
        with contextlib.suppress(StoreSilentError):
            self._remove_all()
        return sorted({*self._objects, *self._uploads.values()})

    def _remove_all(self) -> None:
        for upload in list(self._uploads):
            self.abort_upload(upload)
        for key in list(self._objects):
            if self.ask("delete_object", Key=key).ok:
                del self._objects[key]


def _refusal(error: S3Error) -> Reply:
    if error.status is None:
        code = problem_of(error).code
        if code == TIMED_OUT:
            raise StoreSilentError from error
        return Reply(None, code)
    unsupported = isinstance(error, UnsupportedError)
    troubled = isinstance(error, ThrottledError) or (error.status >= 500 and not unsupported)
    return Reply(None if troubled else False, error.code or f"HTTP{error.status}", {}, unsupported)
