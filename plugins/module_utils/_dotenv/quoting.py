# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

r"""Writes values so that Ruby dotenv, Node's dotenv, systemd's EnvironmentFile= and compose all read the same.

Where they differ (each was seen with the real reader):

- `$` outside of single quotes is a reference or, in Ruby, a command; only systemd takes it as it is.
- A `#` outside of quotes cuts the value, but not in systemd.
- A backslash is dropped, kept or an escape, but for single quotes, where only one before the closing quote matters.
- There is no way to write a single quote within single quotes, and no escape for a double quote that Node knows.
- Ruby dotenv before 2.7, `docker run --env-file` and shell tools end every value at the end of the line.
"""

from __future__ import annotations

import re
import unicodedata

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._dotenv.errors import DotenvValueError

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")
# What is written without quotes; shells take it literally too.
_PLAIN = re.compile(r"[A-Za-z0-9_./:@%+,=-]+\Z")
# What is left without quotes where it is already so.
_READ_ALIKE = re.compile(
    r"[!%&()*+,\-./0-9:;<=>?@A-Z\[\]^_a-z{|}~](?:[ \t]*[!%&()*+,\-./0-9:;<=>?@A-Z\[\]^_a-z{|}~])*\Z"
)


def check_name(name: str) -> None:
    """Refuse what is no environment variable's name for all readers.

    Raises:
        DotenvValueError: The name holds something but ASCII letters, digits and underscores, or begins with a digit.
    """
    if not _NAME.match(name):
        raise DotenvValueError(
            f"{name!r} is no name that all readers of a dotenv file take; "
            "use ASCII letters, digits and underscores, and no digit in front"
        )


def quote(name: str, value: str) -> str:
    """Return the value as it is to stand behind `NAME=`, in quotes where it needs them.

    Raises:
        DotenvValueError: Not all readers would read this value back; the message names the variable and the reason.
    """
    if value == "" or _PLAIN.match(value):
        return value
    _refuse_characters(name, value)
    forms = [form for form in (_single_quoted(value), _double_quoted(value)) if form is not None]
    if forms:
        return forms[0]
    if "'" not in value:
        reason = "it ends with a backslash, which some of them take for an escape of the closing quote"
    else:
        others = [text for character, text in _NOT_IN_DOUBLE_QUOTES.items() if character in value]
        reason = f"it holds both a single quote and {' and '.join(others)}"
    raise _refusal(name, reason)


def is_portable(text: str, value: str) -> bool:
    """Tell whether all readers take `text`, as it stands behind `NAME=`, for `value`."""
    forms = {_single_quoted(value), _double_quoted(value)}
    if value == "" or _READ_ALIKE.match(value):
        forms.add(value)
    try:
        _refuse_characters("", value)
    except DotenvValueError:
        return False
    return text in forms


_NOT_IN_DOUBLE_QUOTES = {'"': "a double quote", "\\": "a backslash", "$": "a dollar sign"}


def _single_quoted(value: str) -> str | None:
    return None if "'" in value or value.endswith("\\") else f"'{value}'"


def _double_quoted(value: str) -> str | None:
    return None if any(character in value for character in _NOT_IN_DOUBLE_QUOTES) else f'"{value}"'


def _refuse_characters(name: str, value: str) -> None:
    if "\n" in value or "\r" in value:
        raise _refusal(name, "it holds a line break")
    for character in value:
        category = unicodedata.category(character)
        if category == "Cs":
            raise _refusal(name, "it holds bytes that are not UTF-8")
        if (category == "Cc" and character != "\t") or (ord(character) & 0xFFFE) == 0xFFFE:
            raise _refusal(name, f"it holds the control character U+{ord(character):04X}")
        if 0xFDD0 <= ord(character) <= 0xFDEF:
            raise _refusal(name, f"it holds the noncharacter U+{ord(character):04X}")


def _refusal(name: str, reason: str) -> DotenvValueError:
    return DotenvValueError(
        f"the value of {name} can't be written so that Ruby dotenv, Node's dotenv, systemd and compose read the same: "
        f"{reason}; choose another value"
    )
