# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is mounted at and below a folder, from the text of /proc/self/mountinfo. See proc(5)."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple, Optional

MOUNTINFO = "/proc/self/mountinfo"
_ESCAPED = re.compile(rb"\\([0-7]{3})")


class Mount(NamedTuple):
    """A line of the text: its number, device, the folder of it that is mounted, where, and its type."""

    number: int
    device: str
    root: bytes
    point: bytes
    kind: str


def at_and_below(lines: Iterable[bytes], path: bytes) -> tuple[Optional[Mount], list[Mount]]:
    """Return the mount that `path` is on (None if there is none), and all that are below it, hidden ones too.

    Args:
        lines: The lines of the text. Those that are too short are skipped.
        path: An absolute path without symbolic links.
    """
    here = path.rstrip(b"/") + b"/"
    around: Optional[Mount] = None
    below: list[Mount] = []
    for line in lines:
        before, _dash, after = line.partition(b" - ")
        words = before.split(b" ")
        if len(words) < 5:
            continue
        root, point = (_ESCAPED.sub(lambda found: bytes([int(found[1], 8)]), word) for word in words[3:5])
        mount = Mount(int(words[0]), words[2].decode(), root, point, after.split(b" ")[0].decode())
        if here.startswith(point.rstrip(b"/") + b"/"):
            # The last of those that are mounted at the same place hides the others.
            if around is None or len(point) >= len(around.point):
                around = mount
        elif point.startswith(here):
            below.append(mount)
    return around, below
