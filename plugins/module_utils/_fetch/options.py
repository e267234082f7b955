# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Turns the module's parameters into settings; errors name the option and the remedy."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Union

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._fetch.model import FetchError, FetchSettings
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._files.errors import FileError
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._files.ownership import parse_access
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.options import (
    STATE_DIR,
    absolute,
    at_least,
    place_argument_spec,
    rules_from,
)

_MOST_CONCURRENCY = 128


def fetch_argument_spec() -> dict[str, dict[str, Any]]:
    """Return a new argument spec of the options, without those of the connection."""
    return {
        **place_argument_spec(),
        "dest": {"type": "path", "required": True},
        "newer_than": {"type": "float"},
        "mode": {"type": "raw", "default": "0644"},
        "directory_mode": {"type": "raw", "default": "0755"},
        "replaced_dir": {"type": "path", "default": f"{STATE_DIR}/replaced"},
        "concurrency": {"type": "int", "default": 16},
        "limit": {"type": "int", "default": 20},
    }


def settings_from(params: Mapping[str, Any], *, check_mode: bool) -> FetchSettings:
    """Return the settings in the parameters.

    Raises:
        FetchError: A mode, a number or a path can't be used.
        SyncError: See `rules_from`.
    """
    concurrency = at_least("concurrency", params["concurrency"], 1)
    if concurrency > _MOST_CONCURRENCY:
        raise FetchError(f"concurrency: {concurrency} is too much for a store: use at most {_MOST_CONCURRENCY}")
    return FetchSettings(
        dest=absolute("dest", params["dest"]),
        replaced_dir=absolute("replaced_dir", params["replaced_dir"]),
        rules=rules_from(params),
        newer_than=params["newer_than"],
        mode=_mode("mode", params["mode"], 0o600),
        directory_mode=_mode("directory_mode", params["directory_mode"], 0o700),
        concurrency=concurrency,
        limit=at_least("limit", params["limit"], 0),
        check_mode=check_mode,
    )


def _mode(option: str, value: Union[str, int, None], least: int) -> int:
    try:
        mode = parse_access(None, None, value).mode
    except FileError as error:
        raise FetchError(f"{option}: {error}") from error
    if mode is None or mode & least != least:
        raise FetchError(f'{option}: {value!r} gives the owner too few rights; use at least "{least:04o}"')
    return mode
