# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Decides as a browser does whether pages may load media, by their Content-Security-Policy headers. Pure.

The rules are those of https://www.w3.org/TR/CSP3/#match-url-to-source-list, for what images, players and the service
worker of Mastodon request.
"""

from __future__ import annotations

import re
import typing as t
from dataclasses import dataclass
from urllib.parse import SplitResult, unquote, urlsplit

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.connection.diagnosis import StoreProblem
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.http.anonymous_client import AnonymousResponse

POLICY_BLOCKS_MEDIA = "PolicyBlocksMedia"
HEADER = "content-security-policy"
# Images, players, and what scripts and the service worker fetch
DIRECTIVES = ("img-src", "media-src", "connect-src")

_HOST_SOURCE = re.compile(
    r"(?:(?P<scheme>[a-z][a-z0-9+.-]*)://)?(?P<host>\*|(?:\*\.)?[a-z0-9_.-]+|\[[0-9a-f:.]+\])"
    r"(?::(?P<port>[0-9]+|\*))?(?P<path>/[^?#]*)?",
    re.IGNORECASE,
)
_DEFAULT_PORTS = {"http": 80, "https": 443}
_NONCE = re.compile(r"'nonce-[^']*'", re.IGNORECASE)

Policy = t.Mapping[str, t.Sequence[str]]


@dataclass(frozen=True)
class SitePolicy:
    """What the policies of a site's pages say about the media.

    Attributes:
        url: The page that was requested.
        status: The HTTP status; None if there was no response.
        reason: Why there was none; otherwise an empty string.
        allows: All policies allow the media already; None if the page could not be read.
        problems: Policies that block the media and that Mastodon did not write.
        blocked: The directives that do not allow the media, with their sources, of all policies.
    """

    url: str
    status: int | None
    reason: str
    allows: bool | None
    problems: tuple[StoreProblem, ...] = ()
    blocked: tuple[str, ...] = ()


def parse(header: str) -> list[Policy]:
    """Return the policies in a header. If it came several times, its values are separated by commas."""
    found: list[Policy] = []
    for serialized in header.split(","):
        policy: dict[str, t.Sequence[str]] = {}
        for directive in serialized.split(";"):
            words = directive.split()
            if words:
                policy.setdefault(words[0].lower(), tuple(words[1:]))
        if policy:
            found.append(policy)
    return found


def blocked(policy: Policy, url: str, page: str) -> list[str]:
    """Return which of DIRECTIVES keep a page from loading a URL.

    Args:
        policy: The policy of the page.
        url: What would be loaded.
        page: The page's own URL.
    """
    target, own = urlsplit(url), urlsplit(page)
    found = []
    for name in DIRECTIVES:
        sources = policy.get(name, policy.get("default-src"))
        if sources is not None and not any(_matches(source, target, own) for source in sources):
            found.append(name)
    return found


def judge_site(page: str, answer: AnonymousResponse, media_url: str, own_header: str) -> SitePolicy:
    """Judge the policies of a page of the site.

    Args:
        page: The page's URL.
        answer: The response that visitors get.
        media_url: The address below which the media will be public.
        own_header: The header that Mastodon's web process sends itself; empty if this is not known. Mastodon adds the
            media host to its own policy with the switch, and a web server in front does not.
    """
    if answer.status is None or answer.status >= 400:
        return SitePolicy(page, answer.status, answer.reason, None)
    own = [_without_nonces(policy) for policy in parse(own_header)]
    media = media_url.rstrip("/") + "/"
    problems: list[StoreProblem] = []
    shown: list[str] = []
    for policy in parse(answer.headers.get(HEADER, "")):
        names = blocked(policy, media, page)
        shown += _shown(policy, names)
        if names and own and _without_nonces(policy) not in own:
            problems.append(_problem(page, media, policy, names))
    return SitePolicy(page, answer.status, "", not shown, tuple(problems), tuple(shown))


def _problem(page: str, media: str, policy: Policy, names: t.Sequence[str]) -> StoreProblem:
    return StoreProblem(
        POLICY_BLOCKS_MEDIA,
        f"A web server in front of Mastodon sends a Content-Security-Policy header of its own with {page}. With it,"
        f" browsers do not load media from {media}: {'; '.join(_shown(policy, names))}.",
        f"In the configuration of that web server, add {media} to {', '.join(names)}, or remove the header, since"
        " Mastodon sends one itself.",
    )


def _shown(policy: Policy, names: t.Sequence[str]) -> list[str]:
    """Return the directives that decide about these names."""
    deciding = dict.fromkeys(name if name in policy else "default-src" for name in names)
    return [" ".join((name, *policy[name])) for name in deciding]


def _without_nonces(policy: Policy) -> dict[str, tuple[str, ...]]:
    return {name: tuple(_NONCE.sub("'nonce'", source) for source in sources) for name, sources in policy.items()}


def _matches(source: str, target: SplitResult, page: SplitResult) -> bool:
    word = source.lower()
    if word == "*":
        return target.scheme in _DEFAULT_PORTS
    if word == "'self'":
        return target.hostname == page.hostname and _same_port(_port(page), target, page.scheme)
    if re.fullmatch(r"[a-z][a-z0-9+.-]*:", word):
        return _scheme_matches(word[:-1], target.scheme)
    match = _HOST_SOURCE.fullmatch(source)
    if match is None:
        return False
    scheme = (match["scheme"] or page.scheme).lower()
    if not _scheme_matches(scheme, target.scheme) or not _host_matches(match["host"].lower(), target.hostname or ""):
        return False
    port = match["port"]
    if port != "*" and not _same_port(int(port) if port else None, target, scheme):
        return False
    return _path_matches(match["path"] or "", target.path or "/")


def _scheme_matches(allowed: str, scheme: str) -> bool:
    return scheme == allowed or (allowed, scheme) == ("http", "https")


def _host_matches(allowed: str, host: str) -> bool:
    if allowed == "*":
        return True
    if allowed.startswith("*."):
        return host.endswith(allowed[1:])
    return host == allowed.strip("[]")


def _port(url: SplitResult) -> int | None:
    return url.port or _DEFAULT_PORTS.get(url.scheme)


def _same_port(allowed: int | None, target: SplitResult, scheme: str) -> bool:
    """Return whether a port is allowed; without a number, the scheme's own is. An upgrade to TLS is always allowed."""
    port = _port(target)
    if not _scheme_matches(scheme, target.scheme):
        return False
    if allowed is None:
        return port == _DEFAULT_PORTS.get(target.scheme)
    return port == allowed or (allowed, port) == (80, 443)


def _path_matches(allowed: str, path: str) -> bool:
    """Return whether a path is allowed: all below it if it ends with a slash, otherwise only itself."""
    allowed, path = unquote(allowed), unquote(path)
    if allowed in ("", "/"):
        return True
    return path.startswith(allowed) if allowed.endswith("/") else path == allowed
