# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a probe finds out about a store. None stands for unknown everywhere: nothing was asked, or nothing answered."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, field

HONOURED = "honoured"
IGNORED = "ignored"
REFUSED = "refused"
UNSUPPORTED = "unsupported"


@dataclass(frozen=True)
class Tried:
    """What came of an operation.

    ok: whether it did what it should. None where the store did not answer, or had a trouble of its own.
    code: the store's error code, or a word of the probe's; empty where all is well.
    """

    ok: bool | None = None
    code: str = ""


@dataclass
class Acl:
    """Canned ACLs of objects.

    verdict: HONOURED: one object is readable for everybody and the other is not, as their ACLs say; IGNORED: accepted,
    without that effect; REFUSED: not allowed here or for this key; UNSUPPORTED: the store or the bucket has none.
    canned: what came of storing an object with each canned ACL. refused_for: those that were not accepted.
    repair: whether PutObjectAcl opens an object to everybody, and closes it again.
    """

    verdict: str | None = None
    canned: dict[str, Tried] = field(default_factory=dict)
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
    """Whether web pages of another origin may fetch objects (allowed), and whether a preflight says so, too."""

    allowed: bool | None = None
    preflight: bool | None = None


@dataclass
class Addressing:
    """Which ways of naming the bucket reach it."""

    path: bool | None = None
    virtual: bool | None = None


@dataclass
class Checksums:
    """Which forms of checksums the store takes.

    response_mode: whether a GET may ask for the checksum of an object.
    """

    header_crc32: bool | None = None
    trailer_crc32: bool | None = None
    batch_delete_md5: bool | None = None
    batch_delete_crc32: bool | None = None
    response_mode: bool | None = None


@dataclass
class Rights:
    """What the key can do beyond its bucket.

    other_buckets: whether it can list another one; other_bucket: which.
    """

    list_buckets: bool | None = None
    other_buckets: bool | None = None
    other_bucket: str | None = None


@dataclass
class Facts:
    """All that a probe finds out.

    bucket_policies: whether the store has them. versioned: whether a deleted object's content is kept.
    complete: False where the store stopped answering, or the time was over.
    leftovers: keys of throw-away objects that could not be removed.
    """

    operations: dict[str, Tried] = field(default_factory=dict)
    acl: Acl = field(default_factory=Acl)
    open_to_everybody: OpenToEverybody = field(default_factory=OpenToEverybody)
    cors: Cors = field(default_factory=Cors)
    addressing: Addressing = field(default_factory=Addressing)
    checksums: Checksums = field(default_factory=Checksums)
    rights: Rights = field(default_factory=Rights)
    ownership: str | None = None
    public_access_block: dict[str, bool] | None = None
    bucket_policies: bool | None = None
    versioned: bool | None = None
    complete: bool = False
    leftovers: list[str] = field(default_factory=list)


class Reply(t.NamedTuple):
    """The store's answer to one request. `answer` is empty unless `ok`; `unsupported`: the store does not know it."""

    ok: bool | None
    code: str = ""
    answer: t.Mapping[str, t.Any] = {}
    unsupported: bool = False

    def tried(self) -> Tried:
        """Return the reply as a fact."""
        return Tried(self.ok, self.code)
