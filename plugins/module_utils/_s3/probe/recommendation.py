# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Concludes from a probe's results how Mastodon and this collection should use the bucket. Pure.

The meaning of Mastodon's variables comes from its config/initializers/paperclip.rb. For those that begin with C(AWS_),
it comes from the AWS SDK for Ruby.
"""

from __future__ import annotations

import math
import typing as t
from dataclasses import dataclass, field

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.probe.model import (
    HONOURED,
    IGNORED,
    REFUSED,
    UNSUPPORTED,
    Facts,
    OperationResult,
)

ACL = "acl"
POLICY = "policy"
OPEN_BUCKET = "open_bucket"

# The largest object that one request may store, in bytes: none is larger.
_NO_MULTIPART = str(5 * 1024**3)
# Mastodon's S3_READ_TIMEOUT, in seconds, if the variable is absent. It does not repeat a request by default.
_READ_TIMEOUT = 5
# A store may take several times as long under load as in a probe.
_READ_TIMEOUT_FACTOR = 4
_WHY_NO_ACLS = {
    IGNORED: "the store accepts ACLs and ignores them",
    REFUSED: "the store does not let this key set the ACLs of objects",
    UNSUPPORTED: "the bucket has no ACLs of objects",
}
# Mastodon can't use a bucket without these.
_NEEDED = ("put_object", "get_object", "head_object", "delete_object")


@dataclass(frozen=True)
class RecommendedValue:
    """The recommended value of a variable, None if it should be absent, and the reason."""

    value: str | None
    reason: str


@dataclass(frozen=True)
class Recommendation:
    """How to use the bucket.

    Attributes:
        exposure: ACL, POLICY or OPEN_BUCKET; None if too little is known.
        warnings: What else has to be known or done.
    """

    exposure: str | None
    reason: str
    variables: dict[str, RecommendedValue] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)


def recommend(facts: Facts) -> Recommendation:
    """Return the recommendation that follows from the facts."""
    exposure, reason = _exposure(facts)
    calculation, validation = _checksums(facts)
    return Recommendation(
        exposure,
        reason,
        {
            "S3_PERMISSION": _permission(exposure),
            "S3_OVERRIDE_PATH_STYLE": _path_style(facts),
            "S3_MULTIPART_THRESHOLD": _multipart(facts),
            "AWS_REQUEST_CHECKSUM_CALCULATION": calculation,
            "AWS_RESPONSE_CHECKSUM_VALIDATION": validation,
            "S3_ENABLE_CHECKSUM_MODE": _checksum_mode(facts),
            "S3_READ_TIMEOUT": _read_timeout(facts),
        },
        [*_warnings_of_policy(facts, exposure), *_warnings(facts)],
    )


def _exposure(facts: Facts) -> tuple[str | None, str]:
    seen, acl = facts.open_to_everybody, facts.acl
    written = facts.operations.get("put_object", OperationResult())
    if not written.ok:
        return None, f"nothing could be stored ({written.code or 'not tried'}), so nothing could be checked"
    if seen.private_prefix:
        return OPEN_BUCKET, "everybody can read even below the private prefix, so only the disk keeps files private"
    if seen.private_prefix is None:
        return None, "no response showed whether the private prefix is closed to visitors"
    if acl.verdict == HONOURED and acl.repair:
        return ACL, "the store honours the ACL of each object, also one that is changed later, as a suspension does"
    if seen.public_prefix:
        return POLICY, "everybody can read below the public prefix, and not below the private one"
    if acl.verdict is None or seen.public_prefix is None:
        return None, "no response showed what visitors can read"
    return _without_acls(facts)


def _without_acls(facts: Facts) -> tuple[str, str]:
    """Choose if nothing is public yet: the role writes a policy only after the probe has recommended one."""
    verdict = facts.acl.verdict or ""
    why = _WHY_NO_ACLS.get(verdict, "the store does not make a public object private again")
    if facts.bucket_policies is False:
        return OPEN_BUCKET, f"{why}, and the store has no bucket policies that could open the public prefixes only"
    if facts.bucket_policies is None:
        return POLICY, f"{why}; whether the store has bucket policies this key may not see, so that writing one tells"
    return POLICY, f"{why}, and bucket policies can open the public prefixes only"


def _permission(exposure: str | None) -> RecommendedValue:
    if exposure == ACL:
        return RecommendedValue("public-read", "Mastodon's own default, and what the store honours")
    if exposure is None:
        return RecommendedValue(None, "not known without the exposure; absent means public-read to Mastodon")
    return RecommendedValue(
        "", "the empty value keeps Mastodon from sending an ACL, which has no effect here or is refused"
    )


def _path_style(facts: Facts) -> RecommendedValue:
    found = facts.addressing
    if found.virtual and found.path is False:
        return RecommendedValue("true", "the store is only reached with the bucket's name in the host")
    return RecommendedValue(
        None, "Mastodon names the bucket in the path where S3_ENDPOINT is set, as it does by itself on AWS"
    )


def _multipart(facts: Facts) -> RecommendedValue:
    if facts.operations.get("multipart_upload", OperationResult()).ok is False:
        return RecommendedValue(_NO_MULTIPART, "the store does not accept multipart uploads")
    return RecommendedValue(None, "multipart uploads work")


def _checksums(facts: Facts) -> tuple[RecommendedValue, RecommendedValue]:
    found = facts.checksums
    refused = [
        what
        for what, works in (
            ("CRC32 in a header", found.header_crc32),
            ("CRC32 in a trailer over TLS", found.trailer_crc32),
            ("a GET that asks for a checksum", found.response_mode),
        )
        if works is False
    ]
    if refused:
        reason = f"the store does not take {' and '.join(refused)}, which newer SDKs send"
        return RecommendedValue("when_required", reason), RecommendedValue("when_required", reason)
    reason = "the store accepts the checksums of newer SDKs"
    if found.header_crc32 is None:
        reason = "it is not known whether the store accepts the checksums of newer SDKs"
    return RecommendedValue(None, reason), RecommendedValue(None, reason)


def _checksum_mode(facts: Facts) -> RecommendedValue:
    found = facts.checksums
    if found.response_mode_disabled is False and found.response_mode:
        reason = "the store refuses a GET with x-amz-checksum-mode: DISABLED, which Mastodon sends otherwise"
        return RecommendedValue("true", reason)
    if found.response_mode_disabled is False:
        return RecommendedValue(None, "the store refuses a GET with x-amz-checksum-mode, so neither value helps")
    if found.response_mode_disabled is None:
        return RecommendedValue(None, "it is not known whether the store accepts x-amz-checksum-mode")
    return RecommendedValue(None, "the store accepts x-amz-checksum-mode: DISABLED, which Mastodon sends by default")


def _read_timeout(facts: Facts) -> RecommendedValue:
    if facts.latency is None:
        return RecommendedValue(None, "it is not known how long the store takes to answer")
    slowest = facts.latency.slowest_seconds
    took = f"the slowest of {facts.latency.requests} answers took {slowest:.1f} seconds"
    if slowest * _READ_TIMEOUT_FACTOR <= _READ_TIMEOUT:
        return RecommendedValue(None, f"{took}, far less than Mastodon's {_READ_TIMEOUT}")
    # Rounded up, so that two probes of one store seldom differ
    value = 5 * math.ceil(slowest * _READ_TIMEOUT_FACTOR / 5)
    reason = f"{took} ({facts.latency.slowest_operation}), and Mastodon waits only {_READ_TIMEOUT} by default"
    return RecommendedValue(str(value), reason)


def _warnings_of_policy(facts: Facts, exposure: str | None) -> t.Iterator[str]:
    block = facts.public_access_block or {}
    on = [name for name in ("BlockPublicPolicy", "RestrictPublicBuckets") if block.get(name)]
    if exposure == POLICY and on:
        yield f"The bucket's public access block keeps a policy from opening anything: set {' and '.join(on)} to false."


def _warnings(facts: Facts) -> t.Iterator[str]:
    seen, acl, done = facts.open_to_everybody, facts.acl, facts.operations
    for name in _NEEDED:
        result = done.get(name, OperationResult())
        if result.ok is False:
            yield f"Mastodon needs {name}, which does not work: {result.code}. Check the key's permissions."
    if seen.private_prefix:
        yield (
            "Everybody can read below the private prefix: close it in the bucket's policy or settings. As long as it is"
            " open, user archives must not be sent there."
        )
    if seen.list:
        yield "Everybody can list the bucket, and so find all of its files: forbid that before it is used."
    if acl.verdict == HONOURED and not acl.repair:
        yield "PutObjectAcl does not make a public object private: media of suspended accounts would stay public."
    if seen.public_prefix and not seen.private_prefix and acl.verdict != HONOURED:
        yield (
            "A policy or a setting of the bucket opens the public prefix. Single files in it, as those of suspended"
            " accounts, can't be closed."
        )
    yield from _warnings_of_requests(facts)
    if facts.rights.other_buckets:
        yield f"The key can also list the bucket {facts.rights.other_bucket}: give Mastodon a key for its bucket only."
    if facts.versioned:
        yield "The bucket keeps old versions: what is deleted stays in it until a lifecycle rule removes them."
    if facts.cors.allowed is False:
        yield "Web pages may not fetch files (CORS), so Mastodon's player may fail: set CORS rules."
    if facts.leftovers:
        yield f"Throw-away objects could not be removed; delete them: {', '.join(facts.leftovers)}."
    if not facts.complete:
        yield "The store stopped answering, so some results are missing; run again."


def _warnings_of_requests(facts: Facts) -> t.Iterator[str]:
    found, done = facts.checksums, facts.operations
    if found.batch_delete_crc32 is False and found.batch_delete_md5:
        yield (
            "Deleting several objects at once works with Content-MD5 only: it fails with aws-sdk-s3 1.178 and newer,"
            " which Mastodon has from 4.4.16, 4.5.9 and 4.6 on."
        )
    elif found.batch_delete_md5 is False and found.batch_delete_crc32:
        yield (
            "Deleting several objects at once works with CRC32 only: it fails with an aws-sdk-s3 older than 1.178,"
            " which Mastodon has up to 4.4.15 and 4.5.8."
        )
    elif done.get("delete_objects", OperationResult()).ok is False:
        yield (
            f"Deleting several objects at once does not work ({done['delete_objects'].code}): Mastodon can't clean up"
            " its cache."
        )
    if found.response_mode_disabled is False and found.response_mode is False:
        yield (
            "The store refuses a GET with x-amz-checksum-mode, which Mastodon sends when it processes a medium again:"
            " such media stay unprocessed with an aws-sdk-s3 older than 1.203.1, which Mastodon has up to 4.4.15"
            " and 4.5.8."
        )
    if done.get("presigned_get", OperationResult()).ok is False:
        yield "Signed addresses do not work: users could not download their archives."
    if done.get("list_objects", OperationResult()).ok is False:
        yield "The key may not list the bucket, which a sync without its journal and a comparison need."
