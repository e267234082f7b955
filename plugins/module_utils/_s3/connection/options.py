# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The connection options, their checks, and the checked result.

The options have the names and types of amazon.aws, so that the same C(module_defaults) or variables fit both.
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
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.connection.masking import without_secrets

ACCESS_KEY_VARIABLE = "AWS_ACCESS_KEY_ID"
SECRET_KEY_VARIABLE = "AWS_SECRET_ACCESS_KEY"  # noqa: S105 - a variable's name

ADDRESSING_STYLES = ("auto", "path", "virtual")
CHECKSUMS = ("when_required", "when_supported")

AWS_DOMAINS = (".amazonaws.com", ".amazonaws.com.cn")
DEFAULT_REGION = "us-east-1"
USER_AGENT = "fediverse.mastodon_s3"
CONNECT_SECONDS = 10.0  # a host that drops packets must not look like a hang
READ_SECONDS = 60.0

_OMIT = "set it, or leave it out (default(omit)) to use another source of credentials"


class ConnectionOptionsError(ValueError):
    """The connection options contradict each other or are invalid. The text names the option and the remedy."""


class NotThereYetError(ConnectionOptionsError):
    """The host lacks a key or file that the options name. In check mode, an earlier task may be about to create it."""


@dataclass(frozen=True)
class ConnectionOptions:
    """Checked connection options. Its repr contains no secret.

    Attributes:
        endpoint_url: The store's base URL without bucket and trailing slash; None for AWS.
        region: The signing region; None for botocore's default chain.
        access_key, secret_key, session_token, profile: Credentials; all None for botocore's default chain.
        ca_bundle: File of CA certificates in PEM format; None for botocore's own.
        addressing_style: V(path), V(virtual), or V(auto), which leaves the choice to botocore.
        checksums: V(when_required) or V(when_supported), for both requests and responses.
        aws_config: Further arguments of botocore's Config, not yet checked against the installed botocore.
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
    """Return the connection options that do not concern the S3 API; the doc fragment is C(connection)."""
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


def secret_options(arguments: t.Mapping[str, t.Any]) -> list[str]:
    """Return which of the given arguments, by any of their names, contain a secret of the connection options."""
    words = {
        word
        for name, option in connection_argument_spec().items()
        if option.get("no_log")
        for word in (name, *option.get("aliases", ()))
    }
    return sorted(word for word in words if arguments.get(word))


def connection_options(params: t.Mapping[str, t.Any]) -> ConnectionOptions:
    """Check the connection options among a module's parameters and return them, with credentials.

    Reads C(credentials_file). Checks C(bucket), if params contains it, and refuses an endpoint that contains it. Empty
    options are treated as missing. Only an empty access_key or secret_key is an error, since it is most likely a failed
    lookup.

    Raises:
        ConnectionOptionsError: Names the first mistake.
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
        profile=_profile(params.get("profile")),
        ca_bundle=_ca_bundle(params.get("aws_ca_bundle")),
        validate_certs=params.get("validate_certs") is not False,
        addressing_style=_addressing_style(style, endpoint_url),
        checksums=params.get("checksums") or "when_required",
        aws_config=dict(params.get("aws_config") or {}),
    )


def _check_bucket(bucket: str | None) -> None:
    """Refuse names that no store accepts for a bucket. Old names on AWS, and names on Ceph, may have capitals."""
    if bucket is None or re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{2,254}", bucket):
        return
    raise ConnectionOptionsError(
        f"bucket {shown_value(bucket)} is not a bucket's name; write 3 to 63 lower-case letters, digits and hyphens, no"
        " path or URL or ARN"
    )


def _endpoint(value: str | None, bucket: str | None, style: str) -> str | None:
    if not value:
        return None
    text = value.strip()
    shown = _shown_endpoint(text)
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
            "endpoint_url contains a user name or password; remove it, and use access_key and secret_key or"
            " credentials_file"
        )
    # urlsplit drops newlines and tabs in silence.
    if not host or port == 0 or re.search(r"[^0-9A-Za-z.:_-]", host) or re.search(r"\s", text):
        raise ConnectionOptionsError(f"{shown} has no valid host; write https://HOST or https://HOST:PORT")
    if url.query or url.fragment:
        raise ConnectionOptionsError(f"{shown} has a query or fragment; write only https://HOST or https://HOST:PORT")
    base = f"{url.scheme.lower()}://{url.netloc}"
    path = url.path.strip("/")
    if path:
        hint = "the bucket's name belongs in bucket" if bucket and path.split("/")[0] == bucket else "remove the path"
        raise ConnectionOptionsError(f"{shown} has a path; {hint}, endpoint_url is {base}")
    if bucket and host.startswith(f"{bucket.lower()}.") and style != "path":
        without = base.replace(url.netloc, url.netloc[len(bucket) + 1 :], 1)
        raise ConnectionOptionsError(
            f"{shown} begins with the bucket's name {bucket!r}; write {without}, the name is added where it is needed."
            f" If {host} really is the store's own name, set addressing_style: path"
        )
    return base


def shown_value(value: str) -> str:
    """Return a value in quotes for a message. If it contains an address, a password in it is left out."""
    return without_secrets(repr(value))


def _shown_endpoint(text: str) -> str:
    """Return the option's name, with its value if that can't contain a password.

    A password may be in the place of a user or a port, in a query, and in anything that is escaped.
    """
    plain = re.match(r"[^?#]*", text)
    host = re.sub(r"\A[a-z0-9+.-]*://", "", plain.group() if plain else "", flags=re.IGNORECASE)
    fine = re.fullmatch(r"(\[[0-9a-f:.]*\]?|[\w. -]*)(:\d*)?(/[\w./~-]*)?", host, re.ASCII | re.IGNORECASE)
    return f"endpoint_url {plain.group()!r}" if plain and fine and plain.group().isprintable() else "endpoint_url"


def _region(value: str | None) -> str | None:
    if not value:
        return None
    text = value.strip()
    if not re.fullmatch(r"[A-Za-z0-9._-]+", text):
        raise ConnectionOptionsError(
            f"region {shown_value(value)} is not a region's name; write one like eu-central-1, or what your store's"
            " manual says"
        )
    return text


def _profile(value: str | None) -> str | None:
    if value and not value.isprintable():
        raise ConnectionOptionsError("profile has a newline or control character in it; write its name only")
    return value or None


def _addressing_style(style: str, endpoint_url: str | None) -> str:
    """Decide V(auto): except on AWS, a host below the endpoint's name seldom has a DNS entry and a certificate."""
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
        raise _conflict("credentials_file", keys)
    if path and profile:
        raise _conflict("credentials_file", ["profile"])
    if profile and keys:
        raise _conflict("profile", keys)
    if path:
        return (*_keys_of_file(path), None)

    for name, value, other in (("access_key", access_key, secret_key), ("secret_key", secret_key, access_key)):
        if value is not None:
            check_secret(name, value)
        if value and other is None:
            missing = "secret_key" if name == "access_key" else "access_key"
            raise ConnectionOptionsError(f"{name} is set and {missing} is not; set both or neither")
    if session_token:
        check_secret("session_token", session_token)
        if not access_key:
            raise ConnectionOptionsError(
                "session_token is set and access_key is not; set access_key and secret_key, too"
            )
    return access_key, secret_key, session_token


def _conflict(name: str, others: t.Sequence[str]) -> ConnectionOptionsError:
    if len(others) == 1:
        return ConnectionOptionsError(f"{name} and {others[0]} are both set; use one of them")
    names = f"{', '.join([name, *others[:-1]])} and {others[-1]}"
    return ConnectionOptionsError(f"{names} are all set; set {name}, or set the others")


def check_secret(name: str, value: str, remedy: str = "copy it again, without blanks or newlines") -> None:
    """Refuse a key or token that can't be sent in a header, without repeating any part of it.

    `name` is what the value is called, as the beginning of the message.

    Raises:
        ConnectionOptionsError: It can't be sent.
    """
    if not value.strip():
        raise ConnectionOptionsError(f"{name} is empty; {_OMIT}")
    fault = ""
    if re.search(r"[\r\n]\s*\Z", value):
        fault = "ends with a newline"
    elif re.search(r"\s", value):
        fault = "has white space in it"
    elif not value.isascii():
        fault = "has a character in it that is not ASCII"
    elif not value.isprintable():
        fault = "has a control character in it"
    if fault:
        raise ConnectionOptionsError(f"{name} {fault}; {remedy}")


def _keys_of_file(path: str) -> tuple[str, str]:
    try:
        variables = read_variables(path)
    except DotenvError as error:
        raise ConnectionOptionsError(f"credentials_file (the env file on this host): {error}") from error
    found = {name: variables.get(name, "") for name in (ACCESS_KEY_VARIABLE, SECRET_KEY_VARIABLE)}
    missing = [name for name, value in found.items() if not value.strip()]
    if missing:
        raise NotThereYetError(
            f"credentials_file {path} sets no {' and no '.join(missing)}; add what is missing, with its"
            " value in plain text without references like $NAME"
        )
    for name, value in found.items():
        check_secret(f"credentials_file {path}: {name}", value)
    return found[ACCESS_KEY_VARIABLE], found[SECRET_KEY_VARIABLE]


def _ca_bundle(value: str | None) -> str | None:
    if not value:
        return None
    if not os.path.isfile(value):
        raise NotThereYetError(
            f"aws_ca_bundle {without_secrets(value)} is not a file on this host; copy the CA certificate there or leave"
            " the option out"
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
