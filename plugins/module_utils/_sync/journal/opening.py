# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Opens the journal for a run. This is the only place, and it refuses what the source of truth does not allow."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.journal.journal import Journal
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.model import (
    CompareWith,
    DeleteMode,
    SourceOfTruth,
    SyncError,
)
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.settings import Settings


@contextmanager
def known_journal(settings: Settings) -> Iterator[Journal]:
    """Open the journal for reading. Forbidden runs are refused before anything is written, even an empty journal.

    Raises:
        SyncError: The run would work against the source of truth, or the journal can't be read.
    """
    with closing(Journal.peek(settings.journal_path)) as journal:
        _refuse(settings, journal)
        yield journal


@contextmanager
def open_journal(settings: Settings) -> Iterator[Journal]:
    """Open the journal for a run, exclusively; in check mode only for reading.

    Forbidden runs are refused again, as another run may have ended since `known_journal`.

    Raises:
        SyncError: As above, or another run is using it, or it can't be created.
    """
    if settings.check_mode:
        with known_journal(settings) as journal:
            yield journal
        return
    identity = {
        "endpoint": settings.endpoint,
        "bucket": settings.bucket,
        "prefix": settings.prefix,
        "src": settings.src,
    }
    opened = Journal.open(settings.journal_path, identity, lock_seconds=settings.lock_seconds)
    with closing(opened) as journal:
        _refuse(settings, journal)
        yield journal


def _refuse(settings: Settings, journal: Journal) -> None:
    """Refuse a run that would work against the source of truth.

    Raises:
        SyncError: It would.
    """
    if settings.source_of_truth is SourceOfTruth.DISK:
        if journal.switched_ns is not None and not settings.reopen:
            raise SyncError(
                f"after the switch of {_place(settings)} the bucket is the source of truth: source_of_truth=disk would"
                " overwrite and delete what changed there since. Use source_of_truth=bucket, or after a rollback to the"
                " disk reopen=true"
            )
        return
    if settings.compare_with is not CompareWith.JOURNAL or settings.repair:
        option = "repair" if settings.repair else f"compare_with={settings.compare_with.value}"
        raise SyncError(
            f"{option}: with source_of_truth=bucket the tree no longer says how objects have to be, and the"
            " bucket does not tell what the journal knows; leave it out"
        )
    if settings.reopen:
        raise SyncError("reopen makes the disk the source of truth again and needs source_of_truth=disk")
    if settings.delete is not DeleteMode.NEVER:
        raise SyncError("with source_of_truth=bucket nothing is deleted: leave out delete")
    if journal.watermark_ns is None and not settings.check_mode:
        raise SyncError(missing_journal(settings))


def missing_journal(settings: Settings) -> str:
    """Return why a run with the bucket as the source of truth needs the journal of the runs before the switch."""
    return (
        f"there is no journal of a completed run with source_of_truth=disk for {_place(settings)}"
        f" ({settings.journal_path}), so it is not known what was already sent to the bucket. Use the state_dir,"
        " endpoint_url, key_prefix and src of that run, or run once with source_of_truth=disk while Mastodon still uses"
        " the disk"
    )


def _place(settings: Settings) -> str:
    return f"bucket {settings.bucket} and {settings.src}"
