# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Calls MinIO's admin API with the client of the Python package `minio`, and executes a plan."""

from __future__ import annotations

import http.client
import inspect
import json
import re
import secrets
import string
import typing as t
from urllib.parse import urlsplit

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._minio.identity import (
    ExistingIdentity,
    Steps,
    Wanted,
)
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.bucket.policy import statements
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.connection.error_codes import error_for
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.connection.errors import (
    BadCredentialsError,
    ConnectionFailedError,
    NotFoundError,
    PermissionDeniedError,
    S3Error,
)
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.connection.options import (
    ConnectionOptions,
    ConnectionOptionsError,
)
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.connection.translation import translate
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.http.limits import ResponseTooLongError
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.http.transport_errors import (
    CONNECTION_FAILED,
    transport_code,
)
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.http.urllib3_pools import limited_pools

_IMPORT_ERROR: str | None = None
try:
    import urllib3
    from minio import MinioAdmin
    from minio.credentials import StaticProvider
    from minio.error import MinioAdminException

    if "policy" not in inspect.signature(MinioAdmin.policy_add).parameters:
        _IMPORT_ERROR = "it is too old"
except ImportError as _error:
    _IMPORT_ERROR = str(_error)

_MAX_RESPONSE_BYTES = 1024 * 1024
_NO_USER = "XMinioAdminNoSuchUser"
_NO_POLICY = "XMinioAdminNoSuchPolicy"
_IN_USE = "XMinioIAMPolicyInUse"
# What another administrator, or an interrupted earlier run, has already done.
_DONE = "XMinioAdminPolicyChangeAlreadyApplied"


class MinioMissingError(Exception):
    """The Python package minio can't be imported by the Python that runs the module, or is too old."""

    def __init__(self, reason: str) -> None:
        super().__init__(
            f"the Python package minio can't be used: {reason}. Install version 7.2.20 or newer for the Python that"
            " runs this task, on the controller by pip into Ansible's own environment"
        )


def new_secret() -> str:
    """Return a secret key that MinIO takes, of 40 letters and digits."""
    return "".join(secrets.choice(string.ascii_letters + string.digits) for _place in range(40))


class Admin:
    """MinIO, as the administrator sees it."""

    def __init__(self, options: ConnectionOptions, credentials: tuple[str, str, str | None]) -> None:
        """Send no request yet; `credentials` are access key, secret key and session token.

        Raises:
            MinioMissingError: The Python package minio is missing or too old.
            ConnectionOptionsError: There is no endpoint.
        """
        if _IMPORT_ERROR is not None:
            raise MinioMissingError(_IMPORT_ERROR)
        if options.endpoint_url is None:
            raise ConnectionOptionsError("endpoint_url is missing; give the address of MinIO's S3 API")
        self._options = options
        self._endpoint = urlsplit(options.endpoint_url)
        self._client = self._signed(*credentials)

    def read(self, wanted: Wanted) -> ExistingIdentity:
        """Return what MinIO has of the wanted identity.

        Raises:
            S3Error: A request failed, or a response is not one of MinIO's.
        """
        try:
            return self._read(wanted)
        except (AttributeError, TypeError):
            raise ConnectionFailedError(
                "MinIO user info: what answers at endpoint_url is not MinIO; check host and port", code="NotMinio"
            ) from None

    def _read(self, wanted: Wanted) -> ExistingIdentity:
        user = self._ask("user_info", _NO_USER, access_key=wanted.name)
        policy = self._ask("policy_info", _NO_POLICY, policy_name=wanted.policy_name)
        if policy is not None and not all(isinstance(each, dict) for each in statements(policy)):
            raise TypeError
        works = None
        if user is not None and wanted.secret_key is not None:
            works = self._works(wanted.name, wanted.secret_key)
        user, exists = user or {}, user is not None
        return ExistingIdentity(
            exists=exists,
            enabled=user.get("status") == "enabled",
            policies=tuple(name for name in str(user.get("policyName") or "").split(",") if name),
            groups=tuple(user.get("memberOf") or ()),
            policy=policy,
            policy_holders=self._holders(wanted) if policy is not None else (),
            secret_works=works,
        )

    def execute(self, wanted: Wanted, steps: Steps, secret_key: str) -> None:
        """Execute the steps. Each of them can be repeated safely. Steps that create the user give it this secret key.

        Raises:
            S3Error: A request failed.
        """
        if steps.put_policy:
            self._do("policy_add", policy_name=wanted.policy_name, policy=dict(wanted.policy or {}))
        if steps.put_user:
            self._do("user_add", access_key=wanted.name, secret_key=secret_key)
        if steps.attach:
            self._do("attach_policy", _DONE, policies=[wanted.policy_name], user=wanted.name)
        if steps.remove_user:
            self._do("user_remove", _NO_USER, access_key=wanted.name)
        if steps.remove_policy:
            # Another user got the policy in the meantime, so it must not be deleted.
            self._do("policy_remove", _NO_POLICY, _IN_USE, policy_name=wanted.policy_name)

    def _holders(self, wanted: Wanted) -> tuple[str, ...]:
        answer = self._ask("get_policy_entities", users=[], groups=[], policies=[wanted.policy_name]) or {}
        mappings = answer.get("policyMappings") or []
        users = {name for mapping in mappings for name in mapping.get("users") or []} - {wanted.name}
        groups = {name for mapping in mappings for name in mapping.get("groups") or []}
        return (*(f"user {name}" for name in sorted(users)), *(f"group {name}" for name in sorted(groups)))

    def _works(self, access_key: str, secret_key: str) -> bool:
        """Return whether a key works. Any user may ask for information about its own account, whatever its policy."""
        try:
            _call(self._signed(access_key, secret_key, None), "account_info")
        except BadCredentialsError:
            return False
        except PermissionDeniedError:
            return True
        return True

    def _ask(self, method: str, *missing: str, **arguments: t.Any) -> dict[str, t.Any] | None:
        text = self._do(method, *missing, **arguments)
        if text is None:
            return None
        try:
            answer = json.loads(text)
        except (ValueError, RecursionError):
            answer = None
        if not isinstance(answer, dict):
            raise ConnectionFailedError(f"{method}: the server at endpoint_url is not MinIO; check host and port")
        return answer

    def _do(self, method: str, *expected: str, **arguments: t.Any) -> str | None:
        """Return the response; None for an error with an expected code."""
        try:
            return _call(self._client, method, **arguments)
        except S3Error as error:
            if error.code in expected:
                return None
            raise

    def _signed(self, access_key: str, secret_key: str, session_token: str | None) -> t.Any:
        options = self._options
        trust: dict[str, t.Any] = {"cert_reqs": "CERT_REQUIRED" if options.validate_certs else "CERT_NONE"}
        if options.validate_certs and options.ca_bundle:
            trust["ca_certs"] = options.ca_bundle
        return MinioAdmin(
            endpoint=self._endpoint.netloc,
            credentials=StaticProvider(access_key, secret_key, session_token),
            secure=self._endpoint.scheme == "https",
            http_client=_limited_manager(
                timeout=urllib3.Timeout(connect=10, read=60),
                retries=urllib3.Retry(total=3, redirect=0, backoff_factor=0.2, status_forcelist=[502, 503, 504]),
                **trust,
            ),
        )


class _PackedResponse(http.client.HTTPResponse):
    """A response that urllib3 does not decompress, since a short one could fill the memory."""

    def begin(self) -> None:
        """Read the headers."""
        super().begin()
        del self.headers["Content-Encoding"]


def _limited_manager(**settings: t.Any) -> t.Any:
    """Return a manager of connections that abort slow and long responses, and decompress nothing."""
    pools = {"http": urllib3.HTTPConnectionPool, "https": urllib3.HTTPSConnectionPool}
    limited = limited_pools(pools, _MAX_RESPONSE_BYTES)
    for pool in limited.values():
        pool.ConnectionCls.response_class = _PackedResponse
    manager = urllib3.PoolManager(**settings)
    manager.pool_classes_by_scheme = limited
    return manager


class _AnswerError(Exception):
    """An error of the admin API, in the form that botocore uses for errors of S3."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.response = {
            "Error": {"Code": code, "Message": message},
            "ResponseMetadata": {"HTTPStatusCode": status, "HTTPHeaders": {}},
        }


def _call(client: t.Any, method: str, **arguments: t.Any) -> str:
    operation = f"MinIO {method.replace('_', ' ')}"
    try:
        return str(getattr(client, method)(**arguments))
    except MinioAdminException as error:
        raise _answered(str(error), operation) from None
    except (urllib3.exceptions.HTTPError, ResponseTooLongError) as error:
        raise _unreachable(error, operation) from None
    except (ValueError, LookupError, OverflowError):
        # The client decodes and decrypts any response.
        raise ConnectionFailedError(
            f"{operation}: the server at endpoint_url is not MinIO: its response can't be read; check host and port",
            code="NotMinio",
            operation=operation,
        ) from None


def _answered(text: str, operation: str) -> S3Error:
    found = re.search(r"Status: (\d+), Body: (.*)", text, re.DOTALL)
    status, body = (int(found.group(1)), found.group(2)) if found else (0, text)
    try:
        answer = json.loads(body)
        code, said = str(answer["Code"]), str(answer.get("Message") or "")
    except (ValueError, TypeError, KeyError, RecursionError):
        return ConnectionFailedError(
            "the server at endpoint_url is not MinIO",
            remedy="check host and port. Other stores manage users differently",
            operation=operation,
            code="NotMinio",
            status=status,
            details=f"HTTP {status}",
        )
    if code == "AccessDenied":
        return PermissionDeniedError(
            "not allowed",
            remedy="use an administrator's key, whose policy allows admin:*",
            operation=operation,
            code=code,
            status=status,
            details=f"{code}, HTTP {status}",
        )
    if code == "SignatureDoesNotMatch" or code.startswith(("Invalid", "Request", "Expired")):
        return translate(_AnswerError(status, code, said), operation)
    cls = NotFoundError if status == 404 else S3Error
    return cls(
        "MinIO refused the request",
        operation=operation,
        code=code,
        status=status,
        details=f"{code}, HTTP {status}",
        said=said,
    )


def _unreachable(error: Exception, operation: str) -> S3Error:
    reason = getattr(error, "reason", None) or error
    name = type(reason).__name__
    details = f"{name}: {reason}"
    if isinstance(reason, urllib3.exceptions.ResponseError):
        return ConnectionFailedError(
            "MinIO redirects, or has an internal error",
            remedy="check endpoint_url, or run again later",
            operation=operation,
            code=name,
            details=details,
        )
    return error_for(transport_code(reason) or CONNECTION_FAILED, operation=operation, details=details)
