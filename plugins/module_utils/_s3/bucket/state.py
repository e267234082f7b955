# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Reads the settings of a bucket that decide whether its media can be read and deleted."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.connection.errors import (
    ConnectionFailedError,
    S3Error,
)
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.connection.translation import translate

_BLOCKS = ("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets")
NONE = "none"
_MISSING: dict[str, t.Any] = {}


@dataclass(frozen=True)
class BucketState:
    """A bucket's settings, with the values of the S3 API. A setting that the store lacks or does not report is None.

    Attributes:
        encryption: The default for new objects: V(AES256), V(aws:kms), V(aws:kms:dsse), or V(none).
        versioning: V(Enabled), V(Suspended), or V(none) if it was never enabled.
        object_lock: Whether objects can be locked.
        ownership: V(BucketOwnerEnforced), V(BucketOwnerPreferred), V(ObjectWriter), or V(none).
        public_access_block: The four parts of the bucket's own block; the account's is not known.
    """

    encryption: str | None = None
    versioning: str | None = None
    object_lock: bool | None = None
    ownership: str | None = None
    public_access_block: t.Mapping[str, bool] | None = None


class _SilentError(Exception):
    """The store stopped answering."""


def read_state(client: t.Any, bucket: str) -> BucketState:
    """Return the bucket's settings, with read requests only. A setting that the store does not report is None."""
    found: dict[str, t.Any] = {}
    try:
        for name, read in _SETTINGS.items():
            found[name] = read(client, bucket)
    except _SilentError:
        pass
    return BucketState(**found)


def refusal_of(state: BucketState) -> str | None:
    """Return why media can't be served from this bucket, with the remedy, or None. Pure."""
    if (state.encryption or "").startswith("aws:kms"):
        return (
            f"The bucket encrypts new objects with a KMS key ({state.encryption}), and the store gives such objects to"
            " nobody who does not sign the request: visitors would get no media. Set the default encryption to AES256."
        )
    return None


def warnings_of(state: BucketState) -> list[str]:
    """Return what the administrator should know about this bucket, each with the remedy. Pure."""
    warnings = []
    if state.versioning == "Enabled":
        warnings.append(
            "The bucket keeps old versions: media that Mastodon deletes stays in it and may cost money. Suspend"
            " versioning, or add a lifecycle rule that ends noncurrent versions after some days."
        )
    if state.object_lock:
        warnings.append(
            "The bucket has Object Lock: media that is locked can't be deleted, even where the law demands it. Use a"
            " bucket without it, or make sure that it has no default retention."
        )
    return warnings


def _encryption(client: t.Any, bucket: str) -> str | None:
    missing = "ServerSideEncryptionConfigurationNotFoundError"
    answer = _ask(client, "GetBucketEncryption", "get_bucket_encryption", bucket, missing)
    if answer is None:
        return None
    if answer is _MISSING:
        return NONE
    rules = answer.get("ServerSideEncryptionConfiguration", {}).get("Rules") or []
    # A response without rules comes from a store that ignored the question, such as Ceph 16.
    return _text(rules[0].get("ApplyServerSideEncryptionByDefault", {}).get("SSEAlgorithm")) if rules else None


def _versioning(client: t.Any, bucket: str) -> str | None:
    answer = _ask(client, "GetBucketVersioning", "get_bucket_versioning", bucket)
    return None if answer is None else _text(answer.get("Status")) or NONE


def _object_lock(client: t.Any, bucket: str) -> bool | None:
    missing = "ObjectLockConfigurationNotFoundError"
    answer = _ask(client, "GetObjectLockConfiguration", "get_object_lock_configuration", bucket, missing)
    if answer is None or answer is _MISSING:
        return None if answer is None else False
    # A response without a configuration comes from a store that ignored the question.
    lock = answer.get("ObjectLockConfiguration")
    return None if lock is None else lock.get("ObjectLockEnabled") == "Enabled"


def _ownership(client: t.Any, bucket: str) -> str | None:
    missing = "OwnershipControlsNotFoundError"
    answer = _ask(client, "GetBucketOwnershipControls", "get_bucket_ownership_controls", bucket, missing)
    if answer is None:
        return None
    if answer is _MISSING:
        return NONE
    rules = answer.get("OwnershipControls", {}).get("Rules") or []
    return _text(rules[0].get("ObjectOwnership")) if rules else None


def _public_access_block(client: t.Any, bucket: str) -> dict[str, bool] | None:
    missing = "NoSuchPublicAccessBlockConfiguration"
    answer = _ask(client, "GetPublicAccessBlock", "get_public_access_block", bucket, missing)
    block = {} if answer is _MISSING else (answer or {}).get("PublicAccessBlockConfiguration")
    if block is None:
        return None
    return {name: bool(block.get(name)) for name in _BLOCKS}


_SETTINGS: dict[str, t.Callable[[t.Any, str], t.Any]] = {
    "encryption": _encryption,
    "versioning": _versioning,
    "object_lock": _object_lock,
    "ownership": _ownership,
    "public_access_block": _public_access_block,
}


def _ask(client: t.Any, operation: str, method: str, bucket: str, missing: str = "") -> dict[str, t.Any] | None:
    """Return the response, _MISSING if the bucket lacks the setting, and None if the store does not report it."""
    try:
        answer = dict(getattr(client, method)(Bucket=bucket))
    except Exception as error:
        trouble: S3Error = translate(error, operation)
        if isinstance(trouble, ConnectionFailedError):
            raise _SilentError from error
        return _MISSING if missing and trouble.code == missing else None
    answer.pop("ResponseMetadata", None)
    return answer


def _text(value: t.Any) -> str | None:
    return str(value) if value else None
