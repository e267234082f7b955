# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Asks for objects as a visitor's browser does: by their public address, without credentials, over one connection."""

from __future__ import annotations

import copy
import http.client
import re
import ssl
import typing as t
import urllib.request
from urllib.parse import quote, urljoin, urlsplit

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.problems import transport_code

# Mastodon's addresses: RFC 2396, and ? ( ) [ ] + escaped, too (kt-paperclip, lib/paperclip/url_generator.rb).
_SAFE = "-_.!~*';/:@&=$,"
_PRINTABLE = "".join(map(chr, range(33, 127)))
_READABLE = {200, 206, 416}  # 416: an empty object has no first byte
_REDIRECTS = {301, 302, 303, 307, 308}
_MAX_REDIRECTS = 3  # as many as other Mastodon servers follow
_SOME_BYTES = 4096
_AGENT = "fediverse.mastodon_s3"


class AddressError(ValueError):
    """An address that nothing can be fetched from. The text names it and the remedy."""


class Answer(t.NamedTuple):
    """What a visitor gets. `status` is None where no answer came; `reason` says why it is not the object.

    The reason is the store's error code, a word of C(problems), or `HTTP` and the status.
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
    """Return `base` without the slash at its end.

    Raises AddressError: it is no address of a web server, or holds more than that.
    """
    try:
        url = urlsplit(base.strip())
        fine = url.scheme in ("http", "https") and url.hostname and (url.port is None or url.port > 0)
        fine = fine and base.strip().isprintable() and " " not in base.strip() and url.netloc.isascii()
    except ValueError:
        fine = False
    if not fine or url.query or url.fragment or "@" in url.netloc:
        shown = option if "@" in base else f"{option} {base!r}"
        raise AddressError(f"{shown} is no plain address of a web server; write https://HOST or https://HOST/PATH")
    # What is not ASCII can't be sent as it is; all else is taken to be escaped already.
    return quote(base.strip().rstrip("/"), safe=_PRINTABLE)


class Visitor:
    """Fetches without credentials, keeping the connection. Not for more than one thread."""

    def __init__(self, *, ca_bundle: str | None = None, timeout: float = 10.0, verify: bool = True) -> None:
        """Trust the system's authorities and those of `ca_bundle`; `timeout` in seconds bounds each wait.

        verify: whether the server's certificate is checked.

        Raises AddressError: the bundle can't be used.
        """
        self._timeout = timeout
        self._tls = ssl.create_default_context()
        if not verify:
            self._tls.check_hostname = False
            self._tls.verify_mode = ssl.CERT_NONE
        if ca_bundle:
            try:
                self._tls.load_verify_locations(ca_bundle)
            except (OSError, ssl.SSLError) as error:
                raise AddressError(
                    f"{ca_bundle} is no file of certificates that can be read: {error}; give one in PEM format"
                ) from error
        self._connection: http.client.HTTPConnection | None = None
        self._connected_to: tuple[str, str] = ("", "")
        self._whole_address = False  # a proxy for plain HTTP wants it

    def sibling(self) -> Visitor:
        """Return another visitor of the same settings, for another thread."""
        found = copy.copy(self)
        found._connection = None  # noqa: SLF001 - its own class
        return found

    def close(self) -> None:
        """Close the connection."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def ask(self, address: str) -> Answer:
        """Return what a visitor gets from `address`: by HEAD and, where that is no plain success, by GET of a byte.

        Only the GET names the reason of a refusal, and some web servers allow nothing else.
        """
        answer = self._follow("HEAD", address)
        if answer.status == 200 and "content-type" in answer.headers:
            return answer
        if answer.status is None:
            return answer
        return self._follow("GET", address, {"Range": "bytes=0-0"})

    def get(self, address: str, headers: t.Mapping[str, str] | None = None) -> Answer:
        """Return the answer to a GET of `address`, with the start of the body. headers: what is sent beside."""
        return self._follow("GET", address, headers)

    def preflight(self, address: str, origin: str) -> Answer:
        """Return the answer to a browser's question whether a page of `origin` may fetch `address`."""
        asked = {"Origin": origin, "Access-Control-Request-Method": "GET"}
        return self._request("OPTIONS", address, asked)

    def _follow(self, method: str, address: str, headers: t.Mapping[str, str] | None = None) -> Answer:
        answer = self._request(method, address, headers or {})
        for _hop in range(_MAX_REDIRECTS):
            target = answer.headers.get("location")
            if answer.status not in _REDIRECTS or not target:
                break
            address = urljoin(address, target)
            if urlsplit(address).scheme not in ("http", "https"):
                break
            answer = self._request(method, address, headers or {})
        return answer

    def _request(self, method: str, address: str, headers: t.Mapping[str, str]) -> Answer:
        url = urlsplit(address)
        kept = self._connection is not None and self._connected_to == (url.scheme, url.netloc)
        try:
            return self._exchange(method, address, headers)
        except (OSError, ValueError, http.client.HTTPException) as error:
            self.close()
            if kept and isinstance(error, (http.client.HTTPException, ConnectionError)):
                # A server may close a connection that it kept: only a fresh one tells.
                return self._request(method, address, headers)
            return Answer(None, transport_code(error) or type(error).__name__)

    def _exchange(self, method: str, address: str, headers: t.Mapping[str, str]) -> Answer:
        url = urlsplit(address)
        connection, target = self._connect(url.scheme, url.netloc, address)
        connection.request(method, target, headers={"User-Agent": _AGENT, "Accept": "*/*", **headers})
        response = connection.getresponse()
        start = response.read(_SOME_BYTES)
        found = {name.lower(): value for name, value in response.getheaders()}
        if response.will_close or not response.isclosed():
            self.close()
        return Answer(response.status, _reason(response.status, start), found, start)

    def _connect(self, scheme: str, netloc: str, address: str) -> tuple[http.client.HTTPConnection, str]:
        url = urlsplit(address)
        if self._connection is None or self._connected_to != (scheme, netloc):
            self.close()
            self._connection = self._opened(scheme, url.hostname or "", url.port or (443 if scheme == "https" else 80))
            self._connected_to = (scheme, netloc)
        if self._whole_address:
            return self._connection, address
        return self._connection, (url.path or "/") + (f"?{url.query}" if url.query else "")

    def _opened(self, scheme: str, host: str, port: int) -> http.client.HTTPConnection:
        proxy = _proxy(scheme, host, port)
        via_host, via_port = proxy or (host, port)
        self._whole_address = bool(proxy) and scheme == "http"
        if scheme == "http":
            return http.client.HTTPConnection(via_host, via_port, timeout=self._timeout)
        connection = http.client.HTTPSConnection(via_host, via_port, timeout=self._timeout, context=self._tls)
        if proxy:
            connection.set_tunnel(host, port)
        return connection


def _proxy(scheme: str, host: str, port: int) -> tuple[str, int] | None:
    """Return host and port of the proxy that the environment sets for this host, as botocore heeds it, too."""
    setting = urllib.request.getproxies().get(scheme)
    if not setting or urllib.request.proxy_bypass(f"{host}:{port}"):
        return None
    url = urlsplit(setting if "//" in setting else f"//{setting}")
    return (url.hostname, url.port or 3128) if url.hostname else None


def _reason(status: int, start: bytes) -> str:
    if status in _READABLE:
        return ""
    code = re.search(rb"<Code>([A-Za-z0-9]{1,60})</Code>", start)
    return code.group(1).decode() if code else f"HTTP{status}"
