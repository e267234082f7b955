# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Lowers the priority of this process and of those it will start, so that a live server stays responsive."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from typing import Callable, Optional

Run = Callable[[Sequence[str]], tuple[int, str, str]]
# ionice(1): best-effort has levels, of which 7 is the lowest.
IO_CLASSES = {"best-effort": ("-c", "2", "-n", "7"), "idle": ("-c", "3")}


def lower_priority(nice: Optional[int], ionice: Optional[str], run: Run) -> Iterator[str]:
    """Lower the CPU priority by `nice` and set an I/O class of `IO_CLASSES` (None: unchanged); yield what failed.

    `run` runs a command and returns its status, output and errors.
    """
    if nice:
        os.nice(nice)
    if ionice is None:
        return
    command = ["ionice", *IO_CLASSES[ionice], "-p", str(os.getpid())]
    try:
        status, _out, errors = run(command)
    except OSError as error:
        status, errors = 1, str(error)
    if status:
        yield f"ionice: the I/O class can't be changed, the run continues without it: {errors.strip()}"
