# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

r"""Writes values so that Ruby dotenv, Node's dotenv, systemd's EnvironmentFile= and Compose all read the same.

They differ in these points (each was observed with the real reader):

- `$` outside single quotes is a reference or, in Ruby, a command; only systemd reads it literally.
- A `#` outside quotes ends the value, but not in systemd.
- A backslash is dropped, kept or an escape. Within single quotes it matters only before the closing quote.
- A single quote can't be written within single quotes, and Node knows no escape for a double quote.
- Ruby dotenv before 2.7, `docker run --env-file` and shell tools end every value at the end of the line.
"""

from __future__ import annotations

import re
import unicodedata

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._dotenv.errors import DotenvValueError

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")
# Characters that need no quotes; shells read them literally too.
_PLAIN = re.compile(r"[A-Za-z0-9_./:@%+,=-]+\Z")
# Characters that may stay without quotes.
_READ_ALIKE = re.compile(
    r"[!%&()*+,\-./0-9:;<=>?@A-Z\[\]^_a-z{|}~](?:[ \t]*[!%&()*+,\-./0-9:;<=>?@A-Z\[\]^_a-z{|}~])*\Z"
)


def check_name(name: str) -> None:
    """Refuse a name that is not valid for all readers.

    Raises:
        DotenvValueError: The name contains anything but ASCII letters, digits and underscores, or begins with a digit.
    """
    if not _NAME.match(name):
        raise DotenvValueError(
            f"{name!r} is not a name that all readers of a dotenv file accept; "
            "use ASCII letters, digits and underscores, and begin with a letter"
        )


def quote(name: str, value: str) -> str:
    """Return the value as it should be written after `NAME=`, in quotes if it needs them.

    Raises:
        DotenvValueError: Not all readers would get this value; the message names the variable and the reason.
    """
    if value == "" or _PLAIN.match(value):
        return value
    _refuse_characters(name, value)
    forms = [form for form in (_single_quoted(value), _double_quoted(value)) if form is not None]
    if forms:
        return forms[0]
    if "'" not in value:
        reason = "it ends with a backslash, which some of them read as an escape of the closing quote"
    else:
        others = [text for character, text in _NOT_IN_DOUBLE_QUOTES.items() if character in value]
        reason = f"it contains both a single quote and {' and '.join(others)}"
    raise _refusal(name, reason)


def is_portable(text: str, value: str) -> bool:
    """Return whether all readers get `value` from `text` after `NAME=`."""
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
        raise _refusal(name, "it contains a line break")
    for character in value:
        category = unicodedata.category(character)
        if category == "Cs":
            raise _refusal(name, "it contains bytes that are not UTF-8")
        if (category == "Cc" and character != "\t") or (ord(character) & 0xFFFE) == 0xFFFE:
            raise _refusal(name, f"it contains the control character U+{ord(character):04X}")
        if 0xFDD0 <= ord(character) <= 0xFDEF:
            raise _refusal(name, f"it contains the noncharacter U+{ord(character):04X}")


def _refusal(name: str, reason: str) -> DotenvValueError:
    return DotenvValueError(
        f"the value of {name} can't be written so that Ruby dotenv, Node's dotenv, systemd and compose read the same: "
        f"{reason}; choose another value"
    )
