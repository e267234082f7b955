# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a store keeps of single objects beside their content, asked for and set with the key."""

from __future__ import annotations

import typing as t

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.acl import Acl, acl_of, parsed
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.address import NO_BODY_MD5
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.calls import Calls
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.direct import Answer, Direct
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.errors import NotFoundError


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
    """The objects of one bucket, but for their content. Safe for several threads. All methods raise S3Error."""

    def __init__(self, direct: Direct | None, calls: Calls) -> None:
        """Ask `direct` first, None where only boto3 can ask, and by `calls` for what is not plain."""
        self._direct = direct
        self._calls = calls

    def head(self, key: str) -> Head | None:
        """Return what the store keeps of `key`, None where it has no such object."""
        quick = self._quickly("HeadObject", "HEAD", key)
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
        """Return the ACL of `key`, None where there is no such object."""
        quick = self._quickly("GetObjectAcl", "GET", key, query={"acl": ""})
        if quick is not None:
            try:
                return acl_of(parsed(quick.body))
            except ValueError:
                pass  # boto3 says best what is the matter
        answer = self._thoroughly_or_none("GetObjectAcl", "get_object_acl", key)
        return None if answer is None else acl_of(answer)

    def set_acl(self, key: str, canned: str) -> None:
        """Give `key` a canned ACL. Raises NotFoundError where there is no such object."""
        # The digest, though of nothing: https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutObjectAcl.html
        headers = {"content-md5": NO_BODY_MD5, "x-amz-acl": canned}
        if self._quickly("PutObjectAcl", "PUT", key, query={"acl": ""}, headers=headers) is None:
            self._calls("PutObjectAcl", "put_object_acl", Key=key, ACL=canned)

    def _quickly(self, operation: str, method: str, key: str, **given: t.Mapping[str, str]) -> Answer | None:
        return None if self._direct is None else self._direct.ask(operation, method, key=key, **given)

    def _thoroughly_or_none(self, operation: str, method: str, key: str) -> dict[str, t.Any] | None:
        try:
            answer: dict[str, t.Any] = self._calls(operation, method, Key=key)
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
    told = int(size) if size is not None and str(size).isdecimal() else None
    return Head(
        content_type, cache_control, etag.strip('"'), hides_digest(encryption, customer_key), storage_class, told
    )


def hides_digest(encryption: str, customer_key: bool) -> bool:
    """Return whether an object that is encrypted so has an ETag that is no digest of its content.

    https://docs.aws.amazon.com/AmazonS3/latest/API/API_Object.html: with KMS or a key of one's own.
    """
    return encryption.startswith("aws:kms") or customer_key
