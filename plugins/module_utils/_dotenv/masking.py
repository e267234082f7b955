# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Shows dotenv files without their values, for diffs."""

from __future__ import annotations

import re

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._dotenv.editor import Edit
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._dotenv.parser import (
    BOM,
    Assignment,
    Document,
    is_conventional,
)

MASK = "********"

_COMMENTED = re.compile(rb"#\s*(?:export\s+)?([A-Z_][A-Z0-9_]*)\s*=")
_LINE = re.compile(rb"[^\r\n]*(?:\r\n|\n|\r|\Z)")


def masked_diff(edit: Edit, path: str) -> dict[str, str]:
    """Return a diff for Ansible in which names, places and empty values show, and nothing else.

    Comments are masked too, as one may hold a secret that was commented out; so is any line that is no assignment.
    """
    return {
        "before_header": path,
        "after_header": path,
        "before": _masked(edit.before, {}),
        "after": _masked(edit.after, dict.fromkeys(edit.updated, " (new)")),
    }


def _masked(document: Document, notes: dict[str, str]) -> str:
    last = document.last()
    places = {found.start: found for found in document.assignments}
    lines = []
    position = len(BOM) if document.data.startswith(BOM) else 0
    while position < len(document.data):
        found = places.get(position)
        if found:
            lines.append(_assignment(found) + (notes.get(found.name, "") if last.get(found.name) == found else ""))
            position = found.end
            continue
        match = _LINE.match(document.data, position)
        end = match.end() if match else len(document.data)
        lines.append(_other(document.data[position:end].strip()))
        position = end
    return "".join(f"{line}\n" for line in lines)


def _assignment(found: Assignment) -> str:
    # A word alone may be a piece of a key.
    name = found.name if is_conventional(found.name) and not found.bare else MASK
    head = ("export " if found.export else "") + name
    if found.bare:
        return head
    return f"{head}={'' if found.value == '' else MASK}"


def _other(line: bytes) -> str:
    if not line:
        return ""
    match = _COMMENTED.match(line)
    if match:
        return f"# {match[1].decode('ascii')}={MASK}"
    return f"# {MASK}" if line.startswith(b"#") else MASK
