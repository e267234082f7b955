# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Collects the facts about one media URL: as a visitor, with the instance's key, and on the host. Changes nothing."""

from __future__ import annotations

import os
import stat
from contextlib import closing
from dataclasses import dataclass, replace

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._diagnosis.facts import (
    Facts,
    Hop,
    HostFacts,
    ObjectFacts,
    Place,
    Target,
)
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.bucket.state import read_state
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.connection.bucket_client import BucketClient
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.connection.client import s3_client
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.connection.errors import NotFoundError, S3Error
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.connection.options import ConnectionOptions
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.http.anonymous_client import (
    AnonymousClient,
    AnonymousResponse,
    public_address,
)
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.objects.acl import acl_of
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.probe.access import (
    check_access,
    with_short_timeouts,
)
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.probe.content_security_policy import judge_site
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.journal.journal import Journal
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.model import (
    Entry,
    ExposureMode,
    Reason,
    storable_ns,
)
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.rules.content_types import by_extension
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.rules.rules import Rules

_PAGE = "text/html"
_LEFT_OUT = {
    Reason.FILTERED: "its folder or name is excluded (mastodon_s3_exclude, mastodon_s3_include_imports)",
    Reason.UNKNOWN_FOLDER: "it is in a folder that is not one of Mastodon's",
    Reason.LOCAL_ONLY: "it is private, and this store has no ACLs that would keep it private",
}


@dataclass(frozen=True)
class Surroundings:
    """Where the facts about a URL are.

    Attributes:
        options: The connection with the instance's key.
        bucket: Name of the bucket.
        key_prefix: What all keys begin with; empty, or with a slash at its end.
        public_url: The public address of the bucket, without the prefix.
        public_ca_bundle: File with more authorities that visitors trust; None: only the system's.
        site_url: Address of the site; empty if it is not known.
        rules: Which files belong where.
        src: The media root.
        journal: Path of the journal of the copy.
    """

    options: ConnectionOptions
    bucket: str
    key_prefix: str
    public_url: str
    public_ca_bundle: str | None
    site_url: str
    rules: Rules
    src: str
    journal: str


def collect(url: str, target: Target, around: Surroundings) -> Facts:
    """Return all facts about a URL.

    Args:
        url: The URL, with its query.
        target: What it stands for.
        around: Where the facts are.

    Raises:
        AddressError: The certificates can't be used.
        Boto3MissingError: boto3 is missing.
        ConnectionOptionsError: This botocore does not accept the options.
        JournalError: The journal can't be read.
    """
    origin = around.site_url.rstrip("/")
    asked = {"Origin": origin} if origin else {}
    with closing(AnonymousClient(ca_bundle=around.public_ca_bundle)) as visitor:
        trace = visitor.trace(url, asked)
        site = judge_site(f"{origin}/", visitor.get(f"{origin}/"), around.public_url, "") if origin else None
    hops = tuple(Hop(at.partition("?")[0], a.status, a.reason, a.headers) for at, a in trace)
    last = trace[-1][1]
    seen = Facts(target, around.bucket, hops=hops, page=_is_page(last), origin=origin, site=site)
    if target.place is Place.ELSEWHERE:
        return seen
    key = target.object_key.removeprefix(around.key_prefix)
    access = check_access(around.options, around.bucket, key_prefix=around.key_prefix)
    usable = access.problem is None
    return replace(
        seen,
        private_folder=key.startswith(around.rules.private_prefixes),
        acls=around.rules.mode is ExposureMode.ACL,
        expected_type=by_extension(key),
        direct=_direct(target, around),
        store=access.problem,
        found=_object(target, around) if usable else ObjectFacts(),
        host=_host(key, around),
    )


def _is_page(answer: AnonymousResponse) -> bool:
    return answer.readable and answer.headers.get("content-type", "").startswith(_PAGE)


def _direct(target: Target, around: Surroundings) -> Hop | None:
    """Return what the store itself answers to a visitor; None if the URL already leads there."""
    endpoint = around.options.endpoint_url
    if endpoint is None:
        endpoint = f"https://s3.{around.options.region or 'us-east-1'}.amazonaws.com"
    address = public_address(f"{endpoint.rstrip('/')}/{around.bucket}", target.object_key)
    if not target.object_key or address == target.url:
        return None
    with closing(AnonymousClient(ca_bundle=around.options.ca_bundle)) as visitor:
        answer = visitor.get(address)
    return Hop(address, answer.status, answer.reason, answer.headers)


def _object(target: Target, around: Surroundings) -> ObjectFacts:
    client = s3_client(with_short_timeouts(around.options))
    call = BucketClient(lambda: client, around.bucket)
    exists, content_type = _head(call, target.object_key)
    if not exists:
        others = (key for key in target.other_keys if key and _head(call, key)[0])
        return ObjectFacts(exists, other_key=next(others, ""))
    block = read_state(client, around.bucket).public_access_block
    return ObjectFacts(
        exists,
        content_type,
        _readable(call, target.object_key),
        blocked=None if block is None else tuple(name for name, active in block.items() if active),
    )


def _head(call: BucketClient, key: str) -> tuple[bool | None, str | None]:
    """Return whether there is an object (None: unknown), and its content type. Without a key, there is none."""
    if not key:
        return False, None
    try:
        found = call("HeadObject", "head_object", Key=key)
    except NotFoundError:
        return False, None
    except S3Error:
        return None, None
    return True, str(found.get("ContentType", "")).partition(";")[0].strip().lower()


def _readable(call: BucketClient, key: str) -> bool | None:
    try:
        return acl_of(call("GetObjectAcl", "get_object_acl", Key=key)).readable
    except S3Error:
        return None


def _host(key: str, around: Surroundings) -> HostFacts:
    if not key:
        return HostFacts()
    with closing(Journal.peek(around.journal)) as journal:
        row, switched = journal.row(key), journal.switched_ns is not None
    try:
        found = os.stat(os.path.join(around.src, key), follow_symlinks=False)
    except OSError:
        return HostFacts(False, sent=row is not None, switched=switched)
    if not stat.S_ISREG(found.st_mode):
        return HostFacts(True, left_out="it is no regular file", sent=row is not None, switched=switched)
    mode = stat.S_IMODE(found.st_mode)
    entry = Entry(key, found.st_size, storable_ns(found.st_mtime_ns), storable_ns(found.st_ctime_ns), mode)
    reason = around.rules.judge(entry).reason
    return HostFacts(
        True,
        around.rules.hides(mode),
        "" if reason is None else _LEFT_OUT.get(reason, reason.value),
        sent=row is not None,
        switched=switched,
    )
