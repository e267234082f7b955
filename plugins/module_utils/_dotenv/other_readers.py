# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Checks that Node's dotenv, systemd and Compose read an edited file correctly. The editor checks this for Ruby's."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._dotenv.errors import DotenvEditError
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._dotenv.parser import Document, is_conventional
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._dotenv.readers import compose, node, systemd
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._dotenv.readers.model import RefusalError, Values

_READERS: dict[str, Callable[[bytes], Values]] = {
    "Node's dotenv": node.read,
    "systemd": systemd.read,
    "compose": compose.read,
}
_LINE = re.compile(rb"[^\r\n]*(?:\r\n|\n|\r|\Z)")
_LINE_END = re.compile(rb"\r\n|\n|\r")
_LONE_RETURN = re.compile(rb"\r(?!\n)")
# The search for the line at fault reads the file once for each line.
_SEARCHABLE_LINES = 1000
_SEARCHABLE_BYTES = 64 * 1024


def check_other_readers(before: Document, after: Document, values: dict[str, str], absent: Collection[str]) -> None:
    """Refuse an edit after which a reader gets a wrong value for an edited variable, or a different one for any other.

    Args:
        before: The file as it was.
        after: The file as it will be.
        values: Value by name of the variables that were set.
        absent: Names of the variables that were removed.

    Raises:
        DotenvEditError: Names the reader, the variable and the line at fault.
    """
    for reader, read in _READERS.items():
        old = _try(read, before.data)
        new = _try(read, after.data)
        for name, value in values.items():
            if new is None or new.get(name) != value:
                line = _line_at_fault(after, name, lambda data: _gets(read, data, name, value))  # noqa: B023 - used at once
                what = "rejects the whole file" if new is None else f"would not read the new value of {name}"
                raise DotenvEditError(f"{name} can't be set here: {reader} {what}, because of {line}")
        for name in absent:
            if new is not None and name in new:
                line = _line_at_fault(after, name, lambda data: _lacks(read, data, name))  # noqa: B023 - used at once
                raise DotenvEditError(f"{name} can't be removed here: {reader} would still read it, because of {line}")
        touched = {*values, *absent}
        lines = [found.line for found in before.assignments if found.name in touched]
        _check_others(reader, old, new, touched, f"look at line {min(lines)} and those above it" if lines else "look")


def _check_others(reader: str, old: Values | None, new: Values | None, touched: Collection[str], where: str) -> None:
    if old is None:
        return
    if new is None:
        raise DotenvEditError(f"after this edit {reader} would reject the whole file; {where} {_SUSPECTS}")
    # Compose turns a stray line into a variable without a name.
    for name in sorted({*old, *new} - {*touched, ""}):
        if old.get(name) != new.get(name):
            shown = name if is_conventional(name) else "another variable"
            raise DotenvEditError(f"the edit would change what {reader} reads for {shown}; {where} {_SUSPECTS}")


_SUSPECTS = "for an unclosed quote or a backslash at the end of a line, and correct it first"


def _try(read: Callable[[bytes], Values], data: bytes) -> Values | None:
    try:
        return read(data)
    except RefusalError:
        return None


def _gets(read: Callable[[bytes], Values], data: bytes, name: str, value: str) -> bool:
    found = _try(read, data)
    return found is not None and found.get(name) == value


def _lacks(read: Callable[[bytes], Values], data: bytes, name: str) -> bool:
    found = _try(read, data)
    return found is not None and name not in found


def _line_at_fault(document: Document, name: str, is_good: Callable[[bytes], bool]) -> str:
    """Return the first line that causes the problem, alone or with all lines above it, and a remedy."""
    data = document.data
    lone = _LONE_RETURN.search(data)
    if lone:
        number = len(_LINE_END.findall(data, 0, lone.start())) + 1
        return f"line {number}, which ends with a lone carriage return; change all line endings to LF first"
    lines = [line for line in _LINE.findall(data) if line]
    if len(lines) <= _SEARCHABLE_LINES and len(data) <= _SEARCHABLE_BYTES:
        for number in range(len(lines)):
            if is_good(b"".join(lines[:number] + lines[number + 1 :])):
                return f"line {number + 1}; first close its quote, rewrite it or remove it"
        for number in range(len(lines)):
            if is_good(b"".join(lines[number + 1 :])):
                return f"line {number + 1} and others above it; first rewrite or remove them"
    last = document.last().get(name)
    return (f"what stands above line {last.line}" if last else "another line") + f"; look {_SUSPECTS}"
