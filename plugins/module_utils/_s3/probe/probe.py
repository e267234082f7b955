# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Finds out what a store really does with a bucket, using temporary objects that are removed again."""

from __future__ import annotations

import typing as t
from dataclasses import replace

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.connection.client import (
    s3_client,
    unsigned_s3_client,
)
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.connection.options import (
    ConnectionOptions,
    shown_value,
)
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.http.anonymous_client import (
    AnonymousClient,
    check_base,
)
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.probe.access import is_listable_with
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.probe.anonymous_checks import AnonymousChecks
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.probe.exposure import (
    try_acls,
    try_cors,
    try_media_address,
    try_openness,
)
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.probe.model import Addressing, Facts
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.probe.names import Names
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.probe.operations import (
    content,
    is_read,
    try_checksums,
    try_operations,
    try_rights,
    try_settings,
)
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.probe.probe_client import (
    ProbeClient,
    StoreSilentError,
)

DEFAULT_ORIGIN = "https://mastodon.invalid"
_SECONDS = 120.0
_VISITOR_SECONDS = 10.0
_SHORT_TIMEOUTS = {
    "connect_timeout": 5,
    "read_timeout": 10,
    "retries": {"mode": "standard", "total_max_attempts": 2},
    # Ruby's SDK always signs like this; botocore would sign addresses with the older version 2.
    "signature_version": "s3v4",
}


class Places(t.NamedTuple):
    """Where the temporary objects are, and which addresses visitors use.

    Prefixes end with a slash; `key_prefix` may also be empty, and the others follow it.

    Attributes:
        public_url: An address below which visitors fetch the keys without `key_prefix`, or None.
        origin: The origin of the web pages that fetch media.
    """

    key_prefix: str
    public_prefix: str
    private_prefix: str
    public_url: str | None = None
    origin: str = DEFAULT_ORIGIN


class PlacesError(ValueError):
    """A prefix or an origin is invalid. The text names the option and the remedy."""


def places_from(params: t.Mapping[str, t.Any]) -> Places:
    """Return the places from a module's parameters.

    Raises:
        PlacesError: A prefix or an origin is invalid.
        AddressError: The public address is invalid.
    """
    key_prefix = params["key_prefix"]
    public, private = (_folder(option, params[option]) for option in ("public_prefix", "private_prefix"))
    if public.startswith(private) or private.startswith(public):
        raise PlacesError(
            f"public_prefix {public} and private_prefix {private} overlap; name one folder that visitors read"
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
        raise PlacesError(
            f"{option} {shown_value(value)} is not a folder in a bucket; write it like accounts/ or media/system/"
        )
    return f"{prefix}/"


def probe(options: ConnectionOptions, bucket: str, places: Places) -> Facts:
    """Find out what the store does. Temporary objects are removed whatever happens.

    It takes at most two minutes, or up to four if the store stops answering.

    Raises:
        Boto3MissingError: boto3 is missing.
        ConnectionOptionsError: The options are invalid.
        AddressError: A file of certificates can't be used.
    """
    timeouts = {**_SHORT_TIMEOUTS, **options.aws_config}
    patient = replace(options, checksums="when_required", aws_config=timeouts)
    visitor = AnonymousClient(
        ca_bundle=options.ca_bundle,
        timeout=min(_VISITOR_SECONDS, float(timeouts["read_timeout"])),
        verify=options.validate_certs,
    )
    client = ProbeClient(s3_client(patient), bucket, _SECONDS)
    facts = Facts()
    try:
        _find_out(patient, client, visitor, places, facts)
        facts.complete = True
    except StoreSilentError:
        pass
    finally:
        facts.latency = facts.latency or client.latency
        facts.leftovers = client.delete_all()
        visitor.close()
    return facts


def _find_out(
    options: ConnectionOptions, client: ProbeClient, visitor: AnonymousClient, places: Places, facts: Facts
) -> None:
    names = Names(places.key_prefix + places.public_prefix, places.key_prefix + places.private_prefix)
    unsigned_client = unsigned_s3_client(options)
    anonymous = AnonymousChecks(client, visitor, unsigned_client, places.public_url, places.key_prefix)
    client.delete_abandoned(names)
    try_operations(client, names, facts, visitor)
    facts.open_to_everybody.list = _listed_by_everybody(unsigned_client, client.bucket, anonymous)
    try_settings(client, facts)
    try_rights(client, facts.rights)
    if not facts.operations["put_object"].ok:
        return
    try_openness(client, names, anonymous, facts.open_to_everybody)
    try_acls(client, names, anonymous, facts)
    try_cors(client, names, anonymous, places.origin, facts.cors)
    try_media_address(client, names, anonymous, places.origin, facts)
    _try_addressing(options, client, names, facts.addressing)
    # Before requests that some stores answer late or never, because of a trailer.
    facts.latency = client.latency
    try_checksums(client, names, facts.checksums)


def _listed_by_everybody(unsigned_client: t.Any, bucket: str, anonymous: AnonymousChecks) -> bool | None:
    answers = {is_listable_with(unsigned_client, bucket), anonymous.check_listing()}
    return True if True in answers else (False if False in answers else None)


def _try_addressing(options: ConnectionOptions, client: ProbeClient, names: Names, found: Addressing) -> None:
    """Read an object with each way to name the bucket."""
    key, body = names.public("addressing"), content()
    if not client.put(key, body).ok:
        return
    own = client.addressing
    setattr(found, own, True)
    other = "virtual" if own == "path" else "path"
    another = ProbeClient(s3_client(replace(options, addressing_style=other)), client.bucket, _SECONDS)
    if another.addressing == other:
        setattr(found, other, is_read(another, key, body))
