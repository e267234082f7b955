# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Reads the settings of a bucket that decide whether media is readable in it, and whether it can be deleted."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.errors import (
    ConnectionFailedError,
    S3Error,
    translate,
)

_BLOCKS = ("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets")
NONE = "none"


@dataclass(frozen=True)
class BucketState:
    """A bucket's settings, in the words of the S3 API. None where the store has no such setting, or tells it nobody.

    encryption: the default for new objects: V(AES256), V(aws:kms), V(aws:kms:dsse), or V(none).
    versioning: V(Enabled), V(Suspended), or V(none) where it never was enabled.
    object_lock: whether objects can be locked.
    ownership: V(BucketOwnerEnforced), V(BucketOwnerPreferred), V(ObjectWriter), or V(none).
    public_access_block: the four switches of the bucket's own block; the account's are not seen.
    """

    encryption: str | None = None
    versioning: str | None = None
    object_lock: bool | None = None
    ownership: str | None = None
    public_access_block: t.Mapping[str, bool] | None = None


class _SilentError(Exception):
    """The store stopped answering."""


def look_at(client: t.Any, bucket: str) -> BucketState:
    """Return the bucket's settings, by reading requests only. What the store does not tell is None."""
    found: dict[str, t.Any] = {}
    try:
        for name, look in _SETTINGS.items():
            found[name] = look(client, bucket)
    except _SilentError:
        pass
    return BucketState(**found)


def refusal_of(state: BucketState) -> str | None:
    """Return why media can't be served from such a bucket, with the remedy, or None. Pure."""
    if (state.encryption or "").startswith("aws:kms"):
        return (
            f"The bucket encrypts new objects with a KMS key ({state.encryption}), and the store gives such objects to"
            " nobody who does not sign the request: visitors would get no media. Set the default encryption to AES256."
        )
    return None


def warnings_of(state: BucketState) -> list[str]:
    """Return what the administrator should know of such a bucket, each with the remedy. Pure."""
    warnings = []
    if state.versioning == "Enabled":
        warnings.append(
            "The bucket keeps old versions: media that Mastodon deletes stays in it, and may cost. Suspend versioning,"
            " or add a lifecycle rule that ends noncurrent versions after some days."
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
    if not answer:
        return NONE
    rules = answer.get("ServerSideEncryptionConfiguration", {}).get("Rules") or []
    # An answer without rules is that of a store which overlooked the question, such as Ceph 16.
    return _text(rules[0].get("ApplyServerSideEncryptionByDefault", {}).get("SSEAlgorithm")) if rules else None


def _versioning(client: t.Any, bucket: str) -> str | None:
    answer = _ask(client, "GetBucketVersioning", "get_bucket_versioning", bucket)
    return None if answer is None else _text(answer.get("Status")) or NONE


def _object_lock(client: t.Any, bucket: str) -> bool | None:
    missing = "ObjectLockConfigurationNotFoundError"
    answer = _ask(client, "GetObjectLockConfiguration", "get_object_lock_configuration", bucket, missing)
    if answer is None:
        return None
    return (answer.get("ObjectLockConfiguration") or {}).get("ObjectLockEnabled") == "Enabled"


def _ownership(client: t.Any, bucket: str) -> str | None:
    missing = "OwnershipControlsNotFoundError"
    answer = _ask(client, "GetBucketOwnershipControls", "get_bucket_ownership_controls", bucket, missing)
    if answer is None:
        return None
    if not answer:
        return NONE
    rules = answer.get("OwnershipControls", {}).get("Rules") or []
    return _text(rules[0].get("ObjectOwnership")) if rules else None


def _public_access_block(client: t.Any, bucket: str) -> dict[str, bool] | None:
    missing = "NoSuchPublicAccessBlockConfiguration"
    answer = _ask(client, "GetPublicAccessBlock", "get_public_access_block", bucket, missing)
    if answer is None:
        return None
    block = answer.get("PublicAccessBlockConfiguration") or {}
    return {name: bool(block.get(name)) for name in _BLOCKS}


_SETTINGS: dict[str, t.Callable[[t.Any, str], t.Any]] = {
    "encryption": _encryption,
    "versioning": _versioning,
    "object_lock": _object_lock,
    "ownership": _ownership,
    "public_access_block": _public_access_block,
}


def _ask(client: t.Any, operation: str, method: str, bucket: str, missing: str = "") -> dict[str, t.Any] | None:
    """Return the answer, {} where the bucket has no such setting, and None where that is not told."""
    try:
        answer = dict(getattr(client, method)(Bucket=bucket))
    except Exception as error:
        trouble: S3Error = translate(error, operation)
        if isinstance(trouble, ConnectionFailedError):
            raise _SilentError from error
        return {} if missing and trouble.code == missing else None
    answer.pop("ResponseMetadata", None)
    return answer


def _text(value: t.Any) -> str | None:
    return str(value) if value else None
