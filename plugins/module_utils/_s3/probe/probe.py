# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Finds out what a store really does with a bucket, by doing it on throw-away objects that are removed again."""

from __future__ import annotations

import typing as t
from dataclasses import replace

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.access import is_listable_with
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.anonymous import Visitor, check_base
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.client import anonymous_s3_client, s3_client
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.options import ConnectionOptions
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.probe.exposure import (
    try_acls,
    try_cors,
    try_openness,
)
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.probe.hand import Hand, StoreSilentError
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.probe.model import Addressing, Facts
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.probe.names import Names
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.probe.onlooker import Onlooker
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.probe.operations import (
    content,
    is_read,
    try_checksums,
    try_operations,
    try_rights,
    try_settings,
)

DEFAULT_ORIGIN = "https://mastodon.invalid"
_SECONDS = 120.0
_VISITOR_SECONDS = 10.0
_PATIENCE = {
    "connect_timeout": 5,
    "read_timeout": 10,
    "retries": {"mode": "standard", "total_max_attempts": 2},
    # Ruby's SDK signs no other way; botocore would sign addresses by the older version 2.
    "signature_version": "s3v4",
}


class Places(t.NamedTuple):
    """Where the throw-away objects lie, and where visitors come.

    Prefixes end with a slash, `key_prefix` may also be empty; the others follow it. public_url: an address below which
    visitors fetch the keys without `key_prefix`, or None. origin: of the web pages that fetch media.
    """

    key_prefix: str
    public_prefix: str
    private_prefix: str
    public_url: str | None = None
    origin: str = DEFAULT_ORIGIN


class PlacesError(ValueError):
    """A prefix or an origin can't be right. The text names the option and the remedy."""


def places_from(params: t.Mapping[str, t.Any]) -> Places:
    """Return the places that a module's parameters name.

    Raises PlacesError, AddressError.
    """
    key_prefix = params["key_prefix"]
    public, private = (_folder(option, params[option]) for option in ("public_prefix", "private_prefix"))
    if public.startswith(private) or private.startswith(public):
        raise PlacesError(
            f"public_prefix {public} and private_prefix {private} hold one another; name one folder that visitors read"
            " and another that they must not"
        )
    origin = params["cors_origin"] or DEFAULT_ORIGIN
    if check_base("cors_origin", origin).count("/") != 2:
        raise PlacesError(f"cors_origin {origin} has a path; write https://HOST")
    return Places(
        _folder("key_prefix", key_prefix) if key_prefix else "",
        public,
        private,
        check_base("public_url", params["public_url"]) if params["public_url"] else None,
        check_base("cors_origin", origin),
    )


def _folder(option: str, value: str) -> str:
    prefix = value.rstrip("/")
    if not prefix or prefix.startswith("/") or "//" in prefix:
        raise PlacesError(f"{option} {value!r} is no folder in a bucket; write it like accounts/ or media/system/")
    return f"{prefix}/"


def probe(options: ConnectionOptions, bucket: str, places: Places) -> Facts:
    """Find out what the store does. What was written is removed, whatever happens.

    It takes two minutes at most, and the time that a store which stopped answering needs to be given up: another one.

    Raises Boto3MissingError; ConnectionOptionsError; AddressError for a file of certificates that can't be used.
    """
    timeouts = {**_PATIENCE, **options.aws_config}
    patient = replace(options, checksums="when_required", aws_config=timeouts)
    visitor = Visitor(
        ca_bundle=options.ca_bundle,
        timeout=min(_VISITOR_SECONDS, float(timeouts["read_timeout"])),
        verify=options.validate_certs,
    )
    hand = Hand(s3_client(patient), bucket, _SECONDS)
    facts = Facts()
    try:
        _find_out(patient, hand, visitor, places, facts)
        facts.complete = True
    except StoreSilentError:
        pass
    finally:
        facts.leftovers = hand.clean()
        visitor.close()
    return facts


def _find_out(options: ConnectionOptions, hand: Hand, visitor: Visitor, places: Places, facts: Facts) -> None:
    names = Names(places.key_prefix + places.public_prefix, places.key_prefix + places.private_prefix)
    anonymous_client = anonymous_s3_client(options)
    onlooker = Onlooker(hand, visitor, anonymous_client, places.public_url, places.key_prefix)
    hand.sweep(names)
    try_operations(hand, names, facts, visitor)
    facts.open_to_everybody.list = _listed_by_everybody(anonymous_client, hand.bucket, onlooker)
    try_settings(hand, facts)
    try_rights(hand, facts.rights)
    if not facts.operations["put_object"].ok:
        return
    try_openness(hand, names, onlooker, facts.open_to_everybody)
    try_acls(hand, names, onlooker, facts)
    try_cors(hand, names, onlooker, places.origin, facts.cors)
    _try_addressing(options, hand, names, facts.addressing)
    # The last, since some stores wait for ever for what a trailer's request does not hold.
    try_checksums(hand, names, facts.checksums)


def _listed_by_everybody(anonymous_client: t.Any, bucket: str, onlooker: Onlooker) -> bool | None:
    answers = {is_listable_with(anonymous_client, bucket), onlooker.sees_public_listing()}
    return True if True in answers else (False if False in answers else None)


def _try_addressing(options: ConnectionOptions, hand: Hand, names: Names, found: Addressing) -> None:
    """Read an object by each way of naming the bucket."""
    key, body = names.public("addressing"), content()
    if not hand.put(key, body).ok:
        return
    own = hand.addressing
    setattr(found, own, True)
    other = "virtual" if own == "path" else "path"
    another = Hand(s3_client(replace(options, addressing_style=other)), hand.bucket, _SECONDS)
    if another.addressing == other:
        setattr(found, other, is_read(another, key, body))
