# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Tells apart the ways in which a store can't be used, finer than the exceptions do. Pure."""

from __future__ import annotations

import socket
import typing as t
from dataclasses import dataclass

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.errors import S3Error


@dataclass(frozen=True)
class Problem:
    """Why a store can't be used as it should be.

    code: the store's error code, or one of this module's words where no answer came.
    message: what was tried and what came of it, with a full stop, so that the remedy may follow.
    remedy: what to do, beginning with a capital letter.
    """

    code: str
    message: str
    remedy: str


NAME_NOT_RESOLVED = "NameNotResolved"
CONNECTION_REFUSED = "ConnectionRefused"
CONNECTION_FAILED = "ConnectionFailed"
TIMED_OUT = "TimedOut"
NOT_TLS = "NotTls"
CERTIFICATE_NOT_TRUSTED = "CertificateNotTrusted"
CERTIFICATE_OF_OTHER_HOST = "CertificateOfOtherHost"
CERTIFICATE_EXPIRED = "CertificateExpired"
NOT_S3 = "NotS3"
WRONG_REGION = "WrongRegion"

_CERTIFICATE_CODES = {CERTIFICATE_NOT_TRUSTED, CERTIFICATE_OF_OTHER_HOST, CERTIFICATE_EXPIRED}
_MAYBE_PATH = "if the name that was tried begins with the bucket's name, set addressing_style: path"
_OF_GATEWAYS = {502, 503, 504}
# What is behind a code, and what to do.
_MEANINGS = {
    NAME_NOT_RESOLVED: (
        "the host's name is not known to the DNS",
        f"check the name in endpoint_url, and the DNS of this machine; {_MAYBE_PATH}",
    ),
    CONNECTION_REFUSED: (
        "nothing listens there",
        "check host and port in endpoint_url, and that the store is running",
    ),
    CONNECTION_FAILED: ("no connection came about", "check endpoint_url, the route and the firewall"),
    TIMED_OUT: (
        "no answer came in time",
        "check endpoint_url and the firewall between this machine and the store, or run again",
    ),
    NOT_TLS: (
        "what answers there does not speak TLS",
        "begin endpoint_url with http://, or name the port that speaks TLS",
    ),
    CERTIFICATE_NOT_TRUSTED: (
        "the store's certificate is signed by an authority that this machine does not trust",
        "set aws_ca_bundle to a file on this machine with the certificate of that authority",
    ),
    CERTIFICATE_OF_OTHER_HOST: (
        "the store's certificate was made for another name",
        f"use a name in endpoint_url that the certificate was made for; {_MAYBE_PATH}",
    ),
    CERTIFICATE_EXPIRED: (
        "the store's certificate has expired",
        "renew the certificate, and check the clock of this machine",
    ),
    NOT_S3: ("what answers there is no S3 API", "check host and port in endpoint_url"),
}


def problem_of(error: S3Error) -> Problem:
    """Return the problem that an error shows. Its cause tells apart what botocore has only one exception for."""
    code = _code_of(error)
    if code in _MEANINGS:
        what, remedy = _MEANINGS[code]
        detail = f" ({error.__cause__})" if error.status is None and error.__cause__ else ""
        return _problem(code, f"{error.operation}: {what}{detail}", remedy)
    message = str(error).replace(f"; {error.remedy}", "", 1) if error.remedy else str(error)
    return _problem(code, message, error.remedy or "look the code up in the store's manual")


def wrong_region(used: str, actual: str) -> Problem:
    """Return the problem of a bucket that is in another region than requests are signed for."""
    return _problem(WRONG_REGION, f"The bucket is in region {actual}, not in {used}", f"set region: {actual}")


def _problem(code: str, message: str, remedy: str) -> Problem:
    return Problem(code, f"{message.rstrip('. ')}.", remedy[:1].upper() + remedy[1:])


def is_certificate_problem(problem: Problem) -> bool:
    """Return whether TLS was spoken, but the certificate not accepted."""
    return problem.code in _CERTIFICATE_CODES


def was_answered(problem: Problem) -> bool:
    """Return whether something answered that can't be used as a store."""
    return problem.code in _CERTIFICATE_CODES or problem.code in (NOT_S3, NOT_TLS)


def chain_of(error: BaseException) -> t.Iterator[BaseException]:
    """Yield an error and everything it was raised from, outermost first.

    urllib3 and botocore keep the first cause in `reason`, `args`, `kwargs` or only as the context.
    """
    seen: set[int] = set()
    waiting: list[t.Any] = [error]
    while waiting:
        found = waiting.pop(0)
        if not isinstance(found, BaseException) or id(found) in seen:
            continue
        seen.add(id(found))
        yield found
        kwargs = getattr(found, "kwargs", None)
        inner = kwargs.get("error") if isinstance(kwargs, dict) else None
        waiting += [found.__cause__, found.__context__, getattr(found, "reason", None), inner, *found.args]


def transport_code(error: BaseException) -> str | None:
    """Return the word for a connection's failure by the system's own error below it, or None if it was none of those.

    Works on errors of botocore, urllib3, http.client and ssl alike.
    """
    chain = list(chain_of(error))
    text = " ".join(str(link) for link in chain)
    if "CERTIFICATE_VERIFY_FAILED" in text or "certificate verify failed" in text:
        if "mismatch" in text or "doesn't match" in text or "is not valid for" in text:
            return CERTIFICATE_OF_OTHER_HOST
        return CERTIFICATE_EXPIRED if "expired" in text else CERTIFICATE_NOT_TRUSTED
    if any(word in text for word in ("WRONG_VERSION_NUMBER", "UNKNOWN_PROTOCOL", "RECORD_LAYER_FAILURE")):
        return NOT_TLS
    if any(isinstance(link, socket.gaierror) for link in chain) or "Name or service not known" in text:
        return NAME_NOT_RESOLVED
    if any(isinstance(link, ConnectionRefusedError) for link in chain):
        return CONNECTION_REFUSED
    if any(isinstance(link, socket.timeout) or type(link).__name__.endswith("TimeoutError") for link in chain):
        return TIMED_OUT
    return CONNECTION_FAILED if any(isinstance(link, OSError) for link in chain) else None


def _code_of(error: S3Error) -> str:
    if error.status is not None:
        # Every store sends a code with the answer to a GET; where none came, botocore takes the status for it.
        if error.code not in ("", str(error.status)):
            return error.code
        return f"HTTP{error.status}" if error.status in _OF_GATEWAYS else NOT_S3
    if error.code == "ResponseParserError":
        return NOT_S3
    if error.code in ("SSLError", "EndpointConnectionError", "ConnectTimeoutError", "ReadTimeoutError"):
        return transport_code(error) or CONNECTION_FAILED
    if error.code in ("ConnectionClosedError", "HTTPClientError"):
        return CONNECTION_FAILED
    return error.code
