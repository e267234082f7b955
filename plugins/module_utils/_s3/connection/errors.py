# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The exceptions for failures of an S3 store, each with its remedy."""

from __future__ import annotations

import typing as t

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.connection.masking import without_secrets


class Boto3MissingError(Exception):
    """The Python that runs the module can't import boto3 or botocore."""

    def __init__(self, reason: str) -> None:
        super().__init__(
            f"boto3 can't be imported: {reason}. Install version 1.26 or newer for the Python that Ansible uses on this"
            " host, by the package python3-boto3 or by pip into a virtual environment"
        )


class S3Error(Exception):
    """A request to the store failed. Its text says what was tried, what is wrong, what to do, and what the store said.

    No part contains signatures, credentials, or more of a URL than its host, whatever it was made from.

    Attributes:
        fault: What is wrong, as part of a sentence.
        remedy: What to do about it, as part of a sentence; empty if nothing helps.
        operation: What was tried, preferably the API's name of it (PutObject).
        code: The store's error code, or the name of botocore's exception if there was no response.
        status: The HTTP status; None if there was no response.
        details: What else is known, such as code and status, for the parentheses in the text.
        said: The store's own words.
    """

    def __init__(
        self,
        fault: str,
        *,
        remedy: str = "",
        operation: str = "",
        code: str = "",
        status: int | None = None,
        details: str = "",
        said: str = "",
    ) -> None:
        self.fault = without_secrets(fault)
        self.remedy = without_secrets(remedy)
        self.operation = operation
        self.code = code
        self.status = status
        self.details = without_secrets(details)
        self.said = without_secrets(said)
        super().__init__(without_secrets(self._text(self.remedy)))

    @property
    def summary(self) -> str:
        """The text without the remedy, for callers that show it separately."""
        return without_secrets(self._text(""))

    def copy_with(self, **changes: t.Any) -> S3Error:
        """Return an error of the same class with some of the attributes changed."""
        return type(self)(**{**self._attributes(), **changes})

    def _text(self, remedy: str) -> str:
        details = f" ({self.details})" if self.details else ""
        text = (
            (f"{self.operation}: " if self.operation else "") + self.fault + (f"; {remedy}" if remedy else "") + details
        )
        return text + ("." if remedy or details else "") + (f" The store said: {self.said}" if self.said else "")

    def _attributes(self) -> dict[str, t.Any]:
        names = ("fault", "remedy", "operation", "code", "status", "details", "said")
        return {name: getattr(self, name) for name in names}

    def __reduce__(self) -> tuple[t.Any, ...]:
        # Worker processes send their errors home by pickle, which knows nothing of keyword arguments.
        return (_rebuild, (type(self), self._attributes()))


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
    """The store does not support this operation or one of its options."""


class AclUnsupportedError(UnsupportedError):
    """The store, or the bucket's ownership setting, has no ACLs."""


class ThrottledError(S3Error):
    """The store asks for fewer requests, or is overloaded."""


class ConnectionFailedError(S3Error):
    """The store sent no response, or one that is not S3."""


def _rebuild(cls: type[S3Error], attributes: dict[str, t.Any]) -> S3Error:
    return cls(**attributes)
