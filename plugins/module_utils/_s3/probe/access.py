# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Checks, with read requests only, whether the given credentials can work with a bucket."""

from __future__ import annotations

import time
import typing as t
from dataclasses import dataclass, replace
from email.utils import parsedate_to_datetime
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.connection.client import (
    s3_client,
    unsigned_s3_client,
)
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.connection.diagnosis import (
    StoreProblem,
    bucket_of_somebody_else,
    is_certificate_problem,
    problem_of,
    tls_expected,
    was_answered,
    wrong_region,
)
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.connection.error_codes import NOT_S3
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.connection.errors import (
    BadCredentialsError,
    NotFoundError,
    PermissionDeniedError,
    S3Error,
)
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.connection.options import (
    AWS_DOMAINS,
    ConnectionOptions,
)
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.connection.translation import translate
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.http.tls import speaks_tls

# A store that hangs must cost only seconds: two attempts, each with a limit.
_SHORT_TIMEOUTS = {
    "connect_timeout": 5,
    "read_timeout": 15,
    "retries": {"mode": "standard", "total_max_attempts": 2},
}
_PAUSE_SECONDS = 3.0
# What a key or policy answers for some seconds after it was made, since IAM spreads it bit by bit:
# https://docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot.html#troubleshoot_general_eventual-consistency
_EVENTUALLY = {"InvalidAccessKeyId", "SignatureDoesNotMatch", "AccessDenied", "InvalidClientTokenId"}
# The maximum that stores return on one page.
_PAGE = 1000
_OPERATIONS = {"list_objects_v2": "ListObjectsV2", "head_bucket": "HeadBucket"}
# Answers after which botocore tries again in the right region.
_ELSEWHERE = {"AuthorizationHeaderMalformed", "PermanentRedirect", "TemporaryRedirect", "301", "307"}


@dataclass(frozen=True)
class ObjectCount:
    """What one page of a listing shows: `count` objects, and whether there are `more`."""

    count: int
    more: bool


@dataclass(frozen=True)
class BucketAccess:
    """The result of the checks. None means unknown.

    Attributes:
        usable: Whether these credentials can list the bucket in this region.
        bucket_allowed: Whether these credentials may use the bucket at all; False for somebody else's bucket.
        clock_offset: Seconds by which this host's clock is ahead of the store's.
        objects: The number of objects, as far as one page of the listing shows.
    """

    usable: bool | None
    problem: StoreProblem | None = None
    answers: bool | None = None
    certificate_trusted: bool | None = None
    credentials_accepted: bool | None = None
    bucket_exists: bool | None = None
    bucket_allowed: bool | None = None
    bucket_listable: bool | None = None
    bucket_region: str | None = None
    clock_offset: int | None = None
    objects: ObjectCount | None = None


class _ResponseObserver:
    """Records the headers of every response, also of those after which botocore follows a redirect or retries."""

    def __init__(self) -> None:
        self.clock_offset: int | None = None
        self.region: str | None = None
        self.sent_elsewhere = False

    def __call__(self, parsed_response: dict[str, t.Any] | None = None, **_kwargs: t.Any) -> None:
        metadata = (parsed_response or {}).get("ResponseMetadata") or {}
        headers = metadata.get("HTTPHeaders") or {}
        details = (parsed_response or {}).get("Error") or {}
        self.region = headers.get("x-amz-bucket-region") or details.get("Region") or self.region
        self.sent_elsewhere = self.sent_elsewhere or details.get("Code") in _ELSEWHERE
        date = headers.get("date")
        if date:
            try:
                # The header has whole seconds, cut off: the store's time is half a second later in the mean.
                self.clock_offset = round(time.time() - parsedate_to_datetime(date).timestamp() - 0.5)
            except (TypeError, ValueError):
                self.clock_offset = None


def with_short_timeouts(options: ConnectionOptions) -> ConnectionOptions:
    """Return the options with timeouts and retries that limit each request; the user's own settings take precedence."""
    return replace(options, aws_config={**_SHORT_TIMEOUTS, **options.aws_config})


def check_access(options: ConnectionOptions, bucket: str, *, key_prefix: str = "", wait: float = 0) -> BucketAccess:
    """Find out what `options` allow on `bucket`, in limited time and without changing anything.

    Args:
        options: The connection.
        bucket: Name of the bucket.
        key_prefix: Prefix to list, if the credentials may list only there.
        wait: Seconds to retry after an error that a new key can cause.

    Raises:
        Boto3MissingError: boto3 is missing.
        ConnectionOptionsError: This botocore does not accept the options.
    """
    patient = with_short_timeouts(options)
    deadline = time.monotonic() + wait
    while True:
        found = _check_once(patient, bucket, key_prefix)
        left = deadline - time.monotonic()
        if found.problem is None or found.problem.code not in _EVENTUALLY or left <= 0:
            return found
        time.sleep(min(_PAUSE_SECONDS, left))


def is_listable_by_everybody(options: ConnectionOptions, bucket: str) -> bool | None:
    """Return whether the bucket can be listed without credentials; None if the response does not show it.

    Raises:
        Boto3MissingError: boto3 is missing.
    """
    try:
        return is_listable_with(unsigned_s3_client(with_short_timeouts(options)), bucket)
    except S3Error:
        return None


def is_listable_with(unsigned_client: t.Any, bucket: str) -> bool | None:
    """Return the same, with a client that signs nothing."""
    try:
        _call(unsigned_client, "list_objects_v2", Bucket=bucket, MaxKeys=1)
    except (PermissionDeniedError, BadCredentialsError):
        return False
    except S3Error:
        return None
    return True


def _check_once(options: ConnectionOptions, bucket: str, key_prefix: str) -> BucketAccess:
    observer = _ResponseObserver()
    try:
        client = s3_client(options)
    except S3Error as error:
        return BucketAccess(False, problem_of(error), credentials_accepted=False)
    client.meta.events.register("response-received.s3", observer)
    encrypted = client.meta.endpoint_url.startswith("https://") and options.validate_certs
    try:
        page = _call(client, "list_objects_v2", Bucket=bucket, Prefix=key_prefix, MaxKeys=_PAGE)
    except S3Error as error:
        return _refused(error, client, bucket, observer, encrypted=encrypted)
    if observer.region is None:
        _seen(client, bucket)
    problem = _region_problem(client, observer)
    return BucketAccess(
        problem is None,
        problem,
        answers=True,
        certificate_trusted=True if encrypted else None,
        credentials_accepted=True,
        bucket_exists=True,
        bucket_allowed=True,
        bucket_listable=True,
        bucket_region=observer.region,
        clock_offset=observer.clock_offset,
        objects=ObjectCount(len(page.get("Contents") or ()), bool(page.get("IsTruncated"))),
    )


def _refused(
    error: S3Error, client: t.Any, bucket: str, observer: _ResponseObserver, *, encrypted: bool
) -> BucketAccess:
    problem = _of_wrong_scheme(client, error) or problem_of(error)
    if error.status is None:
        # Without credentials no request was sent at all.
        unasked = isinstance(error, BadCredentialsError)
        return BucketAccess(
            False,
            problem,
            answers=None if unasked else was_answered(problem),
            certificate_trusted=False if is_certificate_problem(problem) else None,
            credentials_accepted=False if unasked else None,
        )
    accepted: bool | None = None
    exists: bool | None = None
    allowed: bool | None = None
    if isinstance(error, BadCredentialsError):
        accepted = False
    elif isinstance(error, NotFoundError) and problem.code != NOT_S3:
        accepted, exists = True, False
    elif problem.code == "AccessDenied":
        accepted = True
        exists, allowed = _seen(client, bucket)
        if allowed is False:
            problem = bucket_of_somebody_else(bucket)
        problem = _region_problem(client, observer) or problem
    return BucketAccess(
        False,
        problem,
        answers=True,
        certificate_trusted=True if encrypted else None,
        credentials_accepted=accepted,
        bucket_exists=exists,
        bucket_allowed=allowed,
        bucket_listable=False if isinstance(error, PermissionDeniedError) else None,
        bucket_region=observer.region,
        clock_offset=observer.clock_offset,
    )


def _call(client: t.Any, method: str, **arguments: t.Any) -> dict[str, t.Any]:
    try:
        answer: dict[str, t.Any] = getattr(client, method)(**arguments)
    except Exception as error:  # noqa: BLE001 - what is not translated is raised as it is
        raise translate(error, _OPERATIONS[method]) from None
    return answer


def _seen(client: t.Any, bucket: str) -> tuple[bool | None, bool | None]:
    """Return whether the bucket exists and may be used, as far as a HEAD shows; the observer gets its headers."""
    try:
        _call(client, "head_bucket", Bucket=bucket)
    except S3Error as error:
        if isinstance(error, NotFoundError):
            return False, None
        return None, False if isinstance(error, PermissionDeniedError) else None
    return True, True


def _of_wrong_scheme(client: t.Any, error: S3Error) -> StoreProblem | None:
    """Return the problem of a plain HTTP request to a server that expects TLS, if that is the cause of the error."""
    url = client.meta.endpoint_url
    proxies = client.meta.config.proxies or (
        getproxies().get("http") and not proxy_bypass(urlsplit(url).hostname or "")
    )
    odd = error.status is None or (error.status == 400 and error.code in ("", "400"))
    if odd and url.startswith("http://") and not proxies and speaks_tls(url):
        return tls_expected(error.operation)
    return None


def _region_problem(client: t.Any, observer: _ResponseObserver) -> StoreProblem | None:
    """Judge a region other than the signed one, when botocore switched to the right one without saying so.

    A store that accepts any region may report a different name for its own. Only on AWS, or after a refusal, is a
    difference a mistake.
    """
    used = client.meta.region_name
    if not observer.region or observer.region == used:
        return None
    host = urlsplit(client.meta.endpoint_url).hostname or ""
    return wrong_region(used, observer.region) if observer.sent_elsewhere or host.endswith(AWS_DOMAINS) else None
