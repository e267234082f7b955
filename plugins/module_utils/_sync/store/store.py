# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The bucket, as the engine needs it: a thin layer over a boto3 client that speaks in keys relative to the prefix."""

from __future__ import annotations

import base64
import hashlib
import re
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Any, Callable, NamedTuple, Optional, Protocol

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.acl import Acl
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.address import Address, address_of, keys_of
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.calls import Calls
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.direct import Direct
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.errors import (
    Boto3MissingError,
    NotFoundError,
    PermissionDeniedError,
    S3Error,
    UnsupportedError,
    translate,
)
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.listing import Listing
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.objects import Head, Objects, hides_digest
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.options import ConnectionOptionsError
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.signature import Keys
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.model import (
    Exposure,
    Headers,
    Listed,
)
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.store.listing import Page, listed

NO_CLIENT = (Boto3MissingError, ConnectionOptionsError)  # why there may be no boto3 client
DELETE_BATCH = 1000  # https://docs.aws.amazon.com/AmazonS3/latest/API/API_DeleteObjects.html
CANNED_ACL = {Exposure.PUBLIC: "public-read", Exposure.PRIVATE: "private"}
_OF_MD5 = re.compile(r"[0-9a-f]{32}(-[0-9]+)?\Z")
# XML 1.0 can't hold control characters, and its readers may change line ends and strip spaces: a batch with such a key
# is refused as a whole, or deletes another object.
_FRAGILE_IN_XML = re.compile(r"[\x00-\x1f\x7f-\x9f\ufffe\uffff]|\A\s|\s\Z")


class Stored(NamedTuple):
    """What the store says of an object; `encrypted`: so that its ETag, which is without quotes, is no digest."""

    etag: str
    encrypted: bool
    size: Optional[int] = None

    def contradicts(self, etag: str) -> bool:
        """Return whether the ETag shows another content than that whose MD5 sums make `etag`.

        One of another form shows nothing: some stores make their own up where they computed no MD5.
        """
        ours, others = _OF_MD5.match(etag), _OF_MD5.match(self.etag)
        if self.encrypted or ours is None or others is None or bool(ours.group(1)) != bool(others.group(1)):
            return False
        return self.etag != etag


class _Small(NamedTuple):
    """What makes small requests: over kept connections first, where it can."""

    direct: Optional[Direct]
    objects: Objects
    listing: Listing


class Reader(Protocol):
    """A file that can only be read forward, and then knows the ETag that its upload in parts gets."""

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
        address: Optional[Address] = None,
    ) -> None:
        """Name the bucket; `prefix` is empty or ends with a slash; with `acl` each object gets a canned ACL.

        `make_client` returns a boto3 client, and is called when one is needed: at once to learn where requests go to,
        or, where `address` says that, for the first request that is not made without boto3. What it raises comes out
        of the method that was called.
        """
        self.bucket = bucket
        self.prefix = prefix
        self.requests: Counter[str] = Counter()
        self._make_client = make_client
        self._client: Any = None
        self._call = Calls(self.connect, bucket)
        self._address = address
        self._small: Optional[_Small] = None
        self._client_lock = threading.Lock()
        self._acl = acl
        self._batches = True
        self._insists_on_md5 = threading.Event()
        self._count_lock = threading.Lock()

    def connect(self) -> Any:
        """Make the client where there is none yet, and return it."""
        with self._client_lock:
            if self._client is None:
                client = self._make_client()
                client.meta.events.register("before-send.s3", self._count)
                client.meta.events.register("before-sign.s3.DeleteObjects", self._add_md5)
                if self._address is None:
                    # Before any other thread has the client: one that is asked where it sends to can send nothing then.
                    self._address = address_of(client, self.bucket)
                self._client = client
        return self._client

    def close(self) -> None:
        """Close the connections that are kept without boto3."""
        if self._small is not None and self._small.direct is not None:
            self._small.direct.close()

    def address(self) -> Optional[Address]:
        """Return where requests can be sent to without boto3, None if they can't."""
        if self._address is None:
            self.connect()
        return self._address

    def keys(self) -> Keys:
        """Return the keys of the moment."""
        return keys_of(self.connect())

    def take_requests(self) -> Counter[str]:
        """Return the requests by operation since the last call."""
        with self._count_lock:
            taken = Counter(self.requests)
            self.requests.clear()
        return taken

    def put(self, key: str, body: bytes, md5: bytes, headers: Headers, exposure: Exposure) -> Stored:
        """Store a small body in one request, with its exposure; `md5` is its digest, which the store checks."""
        arguments = self._arguments(headers, exposure)
        # A store that is asked for its own checksums gets those: some refuse a request with two of them.
        if getattr(self.connect().meta.config, "request_checksum_calculation", None) != "when_supported":
            arguments["ContentMD5"] = base64.b64encode(md5).decode()
        answer = self._call("PutObject", "put_object", Key=self._name(key), Body=body, **arguments)
        return _stored(answer)

    def put_stream(
        self, key: str, body: Reader, headers: Headers, exposure: Exposure, part_bytes: int
    ) -> Optional[Stored]:
        """Store a large body in parts of `part_bytes`, with its exposure. Parts of a failed upload are removed.

        Returns what is there then, None where the upload may not have come to its end, so that it may be an older one.
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
            # It may have been completed already, only that the answer was lost. Or somebody has ended it.
            if error.code != "NoSuchUpload":
                raise
            ended = False
        stored = self.head(key)
        if stored is None:
            raise NotFoundError("PutObject: the object is gone right after it was stored", operation="PutObject")
        return stored if ended or stored.etag == body.etag() else None

    def unfinished(self, beginning: str = "") -> Iterator[tuple[str, str]]:
        """Yield key and id of the multipart uploads under way to keys with this beginning; none if it may not ask.

        MinIO tells only those of the very key.
        """
        after: dict[str, str] = {}
        while True:
            try:
                page = self._call(
                    "ListMultipartUploads", "list_multipart_uploads", Prefix=self._name(beginning), **after
                )
            except (PermissionDeniedError, UnsupportedError, NotFoundError):
                return
            for upload in page.get("Uploads") or []:
                yield upload["Key"][len(self.prefix) :], upload["UploadId"]
            if not page.get("IsTruncated"):
                return
            after = {"KeyMarker": page["NextKeyMarker"], "UploadIdMarker": page["NextUploadIdMarker"]}

    def abort(self, key: str, upload_id: str) -> None:
        """Remove the parts of an unfinished upload. One that is gone, or that it may not remove, is no error."""
        with suppress(PermissionDeniedError, UnsupportedError, NotFoundError):
            self._call("AbortMultipartUpload", "abort_multipart_upload", Key=self._name(key), UploadId=upload_id)

    def drop_unfinished(self, key: str) -> None:
        """Remove what unfinished uploads have left of `key`: no listing shows it, but it costs."""
        for found, upload_id in list(self.unfinished(key)):
            if found == key:
                self.abort(key, upload_id)

    def set_acl(self, key: str, exposure: Exposure) -> None:
        """Set the canned ACL of an object. Raises NotFoundError where it is gone."""
        self._requests().objects.set_acl(self._name(key), CANNED_ACL[exposure])

    def head(self, key: str) -> Optional[Stored]:
        """Return what the store says of an object, None where it has none."""
        found = self.describe(key)
        return None if found is None else stored_as(found.etag, found.encrypted, found.size)

    def describe(self, key: str) -> Optional[Head]:
        """Return what the store keeps beside an object's content, None where it is gone."""
        return self._requests().objects.head(self._name(key))

    def acl(self, key: str) -> Optional[Acl]:
        """Return the ACL of an object, None where it is gone."""
        return self._requests().objects.acl(self._name(key))

    def describe_anew(self, key: str, headers: Headers, exposure: Exposure, *, etag: str) -> str:
        """Give an object other headers and its exposure, by a copy onto itself, and return its new ETag.

        Raises S3Error with the code PreconditionFailed where the object is not the one with `etag` any more.
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
        """Delete up to `DELETE_BATCH` objects and return what went wrong, by key. A missing object is no error."""
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
            if key is not None and code not in ("NoSuchKey", "404"):
                failed[key] = translate(_AnsweredError(error), "DeleteObjects")
        return failed

    def listing(self) -> Iterator[Listed]:
        """Yield all objects below the prefix in the byte order of their keys, folder markers left out.

        Raises:
            SyncError: the store lists in another order.
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
            if len(found.key) > start and not found.key.endswith("/")
        ]
        return Page(objects, [prefix[start:] for prefix in page.prefixes], page.token)

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
        """Return what small requests are made by, once there is one to be made."""
        address = self.address()
        with self._client_lock:
            if self._small is None:
                direct = None
                with suppress(OSError, ValueError):  # of certificates that can't be read: boto3 says it best
                    direct = Direct(address, self.keys, self._note) if address else None
                self._small = _Small(direct, Objects(direct, self._call), Listing(direct, self._call))
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
    """One key's error in the answer to a batch, in the shape of botocore's ClientError."""

    def __init__(self, error: dict[str, Any]) -> None:
        super().__init__(str(error.get("Code")))
        self.response = {"Error": {"Code": error.get("Code"), "Message": error.get("Message")}}
        self.operation_name = "DeleteObjects"


def _stored(answer: dict[str, Any]) -> Stored:
    encryption = str(answer.get("ServerSideEncryption", ""))
    return stored_as(str(answer.get("ETag", "")), hides_digest(encryption, "SSECustomerAlgorithm" in answer))


def stored_as(etag: str, encrypted: bool, size: Optional[int] = None) -> Stored:
    """Return what an object's ETag says of it; `encrypted`: so that the ETag is no digest (`hides_digest`)."""
    return Stored(etag.strip('"'), encrypted, size)
