# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Translates the exceptions of boto3 and botocore into those of C(errors)."""

from __future__ import annotations

import contextlib
import re
import typing as t

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.connection.error_codes import (
    CLOCK_SKEW,
    MEANINGS,
    NOT_S3,
    WRONG_REGION,
    Meaning,
    error_for,
)
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.connection.errors import (
    AclUnsupportedError,
    BadCredentialsError,
    ClockSkewError,
    NotFoundError,
    S3Error,
    UnsupportedError,
    WrongRegionError,
)
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.connection.masking import without_secrets
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.http.limits import ResponseTooLongError
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.http.transport_errors import (
    CONNECTION_FAILED,
    transport_code,
)

_MAX_SAID = 500  # characters of what others said
_BY_STATUS: dict[int, str] = {401: "401", 403: "AccessDenied", 404: "404", 429: "429", 501: "501", 503: "503"}
_boto: t.Any = None
# Check mode must work without botocore; then there is nothing to translate.
with contextlib.suppress(ImportError):
    import botocore.exceptions

    _boto = botocore.exceptions


def translate(error: Exception, operation: str) -> S3Error:
    """Return the S3Error for an exception of boto3 or botocore; an S3Error is returned unchanged.

    `operation` is what was tried; it begins the message. Any other exception is raised, since it is a bug or a problem
    with a file.
    """
    if isinstance(error, S3Error):
        return error
    if isinstance(getattr(error, "response", None), dict):
        return _of_answer(error, operation)
    too_long = _too_long(error)
    if too_long is not None:
        return error_for(NOT_S3, operation=operation, details=str(too_long))
    # boto3's transfer functions wrap: S3UploadFailedError from ClientError.
    cause = error.__cause__ or error.__context__
    if type(error).__module__.startswith("boto3.") and isinstance(cause, Exception):
        return translate(cause, operation)
    # ResponseParserError is no BotoCoreError.
    if _boto is not None and (isinstance(error, _boto.BotoCoreError) or type(error).__module__ == "botocore.parsers"):
        return _without_answer(error, operation)
    if type(error).__module__.startswith("boto3."):
        return S3Error(_shortened(str(error)), code=type(error).__name__, operation=operation)
    if _came_of_an_answer(error):
        return error_for(NOT_S3, operation=operation, details=type(error).__name__)
    raise error


def _made(meaning: Meaning, operation: str, **others: t.Any) -> S3Error:
    return meaning.cls(meaning.fault, remedy=meaning.remedy, operation=operation, **others)


def _too_long(error: BaseException) -> ResponseTooLongError | None:
    """Return the ResponseTooLongError behind an exception of botocore, if there is one."""
    found: BaseException | None = error
    while found is not None and not isinstance(found, ResponseTooLongError):
        found = found.__cause__ or found.__context__
    return found


def _came_of_an_answer(error: Exception) -> bool:
    """Return whether botocore failed on a value in a response, such as an invalid time."""
    trace = error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_globals.get("__name__") == "botocore.parsers":
            return True
        trace = trace.tb_next
    return False


def _of_answer(error: t.Any, operation: str) -> S3Error:
    response: dict[str, t.Any] = error.response.get("Error") or {}
    metadata: dict[str, t.Any] = error.response.get("ResponseMetadata") or {}
    headers: dict[str, str] = metadata.get("HTTPHeaders") or {}
    code, said = str(response.get("Code") or "")[:100], _shortened(str(response.get("Message") or ""))
    status = metadata.get("HTTPStatusCode")
    api_operation = str(getattr(error, "operation_name", "") or operation)

    meaning = _meaning(code, said, status, headers, response)
    if meaning.cls is UnsupportedError and (api_operation.endswith("Acl") or "acl" in said.lower()):
        meaning = Meaning(AclUnsupportedError, "the store has no ACLs", "open public files by bucket policy instead")
    facts = ", ".join(fact for fact in (code, f"HTTP {status}" if status and str(status) != code else "") if fact)
    # The phrases are what botocore makes of an answer without a body.
    told = "" if said in ("Forbidden", "Not Found", "Bad Request", "Unknown") else said
    return _made(meaning, operation, code=code, status=status, details=facts or "no code", said=told)


def _meaning(
    code: str, said: str, status: int | None, headers: t.Mapping[str, str], response: t.Mapping[str, t.Any]
) -> Meaning:
    if code in CLOCK_SKEW:
        theirs = headers.get("date", "")
        clocks = f"; the store's says {theirs}" if theirs else ""
        return Meaning(
            ClockSkewError, f"this host's clock is wrong{clocks}", "set up time synchronisation (such as chrony)"
        )
    if code == "AuthorizationHeaderMalformed" and "access key" in said.lower():
        return Meaning(BadCredentialsError, "the access key is malformed", "check access_key")
    if code in WRONG_REGION:
        return Meaning(WrongRegionError, *_right_region(said, headers, response))
    meaning = MEANINGS.get(code) or (MEANINGS[_BY_STATUS[status]] if not code and status in _BY_STATUS else None)
    if meaning:
        return meaning
    if status in (429, 503):
        return MEANINGS[str(status)]
    if code.startswith("NoSuch"):
        return Meaning(NotFoundError, "the requested resource does not exist")
    if status is not None and status >= 500:
        return Meaning(S3Error, "the store has an internal error", "run again later")
    return Meaning(S3Error, "the store refused the request")


def _right_region(said: str, headers: t.Mapping[str, str], response: t.Mapping[str, t.Any]) -> tuple[str, str]:
    """Return what is wrong with the region, and the remedy."""
    expected = str(headers.get("x-amz-bucket-region") or response.get("Region") or "")
    if not expected:
        found = re.search(r"expecting '([a-z0-9-]+)'", said)
        expected = found.group(1) if found else ""
    if expected:
        return "the region is wrong", f"set region: {expected}"
    both = "set region and endpoint_url to match"
    endpoint = str(response.get("Endpoint") or "")
    if endpoint:
        return f"the bucket is at another endpoint, {endpoint}", both
    return "the region or the endpoint is not that of the bucket", both


def _without_answer(error: Exception, operation: str) -> S3Error:
    name, told = type(error).__name__, str(error)
    if name == "ResponseParserError":
        told = told.partition(", invalid XML received")[0].partition("\n")[0]  # what follows is the answer itself
    details = f"{name}: {_shortened(told)}"
    code = _code_without_answer(error, name)
    if code in MEANINGS:
        return error_for(code, operation=operation, details=details)
    meaning = Meaning(S3Error, "botocore refused the request")
    if code in WRONG_REGION:
        meaning = Meaning(WrongRegionError, "the region is not valid", "set region to a valid name")
    return _made(meaning, operation, code=code, details=details)


def _code_without_answer(error: Exception, name: str) -> str:
    if name == "ResponseParserError":
        return NOT_S3
    if name in MEANINGS or not isinstance(error, (_boto.HTTPClientError, _boto.ConnectionError)):
        return name
    return transport_code(error) or CONNECTION_FAILED


def _shortened(text: str) -> str:
    """Return somebody else's message as one line of a few hundred characters, masked before it is cut."""
    line = " ".join("".join(each if each.isprintable() else " " for each in without_secrets(text)).split())
    return line if len(line) <= _MAX_SAID else f"{line[:_MAX_SAID]}..."
