# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How a switch ended, for the next run if the controller was not there to see it."""

from __future__ import annotations

import json
import os
import typing as t
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import datetime, timezone

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._files.errors import FileError, MissingError
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._files.private import (
    private_folder,
    read_private_file,
    write_private_file,
)
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._files.walk import open_folder
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._migration.store import StateError

_LIMIT = 1024 * 1024


@dataclass(frozen=True)
class Outcome:
    """How a switch ended.

    Attributes:
        finished: Everything that was asked for is done. Otherwise it failed.
        undone: After a failure, the previous state was restored.
        error: Why it failed; an empty string if it did not.
        at: When it ended, as an ISO 8601 time in UTC.
    """

    finished: bool
    undone: bool
    error: str
    at: str

    def as_dict(self) -> dict[str, t.Any]:
        """Return the outcome as JSON types."""
        return asdict(self)


def outcome_name(bucket: str) -> str:
    """Return the name of the outcome's file in the state folder."""
    return f"{bucket}.switch-outcome.json"


def now() -> str:
    """Return the current time for an outcome."""
    return datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def write_outcome(state_dir: str, bucket: str, outcome: Outcome) -> None:
    """Keep an outcome until somebody has seen it (`remove_outcome`).

    Raises:
        StateError: It can't be written.
    """
    try:
        with private_folder(state_dir) as folder:
            write_private_file(folder, outcome_name(bucket), f"{json.dumps(outcome.as_dict())}\n".encode())
    except FileError as error:
        raise StateError(f"The outcome of the switch can't be written: {error}") from error


def read_outcome(state_dir: str, bucket: str) -> Outcome | None:
    """Return the outcome that nobody has seen; None if there is none, or if it can't be read."""
    if "/" in bucket:
        return None
    try:
        with open_folder(state_dir, private=True) as folder:
            found = json.loads(read_private_file(folder, outcome_name(bucket), _LIMIT))
        return Outcome(bool(found["finished"]), bool(found["undone"]), str(found["error"]), str(found["at"]))
    # It is news only. What counts is the record.
    except (FileError, ValueError, KeyError, TypeError):
        return None


def remove_outcome(state_dir: str, bucket: str) -> None:
    """Forget the outcome, because somebody has seen it."""
    with suppress(MissingError, FileNotFoundError, FileError), open_folder(state_dir, private=True) as folder:
        os.unlink(outcome_name(bucket), dir_fd=folder.descriptor)
