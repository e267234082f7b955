# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Reads a dotenv file as Node's dotenv does (16 and 17, `lib/main.js`)."""

from __future__ import annotations

import re

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._dotenv.readers.model import Values

# ECMAScript's \s, and the ends of lines for its ^, $ and dot. Python's \s has others.
_SPACES = "\t\n\v\f\r \xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000\ufeff"
_S = f"[{_SPACES}]"
_ENDS = "\n\r\u2028\u2029"
_START = f"(?:(?<=[{_ENDS}])|\\A)"
_END = f"(?=[{_ENDS}]|\\Z)"
# In front of a name line ends are left out: that finds the same, without going over blank lines again and again.
_LINE = re.compile(
    rf"{_START}[\t\v\f \xa0\u1680\u2000-\u200a\u202f\u205f\u3000\ufeff]*(?:export{_S}+)?([A-Za-z0-9_.-]+)"
    rf"(?:{_S}*={_S}*?|:{_S}+?)"
    rf"({_S}*'(?:\\'|[^'])*'|{_S}*\"(?:\\\"|[^\"])*\"|{_S}*`(?:\\`|[^`])*`|[^#\r\n]+)?"
    rf"{_S}*(?:#[^{_ENDS}]*)?{_END}"
)
_QUOTED = re.compile(rf"{_START}(['\"`])([\s\S]*)\1{_END}")
_TRIMMED = "".join(chr(code) for code in range(0x10000) if re.fullmatch(_S, chr(code)))


def read(data: bytes) -> Values:
    """Return the variables; the last assignment of a name wins. No file is refused."""
    text = re.sub(r"\r\n?", "\n", data.decode("utf-8", "replace"))
    values: Values = {}
    for match in _LINE.finditer(text):
        value = (match[2] or "").strip(_TRIMMED)
        quote = value[:1]
        value = _QUOTED.sub(r"\2", value)
        if quote == '"':
            value = value.replace("\\n", "\n").replace("\\r", "\r")
        values[match[1]] = value
    return values
