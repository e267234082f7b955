# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Small requests about single objects, with the key: quickly over a kept connection, else through boto3.

boto3 spends several times more on such a request than it takes, and threads make it no faster. So each is tried without
it first; whatever is not plainly answered is left to boto3, with its retries and its errors.
"""

from __future__ import annotations

import hashlib
import http.client
import threading
import time
import typing as t

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.acl import Acl, acl_of, parsed
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.address import NO_BODY_MD5, Address, keys_of
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.errors import NotFoundError, translate
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.signature import Keys, Signer, encoded

_NO_BODY_SHA256 = hashlib.sha256(b"").hexdigest()
_MOST_ANSWER_BYTES = 256 * 1024
_OK = 200


class Head(t.NamedTuple):
    """What a store keeps of an object beside its content.

    etag: without quotes. encrypted: with a key that makes the ETag something else than a digest of the content.
    storage_class: None where the store does not tell it, which stands for C(STANDARD). size: in bytes, where told.
    """

    content_type: str | None
    cache_control: str | None
    etag: str
    encrypted: bool
    storage_class: str | None = None
    size: int | None = None


class Objects:
    """The objects of one bucket, but for their content. Safe for several threads, each of which keeps a connection."""

    def __init__(
        self, client: t.Any, bucket: str, address: Address | None, count: t.Callable[[str], None] | None = None
    ) -> None:
        """Use `client` (boto3) for all that is not plain; `count` is called with the operation of all else.

        address: that of the client (`address_of`), None where only the client can send.
        """
        self._client = client
        self._bucket = bucket
        self._count = count
        self._address = address
        self._context = address.context() if address else None
        self._own = threading.local()
        self._lines: list[_Line] = []
        self._lock = threading.Lock()

    def close(self) -> None:
        """Close all connections."""
        for line in self._lines:
            line.close()

    def head(self, key: str) -> Head | None:
        """Return what the store keeps of `key`, None where it has no such object. Raises S3Error."""
        quick = self._quickly("HeadObject", "HEAD", key, "", {})
        if quick is not None and quick[0].get("etag"):
            headers, _body = quick
            return _head(
                headers.get("content-type"),
                headers.get("cache-control"),
                headers.get("etag", ""),
                headers.get("x-amz-server-side-encryption", ""),
                "x-amz-server-side-encryption-customer-algorithm" in headers,
                headers.get("x-amz-storage-class"),
                headers.get("content-length"),
            )
        answer = self._thoroughly_or_none("HeadObject", "head_object", key)
        if answer is None:
            return None
        return _head(
            answer.get("ContentType"),
            answer.get("CacheControl"),
            str(answer.get("ETag", "")),
            str(answer.get("ServerSideEncryption", "")),
            "SSECustomerAlgorithm" in answer,
            answer.get("StorageClass"),
            answer.get("ContentLength"),
        )

    def acl(self, key: str) -> Acl | None:
        """Return the ACL of `key`, None where there is no such object. Raises S3Error."""
        quick = self._quickly("GetObjectAcl", "GET", key, "acl", {})
        if quick is not None:
            try:
                return acl_of(parsed(quick[1]))
            except ValueError:
                pass  # boto3 says best what is the matter
        answer = self._thoroughly_or_none("GetObjectAcl", "get_object_acl", key)
        return None if answer is None else acl_of(answer)

    def set_acl(self, key: str, canned: str) -> None:
        """Give `key` a canned ACL. Raises S3Error, NotFoundError where there is no such object."""
        # The digest, though of nothing: https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutObjectAcl.html
        headers = {"content-md5": NO_BODY_MD5, "x-amz-acl": canned}
        if self._quickly("PutObjectAcl", "PUT", key, "acl", headers) is None:
            self._thoroughly("PutObjectAcl", "put_object_acl", key, ACL=canned)

    def _quickly(
        self, operation: str, method: str, key: str, query: str, headers: t.Mapping[str, str]
    ) -> tuple[t.Mapping[str, str], bytes] | None:
        if self._address is None:
            return None
        line: _Line | None = getattr(self._own, "line", None)
        if line is None:
            line = self._own.line = _Line(self._address, self._context, lambda: keys_of(self._client))
            with self._lock:
                self._lines.append(line)
        if self._count is not None:
            self._count(operation)
        return line.ask(method, key, query, headers)

    def _thoroughly(self, operation: str, method: str, key: str, **arguments: str) -> dict[str, t.Any]:
        try:
            answer: dict[str, t.Any] = getattr(self._client, method)(Bucket=self._bucket, Key=key, **arguments)
        except Exception as error:
            raise translate(error, operation) from error
        return answer

    def _thoroughly_or_none(self, operation: str, method: str, key: str) -> dict[str, t.Any] | None:
        try:
            return self._thoroughly(operation, method, key)
        except NotFoundError as error:
            if error.code == "NoSuchBucket":
                raise
            return None


class _Line:
    """One thread's connection and signature."""

    def __init__(self, address: Address, context: t.Any, keys: t.Callable[[], Keys]) -> None:
        self._address = address
        self._keys = keys
        self._signer = Signer(address.keys, address.region) if address.keys else None
        host, port, timeout = address.hostname, address.port, address.read_timeout
        self._connection = (
            http.client.HTTPSConnection(host, port, timeout=timeout, context=context)
            if address.tls
            else http.client.HTTPConnection(host, port, timeout=timeout)
        )

    def close(self) -> None:
        self._connection.close()

    def ask(
        self, method: str, key: str, query: str, headers: t.Mapping[str, str]
    ) -> tuple[t.Mapping[str, str], bytes] | None:
        """Return headers, their names in lower case, and body of a plain success, None where it is anything else."""
        try:
            return self._exchange(method, key, query, headers)
        except (OSError, ValueError, http.client.HTTPException):
            self.close()
            return None

    def _exchange(
        self, method: str, key: str, query: str, headers: t.Mapping[str, str]
    ) -> tuple[t.Mapping[str, str], bytes] | None:
        path = self._address.path + encoded(key)
        signed = self._signing().headers(
            path,
            self._address.host,
            headers,
            _NO_BODY_SHA256,
            time.time(),
            method=method,
            query=f"{query}=" if query else "",
        )
        signed["user-agent"] = self._address.user_agent
        self._connection.request(method, f"{path}?{query}" if query else path, headers=signed)
        response = self._connection.getresponse()
        body = response.read(_MOST_ANSWER_BYTES)
        if not response.isclosed():
            self.close()
        if response.status != _OK:
            return None
        return {name.lower(): value for name, value in response.getheaders()}, body

    def _signing(self) -> Signer:
        if self._signer is None or self._address.keys is None:
            keys = self._keys()
            if self._signer is None or self._signer.keys != keys:
                self._signer = Signer(keys, self._address.region)
        return self._signer


def _head(
    content_type: str | None,
    cache_control: str | None,
    etag: str,
    encryption: str,
    customer_key: bool,
    storage_class: str | None,
    size: str | int | None,
) -> Head:
    told = int(size) if size is not None and str(size).isdecimal() else None
    return Head(
        content_type, cache_control, etag.strip('"'), hides_digest(encryption, customer_key), storage_class, told
    )


def hides_digest(encryption: str, customer_key: bool) -> bool:
    """Return whether an object that is encrypted so has an ETag that is no digest of its content.

    https://docs.aws.amazon.com/AmazonS3/latest/API/API_Object.html: with KMS or a key of one's own.
    """
    return encryption.startswith("aws:kms") or customer_key
