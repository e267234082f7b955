# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""From a module's parameters to rules and settings; every mistake is named with its option and its remedy."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, Optional

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.model import (
    Aspect,
    Authority,
    DeleteMode,
    ExposureMode,
    SyncError,
    Trust,
)
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.processes.priority import IO_CLASSES
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.rules.rules import Rules, patterns, prefixes
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.settings import Settings

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
_MOST_PREFIX_BYTES = 512  # half of what a key may have
_LEAST_RATE = 1024
_AWS = "aws"


def place_argument_spec() -> dict[str, dict[str, Any]]:
    """Return a fresh argument spec of what names a tree, its place in a bucket, and what belongs there."""
    return {
        "src": {"type": "path", "required": True},
        "bucket": {"type": "str", "required": True},
        "key_prefix": {"type": "str", "default": "", "no_log": False},
        "exposure": {"type": "str", "choices": [mode.value for mode in ExposureMode], "default": "acl"},
        "public_prefixes": {"type": "list", "elements": "str", "default": list(PUBLIC_PREFIXES)},
        "private_prefixes": {"type": "list", "elements": "str", "default": list(PRIVATE_PREFIXES)},
        "include": {"type": "list", "elements": "str", "default": []},
        "exclude": {"type": "list", "elements": "str", "default": ["**/.*"]},
        "open_private": {"type": "bool", "default": False},
    }


def sync_argument_spec() -> dict[str, dict[str, Any]]:
    """Return a fresh argument spec of a sync, but for the connection."""
    return {
        **place_argument_spec(),
        "cache_control": {"type": "str", "default": CACHE_CONTROL},
        "storage_class": {"type": "str"},
        "delete": {"type": "str", "choices": [mode.value for mode in DeleteMode], "default": "never"},
        "max_delete": {"type": "int"},
        "authority": {"type": "str", "choices": [side.value for side in Authority], "default": "tree"},
        "reopen": {"type": "bool", "default": False},
        "trust": {"type": "str", "choices": [trust.value for trust in Trust], "default": "journal"},
        "converge": {
            "type": "list",
            "elements": "str",
            "choices": [aspect.value for aspect in Aspect],
            "default": [],
        },
        "settle_seconds": {"type": "int", "default": 60},
        "state_dir": {"type": "path", "default": STATE_DIR},
        "concurrency": {"type": "int", "default": 128},
        "bandwidth_limit": {"type": "bytes"},
        "nice": {"type": "int"},
        "ionice": {"type": "str", "choices": list(IO_CLASSES)},
        "progress": {"type": "bool", "default": True},
    }


def rules_from(params: Mapping[str, Any]) -> Rules:
    """Return the rules that the parameters ask for.

    Raises:
        SyncError: a prefix or pattern can't be right, or one folder is both public and private.
    """
    public = prefixes("public_prefixes", params["public_prefixes"])
    private = prefixes("private_prefixes", params["private_prefixes"])
    for prefix in public:
        if prefix.startswith(private):
            raise SyncError(
                f"public_prefixes: {prefix} is private by private_prefixes as well: take it out of one of them"
            )
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
        settle_ns=_at_least("settle_seconds", params.get("settle_seconds", 60), 0) * 10**9,
    )


def settings_from(params: Mapping[str, Any], *, check_mode: bool) -> Settings:
    """Return the settings of a run that the parameters ask for.

    Raises:
        SyncError: see `rules_from`; also for a number or a key prefix that can't be right.
    """
    if params["bandwidth_limit"] is not None:
        _at_least("bandwidth_limit", params["bandwidth_limit"], _LEAST_RATE)
    if params["max_delete"] is not None:
        _at_least("max_delete", params["max_delete"], 0)
    if params["nice"] is not None and not 0 <= params["nice"] <= _MOST_NICE:
        raise SyncError(f"nice: {params['nice']} is no priority to lower by: use 0 to {_MOST_NICE}")
    concurrency = _at_least("concurrency", params["concurrency"], 1)
    if concurrency > _MOST_CONCURRENCY:
        raise SyncError(f"concurrency: {concurrency} is more than a store bears: use {_MOST_CONCURRENCY} at most")
    return Settings(
        src=params["src"],
        endpoint=params.get("endpoint_url") or _AWS,
        bucket=_bucket(params["bucket"]),
        prefix=key_prefix_from(params["key_prefix"]),
        rules=rules_from(params),
        state_dir=_absolute("state_dir", params["state_dir"]),
        delete=DeleteMode(params["delete"]),
        max_delete=params["max_delete"],
        authority=Authority(params["authority"]),
        reopen=params["reopen"],
        trust=Trust(params["trust"]),
        converge=_converge(params),
        concurrency=concurrency,
        bandwidth_limit=params["bandwidth_limit"],
        check_mode=check_mode,
    )


def key_prefix_from(value: str) -> str:
    """Return a key prefix that is empty or ends with a slash, so that `config` can't touch `config-old/`.

    Raises:
        SyncError: it begins with a slash, has a part that no URL of Mastodon's would have, or leaves no room for keys.
    """
    prefix = value.rstrip("/")
    if not prefix:
        if value:
            raise SyncError(f"key_prefix: {value!r} is no prefix: leave it empty for the bucket's root")
        return ""
    if prefix.startswith("/") or "//" in prefix:
        raise SyncError(f"key_prefix: {value!r} has an empty part: write it like media or media/system")
    parts = prefix.split("/")
    if "." in parts or ".." in parts or not prefix.isprintable() or len(prefix.encode()) > _MOST_PREFIX_BYTES:
        raise SyncError(f"key_prefix: {value[:80]!r} is no folder that an address can name: write it like media/system")
    return f"{prefix}/"


def _open_private(params: Mapping[str, Any]) -> bool:
    if params["open_private"] and params["exposure"] == ExposureMode.ACL.value:
        raise SyncError(
            "open_private: with exposure=acl a private file is sent and stays private; leave it out, or use"
            " exposure=policy or bucket"
        )
    return bool(params["open_private"])


def _converge(params: Mapping[str, Any]) -> frozenset[Aspect]:
    aspects = frozenset(map(Aspect, params["converge"]))
    if Aspect.ACL in aspects and params["exposure"] != ExposureMode.ACL.value:
        raise SyncError(
            f"converge: with exposure={params['exposure']} objects have no ACLs to be converged; take acl out of it"
        )
    return aspects


def _bucket(name: str) -> str:
    if not name or ("/" in name and not name.startswith("arn:")):
        raise SyncError(f"bucket: {name!r} is not a bucket's name: a folder in it belongs into key_prefix")
    return name


def _header(option: str, value: Optional[str]) -> Optional[str]:
    """Return what can be sent as a header and be signed, None where there is nothing."""
    if value and not (value.isascii() and value.isprintable()):
        raise SyncError(f"{option}: {value!r} is no value of a header: write it in one line of ASCII characters")
    return value or None


def _absolute(option: str, path: str) -> str:
    if not os.path.isabs(path):
        raise SyncError(f"{option}: {path!r} is not an absolute path: the next run may begin in another folder")
    return path


def _at_least(option: str, value: int, least: int) -> int:
    if value < least:
        raise SyncError(f"{option}: {value} is too small: use {least} or more")
    return value
