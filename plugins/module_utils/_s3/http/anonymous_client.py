# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Requests objects as a visitor's browser does: at their public address, without credentials, over kept connections."""

from __future__ import annotations

import http.client
import re
import ssl
import typing as t
import urllib.request
from urllib.parse import quote, urljoin, urlsplit

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.http.limits import ResponseTooLongError
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.http.pool import ConnectionPool, Origin
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.http.transport_errors import transport_code

# Mastodon's addresses: RFC 2396, and ? ( ) [ ] + escaped, too (kt-paperclip, lib/paperclip/url_generator.rb).
_SAFE = "-_.!~*';/:@&=$,"
_PRINTABLE = "".join(map(chr, range(33, 127)))
_READABLE = {200, 206, 416}  # 416: an empty object has no first byte
_REDIRECTS = {301, 302, 303, 307, 308}
_MAX_REDIRECTS = 3  # as many as other Mastodon servers follow
_SOME_BYTES = 4096
_MAX_RESPONSE_BYTES = 1024 * 1024  # with headers; of a body only the start is read
_AGENT = "fediverse.mastodon_s3"


class AddressError(ValueError):
    """An address from which nothing can be fetched. The text names it and the remedy."""


class AnonymousResponse(t.NamedTuple):
    """What a visitor gets.

    Attributes:
        status: The HTTP status; None if there was no response.
        reason: Why it is not the object: the store's error code, a code of C(transport_errors), or `HTTP` and status.
        headers: Headers of the response.
        start: The start of its body.
    """

    status: int | None
    reason: str = ""
    headers: t.Mapping[str, str] = {}
    start: bytes = b""

    @property
    def readable(self) -> bool:
        """Whether the visitor gets the object."""
        return self.status in _READABLE


def public_address(base: str, key: str) -> str:
    """Return the address of `key` below `base`, escaped as Mastodon escapes it."""
    return f"{base.rstrip('/')}/{quote(key, safe=_SAFE)}"


def check_base(option: str, base: str) -> str:
    """Return `base` without a slash at its end.

    Raises:
        AddressError: It is not the address of a web server, or contains more than that.
    """
    try:
        url = urlsplit(base.strip())
        fine = url.scheme in ("http", "https") and url.hostname and (url.port is None or url.port > 0)
        fine = fine and base.strip().isprintable() and " " not in base.strip() and url.netloc.isascii()
    except ValueError:
        fine = False
    if not fine or url.query or url.fragment or "@" in url.netloc:
        shown = option if "@" in base else f"{option} {base!r}"
        raise AddressError(f"{shown} is not the plain address of a web server; write https://HOST or https://HOST/PATH")
    # What is not ASCII can't be sent as it is; all else is taken to be escaped already.
    return quote(base.strip().rstrip("/"), safe=_PRINTABLE)


class AnonymousClient:
    """Sends requests without credentials over kept connections. Safe for several threads."""

    def __init__(self, *, ca_bundle: str | None = None, timeout: float = 10.0, verify: bool = True) -> None:
        """Trust the system's authorities and those of `ca_bundle`.

        Args:
            timeout: Seconds that limit each request.
            ca_bundle: File of certificates, or None.
            verify: Whether the server's certificate is checked.

        Raises:
            AddressError: The bundle can't be used.
        """
        context = ssl.create_default_context()
        if not verify:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        if ca_bundle:
            try:
                context.load_verify_locations(ca_bundle)
            except (OSError, ssl.SSLError) as error:
                raise AddressError(
                    f"{ca_bundle} is no file of certificates that can be read: {error}; use one in PEM format"
                ) from error
        self._pool = ConnectionPool(
            context,
            connect_seconds=timeout,
            read_seconds=timeout,
            max_bytes=_MAX_RESPONSE_BYTES,
            proxy=_proxy,
            repeats=True,
        )

    def close(self) -> None:
        """Close all connections."""
        self._pool.close()

    def check(self, address: str) -> AnonymousResponse:
        """Return what a visitor gets from `address`: with HEAD, or with GET of one byte if that is not a plain success.

        Only GET shows the reason for a refusal, and some web servers allow nothing else.
        """
        answer = self._follow("HEAD", address)
        if answer.status == 200 and "content-type" in answer.headers:
            return answer
        if answer.status is None:
            return answer
        return self._follow("GET", address, {"Range": "bytes=0-0"})

    def get(self, address: str, headers: t.Mapping[str, str] | None = None) -> AnonymousResponse:
        """Return the response to a GET of `address`, with the start of the body.

        Args:
            address: The address.
            headers: Additional headers.
        """
        return self._follow("GET", address, headers)

    def preflight(self, address: str, origin: str) -> AnonymousResponse:
        """Return the response to a browser's question whether a page of `origin` may fetch `address`."""
        asked = {"Origin": origin, "Access-Control-Request-Method": "GET"}
        return self._request("OPTIONS", address, asked)

    def trace(
        self, address: str, headers: t.Mapping[str, str] | None = None, *, method: str = "GET"
    ) -> list[tuple[str, AnonymousResponse]]:
        """Return each address that was requested, with its response. Up to three redirects are followed."""
        found = [(address, self._request(method, address, headers or {}))]
        for _hop in range(_MAX_REDIRECTS):
            answer = found[-1][1]
            target = answer.headers.get("location")
            if answer.status not in _REDIRECTS or not target:
                break
            address = urljoin(address, target)
            if urlsplit(address).scheme not in ("http", "https"):
                break
            found.append((address, self._request(method, address, headers or {})))
        return found

    def _follow(self, method: str, address: str, headers: t.Mapping[str, str] | None = None) -> AnonymousResponse:
        return self.trace(address, headers, method=method)[-1][1]

    def _request(self, method: str, address: str, headers: t.Mapping[str, str]) -> AnonymousResponse:
        try:
            url = urlsplit(address)
            tls = url.scheme == "https"
            path = (url.path or "/") + (f"?{url.query}" if url.query else "")
            response = self._pool.request(
                Origin(tls, url.hostname or "", url.port or (443 if tls else 80)),
                method,
                path,
                {"User-Agent": _AGENT, "Accept": "*/*", **headers},
                start=_SOME_BYTES,
            )
        except (OSError, ValueError, http.client.HTTPException, ResponseTooLongError) as error:
            return AnonymousResponse(None, transport_code(error) or type(error).__name__)
        status, found, start = response
        return AnonymousResponse(status, _reason(status, start), found, start)


def _proxy(origin: Origin) -> tuple[str, int] | None:
    """Return host and port of the proxy that the environment sets for a server, by the same rules as botocore."""
    setting = urllib.request.getproxies().get("https" if origin.tls else "http")
    if not setting or urllib.request.proxy_bypass(f"{origin.hostname}:{origin.port}"):
        return None
    url = urlsplit(setting if "//" in setting else f"//{setting}")
    return (url.hostname, url.port or 3128) if url.hostname else None


def _reason(status: int, start: bytes) -> str:
    if status in _READABLE:
        return ""
    code = re.search(rb"<Code>([A-Za-z0-9]{1,60})</Code>", start)
    return code.group(1).decode() if code else f"HTTP{status}"
