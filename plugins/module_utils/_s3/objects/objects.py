# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Reads and sets the properties of single objects, with the key."""

from __future__ import annotations

import typing as t

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.connection.bucket_client import BucketClient
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.connection.errors import NotFoundError
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.http.endpoint import NO_BODY_MD5
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.http.pool import Response
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.http.signed_client import SignedClient
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.http.xml import is_size
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.objects.acl import Acl, acl_of, parsed


class Head(t.NamedTuple):
    """The properties of an object.

    Attributes:
        etag: Without quotes.
        encrypted: The encryption makes the ETag something other than a digest of the content.
        storage_class: None if the store does not report it, which means C(STANDARD).
        size: In bytes, if the store reports it.
    """

    content_type: str | None
    cache_control: str | None
    etag: str
    encrypted: bool
    storage_class: str | None = None
    size: int | None = None


class Objects:
    """The properties of the objects in one bucket. Safe for several threads. All methods raise S3Error."""

    def __init__(self, signed: SignedClient | None, boto3_client: BucketClient) -> None:
        """Send through `signed` (None if only boto3 can), and through `boto3_client` if that is not a plain success."""
        self._signed = signed
        self._boto3 = boto3_client

    def head(self, key: str) -> Head | None:
        """Return the properties of `key`; None if there is no such object."""
        quick = self._by_http("HeadObject", "HEAD", key)
        if quick is not None and quick.headers.get("etag"):
            headers = quick.headers
            return _head(
                headers.get("content-type"),
                headers.get("cache-control"),
                headers.get("etag", ""),
                headers.get("x-amz-server-side-encryption", ""),
                "x-amz-server-side-encryption-customer-algorithm" in headers,
                headers.get("x-amz-storage-class"),
                headers.get("content-length"),
            )
        answer = self._by_boto3_or_none("HeadObject", "head_object", key)
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
        """Return the ACL of `key`; None if there is no such object."""
        quick = self._by_http("GetObjectAcl", "GET", key, query={"acl": ""})
        if quick is not None:
            try:
                return acl_of(parsed(quick.body))
            except ValueError:
                pass  # boto3's error is the best explanation
        answer = self._by_boto3_or_none("GetObjectAcl", "get_object_acl", key)
        return None if answer is None else acl_of(answer)

    def set_acl(self, key: str, canned: str) -> None:
        """Set a canned ACL on `key`; NotFoundError if there is no such object."""
        # The digest, though of nothing: https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutObjectAcl.html
        headers = {"content-md5": NO_BODY_MD5, "x-amz-acl": canned}
        if self._by_http("PutObjectAcl", "PUT", key, query={"acl": ""}, headers=headers) is None:
            self._boto3("PutObjectAcl", "put_object_acl", Key=key, ACL=canned)

    def _by_http(self, operation: str, method: str, key: str, **given: t.Mapping[str, str]) -> Response | None:
        return None if self._signed is None else self._signed.request(operation, method, key=key, **given)

    def _by_boto3_or_none(self, operation: str, method: str, key: str) -> dict[str, t.Any] | None:
        try:
            answer: dict[str, t.Any] = self._boto3(operation, method, Key=key)
        except NotFoundError as error:
            if error.code == "NoSuchBucket":
                raise
            return None
        return answer


def _head(
    content_type: str | None,
    cache_control: str | None,
    etag: str,
    encryption: str,
    customer_key: bool,
    storage_class: str | None,
    size: str | int | None,
) -> Head:
    told = int(size) if size is not None and is_size(str(size)) else None
    return Head(
        content_type, cache_control, etag.strip('"'), hides_digest(encryption, customer_key), storage_class, told
    )


def hides_digest(encryption: str, customer_key: bool) -> bool:
    """Return whether an object with this encryption has an ETag that is not a digest of its content.

    https://docs.aws.amazon.com/AmazonS3/latest/API/API_Object.html: this is so with KMS and with customer keys.
    """
    return encryption.startswith("aws:kms") or customer_key
