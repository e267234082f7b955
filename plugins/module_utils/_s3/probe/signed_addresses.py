# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Judges whether visitors can use signed addresses of an endpoint, as Mastodon gives them to users for archives.

Such an address always begins with the endpoint, even if the media have a host of their own
(Mastodon's app/controllers/backups_controller.rb, kt-paperclip's expiring_url).
"""

from __future__ import annotations

import ipaddress
import socket
import typing as t
import urllib.request
from urllib.parse import urlsplit

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.connection.diagnosis import StoreProblem
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.http.transport_errors import NAME_NOT_RESOLVED

PLAIN_HTTP = "PlainHttp"
PRIVATE_ADDRESS = "PrivateAddress"

# Names that the public DNS never has: RFC 6761, 6762 and 8375, ICANN's .internal, and what routers use
_PRIVATE_ENDINGS = ("localhost", "local", "home.arpa", "internal", "lan", "intranet", "home", "corp", "private")


def addresses_of(endpoint_url: str) -> list[str] | None:
    """Return the IP addresses of the endpoint's host; none if it has no DNS entry.

    Returns None if this is not known: a proxy is in between, which may have another DNS, or the DNS does not answer.
    """
    url = urlsplit(endpoint_url)
    host = url.hostname or ""
    if urllib.request.getproxies().get(url.scheme) and not urllib.request.proxy_bypass(host):
        return None
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except socket.gaierror as error:
        return None if error.errno == socket.EAI_AGAIN else []
    except (OSError, UnicodeError):
        return None
    return sorted({str(each[4][0]).partition("%")[0] for each in found})


def judge_endpoint(endpoint_url: str, addresses: t.Sequence[str] | None) -> list[StoreProblem]:
    """Return what keeps visitors from using signed addresses of the endpoint. Pure.

    Args:
        endpoint_url: The endpoint, with its scheme.
        addresses: The IP addresses of its host; None if they are not known.
    """
    url = urlsplit(endpoint_url)
    host = url.hostname or ""
    begin = f"Users download their account archives from signed addresses of {url.scheme}://{url.netloc}, but"
    found = []
    if url.scheme == "http":
        found.append(
            StoreProblem(
                PLAIN_HTTP,
                f"{begin} it has no TLS: browsers block such downloads on an HTTPS site, and others can read along.",
                "Set up TLS for the store, and set endpoint_url to its https:// address.",
            )
        )
    private = [each for each in addresses or () if not _is_public(each)]
    if _is_private_name(host) or (private and len(private) == len(addresses or ())):
        shown = f" ({', '.join(private)})" if private and private != [host] else ""
        found.append(
            StoreProblem(
                PRIVATE_ADDRESS,
                f"{begin} {host}{shown} is a private address that visitors can't reach.",
                "Set endpoint_url to a public address of the store. A proxy there must keep the header Host as it is.",
            )
        )
    elif addresses is not None and not addresses:
        found.append(
            StoreProblem(
                NAME_NOT_RESOLVED,
                f"{begin} the name {host} has no DNS entry.",
                "Add it to the public DNS, or set endpoint_url to a public address of the store.",
            )
        )
    return found


def _is_private_name(host: str) -> bool:
    """Return whether a name is none of the public DNS."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        name = host.rstrip(".").lower()
        return "." not in name or name.endswith(tuple(f".{ending}" for ending in _PRIVATE_ENDINGS))
    return False


def _is_public(address: str) -> bool:
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return True
    mapped = getattr(found, "ipv4_mapped", None)
    return bool((mapped or found).is_global)
