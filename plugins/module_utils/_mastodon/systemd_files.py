# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Finds which line of a unit file of systemd sets a variable."""

from __future__ import annotations

import re

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._mastodon.systemctl import split_words

_SECTION = re.compile(r"\A\[(?P<name>[^\]]*)\]\s*\Z")


def environment_lines(text: str) -> dict[str, int | None]:
    """Return the line of the last `Environment=` of each variable in the text of a unit file or drop-in.

    An empty `Environment=` removes everything that was set before: it appears under the name `""`, and what is above it
    is ignored.
    """
    lines: dict[str, int | None] = {}
    section = ""
    for number, content in logical_lines(text):
        header = _SECTION.match(content)
        if header:
            section = header["name"]
            continue
        key, separator, value = content.partition("=")
        if section != "Service" or key.strip() != "Environment" or not separator:
            continue
        if not value.strip():
            lines = {"": number}
        for word in split_words(value):
            name, is_assignment, _content = word.partition("=")
            if is_assignment:
                lines[name] = number
    return lines


def logical_lines(text: str) -> list[tuple[int, str]]:
    """Return a unit file's lines with their numbers, with continued lines joined and without comments."""
    lines: list[tuple[int, str]] = []
    pending = ""
    start = 0
    for number, line in enumerate(text.splitlines(), 1):
        stripped = line.strip()
        if stripped.startswith(("#", ";")) or (not stripped and not pending):
            continue
        if not pending:
            start = number
        if stripped.endswith("\\"):
            pending += stripped[:-1] + " "
            continue
        lines.append((start, pending + stripped))
        pending = ""
    if pending:
        lines.append((start, pending))
    return lines
