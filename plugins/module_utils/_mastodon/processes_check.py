# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Checks which settings the running processes of an instance use."""

from __future__ import annotations

import time
import typing as t
from dataclasses import dataclass

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._dotenv.reader import read_document
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._mastodon import processes
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._mastodon.moment import Moment
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._mastodon.proof import DISPROVEN, Judgement, judge

_PAUSE_SECONDS = 2.0


@dataclass(frozen=True)
class ProcessesToCheck:
    """Which processes to check, and for what.

    Attributes:
        instance: How to recognise them.
        variables: The variables of the env file to compare with those of the processes.
        since: They have to be newer than this; None if no moment is known.
        before_reverted_edit: The moment before an edit that was undone.
    """

    instance: processes.Instance
    variables: t.Collection[str] = ()
    since: Moment | None = None
    before_reverted_edit: Moment | None = None


@dataclass(frozen=True)
class CheckedProcesses:
    """What was found.

    Attributes:
        moment: When.
        processes: Each process, and whether it is newer than `since` (None: not known).
        others: Number of processes that may belong to another instance.
        judgement: The conclusion.
    """

    moment: Moment
    processes: tuple[tuple[processes.Process, bool | None], ...]
    others: int
    judgement: Judgement


def check_processes(wanted: ProcessesToCheck, *, seconds: float) -> CheckedProcesses:
    """Check the processes until nothing is wrong with them, or for at most this many seconds.

    Raises:
        DotenvReadError: The env file can't be read.
    """
    end = time.monotonic() + seconds
    while True:
        found = _check(wanted)
        if found.judgement.verdict != DISPROVEN or time.monotonic() >= end:
            return found
        time.sleep(_PAUSE_SECONDS)


def _check(wanted: ProcessesToCheck) -> CheckedProcesses:
    moment = processes.now()
    found, others = processes.of_instance(wanted.instance)
    edit = wanted.before_reverted_edit
    aged = tuple(
        (process, processes.is_newer(process, wanted.since, moment.boot_id, before_reverted_edit=edit))
        for process in found
    )
    values: dict[str, str | None] = {}
    if wanted.variables:
        values = {name: found.value for name, found in read_document(wanted.instance.env_file).last().items()}
    judgement = judge(aged, values, wanted.variables, wanted.instance.env_file)
    return CheckedProcesses(moment, aged, others, judgement)
