# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What goes wrong with an S3 store, as a few exceptions, each with one message that ends with the remedy.

The error codes are those of the S3 API reference (Error responses) and of Ceph RGW, MinIO, Garage, R2 and B2 where they differ.
"""

from __future__ import annotations

import re
import typing as t

try:
    from botocore import exceptions as _boto
except ImportError:
    # Nothing to translate without botocore, and check mode must work without it.
    _boto = None


class S3Error(Exception):
    """A request to the store failed.

    code: the store's error code, or the name of botocore's exception where no answer came.
    status: the HTTP status, or None where no answer came.
    operation: what was tried, by preference the API's name of it (PutObject).
    """

    def __init__(self, message: str, *, code: str = "", status: int | None = None, operation: str = "") -> None:
        super().__init__(message)
        self.code = code
        self.status = status
        self.operation = operation

    def __reduce__(self) -> tuple[t.Any, ...]:
        # Worker processes send their errors home by pickle, which knows nothing of keyword arguments.
        return (_rebuild, (type(self), str(self), self.code, self.status, self.operation))


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


def _rebuild(cls: type[S3Error], message: str, code: str, status: int | None, operation: str) -> S3Error:
    return cls(message, code=code, status=status, operation=operation)


_NOT_FOUND = {
    "NoSuchBucket": "the bucket does not exist; check its name, endpoint and region, or create it",
    "NoSuchKey": "the object does not exist",
    "NoSuchBucketPolicy": "the bucket has no policy",
    "NoSuchUpload": "the multipart upload does not exist any more; run again",
    "404": "the bucket or object does not exist",
    "NotFound": "the bucket or object does not exist",
}
_BAD_CREDENTIALS = {
    "InvalidAccessKeyId": "the store does not know this access key; check access_key, and that it belongs to this endpoint",
    "SignatureDoesNotMatch": "the secret key does not fit the access key; copy both again",
    "ExpiredToken": "the temporary credentials have expired; get new ones",
    "ExpiredTokenException": "the temporary credentials have expired; get new ones",
    "TokenRefreshRequired": "the temporary credentials must be refreshed; get new ones",
    "InvalidToken": "the session token is not valid; set session_token as issued, or leave it out with a permanent key",
    "InvalidClientTokenId": "the store does not know this access key; check access_key",
    "NotSignedUp": "the account is not signed up for S3",
    "NoCredentialsError": "no credentials were found; set credentials_file, access_key and secret_key, or profile",
    "PartialCredentialsError": "only half of the credentials were found; set both access_key and secret_key",
    "CredentialRetrievalError": "the credentials could not be fetched",
    "ProfileNotFound": "there is no such profile on the host that runs the task; check profile and AWS_PROFILE",
    "TokenRetrievalError": "the single sign-on token could not be fetched; sign in again",
    "SSOTokenLoadError": "the single sign-on token could not be read; sign in again",
    "UnauthorizedSSOTokenError": "the single sign-on session has expired; sign in again",
}
_CLOCK_SKEW = {"RequestTimeTooSkewed", "RequestInTheFuture", "RequestExpired"}
_WRONG_REGION = {
    "AuthorizationHeaderMalformed",
    "PermanentRedirect",
    "TemporaryRedirect",
    "Redirect",
    "301",
    "307",
    "IllegalLocationConstraintException",
    "InvalidLocationConstraint",
    "InvalidRegion",
    "InvalidRegionError",
    "NoRegionError",
}
_DENIED = {"AccessDenied", "AllAccessDisabled", "AccountProblem", "Forbidden", "403", "AccessDeniedException", "Unauthorized", "401"}
_UNSUPPORTED = {
    "NotImplemented": "the store does not implement this",
    "XNotImplemented": "the store does not implement this",
    "501": "the store does not implement this",
    "MethodNotAllowed": "the store does not allow this operation",
    "405": "the store does not allow this operation",
    "UnsupportedOperation": "the store does not support this",
    "MissingContentLength": "the store does not take checksum trailers; set checksums: when_required",
    "411": "the store does not take checksum trailers; set checksums: when_required",
    "MissingContentMD5": "the store insists on Content-MD5, which the installed botocore no longer sends; use an older botocore"
    " (below 1.36) or a newer release of the store",
    "XAmzContentSHA256Mismatch": "the store does not take the request's checksum form; set checksums: when_required",
}
_ACL_UNSUPPORTED = {"AccessControlListNotSupported", "InvalidBucketAclWithObjectOwnership"}
_THROTTLED = {
    "SlowDown",
    "SlowDownRead",
    "SlowDownWrite",
    "Throttling",
    "ThrottlingException",
    "RequestLimitExceeded",
    "RequestThrottled",
    "TooManyRequests",
    "TooManyRequestsException",
    "BandwidthLimitExceeded",
    "ServiceUnavailable",
    "Busy",
    "429",
    "503",
}


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

    cls, remedy = _judge(code, said, status, api_operation, headers, details)
    facts = ", ".join(str(fact) for fact in (code, f"HTTP {status}" if status and str(status) != code else "") if fact)
    # HEAD has no body: botocore then repeats the status' phrase, which tells nothing.
    told = f" The store said: {said}" if said and said not in ("Forbidden", "Not Found", "Bad Request", "Unknown") else ""
    return cls(
        f"{operation}: {remedy} ({facts or 'no code'}).{told}", code=code, status=status, operation=operation
    )


def _judge(
    code: str, said: str, status: int | None, api_operation: str, headers: t.Mapping[str, str], details: t.Mapping[str, t.Any]
) -> tuple[type[S3Error], str]:
    if code in _CLOCK_SKEW:
        theirs = headers.get("date", "")
        return ClockSkewError, (
            "this host's clock is wrong"
            + (f"; the store's says {theirs}" if theirs else "")
            + "; set up time synchronisation (chrony, systemd-timesyncd)"
        )
    if code == "AuthorizationHeaderMalformed" and "access key" in said.lower():
        return BadCredentialsError, "the access key is malformed; check access_key"
    if code in _BAD_CREDENTIALS:
        return BadCredentialsError, _BAD_CREDENTIALS[code]
    if code in _WRONG_REGION:
        return WrongRegionError, _region_remedy(said, headers, details)
    if code in _ACL_UNSUPPORTED:
        return AclUnsupportedError, (
            "the bucket does not allow ACLs; set its object ownership to BucketOwnerPreferred, or open public files by"
            " bucket policy instead"
        )
    if code in _UNSUPPORTED:
        if api_operation.endswith("Acl") or "acl" in said.lower():
            return AclUnsupportedError, "the store has no ACLs; open public files by bucket policy instead"
        return UnsupportedError, _UNSUPPORTED[code]
    if code in _THROTTLED or status in (429, 503):
        return ThrottledError, "the store asks for fewer requests; run again later, or with less concurrency"
    if code in _NOT_FOUND or (status == 404 and not code):
        return NotFoundError, _NOT_FOUND.get(code, "the bucket or object does not exist")
    if code in _DENIED or (status == 403 and not code):
        hint = "; a wrong secret key answers the same here" if code == "403" else ""
        return PermissionDeniedError, f"not allowed; check the key's permissions on this bucket{hint}"
    if code == "400":
        return S3Error, "the store refused the request without saying why; check region, credentials and clock"
    if code == "InvalidBucketName":
        return S3Error, "this is not a valid bucket name; check bucket"
    if status is not None and status >= 500:
        return S3Error, "the store has a trouble of its own; run again later"
    if code.startswith("NoSuch"):
        return NotFoundError, "what was asked for does not exist"
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
    cls: type[S3Error] = S3Error
    if code in _BAD_CREDENTIALS:
        cls, remedy = BadCredentialsError, _BAD_CREDENTIALS[code]
    elif code in _WRONG_REGION:
        cls, remedy = WrongRegionError, "set region to a valid name"
    elif isinstance(error, _boto.SSLError):
        cls, remedy = ConnectionFailedError, (
            "the store's certificate is not trusted, or it does not speak TLS; for a private CA set aws_ca_bundle, for plain"
            " HTTP begin endpoint_url with http://"
        )
    elif isinstance(error, _boto.ProxyConnectionError):
        cls, remedy = ConnectionFailedError, "the proxy can't be reached; check HTTPS_PROXY and NO_PROXY on this host"
    elif isinstance(error, _boto.EndpointConnectionError):
        cls, remedy = ConnectionFailedError, (
            "the store can't be reached; check endpoint_url, DNS and firewall, and addressing_style if the host that could"
            " not be reached begins with the bucket's name"
        )
    elif isinstance(error, (_boto.ConnectTimeoutError, _boto.ReadTimeoutError)):
        cls, remedy = ConnectionFailedError, "the store did not answer in time; check endpoint_url and firewall, or run again"
    elif isinstance(error, (_boto.HTTPClientError, _boto.ConnectionError)):
        cls, remedy = ConnectionFailedError, "the connection to the store broke; run again"
    elif code == "ResponseParserError":
        cls, remedy = ConnectionFailedError, "what answers at endpoint_url is not an S3 API; check host and port"
    else:
        remedy = "botocore refused the request"
    return cls(f"{operation}: {remedy} ({code}: {error}).", code=code, operation=operation)
