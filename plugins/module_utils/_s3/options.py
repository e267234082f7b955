# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a user says about the S3 store: the options, their checks, and the checked result.

The options have the names and types of amazon.aws, so that one C(module_defaults) or variable serves both.
"""

from __future__ import annotations

import os
import re
import ssl
import typing as t
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._dotenv.errors import DotenvError
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._dotenv.reader import read_variables

ACCESS_KEY_VARIABLE = "AWS_ACCESS_KEY_ID"
SECRET_KEY_VARIABLE = "AWS_SECRET_ACCESS_KEY"  # noqa: S105 - a variable's name

ADDRESSING_STYLES = ("auto", "path", "virtual")
CHECKSUMS = ("when_required", "when_supported")

AWS_DOMAINS = (".amazonaws.com", ".amazonaws.com.cn")
DEFAULT_REGION = "us-east-1"
USER_AGENT = "fediverse.mastodon_s3"
CONNECT_SECONDS = 10.0  # a host that drops packets shall not look like a hang
READ_SECONDS = 60.0

_OMIT = "set it, or leave it out (default(omit)) to use another source of credentials"


class ConnectionOptionsError(ValueError):
    """The connection options contradict each other or can't be used. The text names the option and the remedy."""


@dataclass(frozen=True)
class ConnectionOptions:
    """Checked connection options. Its repr holds no secret.

    endpoint_url: the store's base URL without bucket and trailing slash, or None for AWS.
    region: the signing region, or None for botocore's default chain.
    access_key, secret_key, session_token, profile: credentials; all None for botocore's default chain.
    ca_bundle: file of CA certificates in PEM, or None for botocore's own.
    addressing_style: V(path), V(virtual), or V(auto), which leaves the choice to botocore.
    checksums: V(when_required) or V(when_supported), for both requests and responses.
    aws_config: further arguments of botocore's Config, not yet checked against the installed botocore.
    """

    endpoint_url: str | None = None
    region: str | None = None
    access_key: str | None = None
    secret_key: str | None = field(default=None, repr=False)
    session_token: str | None = field(default=None, repr=False)
    profile: str | None = None
    ca_bundle: str | None = None
    validate_certs: bool = True
    addressing_style: str = "auto"
    checksums: str = "when_required"
    aws_config: t.Mapping[str, t.Any] = field(default_factory=dict, repr=False)


def connection_argument_spec() -> dict[str, dict[str, t.Any]]:
    """Return a fresh argument spec of the connection options; the doc fragments C(connection.*) describe them."""
    return {
        **account_argument_spec(),
        "aws_config": {"type": "dict"},
        "addressing_style": {"type": "str", "choices": list(ADDRESSING_STYLES), "default": "auto"},
        "checksums": {"type": "str", "choices": list(CHECKSUMS), "default": "when_required"},
    }


def account_argument_spec() -> dict[str, dict[str, t.Any]]:
    """Return the part of the connection options that is not about the S3 API; the doc fragment is C(connection)."""
    return {
        "endpoint_url": {"type": "str", "aliases": ["aws_endpoint_url", "s3_url"]},
        "region": {"type": "str", "aliases": ["aws_region"]},
        "access_key": {"type": "str", "aliases": ["aws_access_key_id", "aws_access_key"], "no_log": False},
        "secret_key": {"type": "str", "aliases": ["aws_secret_access_key", "aws_secret_key"], "no_log": True},
        "session_token": {"type": "str", "aliases": ["aws_session_token"], "no_log": True},
        "profile": {"type": "str", "aliases": ["aws_profile"]},
        "credentials_file": {"type": "path"},
        "aws_ca_bundle": {"type": "path"},
        "validate_certs": {"type": "bool", "default": True},
    }


def connection_options(params: t.Mapping[str, t.Any]) -> ConnectionOptions:
    """Check the connection options among a module's parameters and return them, credentials read.

    Reads C(credentials_file). Checks C(bucket), where params has it, and refuses an endpoint with it.
    An empty option counts as left out, but for access_key and secret_key: there it is a failed lookup more often than
    a wish.

    Raises ConnectionOptionsError for the first thing that can't be right.
    """
    _check_bucket(params.get("bucket"))
    style = params.get("addressing_style") or "auto"
    endpoint_url = _endpoint(params.get("endpoint_url"), params.get("bucket"), style)
    access_key, secret_key, session_token = _credentials(params)
    return ConnectionOptions(
        endpoint_url=endpoint_url,
        region=_region(params.get("region")),
        access_key=access_key,
        secret_key=secret_key,
        session_token=session_token,
        profile=params.get("profile") or None,
        ca_bundle=_ca_bundle(params.get("aws_ca_bundle")),
        validate_certs=params.get("validate_certs") is not False,
        addressing_style=_addressing_style(style, endpoint_url),
        checksums=params.get("checksums") or "when_required",
        aws_config=dict(params.get("aws_config") or {}),
    )


def _check_bucket(bucket: str | None) -> None:
    """Refuse what no store takes for a bucket's name. Old names on AWS, and names on Ceph, may have capitals."""
    if bucket is None or re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{2,254}", bucket):
        return
    raise ConnectionOptionsError(
        f"bucket {bucket!r} is not a bucket's name; write 3 to 63 lower-case letters, digits and hyphens, no path or"
        " URL or ARN"
    )


def _endpoint(value: str | None, bucket: str | None, style: str) -> str | None:
    if not value:
        return None
    text = value.strip()
    # An URL with a password in it must not be repeated.
    shown = "endpoint_url" if "@" in text else f"endpoint_url {text!r}"
    if not re.match(r"https?://", text, re.IGNORECASE):
        fault = "begins with neither https:// nor http://" if "://" in text else "has no scheme"
        raise ConnectionOptionsError(f"{shown} {fault}; write https://HOST or http://HOST")
    try:
        url = urlsplit(text)
        host, port = url.hostname, url.port
    except ValueError as error:
        raise ConnectionOptionsError(f"{shown} is not a URL; write https://HOST or https://HOST:PORT") from error
    if "@" in url.netloc:
        raise ConnectionOptionsError(
            "endpoint_url holds a user name or password; remove it, use access_key and secret_key or credentials_file"
        )
    if not host or port == 0 or re.search(r"[^0-9A-Za-z.:_-]", host):
        raise ConnectionOptionsError(f"{shown} has no valid host; write https://HOST or https://HOST:PORT")
    if url.query or url.fragment:
        raise ConnectionOptionsError(f"{shown} has a query or fragment; write only https://HOST or https://HOST:PORT")
    base = f"{url.scheme.lower()}://{url.netloc}"
    path = url.path.strip("/")
    if path:
        hint = "the bucket's name belongs in bucket" if bucket and path.split("/")[0] == bucket else "remove the path"
        raise ConnectionOptionsError(f"{shown} has a path, '/{path}'; {hint}, endpoint_url is {base}")
    if bucket and host.startswith(f"{bucket.lower()}.") and style != "path":
        without = base.replace(url.netloc, url.netloc[len(bucket) + 1 :], 1)
        raise ConnectionOptionsError(
            f"{shown} begins with the bucket's name {bucket!r}; write {without}, the name is added where it is needed."
            f" If {host} really is the store's own name, set addressing_style: path"
        )
    return base


def _region(value: str | None) -> str | None:
    if not value:
        return None
    text = value.strip()
    if not re.fullmatch(r"[A-Za-z0-9._-]+", text):
        raise ConnectionOptionsError(
            f"region {value!r} is not a region's name; write one like eu-central-1, or what your store's manual says"
        )
    return text


def _addressing_style(style: str, endpoint_url: str | None) -> str:
    """Decide V(auto): a host below the endpoint's own name seldom has a DNS entry and a certificate, but on AWS."""
    if style != "auto" or endpoint_url is None:
        return style
    host = urlsplit(endpoint_url).hostname or ""
    return "auto" if host.endswith(AWS_DOMAINS) else "path"


def _credentials(params: t.Mapping[str, t.Any]) -> tuple[str | None, str | None, str | None]:
    access_key, secret_key = params.get("access_key"), params.get("secret_key")
    session_token, profile = params.get("session_token") or None, params.get("profile") or None
    path = params.get("credentials_file") or None

    keys = [name for name in ("access_key", "secret_key", "session_token") if params.get(name)]
    if path and keys:
        raise ConnectionOptionsError(f"credentials_file and {' and '.join(keys)} are both set; use one of them")
    if path and profile:
        raise ConnectionOptionsError("credentials_file and profile are both set; use one of them")
    if profile and keys:
        raise ConnectionOptionsError(f"profile and {' and '.join(keys)} are both set; use one of them")
    if path:
        return (*_keys_of_file(path), None)

    for name, value, other in (("access_key", access_key, secret_key), ("secret_key", secret_key, access_key)):
        if value is not None and not value.strip():
            raise ConnectionOptionsError(f"{name} is empty; {_OMIT}")
        if value and other is None:
            missing = "secret_key" if name == "access_key" else "access_key"
            raise ConnectionOptionsError(f"{name} is set and {missing} is not; set both or neither")
        if value and re.search(r"\s", value):
            raise ConnectionOptionsError(
                f"{name} has white space in it; copy the key again, without blanks or newlines"
            )
    if session_token and not access_key:
        raise ConnectionOptionsError("session_token is set and access_key is not; set access_key and secret_key, too")
    return access_key, secret_key, session_token


def _keys_of_file(path: str) -> tuple[str, str]:
    try:
        variables = read_variables(path)
    except DotenvError as error:
        raise ConnectionOptionsError(
            f"credentials_file: {error}; give the path of the env file on this host, and run as one who may read it"
        ) from error
    found = {name: variables.get(name, "") for name in (ACCESS_KEY_VARIABLE, SECRET_KEY_VARIABLE)}
    missing = [name for name, value in found.items() if not value.strip()]
    if missing:
        raise ConnectionOptionsError(
            f"credentials_file {path} sets no {' and no '.join(missing)}; add what is missing, with its"
            " value in plain text without references like $NAME"
        )
    blank = [name for name, value in found.items() if re.search(r"\s", value)]
    if blank:
        raise ConnectionOptionsError(
            f"credentials_file {path}: {' and '.join(blank)} has white space in it; copy the key again"
        )
    return found[ACCESS_KEY_VARIABLE], found[SECRET_KEY_VARIABLE]


def _ca_bundle(value: str | None) -> str | None:
    if not value:
        return None
    if not os.path.isfile(value):
        raise ConnectionOptionsError(
            f"aws_ca_bundle {value} is not a file on this host; copy the CA certificate there or leave the option out"
        )
    if not os.access(value, os.R_OK):
        raise ConnectionOptionsError(f"aws_ca_bundle {value} can't be read by this user; make it readable (mode 0644)")
    try:
        ssl.create_default_context(cafile=value)
    except (OSError, ValueError) as error:
        raise ConnectionOptionsError(
            f"aws_ca_bundle {value} holds no certificate in PEM format; copy the authority's certificate there"
        ) from error
    return value
