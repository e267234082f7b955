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
    journal_path_from,
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
        "deleted": {"type": "str", "choices": ["keep", "set_aside"], "default": "keep"},
        "max_change_percent": {"type": "int", "default": 50},
        "acls": {"type": "str", "choices": ["new", "all"], "default": "new"},
        "modes_until": {"type": "float"},
        "set_aside_dir": {"type": "path", "default": f"{STATE_DIR}/set_aside"},
        "state_dir": {"type": "path", "default": STATE_DIR},
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
    percent = at_least("max_change_percent", params["max_change_percent"], 0)
    return FetchSettings(
        dest=absolute("dest", params["dest"]),
        set_aside_dir=absolute("set_aside_dir", params["set_aside_dir"]),
        rules=rules_from(params),
        newer_than=params["newer_than"],
        journal=journal_path_from({**params, "src": params["dest"]}) if params["deleted"] == "set_aside" else None,
        max_change_percent=percent,
        all_acls=params["acls"] == "all",
        modes_until=params["modes_until"],
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
