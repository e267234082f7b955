# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The meaning of all error codes, and what to do about each: the only table of it. Pure.

The codes are those of the S3 API reference (Error responses), and of Ceph RGW, MinIO, Garage and R2 where they differ.
Failed connections have the codes of C(transport_errors).
"""

from __future__ import annotations

import typing as t

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.connection.errors import (
    AclUnsupportedError,
    BadCredentialsError,
    ConnectionFailedError,
    NotFoundError,
    PermissionDeniedError,
    S3Error,
    ThrottledError,
    UnsupportedError,
    WrongRegionError,
)
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

NOT_S3 = "NotS3"
_MAYBE_PATH = "if the name that was tried begins with the bucket's name, set addressing_style: path"


class Meaning(t.NamedTuple):
    """The meaning of a code: the class of the error, what is wrong, and what to do (empty if nothing helps)."""

    cls: type[S3Error]
    fault: str
    remedy: str = ""


# What is wrong with a connection, and what to do. "The server" may also be MinIO's administration API.
_OF_CONNECTIONS = {
    NAME_NOT_RESOLVED: (
        "the host's name has no DNS entry",
        f"check the name in endpoint_url, and the DNS of this machine; {_MAYBE_PATH}",
    ),
    CONNECTION_REFUSED: (
        "nothing listens at endpoint_url",
        "check host and port in endpoint_url, and that the server is running",
    ),
    CONNECTION_FAILED: (
        "the connection to the server failed",
        "check endpoint_url, the route and the firewall, or run again",
    ),
    TIMED_OUT: (
        "the server did not answer in time",
        "check endpoint_url and the firewall between this machine and the server, or run again",
    ),
    TLS_FAILED: (
        "no TLS connection could be established",
        "for a private certificate authority set aws_ca_bundle, for plain HTTP begin endpoint_url with http://",
    ),
    NOT_TLS: (
        "the server does not speak TLS",
        "begin endpoint_url with http://, or use the port for TLS",
    ),
    CERTIFICATE_NOT_TRUSTED: (
        "the server's certificate is not trusted by this machine",
        "for a private certificate authority set aws_ca_bundle to a file on this machine with its certificate",
    ),
    CERTIFICATE_OF_OTHER_HOST: (
        "the server's certificate is for another name",
        f"use a name in endpoint_url that the certificate is for; {_MAYBE_PATH}",
    ),
    CERTIFICATE_EXPIRED: (
        "the server's certificate has expired",
        "renew the certificate, and check the clock of this machine",
    ),
    "ProxyConnectionError": ("the proxy can't be reached", "check HTTPS_PROXY and NO_PROXY on this host"),
    NOT_S3: ("the server at endpoint_url is not an S3 API", "check host and port in endpoint_url"),
}
# Codes of digits are botocore's for a HEAD's answer, which has no body; names that end with Error are botocore's
# exceptions.
MEANINGS: dict[str, Meaning] = {
    **{code: Meaning(ConnectionFailedError, *words) for code, words in _OF_CONNECTIONS.items()},
    **dict.fromkeys(
        (
            *("AccessDenied", "AccessDeniedException", "AllAccessDisabled", "AccountProblem"),
            *("Forbidden", "Unauthorized", "401"),
        ),
        Meaning(PermissionDeniedError, "not allowed", "check the key's permissions on this bucket"),
    ),
    "403": Meaning(
        PermissionDeniedError,
        "not allowed",
        "check the key's permissions on this bucket, and the secret key: a wrong one answers the same",
    ),
    "NoSuchBucket": Meaning(
        NotFoundError, "the bucket does not exist", "check its name, endpoint and region, or create it"
    ),
    "NoSuchKey": Meaning(NotFoundError, "the object does not exist"),
    "BucketAlreadyExists": Meaning(
        PermissionDeniedError,
        "a bucket with this name belongs to another account",
        "choose another bucket name",
    ),
    "BucketAlreadyOwnedByYou": Meaning(S3Error, "the bucket exists already and is yours", "run again"),
    "TooManyBuckets": Meaning(
        S3Error, "the account has reached its limit of buckets", "delete one, or have the limit raised"
    ),
    "OperationAborted": Meaning(
        S3Error, "the bucket is being created or deleted right now", "run again in a few minutes"
    ),
    "InvalidLocationConstraint": Meaning(
        WrongRegionError,
        "the store does not support this region",
        "set region to one from the store's documentation, on Ceph to the api_name of the zonegroup (radosgw-admin"
        " zonegroup get shows it), or to us-east-1 for the store's own default",
    ),
    "IllegalLocationConstraintException": Meaning(
        WrongRegionError,
        "the endpoint creates buckets in its own region only",
        "set region and endpoint_url to match",
    ),
    "NoSuchBucketPolicy": Meaning(NotFoundError, "the bucket has no policy"),
    "NoSuchUpload": Meaning(NotFoundError, "the multipart upload does not exist any more", "run again"),
    **dict.fromkeys(
        ("404", "NotFound"),
        Meaning(NotFoundError, "the bucket or object does not exist", "check bucket and endpoint_url"),
    ),
    "InvalidAccessKeyId": Meaning(
        BadCredentialsError,
        "the store does not know this access key",
        "check access_key, and that it belongs to this endpoint",
    ),
    "InvalidClientTokenId": Meaning(BadCredentialsError, "the store does not know this access key", "check access_key"),
    "SignatureDoesNotMatch": Meaning(
        BadCredentialsError, "the secret key does not fit the access key", "copy both again"
    ),
    **dict.fromkeys(
        ("ExpiredToken", "ExpiredTokenException", "TokenRefreshRequired"),
        Meaning(BadCredentialsError, "the temporary credentials have expired", "get new ones"),
    ),
    "InvalidToken": Meaning(
        BadCredentialsError,
        "the session token is not valid",
        "set session_token as issued, or leave it out with a permanent key",
    ),
    "NotSignedUp": Meaning(
        BadCredentialsError,
        "the account is not signed up for S3",
        "sign it up, or use another account's key",
    ),
    "NoCredentialsError": Meaning(
        BadCredentialsError,
        "no credentials were found",
        "set credentials_file, access_key and secret_key, or profile",
    ),
    "PartialCredentialsError": Meaning(
        BadCredentialsError,
        "only half of the credentials were found",
        "set both access_key and secret_key",
    ),
    "CredentialRetrievalError": Meaning(
        BadCredentialsError, "the credentials could not be fetched", "check their source"
    ),
    "ProfileNotFound": Meaning(
        BadCredentialsError,
        "no AWS configuration file of the account that runs the task has this profile",
        "check profile and AWS_PROFILE",
    ),
    **dict.fromkeys(
        ("TokenRetrievalError", "SSOTokenLoadError", "UnauthorizedSSOTokenError"),
        Meaning(BadCredentialsError, "the single sign-on session is not valid", "sign in again"),
    ),
    **dict.fromkeys(
        ("AccessControlListNotSupported", "InvalidBucketAclWithObjectOwnership"),
        Meaning(
            AclUnsupportedError,
            "the bucket does not allow ACLs",
            "set its ownership to BucketOwnerPreferred, or use a bucket policy",
        ),
    ),
    **dict.fromkeys(
        ("NotImplemented", "XNotImplemented", "501", "MethodNotAllowed", "405", "UnsupportedOperation"),
        Meaning(
            UnsupportedError,
            "the store does not implement this",
            "leave out the option that asks for it",
        ),
    ),
    **dict.fromkeys(
        ("MissingContentLength", "411"),
        Meaning(UnsupportedError, "the store does not accept checksum trailers", "set checksums: when_required"),
    ),
    "XAmzContentSHA256Mismatch": Meaning(
        UnsupportedError,
        "the store does not accept the request's kind of checksum",
        "set checksums: when_required",
    ),
    "MissingContentMD5": Meaning(
        UnsupportedError,
        "the store insists on Content-MD5, which botocore 1.36 and newer no longer send",
        "use an older botocore",
    ),
    **dict.fromkeys(
        (
            *("SlowDown", "SlowDownRead", "SlowDownWrite", "Throttling", "ThrottlingException", "RequestThrottled"),
            *("RequestLimitExceeded", "TooManyRequests", "TooManyRequestsException", "BandwidthLimitExceeded"),
            *("ServiceUnavailable", "Busy", "429", "503"),
        ),
        Meaning(ThrottledError, "the store asks for fewer requests", "run again later, or with less concurrency"),
    ),
    "400": Meaning(S3Error, "the store refused the request without saying why", "check region, credentials and clock"),
    **dict.fromkeys(
        ("InvalidBucketName", "ParamValidationError"),
        Meaning(S3Error, "a name or a value is not valid", "check bucket"),
    ),
    **dict.fromkeys(
        ("MalformedPolicy", "PolicyTooLarge"),
        Meaning(S3Error, "the store does not accept the policy", "correct its statements"),
    ),
}
CLOCK_SKEW = {"RequestTimeTooSkewed", "RequestInTheFuture", "RequestExpired"}
WRONG_REGION = {
    *("AuthorizationHeaderMalformed", "PermanentRedirect", "TemporaryRedirect", "Redirect", "301", "307"),
    *("InvalidRegion", "InvalidRegionError", "NoRegionError"),
}


def error_for(code: str, **others: t.Any) -> S3Error:
    """Return the error that a code means; `others` are further attributes of it."""
    meaning = MEANINGS[code]
    return meaning.cls(meaning.fault, remedy=meaning.remedy, code=code, **others)
