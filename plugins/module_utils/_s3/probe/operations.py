# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Does what Mastodon does with a bucket, using temporary objects, and records the results."""

from __future__ import annotations

import base64
import hashlib
import secrets
import typing as t
import zlib
from urllib.parse import urlsplit

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.http.anonymous_client import AnonymousClient
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.http.transport_errors import (
    CERTIFICATE_OF_OTHER_HOST,
    NAME_NOT_RESOLVED,
)
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.probe.model import (
    Checksums,
    Facts,
    OperationResult,
    Reply,
    Rights,
)
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.probe.names import Names
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.probe.probe_client import (
    OTHER_CONTENT,
    ProbeClient,
    StoreSilentError,
)

_NOT_LISTED = "NotListed"
_OTHERS_TO_TRY = 3
_BLOCKS = ("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets")


def content() -> bytes:
    """Return what to store: harmless, and distinct from other objects and a web server's pages."""
    return f"throw-away object of a probe {secrets.token_hex(16)}\n".encode()


def try_operations(client: ProbeClient, names: Names, facts: Facts, visitor: AnonymousClient) -> None:
    """Store, read, list and remove objects.

    Raises:
        StoreSilentError: The store stopped answering; `facts` contains the results so far.
    """
    done = facts.operations
    key, body = names.public("plain"), content()
    stored = client.put(key, body)
    done["put_object"] = stored.result()
    if stored.ok:
        facts.versioned = stored.answer.get("VersionId") not in (None, "", "null")
        done["get_object"] = client.read(key, body).result()
        done["head_object"] = client.call("head_object", Key=key).result()
        done["list_objects"] = _listed(client, names, key)
        done["presigned_get"] = _presigned(client, key, body, visitor)
        done["delete_object"] = client.confirm_deleted(key, client.call("delete_object", Key=key)).result()
        done["delete_objects"] = _delete_batches(client, names, facts.checksums)
    done["multipart_upload"], done["abort_multipart_upload"] = _uploads(client, names)


def try_checksums(client: ProbeClient, names: Names, found: Checksums) -> None:
    """Send objects with the checksums that newer SDKs add. Over plain HTTP there are no trailers.

    Raises:
        StoreSilentError: The store stopped answering.
    """
    key, body = names.public("checksum"), content()
    if not client.put(key, body).ok:
        return
    # Mastodon's config/initializers/paperclip.rb disables the mode by default, since 4.2.
    found.response_mode_disabled = client.read(key, body, ChecksumMode="DISABLED").ok
    crc32 = base64.b64encode(zlib.crc32(body).to_bytes(4, "big")).decode()
    found.header_crc32 = _stored(client, key, body, ChecksumCRC32=crc32)
    found.response_mode = client.read(key, body, ChecksumMode="ENABLED").ok
    if urlsplit(client.boto3.meta.endpoint_url).scheme == "https":
        try:
            found.trailer_crc32 = _stored(client, names.public("trailer"), body, ChecksumAlgorithm="CRC32")
        except StoreSilentError:
            # A store that answers everything else is waiting for a body in a different form.
            if not client.call("head_object", Key=key).ok:
                raise
            found.trailer_crc32 = False


def is_read(client: ProbeClient, key: str, body: bytes) -> bool | None:
    """Return whether an object can be read with a client that may use a different host."""
    try:
        reply = client.read(key, body)
    except StoreSilentError:
        return None
    # An unknown host, or a certificate for another host, is a result too.
    return False if reply.code in (NAME_NOT_RESOLVED, CERTIFICATE_OF_OTHER_HOST) else reply.ok


def try_settings(client: ProbeClient, facts: Facts) -> None:
    """Read the bucket's settings, if the store has them and the key may read them.

    Raises:
        StoreSilentError: The store stopped answering.
    """
    rules = client.call("get_bucket_ownership_controls").answer.get("OwnershipControls", {}).get("Rules") or []
    facts.ownership = rules[0].get("ObjectOwnership") if rules else None
    block = client.call("get_public_access_block")
    if block.ok or block.code == "NoSuchPublicAccessBlockConfiguration":
        config = block.answer.get("PublicAccessBlockConfiguration") or {}
        facts.public_access_block = {name: bool(config.get(name)) for name in _BLOCKS}
    policy = client.call("get_bucket_policy")
    if policy.ok or policy.code == "NoSuchBucketPolicy":
        facts.bucket_policies = True
    elif policy.unsupported:
        facts.bucket_policies = False


def try_rights(client: ProbeClient, found: Rights) -> None:
    """Find out whether the key can use other buckets; StoreSilentError if the store stops answering."""
    listed = client.call_store("list_buckets")
    found.list_buckets = listed.ok
    if listed.ok is None:
        return
    others = [each["Name"] for each in listed.answer.get("Buckets") or [] if each["Name"] != client.bucket]
    if not listed.ok:
        # Stores that check rights first do not tell a key with few rights that a bucket does not exist.
        absent = client.call("list_objects_v2", Bucket=f"probe-{secrets.token_hex(16)}", MaxKeys=1)
        found.other_buckets = False if absent.code == "AccessDenied" else None
        return
    found.other_buckets = False
    for other in others[:_OTHERS_TO_TRY]:
        reply = client.call("list_objects_v2", Bucket=other, MaxKeys=1)
        if reply.ok:
            found.other_buckets, found.other_bucket = True, other
            return
        if reply.ok is None:
            found.other_buckets = None


def _listed(client: ProbeClient, names: Names, key: str) -> OperationResult:
    reply = client.call("list_objects_v2", Prefix=names.public_folder)
    if reply.ok and key not in [each["Key"] for each in reply.answer.get("Contents") or []]:
        return OperationResult(False, _NOT_LISTED)
    return reply.result()


def _presigned(client: ProbeClient, key: str, body: bytes, visitor: AnonymousClient) -> OperationResult:
    answer = visitor.get(client.presigned(key))
    if answer.status is None:
        return OperationResult(None, answer.reason)
    if answer.readable:
        return OperationResult(True) if answer.start == body else OperationResult(False, OTHER_CONTENT)
    return OperationResult(False, answer.reason)


def _stored(client: ProbeClient, key: str, body: bytes, **arguments: str) -> bool | None:
    """Return whether an object is stored as sent with these arguments: some stores keep the trailer in it."""
    reply = client.put(key, body, **arguments)
    return client.read(key, body).ok if reply.ok else reply.ok


def _delete_batches(client: ProbeClient, names: Names, found: Checksums) -> OperationResult:
    """Remove an object with each form of DeleteObjects; either is enough for the operation."""
    older = _delete_batch(client, names.public("batch-md5"), _delete_by_md5)
    newer = _delete_batch(client, names.public("batch-crc32"), _delete_by_crc32)
    found.batch_delete_md5, found.batch_delete_crc32 = older.ok, newer.ok
    return newer if newer.ok or not older.ok else older


def _delete_batch(client: ProbeClient, key: str, delete: t.Callable[[ProbeClient, str], Reply]) -> OperationResult:
    stored = client.put(key, content())
    if not stored.ok:
        return OperationResult(None, stored.code)
    reply = delete(client, key)
    refused = reply.answer.get("Errors") or []
    if refused:
        reply = Reply(False, str(refused[0].get("Code") or "Errors"))
    return client.confirm_deleted(key, reply).result()


def _delete_by_crc32(client: ProbeClient, key: str) -> Reply:
    """Delete as SDKs do since January 2025, such as aws-sdk-s3 1.178 for Ruby."""
    return client.call("delete_objects", Delete={"Objects": [{"Key": key}]}, ChecksumAlgorithm="CRC32")


def _delete_by_md5(client: ProbeClient, key: str) -> Reply:
    """Delete as SDKs did before."""
    event = "before-sign.s3.DeleteObjects"
    client.boto3.meta.events.register_first(event, _with_md5_only)
    try:
        return client.call("delete_objects", Delete={"Objects": [{"Key": key}]})
    finally:
        client.boto3.meta.events.unregister(event, _with_md5_only)


def _with_md5_only(request: t.Any, **_others: t.Any) -> None:
    for name in list(request.headers.keys()):
        if name.lower().startswith(("x-amz-checksum-", "x-amz-sdk-checksum-")):
            del request.headers[name]
    del request.headers["Content-MD5"]
    digest = hashlib.md5(request.data).digest()  # noqa: S324 - the protocol's digest, protects nothing
    request.headers["Content-MD5"] = base64.b64encode(digest).decode()


def _uploads(client: ProbeClient, names: Names) -> tuple[OperationResult, OperationResult]:
    """Return the results of completing a multipart upload of one part, and of aborting one."""
    key, body = names.public("multipart"), content()
    started = client.start_upload(key)
    if not started.ok:
        return started.result(), OperationResult(None, started.code)
    upload = started.answer["UploadId"]
    reply = client.call("upload_part", Key=key, UploadId=upload, PartNumber=1, Body=body)
    if reply.ok:
        reply = client.finish_upload(key, upload, reply.answer["ETag"])
    if reply.ok:
        reply = client.read(key, body)
    aborted = client.start_upload(names.public("aborted"))
    if aborted.ok:
        aborted = client.abort_upload(aborted.answer["UploadId"])
    return reply.result(), aborted.result()
