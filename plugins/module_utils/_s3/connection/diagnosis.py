# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Says why a store can't be used, for the results of modules. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.connection.error_codes import NOT_S3, error_for
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.connection.errors import S3Error
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.http.transport_errors import (
    CERTIFICATE_EXPIRED,
    CERTIFICATE_NOT_TRUSTED,
    CERTIFICATE_OF_OTHER_HOST,
    NOT_TLS,
)


@dataclass(frozen=True)
class StoreProblem:
    """Why a store can't be used.

    Attributes:
        code: The store's error code, or one of this module's codes if there was no response.
        message: What was tried and what happened, with a full stop, so that the remedy may follow.
        remedy: What to do, beginning with a capital letter.
    """

    code: str
    message: str
    remedy: str


TLS_EXPECTED = "TlsExpected"
WRONG_REGION = "WrongRegion"

_CERTIFICATE_CODES = {CERTIFICATE_NOT_TRUSTED, CERTIFICATE_OF_OTHER_HOST, CERTIFICATE_EXPIRED}
_OF_GATEWAYS = {502, 503, 504}


def problem_of(error: S3Error) -> StoreProblem:
    """Return the problem behind the error of a GET."""
    code = error.code
    # Every store sends a code with the answer to a GET; where none came, botocore takes the status for it.
    if error.status is not None and code in ("", str(error.status)):
        if error.status in _OF_GATEWAYS:
            code = f"HTTP{error.status}"
        else:
            error, code = error_for(NOT_S3, operation=error.operation, details=f"HTTP {error.status}"), NOT_S3
    return _problem(code, error.summary, error.remedy or "look the code up in the store's manual")


def wrong_region(used: str, actual: str) -> StoreProblem:
    """Return the problem of a bucket that is not in the region for which requests are signed."""
    return _problem(WRONG_REGION, f"The bucket is in region {actual}, not in {used}", f"set region: {actual}")


def tls_expected(operation: str) -> StoreProblem:
    """Return the problem of a plain HTTP request to a server that expects TLS."""
    return _problem(
        TLS_EXPECTED, f"{operation}: the server expects TLS", "begin endpoint_url with https://, not http://"
    )


def bucket_of_somebody_else(bucket: str) -> StoreProblem:
    """Return the problem of a bucket whose name is taken, or in which the key has no rights at all."""
    return _problem(
        "AccessDenied",
        f"HeadBucket: bucket {bucket} belongs to another account, or this key has no rights on it",
        "choose another bucket name, since all accounts of a store share them, or give this key rights on the bucket",
    )


def _problem(code: str, message: str, remedy: str) -> StoreProblem:
    return StoreProblem(code, f"{message.rstrip('. ')}.", remedy[:1].upper() + remedy[1:])


def is_certificate_problem(problem: StoreProblem) -> bool:
    """Return whether the server uses TLS, but its certificate was not accepted."""
    return problem.code in _CERTIFICATE_CODES


def was_answered(problem: StoreProblem) -> bool:
    """Return whether something answered, even if it can't be used as a store."""
    return problem.code in _CERTIFICATE_CODES or problem.code in (NOT_S3, NOT_TLS, TLS_EXPECTED)
