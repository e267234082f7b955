# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Creates boto3 clients from connection options, with boto3 1.26 and newer."""

from __future__ import annotations

import typing as t
from dataclasses import replace
from urllib.parse import urlsplit

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.connection import responses
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.connection.errors import (
    Boto3MissingError,
    ConnectionFailedError,
)
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.connection.masking import without_secrets
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.connection.options import (
    CONNECT_SECONDS,
    DEFAULT_REGION,
    READ_SECONDS,
    USER_AGENT,
    ConnectionOptions,
    ConnectionOptionsError,
    check_secret,
)
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.connection.response_limits import limit
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.connection.translation import translate

_IMPORT_ERROR: str | None = None
try:
    import boto3
    import botocore
    from botocore import UNSIGNED
    from botocore.config import Config
    from botocore.credentials import Credentials, RefreshableCredentials
    from botocore.exceptions import BotoCoreError, NoCredentialsError
except ImportError as _error:
    _IMPORT_ERROR = str(_error)

# Values that botocore accepts unchecked, and that then make a request fail.
_CONFIG_TYPES: dict[str, tuple[type, ...]] = {
    "connect_timeout": (float, int),
    "read_timeout": (float, int),
    "max_pool_connections": (int,),
    "proxies": (dict,),
    "proxies_config": (dict,),
}
_KIND_NAMES: dict[type, str] = {float: "number", int: "whole number", dict: "dictionary"}


def boto_versions() -> dict[str, str]:
    """Return the versions of boto3 and botocore for a module's result; empty if they are missing."""
    if _IMPORT_ERROR is not None:
        return {}
    return {"boto3_version": boto3.__version__, "botocore_version": botocore.__version__}


def s3_client(options: ConnectionOptions, *, max_pool_connections: int = 10) -> t.Any:
    """Return a boto3 S3 client. It sends no request yet, but a profile or an instance's metadata may be read.

    Up to `max_pool_connections` threads can use the client at once without waiting.

    Raises:
        Boto3MissingError: boto3 is missing.
        ConnectionOptionsError: This botocore does not accept aws_config.
        S3Error: A profile does not exist, for example.
    """
    if _IMPORT_ERROR is not None:
        raise Boto3MissingError(_IMPORT_ERROR)
    config = _config(options, max_pool_connections)
    verify: bool | str = options.validate_certs
    if options.validate_certs and options.ca_bundle:
        verify = options.ca_bundle
    try:
        session = boto3.session.Session(profile_name=options.profile)
        if options.access_key is None and config.signature_version is not UNSIGNED:
            _check_found(session)
        client = session.client(
            "s3",
            region_name=options.region or session.region_name or DEFAULT_REGION,
            endpoint_url=options.endpoint_url,
            aws_access_key_id=options.access_key,
            aws_secret_access_key=options.secret_key,
            aws_session_token=options.session_token,
            verify=verify,
            config=config,
        )
    except BotoCoreError as error:
        raise translate(error, "connect") from None
    except ConnectionOptionsError:
        raise
    except (ValueError, TypeError, AttributeError) as error:
        raise ConnectionOptionsError(
            f"endpoint_url or aws_config is not accepted by botocore {botocore.__version__}:"
            f" {without_secrets(str(error))}"
        ) from error
    client.meta.events.register_first("needs-retry.s3", _refuse_strange_redirect)
    responses.refuse_other_responses(client)
    limit(client)
    return client


def _check_found(session: t.Any) -> None:
    """Refuse credentials of the environment or a profile that can't be sent. botocore would print them in its error.

    Raises:
        ConnectionOptionsError: The credentials can't be sent.
    """
    found = session.get_credentials()
    # Those that are renewed come from a service; to read them may take a request.
    if not isinstance(found, Credentials) or isinstance(found, RefreshableCredentials):
        return
    where = "the environment" if found.method == "env" else f"botocore's {found.method}"
    names = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")
    for name, value in zip(names, (found.access_key, found.secret_key, found.token)):
        if value is not None:
            check_secret(f"{name} of {where}", value)


def credentials(options: ConnectionOptions) -> tuple[str, str, str | None]:
    """Return access key, secret key and session token from the options, or from where botocore finds them.

    Raises:
        Boto3MissingError: botocore is needed to find them, and is missing.
        ConnectionOptionsError: The credentials can't be sent.
        S3Error: The profile or the credentials are missing.
    """
    if options.access_key is not None and options.secret_key is not None:
        return options.access_key, options.secret_key, options.session_token
    if _IMPORT_ERROR is not None:
        raise Boto3MissingError(_IMPORT_ERROR)
    try:
        session = boto3.session.Session(profile_name=options.profile)
        _check_found(session)
        found = session.get_credentials()
        if found is None:
            raise NoCredentialsError
        frozen = found.get_frozen_credentials()
    except BotoCoreError as error:
        raise translate(error, "find credentials") from None
    return frozen.access_key, frozen.secret_key, frozen.token


def unsigned_s3_client(options: ConnectionOptions) -> t.Any:
    """Return a client like that of s3_client that signs nothing, as if it were anybody's."""
    nobody = replace(options, access_key=None, secret_key=None, session_token=None, profile=None)
    return s3_client(replace(nobody, aws_config={**options.aws_config, "signature_version": UNSIGNED}))


def _refuse_strange_redirect(response: t.Any = None, **_others: t.Any) -> None:
    """Stop at a redirect that does not come from S3, such as one from http:// to https://.

    botocore would take it for a redirect to another region, and ask for that region until Python's stack is full.
    """
    if response is None:
        return
    answer, parsed = response
    headers = {name.lower(): value for name, value in answer.headers.items()}
    code = str(parsed.get("Error", {}).get("Code") or "")
    if (
        answer.status_code not in (301, 302, 307, 308)
        or "x-amz-bucket-region" in headers
        or not headers.get("location")
    ):
        return
    if code.isdigit() or not code:
        target = urlsplit(headers["location"])
        elsewhere = f"{target.scheme}://{target.netloc.rpartition('@')[2]}" if target.netloc else "another path"
        raise ConnectionFailedError(
            f"the server redirects to {elsewhere}",
            remedy="set endpoint_url to the store itself",
            code="Redirect",
            status=answer.status_code,
            details=f"HTTP {answer.status_code}",
        )


def _is_proxy(address: t.Any) -> bool:
    if not isinstance(address, str):
        return False
    try:
        url = urlsplit(address if "://" in address else f"http://{address}")
        return bool(url.hostname) and url.port != 0 and "@" not in url.path + url.query + url.fragment
    except ValueError:
        return False


def _config(options: ConnectionOptions, max_pool_connections: int) -> t.Any:
    arguments: dict[str, t.Any] = {
        "user_agent_extra": USER_AGENT,
        "retries": {"mode": "standard", "total_max_attempts": 5},
        "max_pool_connections": max_pool_connections,
        "connect_timeout": CONNECT_SECONDS,
        "read_timeout": READ_SECONDS,
    }
    # botocore below 1.36 neither knows these options nor adds checksums by itself.
    for name in ("request_checksum_calculation", "response_checksum_validation"):
        if name in Config.OPTION_DEFAULTS:
            arguments[name] = options.checksums
    unknown = sorted(set(options.aws_config) - set(Config.OPTION_DEFAULTS))
    if unknown:
        raise ConnectionOptionsError(
            f"aws_config: botocore {botocore.__version__} on this host knows no option {', '.join(unknown)}; remove"
            " it, or install a newer botocore"
        )
    for name, kinds in _CONFIG_TYPES.items():
        if options.aws_config.get(name) is not None and not isinstance(options.aws_config[name], kinds):
            raise ConnectionOptionsError(
                f"aws_config: {name} must be a {_KIND_NAMES[kinds[0]]}; write it without quotes"
            )
    if not all(_is_proxy(address) for address in (options.aws_config.get("proxies") or {}).values()):
        raise ConnectionOptionsError(
            "aws_config: proxies must map http and https to addresses like http://HOST:PORT; escape other characters"
            " than letters and digits in a password"
        )
    arguments.update(options.aws_config)
    s3_settings = arguments.get("s3")
    if s3_settings is not None and not isinstance(s3_settings, dict):
        raise ConnectionOptionsError("aws_config: s3 must be a dictionary, like {'use_accelerate_endpoint': true}")
    arguments["s3"] = {"addressing_style": options.addressing_style, **(s3_settings or {})}
    try:
        return Config(**arguments)
    except (BotoCoreError, TypeError, ValueError, AttributeError) as error:
        raise ConnectionOptionsError(
            f"aws_config is not accepted by botocore {botocore.__version__}: {without_secrets(str(error))}"
        ) from error
