# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The settings of one run."""

from __future__ import annotations

import hashlib
import os
import re
from dataclasses import dataclass
from typing import Optional

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.model import (
    Aspect,
    CompareWith,
    DeleteMode,
    SourceOfTruth,
)
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.rules.rules import Rules

LOCK_SECONDS = 30.0  # for which a run waits for the end of another


@dataclass(frozen=True)
class Settings:
    """The settings of one run. `prefix` is empty or ends with a slash; `endpoint` identifies the store.

    concurrency: Maximum number of files at once; bandwidth_limit: bytes per second, None for no limit.
    max_delete_percent: Maximum percentage of objects that may be deleted.
    max_private_percent: Maximum percentage of files in public locations that may look private; 0 allows none, 100 all.
    allow_empty: A tree without files is accepted.
    """

    src: str
    endpoint: str
    bucket: str
    prefix: str
    rules: Rules
    state_dir: str
    delete: DeleteMode = DeleteMode.NEVER
    max_delete_percent: int = 50
    max_private_percent: int = 30
    allow_empty: bool = False
    source_of_truth: SourceOfTruth = SourceOfTruth.DISK
    reopen: bool = False
    compare_with: CompareWith = CompareWith.JOURNAL
    repair: frozenset[Aspect] = frozenset()
    concurrency: int = 256
    bandwidth_limit: Optional[int] = None
    check_mode: bool = False
    lock_seconds: float = LOCK_SECONDS

    @property
    def journal_path(self) -> str:
        """The path of the journal for this tree and bucket."""
        return journal_path(
            self.state_dir, endpoint=self.endpoint, bucket=self.bucket, prefix=self.prefix, src=self.src
        )


def journal_path(state_dir: str, *, endpoint: str, bucket: str, prefix: str, src: str) -> str:
    """Return the journal's path for a tree and its place in a bucket: a readable name that is unique."""
    identity = "\0".join((endpoint.rstrip("/").lower(), bucket, prefix, os.path.abspath(src)))
    readable = re.sub(r"[^A-Za-z0-9.-]+", "_", bucket)[:63]
    return os.path.join(state_dir, f"sync-{readable}-{hashlib.sha256(identity.encode()).hexdigest()[:12]}.sqlite")
