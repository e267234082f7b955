# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What goes wrong with an S3 store, as a few exceptions, each with one message that ends with the remedy.

The codes are those of the S3 API reference (Error responses), and of Ceph RGW, MinIO, Garage and R2 where they differ.
"""

from __future__ import annotations

import contextlib
import re
import typing as t

_boto: t.Any = None
# Check mode must work without botocore, and then there is nothing to translate.
with contextlib.suppress(ImportError):
    import botocore.exceptions

    _boto = botocore.exceptions


class Boto3MissingError(Exception):
    """boto3 or botocore can't be imported by the Python that runs the module."""

    def __init__(self, reason: str) -> None:
        super().__init__(
            f"boto3 can't be imported: {reason}. Install version 1.26 or newer for the Python that Ansible uses on this"
            " host, by the package python3-boto3 or by pip into a virtual environment"
        )


class S3Error(Exception):
    """A request to the store failed.

    code: the store's error code, or the name of botocore's exception where no answer came.
    status: the HTTP status, or None where no answer came.
    operation: what was tried, by preference the API's name of it (PutObject).
    remedy: what to do about it, as a part of the message; empty where nothing helps.
    """

    def __init__(
        self, message: str, *, code: str = "", status: int | None = None, operation: str = "", remedy: str = ""
    ) -> None:
        super().__init__(message)
        self.remedy = remedy
        self.code = code
        self.status = status
        self.operation = operation

    def __reduce__(self) -> tuple[t.Any, ...]:
        # Worker processes send their errors home by pickle, which knows nothing of keyword arguments.
        return (_rebuild, (type(self), str(self), self.code, self.status, self.operation, self.remedy))


class PermissionDeniedError(S3Error):
    """The store knows the key, but does not allow the operation."""


class NotFoundError(S3Error):
    """The bucket, object, policy or upload does not exist."""


class BadCredentialsError(S3Error):
    """The key is unknown, wrong, expired or missing."""


class ClockSkewError(S3Error):
    """The host's clock differs too much from the store's."""


class WrongRegionError(S3Error):
    """The bucket is in another region, or at another endpoint."""


class UnsupportedError(S3Error):
    """The store does not know this operation, or an option of it."""


class AclUnsupportedError(UnsupportedError):
    """The store, or the bucket's ownership setting, has no ACLs."""


class ThrottledError(S3Error):
    """The store asks for fewer requests, or is overloaded."""


class ConnectionFailedError(S3Error):
    """No answer came from the store, or none that is S3."""


def _rebuild(cls: type[S3Error], message: str, code: str, status: int | None, operation: str, remedy: str) -> S3Error:
    return cls(message, code=code, status=status, operation=operation, remedy=remedy)


_NO_TRAILERS = "the store does not take checksum trailers; set checksums: when_required"
_EXPIRED = "the temporary credentials have expired; get new ones"
_SIGN_IN = "the single sign-on session is not valid; sign in again"

# What an error code means and, after the last semicolon, the remedy. Codes of digits are botocore's for a HEAD's
# answer, which has no body; names that end with Error are botocore's exceptions.
_MEANINGS: dict[str, tuple[type[S3Error], str]] = {
    **dict.fromkeys(
        (
            *("AccessDenied", "AccessDeniedException", "AllAccessDisabled", "AccountProblem"),
            *("Forbidden", "Unauthorized", "401"),
        ),
        (PermissionDeniedError, "not allowed; check the key's permissions on this bucket"),
    ),
    "403": (
        PermissionDeniedError,
        "not allowed; check the key's permissions on this bucket, and the secret key: a wrong one answers the same",
    ),
    "NoSuchBucket": (NotFoundError, "the bucket does not exist; check its name, endpoint and region, or create it"),
    "NoSuchKey": (NotFoundError, "the object does not exist"),
    "NoSuchBucketPolicy": (NotFoundError, "the bucket has no policy"),
    "NoSuchUpload": (NotFoundError, "the multipart upload does not exist any more; run again"),
    **dict.fromkeys(
        ("404", "NotFound"), (NotFoundError, "the bucket or object does not exist; check bucket and endpoint_url")
    ),
    "InvalidAccessKeyId": (
        BadCredentialsError,
        "the store does not know this access key; check access_key, and that it belongs to this endpoint",
    ),
    "InvalidClientTokenId": (BadCredentialsError, "the store does not know this access key; check access_key"),
    "SignatureDoesNotMatch": (BadCredentialsError, "the secret key does not fit the access key; copy both again"),
    **dict.fromkeys(
        ("ExpiredToken", "ExpiredTokenException", "TokenRefreshRequired"),
        (BadCredentialsError, _EXPIRED),
    ),
    "InvalidToken": (
        BadCredentialsError,
        "the session token is not valid; set session_token as issued, or leave it out with a permanent key",
    ),
    "NotSignedUp": (
        BadCredentialsError,
        "the account is not signed up for S3; sign it up, or use another account's key",
    ),
    "NoCredentialsError": (
        BadCredentialsError,
        "no credentials were found; set credentials_file, access_key and secret_key, or profile",
    ),
    "PartialCredentialsError": (
        BadCredentialsError,
        "only half of the credentials were found; set both access_key and secret_key",
    ),
    "CredentialRetrievalError": (BadCredentialsError, "the credentials could not be fetched; check their source"),
    "ProfileNotFound": (
        BadCredentialsError,
        "there is no such profile on the host that runs the task; check profile and AWS_PROFILE",
    ),
    **dict.fromkeys(
        ("TokenRetrievalError", "SSOTokenLoadError", "UnauthorizedSSOTokenError"),
        (BadCredentialsError, _SIGN_IN),
    ),
    **dict.fromkeys(
        ("AccessControlListNotSupported", "InvalidBucketAclWithObjectOwnership"),
        (
            AclUnsupportedError,
            "the bucket does not allow ACLs; set its ownership to BucketOwnerPreferred, or use a bucket policy",
        ),
    ),
    **dict.fromkeys(
        ("NotImplemented", "XNotImplemented", "501", "MethodNotAllowed", "405", "UnsupportedOperation"),
        (
            UnsupportedError,
            "the store does not implement this; leave out the option that asks for it",
        ),
    ),
    **dict.fromkeys(("MissingContentLength", "411"), (UnsupportedError, _NO_TRAILERS)),
    "XAmzContentSHA256Mismatch": (
        UnsupportedError,
        "the store does not take the request's checksum form; set checksums: when_required",
    ),
    "MissingContentMD5": (
        UnsupportedError,
        "the store insists on Content-MD5, which botocore 1.36 and newer no longer send; use an older botocore",
    ),
    **dict.fromkeys(
        (
            *("SlowDown", "SlowDownRead", "SlowDownWrite", "Throttling", "ThrottlingException", "RequestThrottled"),
            *("RequestLimitExceeded", "TooManyRequests", "TooManyRequestsException", "BandwidthLimitExceeded"),
            *("ServiceUnavailable", "Busy", "429", "503"),
        ),
        (ThrottledError, "the store asks for fewer requests; run again later, or with less concurrency"),
    ),
    "400": (S3Error, "the store refused the request without saying why; check region, credentials and clock"),
    **dict.fromkeys(
        ("InvalidBucketName", "ParamValidationError"), (S3Error, "a name or a value is not valid; check bucket")
    ),
    **dict.fromkeys(
        ("MalformedPolicy", "PolicyTooLarge"), (S3Error, "the store does not accept the policy; correct its statements")
    ),
}
_CLOCK_SKEW = {"RequestTimeTooSkewed", "RequestInTheFuture", "RequestExpired"}
_WRONG_REGION = {
    *("AuthorizationHeaderMalformed", "PermanentRedirect", "TemporaryRedirect", "Redirect", "301", "307"),
    *("IllegalLocationConstraintException", "InvalidLocationConstraint", "InvalidRegion"),
    *("InvalidRegionError", "NoRegionError"),
}
_BY_STATUS: dict[int, str] = {401: "401", 403: "AccessDenied", 404: "404", 429: "429", 501: "501", 503: "503"}


def translate(error: Exception, operation: str) -> S3Error:
    """Return the S3Error for an exception of boto3 or botocore; an S3Error is returned as it is.

    operation: what was tried; it begins the message.

    Raises error itself where it is neither of boto3 nor of botocore, since it is then a bug or a file's trouble.
    """
    if isinstance(error, S3Error):
        return error
    if isinstance(getattr(error, "response", None), dict):
        return _of_answer(error, operation)
    # boto3's transfer functions wrap: S3UploadFailedError from ClientError.
    cause = error.__cause__ or error.__context__
    if type(error).__module__.startswith("boto3.") and isinstance(cause, Exception):
        return translate(cause, operation)
    # ResponseParserError is no BotoCoreError.
    if _boto is not None and (isinstance(error, _boto.BotoCoreError) or type(error).__module__ == "botocore.parsers"):
        return _without_answer(error, operation)
    if type(error).__module__.startswith("boto3."):
        return S3Error(f"{operation}: {error}", code=type(error).__name__, operation=operation)
    raise error


def _of_answer(error: t.Any, operation: str) -> S3Error:
    details: dict[str, t.Any] = error.response.get("Error") or {}
    metadata: dict[str, t.Any] = error.response.get("ResponseMetadata") or {}
    headers: dict[str, str] = metadata.get("HTTPHeaders") or {}
    code, said = str(details.get("Code") or ""), str(details.get("Message") or "").strip()
    status = metadata.get("HTTPStatusCode")
    api_operation = str(getattr(error, "operation_name", "") or operation)

    cls, remedy = _judge(code, said, status, headers, details)
    if cls is UnsupportedError and (api_operation.endswith("Acl") or "acl" in said.lower()):
        cls, remedy = AclUnsupportedError, "the store has no ACLs; open public files by bucket policy instead"
    facts = ", ".join(fact for fact in (code, f"HTTP {status}" if status and str(status) != code else "") if fact)
    # The phrases are what botocore makes of an answer without a body.
    told = f" The store said: {said}" if said not in ("", "Forbidden", "Not Found", "Bad Request", "Unknown") else ""
    message = f"{operation}: {remedy} ({facts or 'no code'}).{told}"
    return cls(message, code=code, status=status, operation=operation, remedy=_advice(remedy))


def _judge(
    code: str, said: str, status: int | None, headers: t.Mapping[str, str], details: t.Mapping[str, t.Any]
) -> tuple[type[S3Error], str]:
    if code in _CLOCK_SKEW:
        theirs = headers.get("date", "")
        clocks = f"; the store's says {theirs}" if theirs else ""
        return ClockSkewError, f"this host's clock is wrong{clocks}; set up time synchronisation (such as chrony)"
    if code == "AuthorizationHeaderMalformed" and "access key" in said.lower():
        return BadCredentialsError, "the access key is malformed; check access_key"
    if code in _WRONG_REGION:
        return WrongRegionError, _region_remedy(said, headers, details)
    meaning = _MEANINGS.get(code) or (_MEANINGS[_BY_STATUS[status]] if not code and status in _BY_STATUS else None)
    if meaning:
        return meaning
    if status in (429, 503):
        return _MEANINGS[str(status)]
    if code.startswith("NoSuch"):
        return NotFoundError, "what was asked for does not exist"
    if status is not None and status >= 500:
        return S3Error, "the store has a trouble of its own; run again later"
    return S3Error, "the store refused the request"


def _region_remedy(said: str, headers: t.Mapping[str, str], details: t.Mapping[str, t.Any]) -> str:
    expected = str(headers.get("x-amz-bucket-region") or details.get("Region") or "")
    if not expected:
        found = re.search(r"expecting '([a-z0-9-]+)'", said)
        expected = found.group(1) if found else ""
    if expected:
        return f"the region is wrong; set region: {expected}"
    endpoint = str(details.get("Endpoint") or "")
    if endpoint:
        return f"the bucket is at another endpoint, {endpoint}; set region and endpoint_url to match"
    return "the region or the endpoint is not that of the bucket; set region and endpoint_url to match"


def _without_answer(error: Exception, operation: str) -> S3Error:
    code = type(error).__name__
    cls, remedy = _MEANINGS.get(code) or _connection_trouble(error, code)
    return cls(f"{operation}: {remedy} ({code}: {error}).", code=code, operation=operation, remedy=_advice(remedy))


def _advice(meaning: str) -> str:
    """Return the second half of a meaning, which says what to do."""
    return meaning.rpartition("; ")[2] if "; " in meaning else ""


def _connection_trouble(error: Exception, code: str) -> tuple[type[S3Error], str]:
    remedy = ""
    if isinstance(error, _boto.SSLError):
        remedy = (
            "the store's certificate is not trusted, or it does not speak TLS; for a private CA set aws_ca_bundle, for"
            " plain HTTP begin endpoint_url with http://"
        )
    elif isinstance(error, _boto.ProxyConnectionError):
        remedy = "the proxy can't be reached; check HTTPS_PROXY and NO_PROXY on this host"
    elif isinstance(error, _boto.EndpointConnectionError):
        remedy = (
            "the store can't be reached; check endpoint_url, DNS and firewall, and addressing_style if the host that"
            " could not be reached begins with the bucket's name"
        )
    elif isinstance(error, (_boto.ConnectTimeoutError, _boto.ReadTimeoutError)):
        remedy = "the store did not answer in time; check endpoint_url and firewall, or run again"
    elif isinstance(error, (_boto.HTTPClientError, _boto.ConnectionError)):
        remedy = (
            "the connection to the store broke; run again, and check whether endpoint_url should begin with https://"
        )
    elif code == "ResponseParserError":
        remedy = "what answers at endpoint_url is not an S3 API; check host and port"
    if remedy:
        return ConnectionFailedError, remedy
    if code in _WRONG_REGION:
        return WrongRegionError, "set region to a valid name"
    return S3Error, "botocore refused the request"
