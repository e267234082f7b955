# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Reads what `environment:` in a Compose file sets for Mastodon's services. It overrides their `env_file:`.

Like `compose`, it reads line by line. It knows block and flow style, anchors, aliases and merge keys.
"""

from __future__ import annotations

import re
import typing as t

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._mastodon.compose import without_comments

_MASTODON = re.compile(
    r"^\s*image:\s*[\"']?(?!\S*streaming)\S*(?:mastodon|glitch)|^\s*(?:-\s*|command:.*)\b(?:puma|sidekiq)\b",
    re.MULTILINE | re.IGNORECASE,
)
_STREAMING = re.compile(r"^\s*(?:-\s*|command:.*)\bstreaming\b", re.MULTILINE)
_ANCHOR = re.compile(r":\s*&(?P<name>[\w.-]+)\s*(?P<rest>.*)$")
_ALIASES = re.compile(r"\*([\w.-]+)")
# - NAME=value, - NAME, NAME: value; in quotes or not
_ITEM = re.compile(
    r"(?:-\s*)?(?P<quote>[\"']?)(?P<name>[A-Za-z_]\w*)(?:(?P<separator>=|[\"']?\s*:\s)\s*(?P<value>.*)|:|[\"']?)$"
)
_FLOW_ITEMS = re.compile(r"(?:[^,\"']|\"[^\"]*\"|'[^']*')+")
_MOST_ALIASES = 10


class ComposeVariable(t.NamedTuple):
    """The value of a variable in a Compose file.

    Attributes:
        value: None if it depends on other variables.
        line: Number of its line.
    """

    value: str | None
    line: int


class _Line(t.NamedTuple):
    number: int
    indent: int
    text: str


def environment_of_mastodon(text: str) -> dict[str, ComposeVariable]:
    """Return the variables that `environment:` in a Compose file sets for web or Sidekiq."""
    return _Reader(text).environment()


class _Reader:
    def __init__(self, text: str) -> None:
        lines = without_comments(text).expandtabs().splitlines()
        self._lines = [
            _Line(number, len(line) - len(line.lstrip()), line.strip())
            for number, line in enumerate(lines, 1)
            if line.strip() not in ("", "---")
        ]
        self._anchors: dict[str, tuple[str, list[_Line]]] = {}
        for place, line in enumerate(self._lines):
            found = _ANCHOR.search(line.text)
            if found:
                self._anchors[found["name"]] = (found["rest"], self._below(place, self._lines))

    def environment(self) -> dict[str, ComposeVariable]:
        found: dict[str, ComposeVariable] = {}
        for service in self._services():
            body = self._merged(service, _MOST_ALIASES)
            text = "\n".join(line.text for line in body)
            if not _MASTODON.search(text) or _STREAMING.search(text):
                continue
            for place, line in enumerate(body):
                if line.text.startswith("environment:"):
                    rest = _ANCHOR.sub(lambda match: f": {match['rest']}", line.text)[len("environment:") :].strip()
                    for name, setting in self._settings(rest, line.number, self._below(place, body), _MOST_ALIASES):
                        found.setdefault(name, setting)
        return found

    def _services(self) -> t.Iterator[list[_Line]]:
        for place, line in enumerate(self._lines):
            if line.indent == 0 and line.text == "services:":
                block = self._below(place, self._lines)
                for start, name in enumerate(block):
                    if name.indent == block[0].indent:
                        yield [name, *self._below(start, block)]

    @staticmethod
    def _below(place: int, lines: list[_Line]) -> list[_Line]:
        """Return the lines that belong to a key. List items may have the same indentation as their key."""
        key, block = lines[place], []
        for line in lines[place + 1 :]:
            item = line.indent == key.indent and line.text.startswith("-") and not key.text.startswith("-")
            if line.indent <= key.indent and not item:
                break
            block.append(line)
        return block

    def _merged(self, service: list[_Line], aliases: int) -> list[_Line]:
        """Return the lines of a service, and then those that `<<: *name` merges into it."""
        body = list(service)
        name = _ALIASES.findall(service[0].text.partition(":")[2])
        direct = min((line.indent for line in service[1:]), default=0)
        merges = [line for line in service[1:] if line.indent == direct and line.text.startswith("<<:")]
        for alias in [*name, *(alias for line in merges for alias in _ALIASES.findall(line.text))]:
            if aliases and alias in self._anchors:
                body += self._merged([_Line(0, -1, "<<:"), *self._anchors[alias][1]], aliases - 1)
        return body

    def _settings(
        self, rest: str, number: int, block: list[_Line], aliases: int
    ) -> t.Iterator[tuple[str, ComposeVariable]]:
        """Yield the variables of an `environment:`: those on the same line, and on the lines below."""
        if rest.startswith(("{", "[")):
            flow = " ".join([rest, *(line.text for line in block)]).strip("{}[] ")
            parts = [(part.strip(), number) for part in _FLOW_ITEMS.findall(flow)]
        else:
            parts = [(rest, number), *((line.text, line.number) for line in block)]
        # Merged values have the lowest precedence, wherever they are.
        for part, line_number in sorted(parts, key=lambda each: each[0].startswith(("<<:", "*"))):
            found = _ITEM.match(part)
            if found:
                yield found["name"], ComposeVariable(_value(found), line_number)
                continue
            for alias in _ALIASES.findall(part):
                if aliases and alias in self._anchors:
                    below = self._anchors[alias]
                    yield from self._settings(below[0], line_number, below[1], aliases - 1)


def _value(found: re.Match[str]) -> str | None:
    """Return the value of an item; None if it comes from the environment of Compose."""
    if found["separator"] is None:
        return None
    value = found["value"].strip()
    if found["separator"] == "=":
        value = value[:-1] if found["quote"] and value.endswith(found["quote"]) else value
    elif value in ("", "~", "null"):
        return None
    elif len(value) > 1 and value[0] in "\"'" and value.endswith(value[0]):
        value = value[1:-1]
    return None if "$" in value.replace("$$", "") else value.replace("$$", "$")
