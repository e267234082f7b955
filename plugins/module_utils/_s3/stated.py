# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The address that connection options state by themselves, so that boto3, which is large, need not be asked for it."""

from __future__ import annotations

import os
import re
import typing as t
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import urlsplit

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.address import Address
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.options import (
    AWS_DOMAINS,
    CONNECT_SECONDS,
    DEFAULT_REGION,
    READ_SECONDS,
    USER_AGENT,
    ConnectionOptions,
)
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.signature import Keys

# What botocore goes by beside its arguments; which certificates to trust is always one of these.
_VARIABLES = ("aws_", "boto")
_PROXIES = "_proxy"
_NO_MATTER = "aws_ca_bundle"
_FILES = (".aws/config", ".aws/credentials")
# Names that botocore takes as they are: https://github.com/boto/botocore, utils.is_valid_endpoint_url and
# validate_region_name.
_LABEL = r"(?!-)[A-Za-z0-9-]{1,63}(?<!-)"
_HOST = re.compile(rf"{_LABEL}(?:\.{_LABEL})*|\[?[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*\]?")
_REGION = re.compile(rf"(?![0-9]+\Z)(?!fips-|aws-global\Z){_LABEL}(?<!-fips)")
_EXPRESS = "--x-s3"  # ends the names of buckets with a protocol of their own


def stated_address(options: ConnectionOptions, bucket: str) -> Address | None:
    """Return the address of a bucket, None where anything but plain options has a say in it: boto3 tells it then.

    That is the address that `address_of` would return for a client with these options, but for the user agent. Also
    None without boto3, which is needed for whatever goes not smoothly.
    """
    if (
        options.endpoint_url is None
        or options.access_key is None
        or options.secret_key is None
        or options.profile
        or options.aws_config
        or options.addressing_style != "path"
        or options.checksums != "when_required"
        or bucket.endswith(_EXPRESS)
        or _is_configured_elsewhere()
        or find_spec("boto3") is None
        or find_spec("botocore") is None
    ):
        return None
    url, region = urlsplit(options.endpoint_url), options.region or DEFAULT_REGION
    hostname = url.hostname or ""
    if not _HOST.fullmatch(hostname) or hostname.endswith(AWS_DOMAINS) or not _REGION.fullmatch(region):
        return None
    tls = url.scheme == "https"
    ca_file = _trusted(options) if tls else None
    if tls and options.validate_certs and not ca_file:
        return None
    return Address(
        tls=tls,
        hostname=hostname,
        port=url.port or (443 if tls else 80),
        host=url.netloc,
        path=f"/{bucket}/",
        region=region,
        user_agent=USER_AGENT,
        connect_timeout=CONNECT_SECONDS,
        read_timeout=READ_SECONDS,
        ca_file=ca_file,
        keys=Keys(options.access_key, options.secret_key, options.session_token),
    )


def _is_configured_elsewhere() -> bool:
    names = {name.lower() for name, value in os.environ.items() if value} - {_NO_MATTER}
    if any(name.startswith(_VARIABLES) or name.endswith(_PROXIES) for name in names):
        return True
    try:
        return any((Path.home() / name).exists() for name in _FILES)
    except (OSError, RuntimeError):
        return True


def _trusted(options: ConnectionOptions) -> str | None:
    """Return the readable file of the certificates to trust; botocore takes those of certifi where it is installed."""
    if not options.validate_certs:
        return None
    if options.ca_bundle:
        return options.ca_bundle
    try:
        import certifi
    except ImportError:
        return None
    where: t.Callable[[], str] = certifi.where
    return where() if os.access(where(), os.R_OK) else None
