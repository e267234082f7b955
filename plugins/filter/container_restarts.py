# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The filter container_restarts."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Iterator
from itertools import groupby

DOCUMENTATION = r"""
name: container_restarts
short_description: Find commands that restart containers without recreating them
version_added: 0.1.0
author:
  - fediverse.mastodon_s3 contributors (@fediverse)
description:
  - A container gets the variables of an env file when it is created. Commands such as C(docker compose restart) start
    the same container again, so it does not read a changed file.
options:
  _input:
    description: A command line, which may be one for a shell.
    type: str
    required: true
"""

EXAMPLES = r"""
- name: Refuse a restart that does not read the env file
  ansible.builtin.assert:
    that: "'docker compose restart web' | fediverse.mastodon_s3.container_restarts | length == 0"
    # => fails, as the filter returns ["docker compose restart web"]
"""

RETURN = r"""
_value:
  description: The commands in the line that restart containers without recreating them.
  type: list
  elements: str
"""

_ENGINE = re.compile(r"(docker|podman|nerdctl)\Z")
_COMPOSE = re.compile(r"(docker|podman)-compose(-?v?[0-9.]+)?\Z")
_SHELL = re.compile(r"(ba|da|k|z|a)?sh\Z")
_SUBSTITUTION = re.compile(r"`([^`]*)`|\$\(([^()]*)\)")
# Options of docker, podman and compose that take the next word as their value.
_WITH_VALUE = re.compile(
    r"-[cfHlp]\Z|--(ansi|compat-engine|config|connection|context|env-file|file|host|log-level|namespace|parallel|profile|"
    r"progress|project-directory|project-name|url)\Z"
)
_GROUPS = ("compose", "container", "pod")
_RESTART_COMMANDS = ("restart", "start", "unpause")
_MOST_SHELLS = 5


def container_restarts(line: str) -> list[str]:
    """Return the commands in a command line that restart containers without recreating them.

    Args:
        line: A command line, which may be one for a shell.
    """
    return list(dict.fromkeys(_found(str(line), _MOST_SHELLS)))


def _found(line: str, shells: int) -> Iterator[str]:
    if shells:
        for inner in _SUBSTITUTION.finditer(line):
            yield from _found(inner[1] or inner[2] or "", shells - 1)
    for words in _commands(_SUBSTITUTION.sub(" ", line)):
        if _is_restart(words):
            yield " ".join(words)
        elif shells and len(words) > 1 and any(_SHELL.match(_name(word)) for word in words):
            yield from (each for word in words if " " in word for each in _found(word, shells - 1))


def _commands(line: str) -> Iterator[list[str]]:
    """Yield the words of each command of a line, without redirections' signs."""
    lexer = shlex.shlex(line.replace("\\\n", " ").replace("\n", " ; "), posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    try:
        words = list(lexer)
    except ValueError:  # an open quote, which no shell accepts
        words = line.split()
    for separates, part in groupby(words, lambda word: bool(word) and set(word) <= set("();<>|&{}")):
        if not separates:
            yield list(part)


def _is_restart(words: list[str]) -> bool:
    for place, word in enumerate(words):
        name = _name(word)
        if _ENGINE.match(name) or _COMPOSE.match(name):
            rest = _without_options(words[place + 1 :])
            while rest and rest[0] in _GROUPS:
                rest = _without_options(rest[1:])
            return bool(rest) and (rest[0] in _RESTART_COMMANDS or (rest[0] == "up" and "--no-recreate" in rest))
    return False


def _without_options(words: list[str]) -> list[str]:
    while words and words[0].startswith("-"):
        words = words[2 if _WITH_VALUE.match(words[0]) else 1 :]
    return words


def _name(word: str) -> str:
    return word.rpartition("/")[2]


class FilterModule:
    """Registers the filter with Ansible."""

    def filters(self) -> dict[str, Callable[..., list[str]]]:
        """Return the filter by its name."""
        return {"container_restarts": container_restarts}
