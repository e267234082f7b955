# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Makes the connection pools of urllib3, which boto3 and minio use, keep each request within its limits."""

from __future__ import annotations

import typing as t

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.http.connections import LimitedConnection
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.http.limits import (
    MAX_RESPONSE_BYTES,
    RequestLimits,
)

Pools = dict[str, t.Any]
_NO_TIMEOUT = 60.0  # seconds, where none is set


def limited_pools(pools: t.Mapping[str, t.Any], most: int = MAX_RESPONSE_BYTES) -> Pools:
    """Return pool classes, by scheme, like the given ones, whose requests have limits.

    The pool's own read timeout limits each wait, and the whole request in addition to the time that its bytes may take.
    """
    return {scheme: _limited(pool, most) for scheme, pool in pools.items()}


def _limited(pool: t.Any, most: int) -> t.Any:
    connection = type(f"Limited{pool.ConnectionCls.__name__}", (LimitedConnection, pool.ConnectionCls), {})

    def new_connection(self: t.Any) -> t.Any:
        found = pool._new_conn(self)  # noqa: SLF001 - urllib3 has no public way
        seconds = self.timeout.read_timeout
        found.wait_seconds = seconds if isinstance(seconds, (int, float)) else None
        found.limits = RequestLimits(found.wait_seconds or _NO_TIMEOUT, most)
        return found

    return type(f"Limited{pool.__name__}", (pool,), {"ConnectionCls": connection, "_new_conn": new_connection})
