# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Judges the response from the public address of the media, and says what to do. Pure."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass
from urllib.parse import urlsplit

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.connection.diagnosis import StoreProblem
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.http.anonymous_client import AnonymousResponse
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.http.transport_errors import (
    CERTIFICATE_EXPIRED,
    CERTIFICATE_NOT_TRUSTED,
    CERTIFICATE_OF_OTHER_HOST,
    CONNECTION_FAILED,
    CONNECTION_REFUSED,
    NAME_NOT_RESOLVED,
    NOT_TLS,
    TIMED_OUT,
    TLS_FAILED,
)

OTHER_CONTENT = "OtherContent"

# What is behind a code, and what to do; HOST is the host of the address.
_NO_ANSWER = {
    NAME_NOT_RESOLVED: ("the name HOST has no DNS entry", "Add it to the DNS, or correct the name"),
    CONNECTION_REFUSED: (
        "nothing listens there",
        "Start the web server or proxy of HOST, and see that the port is right",
    ),
    CONNECTION_FAILED: ("the connection failed", "Check the route and the firewall between this host and HOST"),
    TIMED_OUT: (
        "there was no response in time",
        "Check the firewall between this host and HOST, and whether HOST is up",
    ),
    TLS_FAILED: ("no TLS connection could be established", "Check the TLS settings of HOST"),
    NOT_TLS: (
        "the server there does not use TLS",
        "Set up TLS for HOST: on an HTTPS page, browsers do not load pictures without TLS",
    ),
    CERTIFICATE_NOT_TRUSTED: (
        "the certificate of HOST is signed by an authority that this host does not trust",
        "Use a certificate that browsers trust. For a private authority, name the file with its certificate",
    ),
    CERTIFICATE_OF_OTHER_HOST: (
        "the certificate there was made for another name than HOST",
        "Get one for HOST. A wildcard does not cover a bucket name with a dot",
    ),
    CERTIFICATE_EXPIRED: ("the certificate of HOST has expired", "Renew it, and check the clock of this host"),
}
_ANOTHER = (
    OTHER_CONTENT,
    "an unrelated server answers there with its own content",
    "Point HOST at the bucket, by its DNS or by the proxy's rule for that path",
)
_DENIED = (
    "Let everybody read public objects, by the bucket's policy or ACLs, and see that the proxy of HOST asks the right"
    " bucket"
)
_MISSING = "Check that HOST points to this bucket, and that the path contains bucket and key prefix exactly once"
_BROKEN = "Check the log of the proxy of HOST: it can't reach the store"


@dataclass(frozen=True)
class Fetched:
    """The result of fetching an object from its public address.

    Attributes:
        url: The address below which the objects are public.
        readable: A visitor gets the object.
        problem: Why not; None if it is readable.
        cors: Web pages of another origin may fetch it; None if it is not readable.
    """

    url: str
    readable: bool
    problem: StoreProblem | None = None
    cors: bool | None = None


def judge_object(url: str, answer: AnonymousResponse, body: bytes, origin: str) -> Fetched:
    """Judge the response to a GET of an object with this body, requested by a page of `origin`."""
    if answer.readable and answer.start == body:
        return Fetched(url, True, cors=allows(answer, origin))
    return Fetched(url, False, _problem(url, answer))


def judge_server(url: str, answer: AnonymousResponse) -> StoreProblem | None:
    """Judge the response to a GET of a key that does not exist, before there is any object or even a bucket."""
    if answer.status is None or answer.readable:
        return _problem(url, answer)
    return None


def no_answer(reason: str, host: str) -> tuple[str, str]:
    """Return why there was no response, from its code, and what to do."""
    what, remedy = _NO_ANSWER.get(reason, (f"the request failed ({reason})", _NO_ANSWER[TIMED_OUT][1]))
    return what.replace("HOST", host), remedy.replace("HOST", host)


def allows(answer: AnonymousResponse, origin: str) -> bool:
    """Return whether a response allows pages of `origin` to use it."""
    return answer.headers.get("access-control-allow-origin") in ("*", origin)


def _problem(url: str, answer: AnonymousResponse) -> StoreProblem:
    code, what, remedy = _meaning(answer)
    host = urlsplit(url).netloc
    return StoreProblem(
        code,
        f"The public address of the media would be {url}/, but {what.replace('HOST', host)}.",
        f"{remedy.replace('HOST', host)}.",
    )


def _meaning(answer: AnonymousResponse) -> tuple[str, str, str]:
    if answer.status is None:
        return (answer.reason, *no_answer(answer.reason, "HOST"))
    if answer.readable:
        return _ANOTHER
    said = f"the answer is {answer.status}" + ("" if answer.reason.startswith("HTTP") else f" ({answer.reason})")
    remedy = _BROKEN if answer.status >= 500 else (_DENIED if answer.status in (401, 403) else _MISSING)
    return (answer.reason, said, remedy)


def plain(problem: StoreProblem | None) -> dict[str, t.Any] | None:
    """Return a problem for a module's result."""
    return None if problem is None else {"code": problem.code, "message": problem.message, "remedy": problem.remedy}
