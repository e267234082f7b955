# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Finds out who can read what: the effect of canned ACLs, and what is public without them."""

from __future__ import annotations

import time

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.probe.anonymous_checks import (
    PUBLIC,
    STORE,
    AnonymousChecks,
    Readable,
)
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.probe.media_address import allows, judge_object
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.probe.model import (
    HONOURED,
    IGNORED,
    REFUSED,
    UNSUPPORTED,
    Cors,
    Facts,
    OpenToEverybody,
    Reply,
)
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.probe.names import Names
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.probe.operations import content
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.probe.probe_client import ProbeClient

# Those that Mastodon sends, and those that an administrator may have set in S3_PERMISSION.
_OPENING, _CLOSING = "public-read", "private"
# A new policy, or a CDN in front of it, may take a moment.
_ADDRESS_CHECK_PAUSES = (0.0, 1.0, 3.0, 6.0)
_OTHER_ACLS = ("authenticated-read", "bucket-owner-full-control")


def try_openness(client: ProbeClient, names: Names, anonymous: AnonymousChecks, found: OpenToEverybody) -> None:
    """Find out which objects without an ACL everybody can read; StoreSilentError if the store stops answering."""
    public, private, body = names.public("open"), names.private("open"), content()
    if client.put(public, body).ok:
        seen = anonymous.check(public, body)
        # Visitors use the public address; it does not help them if only the store itself allows access.
        found.public_prefix = seen[STORE] if seen.get(PUBLIC) is None else seen[PUBLIC]
    if client.put(private, body).ok:
        found.private_prefix = _anywhere(anonymous.check(private, body))


def try_acls(client: ProbeClient, names: Names, anonymous: AnonymousChecks, facts: Facts) -> None:
    """Find out what canned ACLs do by comparing what everybody gets; StoreSilentError if the store stops answering."""
    found, body = facts.acl, content()
    opened, closed = names.public("acl-open"), names.public("acl-closed")
    replies = {
        acl: client.put(key, body, ACL=acl)
        for acl, key in (
            (_OPENING, opened),
            (_CLOSING, closed),
            *((acl, names.public(f"acl-{acl}")) for acl in _OTHER_ACLS),
        )
    }
    found.canned = {acl: reply.result() for acl, reply in replies.items()}
    found.refused_for = [acl for acl, reply in replies.items() if reply.ok is False]
    decisive = replies[_OPENING], replies[_CLOSING]
    if all(reply.ok for reply in decisive):
        found.verdict = _verdict(anonymous.check_until(opened, body, readable=True), anonymous.check(closed, body))
    else:
        found.verdict = _refusal(*decisive)
    key = names.public("acl-repair")
    if client.put(key, body).ok:
        _repair(client, anonymous, key, body, facts)


def try_cors(client: ProbeClient, names: Names, anonymous: AnonymousChecks, origin: str, found: Cors) -> None:
    """Find out whether pages of `origin` may fetch objects; StoreSilentError if the store stops answering."""
    key, body = names.public("cors"), content()
    if not client.put(key, body).ok:
        return
    place = PUBLIC if anonymous.check(key, body).get(PUBLIC) else STORE
    answer, preflight = anonymous.fetch_as_page(place, key, origin)
    found.allowed = allows(answer, origin) if answer.readable else None
    found.preflight = allows(preflight, origin) if preflight.status is not None else None


def try_media_address(client: ProbeClient, names: Names, anonymous: AnonymousChecks, origin: str, facts: Facts) -> None:
    """Fetch a public object from the address that visitors will use.

    Each check uses another object, since a refusal that a proxy has cached says nothing about the next one.

    Raises:
        StoreSilentError: The store stopped answering.
    """
    arguments = {"ACL": _OPENING} if facts.acl.verdict == HONOURED else {}
    for number, pause in enumerate(_ADDRESS_CHECK_PAUSES):
        client.check_time()
        time.sleep(pause)
        key, body = names.public(f"address-{number}"), content()
        if not client.put(key, body, **arguments).ok:
            return
        asked = anonymous.fetch_media_address(key, origin)
        if asked is None:
            return
        facts.media_address = judge_object(asked[0], asked[1], body, origin)
        if facts.media_address.readable or asked[1].status is None:
            return


def _verdict(opened: Readable, closed: Readable) -> str | None:
    """Compare an object that should be public with one that should not: a policy may make both public."""
    if any(opened[place] and closed.get(place) is False for place in opened):
        return HONOURED
    shown = any(opened[place] is not None and closed.get(place) is not None for place in opened)
    return IGNORED if shown else None


def _refusal(*replies: Reply) -> str | None:
    refused = [reply for reply in replies if reply.ok is False]
    if not refused:
        return None
    return UNSUPPORTED if any(reply.unsupported for reply in refused) else REFUSED


def _repair(client: ProbeClient, anonymous: AnonymousChecks, key: str, body: bytes, facts: Facts) -> None:
    """Make an object public with PutObjectAcl, and private again."""
    opening = client.call("put_object_acl", Key=key, ACL=_OPENING)
    facts.operations["put_object_acl"] = opening.result()
    if not opening.ok:
        facts.acl.repair = opening.ok
        return
    opened = anonymous.check_until(key, body, readable=True)
    closing = client.call("put_object_acl", Key=key, ACL=_CLOSING)
    if not closing.ok:
        facts.operations["put_object_acl"] = closing.result()
        facts.acl.repair = closing.ok
        return
    closed = anonymous.check_until(key, body, readable=False)
    verdict = _verdict(opened, closed)
    facts.acl.repair = None if verdict is None else verdict == HONOURED


def _anywhere(seen: Readable) -> bool | None:
    answers = set(seen.values())
    return True if True in answers else (False if False in answers else None)
