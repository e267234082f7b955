# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Combines several dotenv files into the value of each variable."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._dotenv.parser import (
    Assignment,
    Document,
    is_conventional,
)


@dataclass
class Variable:
    """A variable: the assignment that is used, its file, and the assignments that have no effect."""

    path: str
    assignment: Assignment
    shadowed: list[dict[str, Any]] = field(default_factory=list)

    def result(self, *, reveal: bool) -> dict[str, Any]:
        """Return what a module may show about it; the value only if it was requested and is certain."""
        found = self.assignment
        result: dict[str, Any] = {
            "path": self.path,
            "line": found.line,
            "empty": found.value == "",
            "dynamic": found.value is None,
            "masked": not reveal,
            "shadowed": self.shadowed,
        }
        if reveal:
            value = found.value
            result["value"] = (
                None if value is None else value.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
            )
        return result


def combine(files: Iterable[tuple[str, Document]]) -> dict[str, Variable]:
    """Return all variables by name; the first file that assigns one wins, and within a file the last assignment."""
    variables: dict[str, Variable] = {}
    for path, document in files:
        last = document.last()
        for name, found in last.items():
            if name not in variables:
                variables[name] = Variable(path, found)
        for found in document.assignments:
            winner = variables.get(found.name)
            if winner and found.sets and winner.assignment is not found:
                winner.shadowed.append({"path": path, "line": found.line})
    return variables


def listed(variables: dict[str, Variable], reveal: Iterable[str]) -> dict[str, dict[str, Any]]:
    """Return the variables as a module may show them.

    A name that looks more like a part of a key is left out, unless it is in `reveal`.
    """
    wanted = set(reveal)
    return {
        name: variable.result(reveal=name in wanted)
        for name, variable in variables.items()
        if name in wanted or is_conventional(name)
    }
