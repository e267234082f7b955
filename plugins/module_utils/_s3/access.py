# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Asks a store, by reading requests only, whether the given credentials can work with a bucket."""

from __future__ import annotations

import time
import typing as t
from dataclasses import dataclass, replace
from email.utils import parsedate_to_datetime
from urllib.parse import urlsplit

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.client import anonymous_s3_client, s3_client
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.errors import (
    BadCredentialsError,
    NotFoundError,
    PermissionDeniedError,
    S3Error,
    translate,
)
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.options import AWS_DOMAINS, ConnectionOptions
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.problems import (
    NOT_S3,
    Problem,
    is_certificate_problem,
    problem_of,
    was_answered,
    wrong_region,
)

# A store that hangs shall cost seconds: two tries, each bounded.
_PATIENCE = {
    "connect_timeout": 5,
    "read_timeout": 15,
    "retries": {"mode": "standard", "total_max_attempts": 2},
}
_PAUSE_SECONDS = 3.0
# What a key or policy answers for some seconds after it was made, since IAM spreads it bit by bit:
# https://docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot.html#troubleshoot_general_eventual-consistency
_EVENTUALLY = {"InvalidAccessKeyId", "SignatureDoesNotMatch", "AccessDenied", "InvalidClientTokenId"}
_OPERATIONS = {"list_objects_v2": "ListObjectsV2", "head_bucket": "HeadBucket"}
# Answers after which botocore tries again in the right region.
_ELSEWHERE = {"AuthorizationHeaderMalformed", "PermanentRedirect", "TemporaryRedirect", "301", "307"}


@dataclass(frozen=True)
class Access:
    """What was found out. None stands for unknown.

    usable: whether the bucket can be listed with these credentials in this region.
    clock_offset: seconds by which this host's clock is ahead of the store's.
    """

    usable: bool | None
    problem: Problem | None = None
    answers: bool | None = None
    certificate_trusted: bool | None = None
    credentials_accepted: bool | None = None
    bucket_exists: bool | None = None
    bucket_listable: bool | None = None
    bucket_region: str | None = None
    clock_offset: int | None = None


class _Witness:
    """Notes what every single answer says beside its body, also those that botocore follows or repeats by itself."""

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


def with_patience(options: ConnectionOptions) -> ConnectionOptions:
    """Return the options with timeouts and repetitions that bound each request; what the user set wins."""
    return replace(options, aws_config={**_PATIENCE, **options.aws_config})


def look(options: ConnectionOptions, bucket: str, *, key_prefix: str = "", wait: float = 0) -> Access:
    """Find out what `options` allow on `bucket`, in bounded time and without changing anything.

    key_prefix: prefix to list, where the credentials may list only there.
    wait: seconds for which an answer that a just created key may get is not taken as final.

    Raises Boto3MissingError, and ConnectionOptionsError for options that this botocore does not accept.
    """
    patient = with_patience(options)
    deadline = time.monotonic() + wait
    while True:
        found = _look_once(patient, bucket, key_prefix)
        left = deadline - time.monotonic()
        if found.problem is None or found.problem.code not in _EVENTUALLY or left <= 0:
            return found
        time.sleep(min(_PAUSE_SECONDS, left))


def is_listable_by_everybody(options: ConnectionOptions, bucket: str) -> bool | None:
    """Return whether the bucket can be listed without credentials, None where the store's answer does not show it.

    Raises Boto3MissingError.
    """
    try:
        return is_listable_with(anonymous_s3_client(with_patience(options)), bucket)
    except S3Error:
        return None


def is_listable_with(anonymous_client: t.Any, bucket: str) -> bool | None:
    """Return the same, asked with a client that signs nothing."""
    try:
        _ask(anonymous_client, "list_objects_v2", Bucket=bucket, MaxKeys=1)
    except (PermissionDeniedError, BadCredentialsError):
        return False
    except S3Error:
        return None
    return True


def _look_once(options: ConnectionOptions, bucket: str, key_prefix: str) -> Access:
    witness = _Witness()
    try:
        client = s3_client(options)
    except S3Error as error:
        return Access(False, problem_of(error), credentials_accepted=False)
    client.meta.events.register("response-received.s3", witness)
    encrypted = client.meta.endpoint_url.startswith("https://") and options.validate_certs
    try:
        _ask(client, "list_objects_v2", Bucket=bucket, Prefix=key_prefix, MaxKeys=1)
    except S3Error as error:
        return _refused(error, client, bucket, witness, encrypted=encrypted)
    if witness.region is None:
        _exists(client, bucket)
    problem = _region_problem(client, witness)
    return Access(
        problem is None,
        problem,
        answers=True,
        certificate_trusted=True if encrypted else None,
        credentials_accepted=True,
        bucket_exists=True,
        bucket_listable=True,
        bucket_region=witness.region,
        clock_offset=witness.clock_offset,
    )


def _refused(error: S3Error, client: t.Any, bucket: str, witness: _Witness, *, encrypted: bool) -> Access:
    problem = problem_of(error)
    if error.status is None:
        # Without credentials nothing was asked at all.
        unasked = isinstance(error, BadCredentialsError)
        return Access(
            False,
            problem,
            answers=None if unasked else was_answered(problem),
            certificate_trusted=False if is_certificate_problem(problem) else None,
            credentials_accepted=False if unasked else None,
        )
    accepted: bool | None = None
    exists: bool | None = None
    if isinstance(error, BadCredentialsError):
        accepted = False
    elif isinstance(error, NotFoundError) and problem.code != NOT_S3:
        accepted, exists = True, False
    elif problem.code == "AccessDenied":
        accepted, exists = True, _exists(client, bucket)
    return Access(
        False,
        problem,
        answers=True,
        certificate_trusted=True if encrypted else None,
        credentials_accepted=accepted,
        bucket_exists=exists,
        bucket_listable=False if problem.code == "AccessDenied" else None,
        bucket_region=witness.region,
        clock_offset=witness.clock_offset,
    )


def _ask(client: t.Any, method: str, **arguments: t.Any) -> dict[str, t.Any]:
    try:
        answer: dict[str, t.Any] = getattr(client, method)(**arguments)
    except Exception as error:
        raise translate(error, _OPERATIONS[method]) from error
    return answer


def _exists(client: t.Any, bucket: str) -> bool | None:
    """Return whether the bucket exists, as far as a HEAD tells; the answer's headers go to the witness."""
    try:
        _ask(client, "head_bucket", Bucket=bucket)
    except S3Error as error:
        return False if isinstance(error, NotFoundError) else None
    return True


def _region_problem(client: t.Any, witness: _Witness) -> Problem | None:
    """Judge a region other than the signed one, from which botocore went on to the right one in silence.

    A store that takes any region may name its own by another word than the one it wants to be called by: only on AWS,
    or after a refusal, is a difference a mistake.
    """
    used = client.meta.region_name
    if not witness.region or witness.region == used:
        return None
    host = urlsplit(client.meta.endpoint_url).hostname or ""
    return wrong_region(used, witness.region) if witness.sent_elsewhere or host.endswith(AWS_DOMAINS) else None
