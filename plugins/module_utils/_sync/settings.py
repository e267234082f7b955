# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What one run is to do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Optional

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.journal.statefiles import (
    LOCK_SECONDS,
    journal_path,
)
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.model import (
    Aspect,
    Authority,
    DeleteMode,
    Trust,
)
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.rules.rules import Rules


@dataclass(frozen=True)
class Settings:
    """What one run is to do. `prefix` is empty or ends with a slash; `endpoint` identifies the store.

    concurrency: files under way at once, at most; bandwidth_limit: bytes a second, None for no limit.
    """

    src: str
    endpoint: str
    bucket: str
    prefix: str
    rules: Rules
    state_dir: str
    delete: DeleteMode = DeleteMode.NEVER
    max_delete: Optional[int] = None
    authority: Authority = Authority.TREE
    reopen: bool = False
    trust: Trust = Trust.JOURNAL
    converge: frozenset[Aspect] = frozenset()
    concurrency: int = 128
    bandwidth_limit: Optional[int] = None
    check_mode: bool = False
    lock_seconds: float = LOCK_SECONDS

    @property
    def journal_path(self) -> str:
        """Where the journal of this pair of tree and bucket lies."""
        return journal_path(
            self.state_dir, endpoint=self.endpoint, bucket=self.bucket, prefix=self.prefix, src=self.src
        )
