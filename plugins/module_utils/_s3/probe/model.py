# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a probe finds out about a store. None always means unknown: nothing was tried, or nothing responded."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, field

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.probe.media_address import Fetched

HONOURED = "honoured"
IGNORED = "ignored"
REFUSED = "refused"
UNSUPPORTED = "unsupported"


@dataclass(frozen=True)
class OperationResult:
    """The result of an operation.

    Attributes:
        ok: Whether it worked. None if the store did not respond or had an internal problem.
        code: The store's error code, or a code of the probe's; empty if all is well.
    """

    ok: bool | None = None
    code: str = ""


@dataclass
class AclSupport:
    """Canned ACLs of objects.

    Attributes:
        verdict: HONOURED: objects are public or private as their ACLs say. IGNORED: accepted, but without effect.
            REFUSED: not allowed here or for this key. UNSUPPORTED: the store or the bucket has no ACLs.
        canned: The result of storing an object with each canned ACL.
        refused_for: The ACLs that were not accepted.
        repair: Whether PutObjectAcl makes an object public, and private again.
    """

    verdict: str | None = None
    canned: dict[str, OperationResult] = field(default_factory=dict)
    refused_for: list[str] = field(default_factory=list)
    repair: bool | None = None


@dataclass
class OpenToEverybody:
    """What anonymous visitors get: objects without an ACL below the two prefixes, and a listing of the bucket."""

    public_prefix: bool | None = None
    private_prefix: bool | None = None
    list: bool | None = None


@dataclass
class Cors:
    """Whether web pages of another origin may fetch objects (allowed), and whether a preflight says so too."""

    allowed: bool | None = None
    preflight: bool | None = None


@dataclass
class Addressing:
    """Which ways to name the bucket work."""

    path: bool | None = None
    virtual: bool | None = None


@dataclass
class Checksums:
    """Which forms of checksums the store supports.

    Attributes:
        response_mode: Whether a GET may ask for an object's checksum (C(x-amz-checksum-mode: ENABLED)).
        response_mode_disabled: Whether a GET may say that it needs none (C(x-amz-checksum-mode: DISABLED)).
    """

    header_crc32: bool | None = None
    trailer_crc32: bool | None = None
    batch_delete_md5: bool | None = None
    batch_delete_crc32: bool | None = None
    response_mode: bool | None = None
    response_mode_disabled: bool | None = None


@dataclass(frozen=True)
class Latency:
    """How long the store took to answer small requests.

    Attributes:
        requests: The number of answers that were timed.
        median_seconds: Half of them took at most this long.
        slowest_seconds: None took longer.
        slowest_operation: The operation of the slowest one.
    """

    requests: int
    median_seconds: float
    slowest_seconds: float
    slowest_operation: str


@dataclass
class Rights:
    """What the key can do outside its bucket.

    Attributes:
        list_buckets: Whether it can list the account's buckets.
        other_buckets: Whether it can list another bucket's objects.
        other_bucket: The name of that bucket.
    """

    list_buckets: bool | None = None
    other_buckets: bool | None = None
    other_bucket: str | None = None


@dataclass
class Facts:
    """Everything that a probe finds out.

    Attributes:
        bucket_policies: Whether the store has bucket policies.
        versioned: Whether the content of deleted objects is kept.
        latency: None if nothing was answered.
        media_address: The result of fetching an object from the public address; None if this was not tried.
        complete: False if the store stopped answering or the time was over.
        leftovers: Keys of temporary objects that could not be removed.
    """

    operations: dict[str, OperationResult] = field(default_factory=dict)
    acl: AclSupport = field(default_factory=AclSupport)
    open_to_everybody: OpenToEverybody = field(default_factory=OpenToEverybody)
    cors: Cors = field(default_factory=Cors)
    media_address: Fetched | None = None
    addressing: Addressing = field(default_factory=Addressing)
    checksums: Checksums = field(default_factory=Checksums)
    latency: Latency | None = None
    rights: Rights = field(default_factory=Rights)
    ownership: str | None = None
    public_access_block: dict[str, bool] | None = None
    bucket_policies: bool | None = None
    versioned: bool | None = None
    complete: bool = False
    leftovers: list[str] = field(default_factory=list)


class Reply(t.NamedTuple):
    """The store's response to one request. `answer` is empty unless `ok`; `unsupported`: it lacks the operation."""

    ok: bool | None
    code: str = ""
    answer: t.Mapping[str, t.Any] = {}
    unsupported: bool = False

    def result(self) -> OperationResult:
        """Return the reply as a fact."""
        return OperationResult(self.ok, self.code)
