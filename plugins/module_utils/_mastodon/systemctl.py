# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Parses the output of `systemctl`; nothing is run here."""

from __future__ import annotations

import re
from dataclasses import dataclass

# The properties to read with `systemctl show`.
PROPERTIES = (
    "Id",
    "LoadState",
    "ActiveState",
    "UnitFileState",
    "ExecStart",
    "User",
    "WorkingDirectory",
    "UMask",
    "Environment",
    "EnvironmentFiles",
    "UnsetEnvironment",
    "MainPID",
    "ControlGroup",
    "FragmentPath",
    "DropInPaths",
    "TimeoutStopUSec",
    "NeedDaemonReload",
)

_EXEC = re.compile(r"\A\{ path=(?P<path>.*?) ; argv\[\]=(?P<argv>.*) ; (?:ignore_errors|flags)=", re.DOTALL)
_ENVIRONMENT_FILE = re.compile(r"\A(?P<path>.*) \(ignore_errors=(?P<optional>yes|no)\)\Z", re.DOTALL)
_SPAN = re.compile(r"(?P<number>\d+(?:\.\d+)?)(?P<unit>us|ms|s|min|h|d|w|month|y)?")
_SECONDS = {
    "us": 1e-6,
    "ms": 1e-3,
    "s": 1,
    "min": 60,
    "h": 3600,
    "d": 86400,
    "w": 604800,
    "month": 2629800,
    "y": 31557600,
}
_SIMPLE_ESCAPES = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v", "s": " "}
_NUMERIC_ESCAPE = re.compile(r"x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|([0-7]{3})")


@dataclass(frozen=True)
class EnvironmentFile:
    """One `EnvironmentFile=` of a unit.

    Attributes:
        path: The file, or a pattern of files (`*`, `?`, `[...]`).
        optional: The unit also starts without it (`-` in front of the path).
    """

    path: str
    optional: bool


def parse_units(text: str) -> list[str]:
    """Return the names in the output of `list-units` or `list-unit-files` with `--plain --no-legend`."""
    return [line.split()[0] for line in text.splitlines() if line.strip()]


def showable(names: list[str]) -> list[str]:
    """Return the service units among the names, in order, without duplicates and templates (which can't be shown)."""
    kept = {name for name in names if name.endswith(".service") and not name.endswith("@.service")}
    return sorted(kept)


def parse_show(text: str) -> list[dict[str, list[str]]]:
    """Return the properties of each unit in the output of `systemctl show`, in order.

    A property can appear several times (`EnvironmentFiles`, and `ExecStart` of oneshot units), so all values are lists.
    """
    units: list[dict[str, list[str]]] = []
    for block in re.split(r"\n[ \t]*\n", text.strip("\n")):
        properties: dict[str, list[str]] = {}
        for line in block.split("\n"):
            name, separator, value = line.partition("=")
            if separator:
                properties.setdefault(name, []).append(value)
        if properties:
            units.append(properties)
    return units


def parse_exec(value: str) -> tuple[str, str]:
    """Return the program and the command line (joined with spaces, without its quotes) of an `ExecStart` property."""
    found = _EXEC.match(value)
    return (found["path"], found["argv"]) if found else ("", "")


def parse_environment(value: str) -> dict[str, str]:
    """Return the variables of an `Environment` property; the last assignment of a name wins."""
    variables = {}
    for word in split_words(value):
        name, separator, content = word.partition("=")
        if separator:
            variables[name] = content
    return variables


def parse_environment_file(value: str) -> EnvironmentFile:
    """Return the file of one `EnvironmentFiles` property, such as `/etc/default/mastodon (ignore_errors=yes)`."""
    found = _ENVIRONMENT_FILE.match(value)
    return EnvironmentFile(found["path"], found["optional"] == "yes") if found else EnvironmentFile(value, False)


def parse_timespan(value: str) -> float | None:
    """Return the seconds of a time span such as `1min 30s`; None if it is unlimited (`infinity`) or not understood."""
    words = value.split()
    seconds = 0.0
    for word in words:
        found = _SPAN.fullmatch(word)
        if not found:
            return None
        seconds += float(found["number"]) * _SECONDS[found["unit"] or "s"]
    return round(seconds, 6) if words else None


def split_words(text: str) -> list[str]:
    r"""Split text that systemd quoted for a shell: words in `"..."` or `$'...'` with C escapes, or without quotes.

    The same rules apply to `Environment=` lines of unit files, which also allow `'...'`, with escapes in all forms.
    """
    words: list[str] = []
    position = 0
    while position < len(text):
        if text[position].isspace():
            position += 1
            continue
        word, position = _word(text, position)
        words.append(word)
    return words


def _word(text: str, position: int) -> tuple[str, int]:
    """Return the word that begins at the position, and the position after it."""
    parts: list[str] = []
    quote = ""
    while position < len(text):
        char = text[position]
        position += 1
        if char == "\\" and position < len(text):
            plain, position = _escape(text, position)
            parts.append(plain)
        elif quote:
            if char == quote:
                quote = ""
            else:
                parts.append(char)
        elif char.isspace():
            break
        elif char in "\"'":
            quote = char
        elif not (char == "$" and not parts and text[position : position + 1] == "'"):
            parts.append(char)
    return "".join(parts), position


def _escape(text: str, position: int) -> tuple[str, int]:
    """Return the meaning of what follows a backslash, and the position after it."""
    number = _NUMERIC_ESCAPE.match(text, position)
    if number:
        digits = number[1] or number[2] or number[3]
        return chr(int(digits, 16) if digits else int(number[4], 8)), number.end()
    return _SIMPLE_ESCAPES.get(text[position], text[position]), position + 1
