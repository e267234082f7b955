# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Reads a dotenv file as Docker Compose does (compose-go 2, `dotenv/parser.go` and `template/template.go`)."""

from __future__ import annotations

import re
import unicodedata

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._dotenv.readers.model import (
    Reference,
    RefusalError,
    Values,
)

# Go's unicode.IsSpace, and the parser's own isSpace.
_ANY_SPACE = "\t\n\v\f\r \x85\xa0\u1680\u2028\u2029\u202f\u205f\u3000" + "".join(map(chr, range(0x2000, 0x200B)))
_LINE_SPACE = "\t\v\f\r \x85\xa0"
_EXPORT = re.compile(r"export[\t\n\f\r ]+")
_IN_KEYS = _LINE_SPACE + "_.-[]"
_ESCAPE = re.compile(r'\\(?:[abcfnrtv$"\\]|0[0-9]{0,3})')
_ESCAPES = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v", '"': '"', "\\": "\\"}
_TEMPLATE = re.compile(
    r"\$(?:(?P<escaped>\$)|(?P<named>[_a-z][_a-z0-9]*)|\{(?:(?P<braced>[_a-z][_a-z0-9]*(?::?[-+?].*)?)\}|(?P<invalid>)))",
    re.IGNORECASE,
)


def read(data: bytes) -> Values:
    """Return the variables; the last assignment of a name wins.

    Raises:
        RefusalError: Compose refuses the file.
    """
    text = data.removeprefix(b"\xef\xbb\xbf").decode("utf-8", "replace")
    values: Values = {}
    position = _statement(text, 0)
    while position < len(text):
        position = _read_statement(text, position, values)
        position = _statement(text, position)
    return values


def _statement(text: str, position: int) -> int:
    """Return where the next statement begins, after blank lines and comments."""
    while True:
        position = _skip(text, position, _ANY_SPACE)
        if text[position : position + 1] != "#":
            return position
        end = text.find("\n", position)
        position = len(text) if end < 0 else end


def _skip(text: str, position: int, characters: str) -> int:
    while position < len(text) and text[position] in characters:
        position += 1
    return position


def _read_statement(text: str, start: int, values: Values) -> int:
    """Read one statement and return where it ends."""
    export = _EXPORT.match(text, start)
    if export:
        start = _skip(text, start + len("export"), _LINE_SPACE)
    end = start
    while end < len(text) and text[end] not in "=:\n":
        if text[end] not in _IN_KEYS and unicodedata.category(text[end])[0] not in "LN":
            raise RefusalError
        end += 1
    if start == len(text):
        raise RefusalError
    # If nothing ends the name, all of it is the value of a variable without a name.
    key = text[start:end].rstrip(_ANY_SPACE) if end < len(text) else ""
    if " " in key:
        raise RefusalError
    if text[end : end + 1] == "\n":
        # Comes from the environment, if it is set there.
        return _skip(text, end + 1, _LINE_SPACE)
    values[key], position = _value(text, _skip(text, end + 1 if end < len(text) else start, _LINE_SPACE))
    return position


def _value(text: str, start: int) -> tuple[str | Reference, int]:
    quote = text[start : start + 1]
    if quote not in ("'", '"'):
        end = text.find("\n", start)
        line = text[start:] if end < 0 else text[start:end]
        value = line.partition(" #")[0].rstrip(_ANY_SPACE)
        return _expanded(value), len(text) if end < 0 else end + 1
    characters: list[str] = []
    escaped = False
    for position in range(start + 1, len(text)):
        character = text[position]
        if character == quote and not escaped:
            value = "".join(characters)
            return (_expanded(_ESCAPE.sub(_unescaped, value)) if quote == '"' else value), position + 1
        if character == "\\" and not escaped:
            escaped = True
            continue
        if escaped and character != quote:
            characters.append("\\")
        escaped = False
        characters.append(character)
    raise RefusalError


def _unescaped(match: re.Match[str]) -> str:
    escape = match[0][1:]
    if escape == "$":
        return "$$"
    if escape in _ESCAPES:
        return _ESCAPES[escape]
    if not escape.startswith("0"):
        return match[0]
    octal = escape[1:]
    if re.fullmatch(r"[0-3][0-7]{2}", octal):
        return chr(int(octal, 8))
    return "\\" + octal


def _expanded(value: str) -> str | Reference:
    found = list(_TEMPLATE.finditer(value))
    if any(match["invalid"] is not None for match in found):
        raise RefusalError
    if any(match["escaped"] is None for match in found):
        return Reference(value)
    return value.replace("$$", "$")
