# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Turns a module's parameters into rules and settings; errors name the option and the remedy."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, Optional

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.connection.options import shown_value
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.model import (
    Aspect,
    CompareWith,
    DeleteMode,
    ExposureMode,
    SourceOfTruth,
    SyncError,
)
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.processes.priority import IO_CLASSES
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.rules.rules import Rules, patterns, prefixes
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.settings import (
    Settings,
    journal_path,
)

# Mastodon's folders, from the paperclip paths of its models. imports/ holds lists of follows that nobody needs any
# more: it is in neither list and so left out.
PUBLIC_PREFIXES = [
    "accounts/",
    "cache/",
    "custom_emojis/",
    "media_attachments/",
    "preview_card_providers/",
    "preview_cards/",
    "site_uploads/",
]
PRIVATE_PREFIXES = ["backups/"]
CACHE_CONTROL = "public, max-age=315576000, immutable"
STATE_DIR = "/var/lib/mastodon_s3"
_MOST_CONCURRENCY = 256
_MOST_NICE = 19
_MOST_PREFIX_BYTES = 512  # half the maximum length of a key
_LEAST_RATE = 1024
_AWS = "aws"


def place_argument_spec() -> dict[str, dict[str, Any]]:
    """Return a new argument spec of the options for a place in a bucket, and which files belong there."""
    return {
        "bucket": {"type": "str", "required": True},
        "key_prefix": {"type": "str", "default": "", "no_log": False},
        "exposure": {"type": "str", "choices": [mode.value for mode in ExposureMode], "default": "acl"},
        "public_prefixes": {"type": "list", "elements": "str", "default": list(PUBLIC_PREFIXES)},
        "private_prefixes": {"type": "list", "elements": "str", "default": list(PRIVATE_PREFIXES)},
        "include": {"type": "list", "elements": "str", "default": []},
        "exclude": {"type": "list", "elements": "str", "default": ["**/.*"]},
    }


def source_argument_spec() -> dict[str, dict[str, Any]]:
    """Return a new argument spec of the options for a tree, its place in a bucket, and which files belong there."""
    return {
        "src": {"type": "path", "required": True},
        **place_argument_spec(),
        "open_private": {"type": "bool", "default": False},
    }


def sync_argument_spec() -> dict[str, dict[str, Any]]:
    """Return a new argument spec of a sync, without the connection options."""
    return {
        **source_argument_spec(),
        "cache_control": {"type": "str", "default": CACHE_CONTROL},
        "storage_class": {"type": "str"},
        "delete": {"type": "str", "choices": [mode.value for mode in DeleteMode], "default": "never"},
        "max_delete_percent": {"type": "int", "default": 50},
        "max_private_percent": {"type": "int", "default": 30},
        "allow_empty": {"type": "bool", "default": False},
        "source_of_truth": {"type": "str", "choices": [side.value for side in SourceOfTruth], "default": "disk"},
        "reopen": {"type": "bool", "default": False},
        "compare_with": {"type": "str", "choices": [other.value for other in CompareWith], "default": "journal"},
        "repair": {
            "type": "list",
            "elements": "str",
            "choices": [aspect.value for aspect in Aspect],
            "default": [],
        },
        "minimum_age": {"type": "int", "default": 60},
        "state_dir": {"type": "path", "default": STATE_DIR},
        "concurrency": {"type": "int", "default": 256},
        "bandwidth_limit": {"type": "bytes"},
        "nice": {"type": "int"},
        "ionice": {"type": "str", "choices": list(IO_CLASSES)},
        "time_limit": {"type": "int"},
        "progress": {"type": "bool", "default": True},
        "repeat_until": {"type": "str"},
    }


def rules_from(params: Mapping[str, Any]) -> Rules:
    """Return the rules in the parameters.

    Raises:
        SyncError: A prefix or pattern is invalid, or one folder is both public and private.
    """
    public = prefixes("public_prefixes", params["public_prefixes"])
    private = prefixes("private_prefixes", params["private_prefixes"])
    for prefix in public:
        if prefix.startswith(private):
            raise SyncError(f"public_prefixes: {prefix} is also in private_prefixes: remove it from one of them")
    if not public and not private:
        raise SyncError("public_prefixes and private_prefixes are both empty: name the folders that are to be sent")
    return Rules(
        mode=ExposureMode(params["exposure"]),
        public_prefixes=public,
        private_prefixes=private,
        include=patterns("include", params["include"]),
        exclude=patterns("exclude", params["exclude"]),
        cache_control=_header("cache_control", params.get("cache_control")),
        storage_class=_header("storage_class", params.get("storage_class")),
        open_private=_open_private(params),
        minimum_age_ns=at_least("minimum_age", params.get("minimum_age", 60), 0) * 10**9,
    )


def settings_from(params: Mapping[str, Any], *, check_mode: bool) -> Settings:
    """Return the settings of a run in the parameters.

    Raises:
        SyncError: See `rules_from`; also if a number or a key prefix is invalid.
    """
    if params["bandwidth_limit"] is not None:
        at_least("bandwidth_limit", params["bandwidth_limit"], _LEAST_RATE)
    for option in ("max_delete_percent", "max_private_percent"):
        if not 0 <= params[option] <= 100:
            raise SyncError(f"{option}: {params[option]} is not a percentage: use 0 to 100")
    if params["time_limit"] is not None:
        at_least("time_limit", params["time_limit"], 1)
    if params["nice"] is not None and not 0 <= params["nice"] <= _MOST_NICE:
        raise SyncError(f"nice: {params['nice']} is not a priority: use 0 to {_MOST_NICE}")
    concurrency = at_least("concurrency", params["concurrency"], 1)
    if concurrency > _MOST_CONCURRENCY:
        raise SyncError(f"concurrency: {concurrency} is too much for a store: use at most {_MOST_CONCURRENCY}")
    return Settings(
        src=params["src"],
        endpoint=params.get("endpoint_url") or _AWS,
        bucket=_bucket(params["bucket"]),
        prefix=key_prefix_from(params["key_prefix"]),
        rules=rules_from(params),
        state_dir=absolute("state_dir", params["state_dir"]),
        delete=DeleteMode(params["delete"]),
        max_delete_percent=params["max_delete_percent"],
        max_private_percent=params["max_private_percent"],
        allow_empty=params["allow_empty"],
        source_of_truth=SourceOfTruth(params["source_of_truth"]),
        reopen=params["reopen"],
        compare_with=CompareWith(params["compare_with"]),
        repair=_repair(params),
        concurrency=concurrency,
        bandwidth_limit=params["bandwidth_limit"],
        check_mode=check_mode,
    )


def journal_path_from(params: Mapping[str, Any]) -> str:
    """Return the path of the journal of runs with the same tree, place in a bucket and state folder.

    Raises:
        SyncError: One of them is invalid.
    """
    return journal_path(
        absolute("state_dir", params["state_dir"]),
        endpoint=params.get("endpoint_url") or _AWS,
        bucket=_bucket(params["bucket"]),
        prefix=key_prefix_from(params["key_prefix"]),
        src=params["src"],
    )


def key_prefix_from(value: str) -> str:
    """Return a key prefix that is empty or ends with a slash, so that `config` does not match `config-old/`.

    Raises:
        SyncError: It begins with a slash, contains a part that Mastodon's URLs can't have, or leaves no room for keys.
    """
    prefix = value.rstrip("/")
    if not prefix:
        if value:
            raise SyncError(f"key_prefix: {value!r} is not a prefix: leave it empty for the bucket's root")
        return ""
    if prefix.startswith("/") or "//" in prefix:
        raise SyncError(f"key_prefix: {shown_value(value)} has an empty part: write it like media or media/system")
    parts = prefix.split("/")
    if "." in parts or ".." in parts or not prefix.isprintable() or len(prefix.encode()) > _MOST_PREFIX_BYTES:
        raise SyncError(
            f"key_prefix: {shown_value(value[:80])} is not a folder that an address can contain: write it like"
            " media/system"
        )
    return f"{prefix}/"


def _open_private(params: Mapping[str, Any]) -> bool:
    wanted = bool(params.get("open_private"))
    if wanted and params["exposure"] == ExposureMode.ACL.value:
        raise SyncError(
            "open_private: with exposure=acl a private file is sent and stays private; leave it out, or use"
            " exposure=policy or exposure=open_bucket"
        )
    return wanted


def _repair(params: Mapping[str, Any]) -> frozenset[Aspect]:
    aspects = frozenset(map(Aspect, params["repair"]))
    if Aspect.ACL in aspects and params["exposure"] != ExposureMode.ACL.value:
        raise SyncError(f"repair: with exposure={params['exposure']} objects have no ACLs to repair. Leave out acl")
    return aspects


def _bucket(name: str) -> str:
    if not name or ("/" in name and not name.startswith("arn:")):
        raise SyncError(
            f"bucket: {shown_value(name)} is not a bucket name: put a folder inside the bucket into key_prefix"
        )
    return name


def _header(option: str, value: Optional[str]) -> Optional[str]:
    """Return a value that can be sent and signed as a header; None if there is none."""
    if value and not (value.isascii() and value.isprintable()):
        raise SyncError(f"{option}: {value!r} is not a header value: write it in one line of ASCII characters")
    return value or None


def absolute(option: str, path: str) -> str:
    """Return the path that an option has.

    Raises:
        SyncError: It is not absolute.
    """
    if not os.path.isabs(path):
        raise SyncError(f"{option}: {path!r} is not an absolute path: the next run may begin in another folder")
    return path


def at_least(option: str, value: int, least: int) -> int:
    """Return the number that an option has.

    Raises:
        SyncError: It is below `least`.
    """
    if value < least:
        raise SyncError(f"{option}: {value} is too small: use {least} or more")
    return value
