# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Parses a dotenv file as the Ruby gem dotenv does (2.7 to 3.2), without running or expanding anything.

The grammar is the gem's (`lib/dotenv/parser.rb`): a file is searched for assignments, and everything in between is
ignored. The last assignment of a name wins. Offsets are kept, so that an editor can leave all other bytes alone.
"""

from __future__ import annotations

import bisect
import re
from dataclasses import dataclass

BOM = b"\xef\xbb\xbf"

# Ruby's \w, \s and ^ mean the same as those of Python's byte patterns with re.MULTILINE. Where the gem has \s in front
# of the name, line feeds are left out here: that finds the same names, without going over blank lines again and again.
_ASSIGNMENT = re.compile(
    rb"""
    ^[^\S\n]*
    (?P<export>export\s+)?
    (?P<name>[\w.]+)
    (?P<rest>
        (?:\s*=\s*?|:\s+?)
        (?P<value>
            \s*'(?:\\'|[^'])*'
            | \s*"(?:\\"|[^"])*"
            | [^\#\n]+
        )?
    )?
    \s*
    (?:\#.*)?
    $
    """,
    re.MULTILINE | re.VERBOSE,
)
_QUOTED = re.compile(rb"\A(['\"])(.*)\1\Z", re.DOTALL)
_BACKSLASHED = re.compile(rb"\\([^$])")
_VARIABLE = re.compile(rb"(\\)?\$(?!\()\{?([A-Z0-9_]+)?\}?", re.IGNORECASE)
_CONVENTIONAL_NAME = re.compile(r"(?:[A-Z_][A-Z0-9_]*|[a-z_][a-z0-9_]*)\Z")
_RUBY_WHITESPACE = b"\0\t\n\v\f\r "


@dataclass(frozen=True)
class Assignment:
    """A place in a file that gives a variable its value, or only names it (`export NAME`, or `NAME` alone).

    Attributes:
        name: The variable.
        line: Number of the line with the name, from 1.
        start: Offset of the first byte of that line.
        end: Offset after the last line of the assignment, including its line end.
        value_start: Offset of the first byte after the separator; equal to value_end without a value.
        value_end: Offset after the value with its quotes, before a comment.
        value: The value; None if the file alone does not determine it.
        dynamic: The value refers to other variables or runs a command, so it depends on the reader's environment.
        bare: A name without separator: an empty value in dotenv 3.2 and later, ignored by older versions.
        export: The line begins with `export`.
        quote: The quote around the value, or an empty string.
    """

    name: str
    line: int
    start: int
    end: int
    value_start: int
    value_end: int
    value: str | None
    dynamic: bool
    bare: bool
    export: bool
    quote: str

    @property
    def sets(self) -> bool:
        """Whether this place gives the variable a value, in at least one version of Ruby dotenv."""
        return not (self.bare and self.export)


@dataclass(frozen=True)
class Document:
    """A parsed file: its bytes, and all its assignments in order."""

    data: bytes
    assignments: tuple[Assignment, ...]

    def last(self) -> dict[str, Assignment]:
        """Return the effective assignment of each variable, by name, in the order of the file."""
        return {assignment.name: assignment for assignment in self.assignments if assignment.sets}

    def values(self) -> dict[str, str]:
        """Return each variable's value, without those that the file alone does not determine."""
        return {name: found.value for name, found in self.last().items() if found.value is not None}


def parse(data: bytes) -> Document:
    """Parse the bytes of a dotenv file. Never fails: like Ruby dotenv, it ignores what is not an assignment."""
    text = _Normalised(data)
    assignments: list[Assignment] = []
    modes: dict[bytes, bytes | None] = {}
    for match in _ASSIGNMENT.finditer(text.data):
        name = match["name"]
        quote, value, dynamic = _value(match["value"] or b"", legacy=modes.get(b"DOTENV_LINEBREAK_MODE") == b"legacy")
        bare = match["rest"] is None
        if not bare:
            modes[name] = value
        value_start, value_end = match.span("value")
        if match["value"] is None:
            # A line feed that counts as the space behind a colon is no part of it.
            value_start = value_end = match.end("name") + len((match["rest"] or b"").rstrip())
        name_start = match.start("export" if match["export"] else "name")
        assignments.append(
            Assignment(
                name=name.decode("ascii"),
                line=text.line_number(match.start("name")),
                start=text.line_start(name_start),
                end=text.line_end(max(value_end, match.end("name"))),
                value_start=text.raw(value_start),
                value_end=text.raw(value_end),
                value=None if dynamic or bare else value.decode("utf-8", "surrogateescape"),
                dynamic=dynamic,
                bare=bare,
                export=match["export"] is not None,
                quote=quote,
            )
        )
    return Document(data, tuple(assignments))


class _Normalised:
    """The text as the parser sees it (no byte order mark, only LF), with a mapping to the file's own offsets."""

    def __init__(self, data: bytes) -> None:
        self._raw_size = len(data)
        self._skipped = len(BOM) if data.startswith(BOM) else 0
        body = data[self._skipped :]
        # Offsets, in the normalised text, of the line feeds that were two bytes long.
        self._doubles: list[int] = []
        for count, match in enumerate(re.finditer(rb"\r\n", body)):
            self._doubles.append(match.start() - count)
        self.data = body.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        self._line_starts = [0] + [match.end() for match in re.finditer(rb"\n", self.data)]

    def raw(self, offset: int) -> int:
        """Return the file's offset for an offset in the normalised text."""
        return self._skipped + offset + bisect.bisect_left(self._doubles, offset)

    def line_number(self, offset: int) -> int:
        """Return the number, from 1, of the line that holds the offset."""
        return bisect.bisect_right(self._line_starts, offset)

    def line_start(self, offset: int) -> int:
        """Return the file's offset of the start of the line that holds the offset."""
        return self.raw(self._line_starts[self.line_number(offset) - 1])

    def line_end(self, offset: int) -> int:
        """Return the file's offset behind the line (with its end) that holds the offset."""
        number = self.line_number(offset)
        return self.raw(self._line_starts[number]) if number < len(self._line_starts) else self._raw_size


def _value(raw: bytes, legacy: bool) -> tuple[str, bytes, bool]:
    """Return the quote, the value and whether it is dynamic, from the text after the separator."""
    value = raw.strip(_RUBY_WHITESPACE)
    quote = ""
    match = _QUOTED.match(value)
    if match:
        quote, value = match[1].decode("ascii"), match[2]
    if quote == "'":
        return quote, value, False
    if quote == '"':
        if legacy:
            value = value.replace(b"\\n", b"\n").replace(b"\\r", b"\r")
        else:
            value = value.replace(b"\\n", b"\\\\n").replace(b"\\r", b"\\\\r")
    value = _BACKSLASHED.sub(rb"\1", value)
    return (quote, *_without_escaped_dollars(value))


def _without_escaped_dollars(value: bytes) -> tuple[bytes, bool]:
    """Remove the backslash from escaped references and commands; return whether there are any that are not escaped."""
    dynamic = False

    def variable(match: re.Match[bytes]) -> bytes:
        nonlocal dynamic
        if match[1]:
            return match[0][1:]
        if match[2]:
            dynamic = True
        return match[0]

    value = _VARIABLE.sub(variable, value)
    parts = []
    position = 0
    while True:
        start = value.find(b"$(", position)
        end = _command_end(value, start + 1) if start >= 0 else -1
        if start < 0:
            break
        if end < 0:
            parts.append(value[position : start + 1])
            position = start + 1
            continue
        escaped = start > position and value[start - 1 : start] == b"\\"
        dynamic = dynamic or not escaped
        parts.append(value[position : start - 1 if escaped else start] + value[start:end])
        position = end
    return b"".join(parts) + value[position:], dynamic


def _command_end(value: bytes, start: int) -> int:
    """Return the offset after the parenthesis that closes the one at `start`, or -1; an empty pair is not a command."""
    depth = 0
    for offset in range(start, len(value)):
        byte = value[offset]
        if byte == ord("("):
            depth += 1
        elif byte == ord(")"):
            if value[offset - 1] == ord("("):
                return -1
            depth -= 1
            if depth == 0:
                return offset + 1
    return -1


def is_conventional(name: str) -> bool:
    """Return whether this looks like a variable's name, and not like a part of a key that got there by mistake."""
    return _CONVENTIONAL_NAME.match(name) is not None
