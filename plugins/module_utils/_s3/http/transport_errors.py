# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Finds out why a connection failed from the system's own error, whichever library raised it. Pure."""

from __future__ import annotations

import socket
import ssl
import typing as t

NAME_NOT_RESOLVED = "NameNotResolved"
CONNECTION_REFUSED = "ConnectionRefused"
CONNECTION_FAILED = "ConnectionFailed"
TIMED_OUT = "TimedOut"
TLS_FAILED = "TlsFailed"
NOT_TLS = "NotTls"
CERTIFICATE_NOT_TRUSTED = "CertificateNotTrusted"
CERTIFICATE_OF_OTHER_HOST = "CertificateOfOtherHost"
CERTIFICATE_EXPIRED = "CertificateExpired"


def chain_of(error: BaseException) -> t.Iterator[BaseException]:
    """Yield an error and everything it was raised from, outermost first.

    urllib3 and botocore keep the original cause in `reason`, `args`, `kwargs`, or only as the context.
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
    """Return the code for a failed connection from the system's error below it; None if it is of another kind.

    Works with errors of botocore, urllib3, http.client and ssl.
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
    if any(isinstance(link, ssl.SSLError) or type(link).__name__ == "SSLError" for link in chain):
        return TLS_FAILED
    return CONNECTION_FAILED if any(isinstance(link, OSError) for link in chain) else None
