# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The bucket, as the engine needs it: a thin layer over a boto3 client, with keys relative to the prefix."""

from __future__ import annotations

import base64
import hashlib
import re
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Any, Callable, NamedTuple, Optional, Protocol

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.connection.bucket_client import BucketClient
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.connection.endpoint import (
    credentials_of,
    endpoint_of,
)
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.connection.errors import (
    Boto3MissingError,
    NotFoundError,
    PermissionDeniedError,
    S3Error,
    UnsupportedError,
)
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.connection.options import ConnectionOptionsError
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.connection.translation import translate
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.http.endpoint import Endpoint
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.http.signature import Credentials
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.http.signed_client import SignedClient
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.objects.acl import Acl
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.objects.listing import Listing
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.objects.objects import (
    Head,
    Objects,
    hides_digest,
)
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.objects.pages import Pages
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.model import (
    Exposure,
    Headers,
    Listed,
)
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.store.listing import Page, listed

NO_CLIENT = (Boto3MissingError, ConnectionOptionsError)  # reasons for a missing boto3 client
DELETE_BATCH = 1000  # https://docs.aws.amazon.com/AmazonS3/latest/API/API_DeleteObjects.html
CANNED_ACL = {Exposure.PUBLIC: "public-read", Exposure.PRIVATE: "private"}
_OF_MD5 = re.compile(r"[0-9a-f]{32}(-[0-9]+)?\Z")
# XML 1.0 can't hold control characters, and its readers may change line ends and strip spaces: a batch with such a key
# is refused as a whole, or deletes another object.
_FRAGILE_IN_XML = re.compile(r"[\x00-\x1f\x7f-\x9f\ufffe\uffff]|\A\s|\s\Z")


class Stored(NamedTuple):
    """What the store reports about an object. `encrypted`: its ETag, which is without quotes, is not a digest."""

    etag: str
    encrypted: bool
    size: Optional[int] = None

    def contradicts(self, etag: str) -> bool:
        """Return whether the ETag shows a different content than `etag`, which is made of MD5 sums.

        A different form proves nothing: some stores make up an ETag if they computed no MD5.
        """
        ours, others = _OF_MD5.match(etag), _OF_MD5.match(self.etag)
        if self.encrypted or ours is None or others is None or bool(ours.group(1)) != bool(others.group(1)):
            return False
        return self.etag != etag


class _Small(NamedTuple):
    """The senders of small requests: over kept connections first, if possible."""

    signed: Optional[SignedClient]
    objects: Objects
    listing: Listing


class Reader(Protocol):
    """A file that can only be read forward, and then knows the ETag of its upload in parts."""

    def read(self, amount: int = -1) -> bytes: ...

    def etag(self) -> str: ...


class Store:
    """One bucket below one key prefix. Safe for several threads. All methods raise `S3Error`."""

    def __init__(
        self,
        make_client: Callable[[], Any],
        bucket: str,
        prefix: str,
        *,
        acl: bool,
        endpoint: Optional[Endpoint] = None,
    ) -> None:
        """Send no request yet; `prefix` is empty or ends with a slash; with `acl` each object gets a canned ACL.

        `make_client` returns a boto3 client. It is called when a client is needed: at once to find out where requests
        go or, if `endpoint` says so, for the first request that needs boto3. Its errors are raised by the method that
        was called.
        """
        self.bucket = bucket
        self.prefix = prefix
        self.requests: Counter[str] = Counter()
        self._make_client = make_client
        self._client: Any = None
        self._call = BucketClient(self.connect, bucket)
        self._endpoint = endpoint
        self._small: Optional[_Small] = None
        self._client_lock = threading.Lock()
        self._acl = acl
        self._batches = True
        self._insists_on_md5 = threading.Event()
        self._count_lock = threading.Lock()

    def connect(self) -> Any:
        """Create the client if there is none yet, and return it."""
        with self._client_lock:
            if self._client is None:
                client = self._make_client()
                client.meta.events.register("before-send.s3", self._count)
                client.meta.events.register("before-sign.s3.DeleteObjects", self._add_md5)
                if self._endpoint is None:
                    # Before any other thread has the client: it can't send while it is asked for its endpoint.
                    self._endpoint = endpoint_of(client, self.bucket)
                self._client = client
        return self._client

    def close(self) -> None:
        """Close the kept connections that do not belong to boto3."""
        if self._small is not None and self._small.signed is not None:
            self._small.signed.close()

    def endpoint(self) -> Optional[Endpoint]:
        """Return where requests can be sent without boto3; None if they can't."""
        if self._endpoint is None:
            self.connect()
        return self._endpoint

    def keys(self) -> Credentials:
        """Return the current credentials."""
        return credentials_of(self.connect())

    def take_requests(self) -> Counter[str]:
        """Return the number of requests by operation since the last call."""
        with self._count_lock:
            taken = Counter(self.requests)
            self.requests.clear()
        return taken

    def put(self, key: str, body: bytes, md5: bytes, headers: Headers, exposure: Exposure) -> Stored:
        """Store a small body in one request, with its exposure. `md5` is its digest, which the store checks."""
        arguments = self._arguments(headers, exposure)
        # If the store's own checksums are wanted, only those are sent: some stores refuse a request with two.
        if getattr(self.connect().meta.config, "request_checksum_calculation", None) != "when_supported":
            arguments["ContentMD5"] = base64.b64encode(md5).decode()
        answer = self._call("PutObject", "put_object", Key=self._name(key), Body=body, **arguments)
        return stored_of(answer)

    def put_stream(
        self, key: str, body: Reader, headers: Headers, exposure: Exposure, part_bytes: int
    ) -> Optional[Stored]:
        """Store a large body in parts of `part_bytes`, with its exposure. Parts of a failed upload are removed.

        Returns what is stored afterwards; None if the upload may be incomplete, so that the object may be an older one.
        """
        from boto3.s3.transfer import TransferConfig

        config = TransferConfig(multipart_threshold=part_bytes, multipart_chunksize=part_bytes, use_threads=False)
        ended = True
        try:
            self._call(
                "PutObject",
                "upload_fileobj",
                Key=self._name(key),
                Fileobj=body,
                ExtraArgs=self._arguments(headers, exposure),
                Config=config,
            )
        except NotFoundError as error:
            # It may already be complete, with a lost response. Or somebody has aborted it.
            if error.code != "NoSuchUpload":
                raise
            ended = False
        stored = self.head(key)
        if stored is None:
            raise NotFoundError("the object is gone right after it was stored", operation="PutObject")
        return stored if ended or stored.etag == body.etag() else None

    def unfinished(self, beginning: str = "") -> Iterator[tuple[str, str]]:
        """Yield key and ID of unfinished multipart uploads to keys with this prefix; none if the key may not list them.

        MinIO lists only those of exactly this key.
        """
        after: dict[str, str] = {}
        pages, seen = Pages("ListMultipartUploads"), set[tuple[str, str]]()
        while True:
            try:
                page = self._call(
                    "ListMultipartUploads", "list_multipart_uploads", Prefix=self._name(beginning), **after
                )
            except (PermissionDeniedError, UnsupportedError, NotFoundError):
                return
            found = {(str(upload.get("Key")), str(upload.get("UploadId"))) for upload in page.get("Uploads") or []}
            more = bool(page.get("IsTruncated"))
            marks = {"KeyMarker": page.get("NextKeyMarker"), "UploadIdMarker": page.get("NextUploadIdMarker")}
            pages.took(tuple(marks.values()) if more else None, new=not found <= seen)
            for key, upload_id in sorted(found - seen):
                if key.startswith(self.prefix):
                    yield key[len(self.prefix) :], upload_id
            if not more:
                return
            seen |= found
            after = {name: mark for name, mark in marks.items() if mark}
            if "KeyMarker" not in after:
                raise pages.no_token()

    def abort(self, key: str, upload_id: str) -> None:
        """Remove the parts of an unfinished upload. It is not an error if they are gone or may not be removed."""
        with suppress(PermissionDeniedError, UnsupportedError, NotFoundError):
            self._call("AbortMultipartUpload", "abort_multipart_upload", Key=self._name(key), UploadId=upload_id)

    def drop_unfinished(self, key: str) -> None:
        """Remove the parts of unfinished uploads to `key`. No listing shows them, but they cost money."""
        for found, upload_id in list(self.unfinished(key)):
            if found == key:
                self.abort(key, upload_id)

    def set_acl(self, key: str, exposure: Exposure) -> None:
        """Set the canned ACL of an object; NotFoundError if it is gone."""
        self._requests().objects.set_acl(self._name(key), CANNED_ACL[exposure])

    def head(self, key: str) -> Optional[Stored]:
        """Return what the store reports about an object; None if there is none."""
        found = self.describe(key)
        return None if found is None else stored_as(found.etag, found.encrypted, found.size)

    def describe(self, key: str) -> Optional[Head]:
        """Return the headers of an object; None if it is gone."""
        return self._requests().objects.head(self._name(key))

    def acl(self, key: str) -> Optional[Acl]:
        """Return the ACL of an object; None if it is gone."""
        return self._requests().objects.acl(self._name(key))

    def describe_anew(self, key: str, headers: Headers, exposure: Exposure, *, etag: str) -> str:
        """Change an object's headers and exposure with a copy onto itself, and return its new ETag.

        Raises:
            S3Error: With the code PreconditionFailed, the object no longer has this `etag`.
        """
        answer = self._call(
            "CopyObject",
            "copy_object",
            Key=self._name(key),
            CopySource={"Bucket": self.bucket, "Key": self._name(key)},
            CopySourceIfMatch=etag,
            MetadataDirective="REPLACE",
            **self._arguments(headers, exposure),
        )
        return str((answer.get("CopyObjectResult") or {}).get("ETag") or etag).strip('"')

    def delete(self, keys: Sequence[str]) -> dict[str, S3Error]:
        """Delete up to `DELETE_BATCH` objects and return the failures by key. A missing object is not an error."""
        plain = [key for key in keys if not _FRAGILE_IN_XML.search(self._name(key))]
        if len(plain) > 1 and self._batches:
            try:
                failed = self._delete_batch(plain)
            except UnsupportedError as error:
                if error.code == "MissingContentMD5" and not self._insists_on_md5.is_set():
                    self._insists_on_md5.set()
                    return self.delete(keys)
                self._batches = False
            else:
                fragile = [key for key in keys if _FRAGILE_IN_XML.search(self._name(key))]
                return {**failed, **self._delete_each(fragile)}
        return self._delete_each(keys)

    def _delete_each(self, keys: Sequence[str]) -> dict[str, S3Error]:
        failed: dict[str, S3Error] = {}
        for key in keys:
            try:
                self._call("DeleteObject", "delete_object", Key=self._name(key))
            except NotFoundError as error:
                if error.code == "NoSuchBucket":
                    raise
            except S3Error as error:
                failed[key] = error
        return failed

    def _delete_batch(self, keys: Sequence[str]) -> dict[str, S3Error]:
        names = {self._name(key): key for key in keys}
        answer = self._call(
            "DeleteObjects", "delete_objects", Delete={"Objects": [{"Key": name} for name in names], "Quiet": True}
        )
        failed: dict[str, S3Error] = {}
        for error in answer.get("Errors") or []:
            code, key = str(error.get("Code") or ""), names.get(str(error.get("Key")))
            if code in ("NoSuchKey", "404"):
                continue
            if key is None:
                return self._delete_each(keys)  # the store does not say (clearly) what it has not deleted
            failed[key] = translate(_AnsweredError(error), "DeleteObjects")
        return failed

    def listing(self) -> Iterator[Listed]:
        """Yield all objects below the prefix in the byte order of their keys, without folder markers.

        Raises:
            SyncError: The store lists in a different order.
        """
        return listed(self._page)

    def _page(self, folder: str, *, after: str, token: Optional[str], folders: bool) -> Page:
        page = self._requests().listing.page(
            self.prefix + folder,
            after=self.prefix + after if after and token is None else "",
            delimiter="/" if folders else "",
            token=token,
        )
        start = len(self.prefix)
        objects = [
            Listed(found.key[start:], found.size, found.etag, found.modified)
            for found in page.objects
            if len(found.key) > start and not found.key.endswith("/") and found.key.startswith(self.prefix)
        ]
        last = page.objects[-1].key[start:] if page.objects else ""
        return Page(objects, [prefix[start:] for prefix in page.prefixes], page.token, last)

    def _name(self, key: str) -> str:
        return self.prefix + key

    def _arguments(self, headers: Headers, exposure: Exposure) -> dict[str, str]:
        arguments = {
            "ACL": CANNED_ACL[exposure] if self._acl else None,
            "ContentType": headers.content_type,
            "CacheControl": headers.cache_control,
            "StorageClass": headers.storage_class,
        }
        return {name: value for name, value in arguments.items() if value}

    def _requests(self) -> _Small:
        """Return the senders of small requests, created when first needed."""
        endpoint = self.endpoint()
        with self._client_lock:
            if self._small is None:
                signed = None
                with suppress(OSError, ValueError):  # unreadable certificates: boto3's error explains them
                    signed = SignedClient(endpoint, self.keys, self._note) if endpoint else None
                self._small = _Small(signed, Objects(signed, self._call), Listing(signed, self._call))
            return self._small

    def _count(self, event_name: str, **_arguments: Any) -> None:
        self._note(event_name.rpartition(".")[2])

    def _note(self, operation: str) -> None:
        with self._count_lock:
            self.requests[operation] += 1

    def _add_md5(self, request: Any, **_arguments: Any) -> None:
        """Replace botocore's checksum by the Content-MD5 that older stores insist on."""
        if not self._insists_on_md5.is_set():
            return
        checksums = ("x-amz-checksum", "x-amz-sdk-checksum")
        for name in [name for name in request.headers if name.lower().startswith(checksums)]:
            del request.headers[name]
        body = request.data if isinstance(request.data, bytes) else str(request.data).encode()
        digest = hashlib.md5(body, usedforsecurity=False).digest()
        request.headers["Content-MD5"] = base64.b64encode(digest).decode()


class _AnsweredError(Exception):
    """The error of one key in the response to a batch, in the form of botocore's ClientError."""

    def __init__(self, error: dict[str, Any]) -> None:
        super().__init__(str(error.get("Code")))
        self.response = {"Error": {"Code": error.get("Code"), "Message": error.get("Message")}}
        self.operation_name = "DeleteObjects"


def stored_of(answer: dict[str, Any]) -> Stored:
    """Return what a response of boto3 says about an object, without its size."""
    encryption = str(answer.get("ServerSideEncryption", ""))
    return stored_as(str(answer.get("ETag", "")), hides_digest(encryption, "SSECustomerAlgorithm" in answer))


def stored_as(etag: str, encrypted: bool, size: Optional[int] = None) -> Stored:
    """Return what an object's ETag says about it; `encrypted`: the ETag is not a digest (`hides_digest`)."""
    return Stored(etag.strip('"'), encrypted, size)
