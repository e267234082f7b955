# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Sets and removes variables in the bytes of a dotenv file. Every byte outside the edited lines stays as it is."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import NamedTuple

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._dotenv.errors import DotenvEditError
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._dotenv.other_readers import check_other_readers
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._dotenv.parser import (
    BOM,
    Assignment,
    Document,
    is_conventional,
    parse,
)
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._dotenv.problems import find_problems
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._dotenv.quoting import (
    check_name,
    is_portable,
    quote,
)

_LINE_END = re.compile(rb"\r\n|\n|\r")
_CONTINUED = re.compile(rb"(?<!\\)(?:\\\\)*\\(?:\r\n|\n|\r)\Z")
_LAST_LINE_END = re.compile(rb"(?:\r\n|\n|\r)\Z")


@dataclass(frozen=True)
class Edit:
    """The result of an edit.

    Attributes:
        before: The file as it was.
        after: The file as it will be; `after.data` equals `before.data` if there is nothing to do.
        added: Names that had no value before.
        updated: Names with a new value, or with the same value in a form that all readers understand.
        removed: Names that were in the file and no longer are.
        duplicates: Lines, by name, of earlier assignments that the last one overrides; they are not changed.
    """

    before: Document
    after: Document
    added: tuple[str, ...]
    updated: tuple[str, ...]
    removed: tuple[str, ...]
    duplicates: dict[str, tuple[int, ...]]


class _Replacement(NamedTuple):
    start: int
    end: int
    text: bytes


def edit(data: bytes, values: dict[str, str], absent: tuple[str, ...] = (), *, comment_out: bool = False) -> Edit:
    """Set `values` and remove the names in `absent`.

    A variable is set at its last assignment, or at a commented sample (`# NAME=`), or at the end. The line is then
    written as `NAME=value`, the only form that all readers understand: `export` is dropped and an inline comment gets
    its own line above. A line from which all readers already get the right value is left alone.

    Args:
        data: The file.
        values: Value by name; an empty string means present and empty.
        absent: Names that should have no value; all their assignments are removed.
        comment_out: Put `# ` in front of the removed lines instead of deleting them.

    Raises:
        DotenvValueError: A name or a value can't be written so that all readers get the same.
        DotenvEditError: A reader would get a wrong value, or a different value for another variable.
    """
    before = parse(data)
    line_end = _line_end(data)
    replacements: list[_Replacement] = []
    appended: list[bytes] = []
    for name, value in values.items():
        check_name(name)
        line = f"{name}={quote(name, value)}".encode()
        last = before.last().get(name)
        if last is not None:
            if not _is_up_to_date(data, last, value):
                replacements.append(_set_in_place(data, last, line, line_end))
            continue
        sample = _find_sample(before, name)
        if sample:
            replacements.append(sample._replace(text=sample.text + line + _end_of(data[sample.start : sample.end])))
        else:
            appended.append(line)
    for name in absent:
        check_name(name)
        for found in before.assignments:
            if found.name == name:
                text = _commented(data[found.start : found.end]) if comment_out else b""
                replacements.append(_Replacement(found.start, found.end, text))
    after = parse(_apply(data, sorted(replacements), appended, line_end))
    _check(before, after, values, absent)
    check_other_readers(before, after, values, absent)
    return _summary(before, after, values, absent)


def _apply(data: bytes, replacements: list[_Replacement], appended: list[bytes], line_end: bytes) -> bytes:
    result = bytearray()
    position = 0
    for start, end, text in replacements:
        result += data[position:start]
        # A removed line leaves an empty one, if otherwise the next one would continue the line before.
        if _is_continuation(result) and (text or end < len(data)):
            result += line_end
        result += text
        position = end
    result += data[position:]
    for line in appended:
        if result and result != BOM and not result.endswith((b"\n", b"\r")):
            result += line_end
        if _is_continuation(result):
            result += line_end
        result += line + line_end
    return bytes(result)


def _is_continuation(before: bytes | bytearray) -> bool:
    """Return whether systemd would read a line at this position as a continuation of the text before it."""
    return before == BOM or _CONTINUED.search(before, max(0, len(before) - 4096)) is not None


def _is_up_to_date(data: bytes, found: Assignment, value: str) -> bool:
    """Return whether all readers already get the value from this line."""
    head = rb"[ \t]*" + found.name.encode() + rb"[ \t]*=[ \t]*"
    line = _LAST_LINE_END.sub(b"", data[found.start : found.end])
    match = re.match(head, line)
    return (
        found.value == value
        and match is not None
        and is_portable(line[match.end() :].rstrip(b" \t").decode("utf-8", "surrogateescape"), value)
        and not _is_continuation(data[: found.start])
    )


def _set_in_place(data: bytes, found: Assignment, line: bytes, line_end: bytes) -> _Replacement:
    old = data[found.start : found.end]
    indent = old[: len(old) - len(old.lstrip(b" \t"))]
    tail = data[found.value_end : found.end].strip()
    comment = indent + tail + line_end if tail.startswith(b"#") else b""
    if comment and _is_continuation(comment):
        comment += line_end
    return _Replacement(found.start, found.end, comment + indent + line + _end_of(old))


def _find_sample(document: Document, name: str) -> _Replacement | None:
    """Find the first commented assignment of the name; `text` is the inline comment, which gets its own line."""
    pattern = re.compile(
        rb"^[ \t]*\#+[ \t]*(?:export[ \t]+)?" + name.encode() + rb"[ \t]*=[ \t]*"
        rb"(?:'[^'\r\n]*'|\"[^\"\r\n]*\"|[^\s'\"\#]*)(?:[ \t]+(?P<comment>\#[^\r\n]*))?[ \t]*(?P<end>\r\n|\n|\r|\Z)",
        re.MULTILINE | re.VERBOSE,
    )
    data = document.data
    for match in pattern.finditer(data):
        if not any(found.start <= match.start() < found.end for found in document.assignments):
            comment = match["comment"].rstrip() + (match["end"] or b"\n") if match["comment"] else b""
            if comment and _is_continuation(comment):
                comment += match["end"] or b"\n"
            return _Replacement(match.start(), match.end(), comment)
    return None


def _commented(lines: bytes) -> bytes:
    # systemd continues a comment after a backslash at its end.
    text = re.sub(rb"^(?=[^\r\n])", b"# ", lines, flags=re.MULTILINE)
    return re.sub(rb"\\(?=\r?\n|\r|\Z)", b"\\\\ ", text)


def _line_end(data: bytes) -> bytes:
    """Return the line end of the file's last line that has one."""
    found = _LINE_END.findall(data)
    return bytes(found[-1]) if found else b"\n"


def _end_of(lines: bytes) -> bytes:
    match = _LAST_LINE_END.search(lines)
    return match[0] if match else b""


def _check(before: Document, after: Document, values: dict[str, str], absent: tuple[str, ...]) -> None:
    """Refuse an edit after which anything but the requested change would be read."""
    read = after.last()
    for name, value in values.items():
        if name not in read or read[name].value != value:
            raise DotenvEditError(f"{name} can't be set here: {_SUSPECT}")
    for name in absent:
        if name in read:
            raise DotenvEditError(f"{name} can't be removed here: {_SUSPECT}")
    touched = {*values, *absent}
    for name, old in before.last().items():
        if name not in touched and (name not in read or not _reads_alike(before, old, after, read[name])):
            raise DotenvEditError(f"the edit would change what is read for {_shown(name)}: {_SUSPECT}")
    for name in read:
        if name not in touched and name not in before.last():
            raise DotenvEditError(f"the edit would bring up {_shown(name)}: {_SUSPECT}")
    new_faults = {problem.message for problem in find_problems(after) if problem.fatal}
    new_faults -= {problem.message for problem in find_problems(before) if problem.fatal}
    if new_faults:
        raise DotenvEditError(f"after this edit, {'; '.join(sorted(new_faults))}; remove that line first")


_SUSPECT = (
    "a quote somewhere in the file is not closed, or is in a place where dotenv does not expect it; correct it first"
)


def _shown(name: str) -> str:
    return name if is_conventional(name) else "another variable"


def _reads_alike(before: Document, old: Assignment, after: Document, new: Assignment) -> bool:
    return (
        old.value == new.value
        and old.bare == new.bare
        and before.data[old.value_start : old.value_end] == after.data[new.value_start : new.value_end]
    )


def _summary(before: Document, after: Document, values: dict[str, str], absent: tuple[str, ...]) -> Edit:
    had = before.last()
    now = after.last()

    def line(document: Document, found: Assignment) -> bytes:
        return document.data[found.start : found.end]

    return Edit(
        before=before,
        after=after,
        added=tuple(name for name in values if name not in had),
        updated=tuple(name for name in values if name in had and line(before, had[name]) != line(after, now[name])),
        removed=tuple(name for name in absent if any(found.name == name for found in before.assignments)),
        duplicates={name: lines[:-1] for name in values if len(lines := _lines(after, name)) > 1},
    )


def _lines(document: Document, name: str) -> tuple[int, ...]:
    return tuple(found.line for found in document.assignments if found.name == name and found.sets)
