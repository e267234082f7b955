# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How a sync reaches its bucket."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.connection.options import connection_options
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.connection.plain_endpoint import plain_endpoint
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.model import ExposureMode
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.settings import Settings
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.store.store import Store


def store_from(params: Mapping[str, Any], settings: Settings) -> Store:
    """Return the bucket that a module's parameters name. It is not connected yet.

    Raises:
        ConnectionOptionsError: They contradict each other, or the credentials can't be read.
    """
    options = connection_options(params)

    def make_client() -> Any:
        # Only after the processes were forked, so that boto3 is not in their memory too.
        from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.connection import client

        return client.s3_client(options, max_pool_connections=settings.concurrency)

    return Store(
        make_client,
        settings.bucket,
        settings.prefix,
        acl=settings.rules.mode is ExposureMode.ACL,
        endpoint=plain_endpoint(options, settings.bucket),
    )
