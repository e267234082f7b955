# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Finds out who can read what: canned ACLs, and what is open to everybody without them."""

from __future__ import annotations

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.anonymous import Answer
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.probe.hand import Hand
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
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.probe.onlooker import (
    PUBLIC,
    STORE,
    Onlooker,
    Seen,
)
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.probe.operations import content

# Those that Mastodon sends, and those that an administrator may have set in S3_PERMISSION.
_OPENING, _CLOSING = "public-read", "private"
_OTHER_ACLS = ("authenticated-read", "bucket-owner-full-control")


def try_openness(hand: Hand, names: Names, onlooker: Onlooker, found: OpenToEverybody) -> None:
    """Find out which objects without an ACL everybody can read. Raises StoreSilentError."""
    public, private, body = names.public("open"), names.private("open"), content()
    if hand.put(public, body).ok:
        seen = onlooker.sees(public, body)
        # Visitors come to the public address; what only the store shows does them no good.
        found.public_prefix = seen[STORE] if seen.get(PUBLIC) is None else seen[PUBLIC]
    if hand.put(private, body).ok:
        found.private_prefix = _anywhere(onlooker.sees(private, body))


def try_acls(hand: Hand, names: Names, onlooker: Onlooker, facts: Facts) -> None:
    """Find out what canned ACLs do, by comparing what everybody gets. Raises StoreSilentError."""
    found, body = facts.acl, content()
    opened, closed = names.public("acl-open"), names.public("acl-closed")
    replies = {
        acl: hand.put(key, body, ACL=acl)
        for acl, key in (
            (_OPENING, opened),
            (_CLOSING, closed),
            *((acl, names.public(f"acl-{acl}")) for acl in _OTHER_ACLS),
        )
    }
    found.canned = {acl: reply.tried() for acl, reply in replies.items()}
    found.refused_for = [acl for acl, reply in replies.items() if reply.ok is False]
    decisive = replies[_OPENING], replies[_CLOSING]
    if all(reply.ok for reply in decisive):
        found.verdict = _verdict(onlooker.awaits(opened, body, readable=True), onlooker.sees(closed, body))
    else:
        found.verdict = _refusal(*decisive)
    key = names.public("acl-repair")
    if hand.put(key, body).ok:
        _repair(hand, onlooker, key, body, facts)


def try_cors(hand: Hand, names: Names, onlooker: Onlooker, origin: str, found: Cors) -> None:
    """Find out whether pages of `origin` may fetch objects. Raises StoreSilentError."""
    key, body = names.public("cors"), content()
    if not hand.put(key, body).ok:
        return
    place = PUBLIC if onlooker.sees(key, body).get(PUBLIC) else STORE
    answer, preflight = onlooker.as_page(place, key, origin)
    found.allowed = _allows(answer, origin) if answer.readable else None
    found.preflight = _allows(preflight, origin) if preflight.status is not None else None


def _verdict(opened: Seen, closed: Seen) -> str | None:
    """Compare the object that should be open with the one that should not: a policy may open both."""
    if any(opened[place] and closed.get(place) is False for place in opened):
        return HONOURED
    shown = any(opened[place] is not None and closed.get(place) is not None for place in opened)
    return IGNORED if shown else None


def _refusal(*replies: Reply) -> str | None:
    refused = [reply for reply in replies if reply.ok is False]
    if not refused:
        return None
    return UNSUPPORTED if any(reply.unsupported for reply in refused) else REFUSED


def _repair(hand: Hand, onlooker: Onlooker, key: str, body: bytes, facts: Facts) -> None:
    """Open an object by PutObjectAcl, and close it again."""
    opening = hand.ask("put_object_acl", Key=key, ACL=_OPENING)
    facts.operations["put_object_acl"] = opening.tried()
    if not opening.ok:
        facts.acl.repair = opening.ok
        return
    opened = onlooker.awaits(key, body, readable=True)
    closing = hand.ask("put_object_acl", Key=key, ACL=_CLOSING)
    if not closing.ok:
        facts.operations["put_object_acl"] = closing.tried()
        facts.acl.repair = closing.ok
        return
    closed = onlooker.awaits(key, body, readable=False)
    verdict = _verdict(opened, closed)
    facts.acl.repair = None if verdict is None else verdict == HONOURED


def _anywhere(seen: Seen) -> bool | None:
    answers = set(seen.values())
    return True if True in answers else (False if False in answers else None)


def _allows(answer: Answer, origin: str) -> bool:
    return answer.headers.get("access-control-allow-origin") in ("*", origin)
