# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Does what Mastodon does with a bucket, on throw-away objects, and notes what came of it."""

from __future__ import annotations

import base64
import hashlib
import secrets
import typing as t
import zlib
from urllib.parse import urlsplit

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.anonymous import Visitor
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.probe.hand import (
    OTHER_CONTENT,
    Hand,
    StoreSilentError,
)
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.probe.model import (
    Checksums,
    Facts,
    Reply,
    Rights,
    Tried,
)
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.probe.names import Names
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.problems import (
    CERTIFICATE_OF_OTHER_HOST,
    NAME_NOT_RESOLVED,
)

_NOT_LISTED = "NotListed"
_OTHERS_TO_TRY = 3
_BLOCKS = ("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets")


def content() -> bytes:
    """Return what to store: harmless, and not to be mistaken for another object or a web server's page."""
    return f"throw-away object of a probe {secrets.token_hex(16)}\n".encode()


def try_operations(hand: Hand, names: Names, facts: Facts, visitor: Visitor) -> None:
    """Store, read, list and remove objects.

    Raises StoreSilentError, with what was found out so far in `facts`.
    """
    done = facts.operations
    key, body = names.public("plain"), content()
    stored = hand.put(key, body)
    done["put_object"] = stored.tried()
    if stored.ok:
        facts.versioned = stored.answer.get("VersionId") not in (None, "", "null")
        done["get_object"] = hand.read(key, body).tried()
        done["head_object"] = hand.ask("head_object", Key=key).tried()
        done["list_objects"] = _listed(hand, names, key)
        done["presigned_get"] = _presigned(hand, key, body, visitor)
        done["delete_object"] = hand.gone(key, hand.ask("delete_object", Key=key)).tried()
        done["delete_objects"] = _delete_batches(hand, names, facts.checksums)
    done["multipart_upload"], done["abort_multipart_upload"] = _uploads(hand, names)


def try_checksums(hand: Hand, names: Names, found: Checksums) -> None:
    """Send objects with the checksums that newer SDKs add.

    Over plain HTTP there are no trailers. Raises StoreSilentError.
    """
    key, body = names.public("checksum"), content()
    if not hand.put(key, body).ok:
        return
    crc32 = base64.b64encode(zlib.crc32(body).to_bytes(4, "big")).decode()
    found.header_crc32 = _stored(hand, key, body, ChecksumCRC32=crc32)
    found.response_mode = hand.read(key, body, ChecksumMode="ENABLED").ok if found.header_crc32 else None
    if urlsplit(hand.client.meta.endpoint_url).scheme == "https":
        try:
            found.trailer_crc32 = _stored(hand, names.public("trailer"), body, ChecksumAlgorithm="CRC32")
        except StoreSilentError:
            # A store that answers all else waits for a body of another form.
            if not hand.ask("head_object", Key=key).ok:
                raise
            found.trailer_crc32 = False


def is_read(hand: Hand, key: str, body: bytes) -> bool | None:
    """Return whether an object can be read, by a hand that may have a host of its own."""
    try:
        reply = hand.read(key, body)
    except StoreSilentError:
        return None
    # A host that nobody knows, or whose certificate is another's, is an answer, too.
    return False if reply.code in (NAME_NOT_RESOLVED, CERTIFICATE_OF_OTHER_HOST) else reply.ok


def try_settings(hand: Hand, facts: Facts) -> None:
    """Read the bucket's settings, where the store has such calls and the key may use them. Raises StoreSilentError."""
    rules = hand.ask("get_bucket_ownership_controls").answer.get("OwnershipControls", {}).get("Rules") or []
    facts.ownership = rules[0].get("ObjectOwnership") if rules else None
    block = hand.ask("get_public_access_block")
    if block.ok or block.code == "NoSuchPublicAccessBlockConfiguration":
        config = block.answer.get("PublicAccessBlockConfiguration") or {}
        facts.public_access_block = {name: bool(config.get(name)) for name in _BLOCKS}
    policy = hand.ask("get_bucket_policy")
    if policy.ok or policy.code == "NoSuchBucketPolicy":
        facts.bucket_policies = True
    elif policy.unsupported:
        facts.bucket_policies = False


def try_rights(hand: Hand, found: Rights) -> None:
    """Find out whether the key reaches other buckets. Raises StoreSilentError."""
    listed = hand.ask_store("list_buckets")
    found.list_buckets = listed.ok
    if listed.ok is None:
        return
    others = [each["Name"] for each in listed.answer.get("Buckets") or [] if each["Name"] != hand.bucket]
    if not listed.ok:
        # Stores that look at the rights first tell a key of few rights nothing of a bucket that does not exist.
        absent = hand.ask("list_objects_v2", Bucket=f"probe-{secrets.token_hex(16)}", MaxKeys=1)
        found.other_buckets = False if absent.code == "AccessDenied" else None
        return
    found.other_buckets = False
    for other in others[:_OTHERS_TO_TRY]:
        reply = hand.ask("list_objects_v2", Bucket=other, MaxKeys=1)
        if reply.ok:
            found.other_buckets, found.other_bucket = True, other
            return
        if reply.ok is None:
            found.other_buckets = None


def _listed(hand: Hand, names: Names, key: str) -> Tried:
    reply = hand.ask("list_objects_v2", Prefix=names.public_folder)
    if reply.ok and key not in [each["Key"] for each in reply.answer.get("Contents") or []]:
        return Tried(False, _NOT_LISTED)
    return reply.tried()


def _presigned(hand: Hand, key: str, body: bytes, visitor: Visitor) -> Tried:
    answer = visitor.get(hand.presigned(key))
    if answer.status is None:
        return Tried(None, answer.reason)
    if answer.readable:
        return Tried(True) if answer.start == body else Tried(False, OTHER_CONTENT)
    return Tried(False, answer.reason)


def _stored(hand: Hand, key: str, body: bytes, **arguments: str) -> bool | None:
    """Return whether an object comes to be with these arguments as it was sent: some stores keep the trailer in it."""
    reply = hand.put(key, body, **arguments)
    return hand.read(key, body).ok if reply.ok else reply.ok


def _delete_batches(hand: Hand, names: Names, found: Checksums) -> Tried:
    """Remove an object by each form of DeleteObjects; either is enough for the operation."""
    older = _delete_batch(hand, names.public("batch-md5"), _delete_by_md5)
    newer = _delete_batch(hand, names.public("batch-crc32"), _delete_by_crc32)
    found.batch_delete_md5, found.batch_delete_crc32 = older.ok, newer.ok
    return newer if newer.ok or not older.ok else older


def _delete_batch(hand: Hand, key: str, delete: t.Callable[[Hand, str], Reply]) -> Tried:
    stored = hand.put(key, content())
    if not stored.ok:
        return Tried(None, stored.code)
    reply = delete(hand, key)
    refused = reply.answer.get("Errors") or []
    if refused:
        reply = Reply(False, str(refused[0].get("Code") or "Errors"))
    return hand.gone(key, reply).tried()


def _delete_by_crc32(hand: Hand, key: str) -> Reply:
    """Delete as SDKs do since January 2025, such as aws-sdk-s3 1.178 for Ruby."""
    return hand.ask("delete_objects", Delete={"Objects": [{"Key": key}]}, ChecksumAlgorithm="CRC32")


def _delete_by_md5(hand: Hand, key: str) -> Reply:
    """Delete as SDKs did before."""
    event = "before-sign.s3.DeleteObjects"
    hand.client.meta.events.register_first(event, _with_md5_only)
    try:
        return hand.ask("delete_objects", Delete={"Objects": [{"Key": key}]})
    finally:
        hand.client.meta.events.unregister(event, _with_md5_only)


def _with_md5_only(request: t.Any, **_others: t.Any) -> None:
    for name in list(request.headers.keys()):
        if name.lower().startswith(("x-amz-checksum-", "x-amz-sdk-checksum-")):
            del request.headers[name]
    del request.headers["Content-MD5"]
    digest = hashlib.md5(request.data).digest()  # noqa: S324 - the protocol's digest, protects nothing
    request.headers["Content-MD5"] = base64.b64encode(digest).decode()


def _uploads(hand: Hand, names: Names) -> tuple[Tried, Tried]:
    """Return what came of completing a multipart upload of one part, and of giving one up."""
    key, body = names.public("multipart"), content()
    started = hand.start_upload(key)
    if not started.ok:
        return started.tried(), Tried(None, started.code)
    upload = started.answer["UploadId"]
    reply = hand.ask("upload_part", Key=key, UploadId=upload, PartNumber=1, Body=body)
    if reply.ok:
        reply = hand.finish_upload(key, upload, reply.answer["ETag"])
    if reply.ok:
        reply = hand.read(key, body)
    aborted = hand.start_upload(names.public("aborted"))
    if aborted.ok:
        aborted = hand.abort_upload(aborted.answer["UploadId"])
    return reply.tried(), aborted.tried()
