# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Creates a bucket and changes the requested settings with as few kinds of requests as possible.

Stores other than AWS lack some of the calls for a bucket's settings, or answer them differently.
"""

from __future__ import annotations

import typing as t

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.bucket.setting import confirm
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.bucket.state import BucketState
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.connection.errors import (
    NotFoundError,
    PermissionDeniedError,
    S3Error,
)
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.connection.options import DEFAULT_REGION
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.connection.translation import translate

_TAGS = "tags"
# Each setting's call, and the form in which it takes the value.
_WRITERS: dict[str, tuple[str, str, t.Callable[[t.Any], dict[str, t.Any]]]] = {
    "ownership": (
        "PutBucketOwnershipControls",
        "put_bucket_ownership_controls",
        lambda value: {"OwnershipControls": {"Rules": [{"ObjectOwnership": value}]}},
    ),
    "public_access_block": (
        "PutPublicAccessBlock",
        "put_public_access_block",
        lambda value: {"PublicAccessBlockConfiguration": value},
    ),
    "encryption": (
        "PutBucketEncryption",
        "put_bucket_encryption",
        lambda value: {
            "ServerSideEncryptionConfiguration": {
                "Rules": [{"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": value}}]
            }
        },
    ),
    _TAGS: (
        "PutBucketTagging",
        "put_bucket_tagging",
        lambda value: {"Tagging": {"TagSet": [{"Key": name, "Value": text} for name, text in value.items()]}},
    ),
}


def exists(client: t.Any, bucket: str) -> bool:
    """Return whether the bucket exists and these credentials may use it.

    Raises:
        PermissionDeniedError: The bucket belongs to another account.
        S3Error: The request failed.
    """
    try:
        _call(client, "HeadBucket", "head_bucket", bucket)
    except NotFoundError:
        return False
    except PermissionDeniedError as error:
        raise error.copy_with(
            fault=f"bucket {bucket} belongs to another account, or this key may not use it",
            remedy="choose another bucket name, or use a key of its owner",
            details=f"HTTP {error.status}",
            said="",
        ) from error
    return True


def create(client: t.Any, bucket: str) -> bool:
    """Create the bucket in the client's region. Return whether that was still needed.

    Raises:
        LostUpdateError: The store does not show the bucket afterwards.
        S3Error: The request failed.
    """
    region = client.meta.region_name
    place = {} if region == DEFAULT_REGION else {"CreateBucketConfiguration": {"LocationConstraint": region}}
    try:
        _call(client, "CreateBucket", "create_bucket", bucket, **place)
    except S3Error as error:
        # Another program was faster.
        if error.code != "BucketAlreadyOwnedByYou":
            raise
        return False
    confirm(f"bucket {bucket}", lambda: None if exists(client, bucket) else "is not there")
    return True


def read_tags(client: t.Any, bucket: str) -> dict[str, str]:
    """Return the tags of a bucket.

    Raises:
        S3Error: The request failed.
    """
    try:
        answer = _call(client, "GetBucketTagging", "get_bucket_tagging", bucket)
    except NotFoundError as error:
        if error.code == "NoSuchBucket":
            raise
        return {}
    return {str(tag["Key"]): str(tag["Value"]) for tag in answer.get("TagSet") or []}


def differences(now: BucketState, tags: t.Mapping[str, str], wanted: t.Mapping[str, t.Any]) -> dict[str, t.Any]:
    """Return the settings to write: the wanted ones that the bucket does not have or does not report. Pure.

    `now` and `tags` are the bucket's current ones. Tags are kept, since a store can only replace all of them at once.
    """
    found = {
        name: value
        for name, value in wanted.items()
        if name != _TAGS and value is not None and getattr(now, name) != value
    }
    merged = {**tags, **(wanted.get(_TAGS) or {})}
    return {**found, _TAGS: merged} if merged != tags else found


def write(client: t.Any, bucket: str, settings: t.Mapping[str, t.Any]) -> None:
    """Write settings, each with its own request.

    Raises:
        S3Error: A request failed.
    """
    for name, value in settings.items():
        operation, method, form = _WRITERS[name]
        _call(client, operation, method, bucket, **form(value))


def _call(client: t.Any, operation: str, method: str, bucket: str, **arguments: t.Any) -> dict[str, t.Any]:
    try:
        return dict(getattr(client, method)(Bucket=bucket, **arguments) or {})
    except Exception as error:
        raise translate(error, operation) from error
