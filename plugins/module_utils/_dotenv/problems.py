# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Finds what the readers of dotenv files refuse or understand differently."""

from __future__ import annotations

import re
from dataclasses import dataclass

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._dotenv.parser import (
    BOM,
    Assignment,
    Document,
    is_conventional,
)

_EXPORTED_NAMES = re.compile(rb"[ \t]*export((?:[ \t]+[\w.]+){2,})[ \t]*\Z")


@dataclass(frozen=True)
class LineProblem:
    """Something that is wrong with a file.

    Attributes:
        line: Number of the line, from 1.
        message: What is wrong; It may name a variable, but never contains a value.
        fatal: The reader that the message names refuses the whole file.
    """

    line: int
    message: str
    fatal: bool


def find_problems(document: Document) -> list[LineProblem]:
    """Return all problems of a file, in the order of its lines."""
    text = document.data.removeprefix(BOM).replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    lines = text.split(b"\n")
    problems = [*_assignments(document, lines), *_exports_of_several(document, lines)]
    try:
        text.decode("utf-8")
    except UnicodeDecodeError as error:
        message = "a byte that is not UTF-8 is an error for Ruby dotenv"
        problems.append(LineProblem(text.count(b"\n", 0, error.start) + 1, message, fatal=True))
    return sorted(problems, key=lambda problem: problem.line)


def _assignments(document: Document, lines: list[bytes]) -> list[LineProblem]:
    assigned = {found.name for found in document.assignments if not found.bare}
    known: set[str] = set()
    problems = []
    for found in document.assignments:
        name = found.name if is_conventional(found.name) else "a variable"
        versions = _export_fault(found, assigned, known)
        if versions is not None:
            message = f"export of {name} without a value is an error for Ruby dotenv{versions}"
            problems.append(LineProblem(found.line, message, fatal=True))
        elif _continues(lines, found.line):
            message = "the line before ends with a backslash, so this one is a part of it for systemd"
            problems.append(LineProblem(found.line, message, fatal=False))
        elif found.bare and found.sets:
            message = "a name alone is an empty value for Ruby dotenv 3.2, and nothing before"
            problems.append(LineProblem(found.line, message, fatal=False))
        elif not found.quote and document.data[found.value_start : found.value_end].lstrip()[:1] in (b"'", b'"'):
            message = (
                f"the quote in front of the value of {name} is not closed: systemd and compose read on behind the line"
            )
            problems.append(LineProblem(found.line, message, fatal=False))
        if found.sets:
            known.add(found.name)
    return problems


def _export_fault(found: Assignment, assigned: set[str], known: set[str]) -> str | None:
    """Return which versions of Ruby dotenv refuse this export without a value; None if none does.

    Up to 3.1 the name has to be assigned anywhere; since 3.2 it has to be assigned above, and `export NAME=` also
    counts as such an export.
    """
    if not found.export or found.value_start != found.value_end:
        return None
    new = found.name not in known
    old = found.bare and found.name not in assigned
    if new and old:
        return ""
    if new:
        return " 3.2 and later"
    return " before 3.2" if old else None


def _continues(lines: list[bytes], number: int) -> bool:
    """Tell whether the line in front of this one ends with a backslash that is not escaped."""
    if number < 2:
        return False
    line = lines[number - 2]
    return (len(line) - len(line.rstrip(b"\\"))) % 2 == 1


def _exports_of_several(document: Document, lines: list[bytes]) -> list[LineProblem]:
    """Find `export A B` with a name that has no value; dotenv 3.2 ignores such lines."""
    assigned = {found.name for found in document.assignments if not found.bare}
    inside: set[int] = set()
    for found in document.assignments:
        data = document.data[found.start : found.end]
        inside.update(range(found.line, found.line + len(re.findall(rb"\r\n|\n|\r", data.rstrip(b"\r\n"))) + 1))
    problems = []
    for number, line in enumerate(lines, 1):
        match = _EXPORTED_NAMES.match(line)
        if match and number not in inside:
            for name in match[1].decode("ascii").split():
                if name not in assigned:
                    shown = name if is_conventional(name) else "a variable"
                    message = f"export of {shown} without a value is an error for Ruby dotenv before 3.2"
                    problems.append(LineProblem(number, message, fatal=True))
    return problems
