# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Finds out from the journal which files the last run has dealt with, and what was sent after an earlier run."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Optional

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.journal.clock import Clock
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.journal.journal import Journal
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.journal.rows import check_row
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.journal.runs import CompleteRun
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.model import Row, SyncError
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.rules.rules import Rules

LAST_BUT_ONE = 0


def last_run(path: str) -> CompleteRun:
    """Return the last complete run before the switch in the journal at `path`, by the host's current clock.

    Raises:
        SyncError: There is none, or the journal can't be read.
    """
    with _opened(path, "settled") as (journal, runs):
        last = runs[0]
        return last._replace(watermark_ns=last.watermark_ns - journal.past_runs.set_back_ns(Clock.now()))


@contextmanager
def sent_after(path: str, number: int, rules: Rules) -> Iterator[Iterator[Row]]:
    """Provide the rows of files that have changed since the complete run with this number; they are read step by step.

    With LAST_BUT_ONE, that is the last but one complete run before the switch or, if there was only one, any file.

    Raises:
        SyncError: There is no such run, or the journal can't be read.
    """
    with _opened(path, "sent_after") as (journal, runs):
        since_ns: Optional[int] = None
        if number != LAST_BUT_ONE:
            since_ns = _with_number(runs, number).watermark_ns
        elif len(runs) > 1:
            since_ns = runs[1].watermark_ns
        yield _checked(journal, rules, since_ns)


@contextmanager
def _opened(path: str, option: str) -> Iterator[tuple[Journal, list[CompleteRun]]]:
    with closing(Journal.peek(path)) as journal:
        runs = list(journal.past_runs.complete())
        if not runs:
            raise SyncError(
                f"{option}: there is no journal of a complete run of s3_sync with source_of_truth=disk ({path}). Use"
                " the state_dir, endpoint_url, bucket, key_prefix and src of that run, or run s3_sync first"
            )
        yield journal, runs


def _with_number(runs: list[CompleteRun], number: int) -> CompleteRun:
    for run in runs:
        if run.number == number:
            return run
    known = ", ".join(str(run.number) for run in runs)
    raise SyncError(
        f"sent_after: the journal does not know a complete run {number}, only {known}. Use last_run of a comparison"
        " with settled"
    )


def _checked(journal: Journal, rules: Rules, since_ns: Optional[int]) -> Iterator[Row]:
    for row in journal.rows(changed_since_ns=since_ns):
        check_row(row, rules, journal.path)
        yield row
