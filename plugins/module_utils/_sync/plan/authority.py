# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which side is the truth, and what is refused for it."""

from __future__ import annotations

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.journal.journal import Journal
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.model import (
    Authority,
    DeleteMode,
    SyncError,
    Trust,
)
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.report import Report, Tally
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.settings import Settings
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.tree.source import Source


def refuse_unopened(settings: Settings) -> None:
    """Refuse what the journal forbids before anything is written, not even an empty journal."""
    journal = Journal.peek(settings.journal_path)
    try:
        refuse(settings, journal)
    finally:
        journal.close()


def refuse(settings: Settings, journal: Journal) -> None:
    """Refuse a run that would work against the side that is the truth.

    Raises:
        SyncError: it would.
    """
    if settings.authority is Authority.TREE:
        if journal.switched_ns is not None and not settings.reopen:
            raise SyncError(
                f"after the switch of {_place(settings)} the bucket is the truth: authority=tree would overwrite and"
                " delete what changed there since. Use authority=bucket, or after a rollback to the disk reopen=true"
            )
        return
    if settings.trust is not Trust.JOURNAL or settings.converge:
        option = "converge" if settings.converge else f"trust={settings.trust.value}"
        raise SyncError(
            f"{option}: with authority=bucket the tree no longer says how things have to be, and what the journal"
            " remembers can't be had from the bucket; leave it out"
        )
    if settings.reopen:
        raise SyncError("reopen makes the tree the truth again and needs authority=tree")
    if settings.delete is not DeleteMode.NEVER:
        raise SyncError("with authority=bucket nothing is deleted: leave out delete")
    if journal.watermark_ns is None and not settings.check_mode:
        raise SyncError(missing_journal(settings))


def missing_journal(settings: Settings) -> str:
    """Return why a run with the bucket as authority can't do without the journal of the runs before the switch."""
    return (
        f"there is no journal of a completed run with authority=tree for {_place(settings)} ({settings.journal_path}),"
        " so it can't be told what the bucket has seen already. Use the state_dir, endpoint_url, key_prefix and src of"
        " that run, or run once with authority=tree while the disk still is the truth"
    )


def _place(settings: Settings) -> str:
    return f"bucket {settings.bucket} and {settings.src}"


def without_source(settings: Settings) -> Report:
    """A missing source is an error, but long after the switch, when the local copies may have been removed."""
    journal = Journal.peek(settings.journal_path)
    try:
        if settings.authority is not Authority.BUCKET or journal.settled_ns is None:
            Source(settings.src)
        return Report(Tally(settings.rules), source="missing", complete=True, journal=settings.journal_path)
    finally:
        journal.close()
