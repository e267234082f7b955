# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Reads an `EnvironmentFile=` as systemd does (`src/basic/env-file.c`)."""

from __future__ import annotations

import re
from dataclasses import dataclass

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._dotenv.readers.model import Values

_WHITESPACE = " \t\n\r"
_NEWLINE = "\n\r"
_ESCAPABLE_IN_DOUBLE_QUOTES = '"\\`$'
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


@dataclass(frozen=True)
class SystemdVariable:
    """A variable's value in one file, and the number of its line, from 1."""

    value: str
    line: int


def read(data: bytes) -> Values:
    """Return the variables; the last assignment of a name wins. No file is refused."""
    return {name: found.value for name, found in parse_environment_file(data.decode("utf-8", "replace")).items()}


def parse_environment_file(text: str) -> dict[str, SystemdVariable]:
    """Return the variables of an `EnvironmentFile=` file as systemd reads it; the last assignment of a name wins.

    The rules are those of systemd's `src/basic/env-file.c`: comments begin with `#` or `;` at the start of a line only,
    a backslash before a line end joins two lines, quoted parts are joined, and nothing is expanded.
    """
    reader = _EnvironmentFileReader()
    for char in text:
        reader.feed(char)
    reader.end()
    return reader.settings


class _EnvironmentFileReader:
    """The state machine behind parse_environment_file: one method for each state, chosen by `_state`."""

    def __init__(self) -> None:
        self.settings: dict[str, SystemdVariable] = {}
        self._state = self._before_key
        self._line = 1
        self._key_line = 1
        self._key = ""
        self._value: list[str] = []
        # Number of characters of the value up to its last one that is not white space outside of quotes.
        self._kept = 0

    def feed(self, char: str) -> None:
        self._state(char)
        if char == "\n":
            self._line += 1

    def end(self) -> None:
        if self._state not in (self._before_key, self._in_key, self._in_comment, self._in_comment_escape):
            self._finish()

    def _before_key(self, char: str) -> None:
        if char in "#;":
            self._state = self._in_comment
        elif char not in _WHITESPACE:
            self._state = self._in_key
            self._key, self._key_line = char, self._line

    def _in_key(self, char: str) -> None:
        if char in _NEWLINE:
            self._state = self._before_key
        elif char == "=":
            self._state = self._before_value
            self._value, self._kept = [], 0
        else:
            self._key += char

    def _before_value(self, char: str) -> None:
        if char in _NEWLINE:
            self._finish()
        elif char == "'":
            self._state = self._in_single_quotes
        elif char == '"':
            self._state = self._in_double_quotes
        elif char == "\\":
            self._state = self._in_value_escape
        elif char not in _WHITESPACE:
            self._keep(char)
            self._state = self._in_value

    def _in_value(self, char: str) -> None:
        if char in _NEWLINE:
            self._finish()
        elif char == "\\":
            self._kept = len(self._value)
            self._state = self._in_value_escape
        elif char in _WHITESPACE:
            self._value.append(char)
        else:
            self._keep(char)

    def _in_value_escape(self, char: str) -> None:
        self._state = self._in_value
        if char not in _NEWLINE:
            self._keep(char)

    def _in_single_quotes(self, char: str) -> None:
        if char == "'":
            self._state = self._before_value
        else:
            self._keep(char)

    def _in_double_quotes(self, char: str) -> None:
        if char == '"':
            self._state = self._before_value
        elif char == "\\":
            self._state = self._in_double_quotes_escape
        else:
            self._keep(char)

    def _in_double_quotes_escape(self, char: str) -> None:
        self._state = self._in_double_quotes
        if char in _ESCAPABLE_IN_DOUBLE_QUOTES:
            self._keep(char)
        elif char != "\n":
            self._keep("\\")
            self._keep(char)

    def _in_comment(self, char: str) -> None:
        if char == "\\":
            self._state = self._in_comment_escape
        elif char in _NEWLINE:
            self._state = self._before_key

    def _in_comment_escape(self, char: str) -> None:  # noqa: ARG002 (all states take one)
        self._state = self._in_comment

    def _keep(self, char: str) -> None:
        self._value.append(char)
        self._kept = len(self._value)

    def _finish(self) -> None:
        self._state = self._before_key
        key = self._key.rstrip(_WHITESPACE)
        if _NAME.fullmatch(key):
            self.settings[key] = SystemdVariable("".join(self._value[: self._kept]), self._key_line)
