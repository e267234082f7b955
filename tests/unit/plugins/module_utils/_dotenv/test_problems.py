# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is told about files that not all readers read alike."""

from __future__ import annotations

import pytest

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._dotenv.parser import parse
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._dotenv.problems import find_problems


@pytest.mark.parametrize(
    ("text", "faults"),
    [
        ("export A\n", {1: "Ruby dotenv"}),
        ("A=1\nexport A\n", {}),
        ("export A\nA=1\n", {1: "3.2 and later"}),
        ("export A=\n", {1: "3.2 and later"}),
        ("export A B\n", {1: "before 3.2"}),
        ("A=1\nB=2\nexport A B\n", {}),
        ("A='\nexport X Y\n'\n", {}),
        ("A=1\nA\n", {2: "a name alone"}),
        ("A='x\n", {1: "not closed"}),
        ("# c \\\nA=1\n# d \\\\\nB=1\n", {2: "backslash"}),
    ],
)
def test_problems(text, faults):
    found = {problem.line: problem.message for problem in find_problems(parse(text.encode()))}
    assert found.keys() == faults.keys()
    assert all(part in found[line] for line, part in faults.items())


def test_problems_show_no_piece_of_a_key():
    problems = find_problems(parse(b"KEY='-----BEGIN\nMIIEvQIBADANBgkqhkiG9w0\nexport MIIEvQIBA\nAb12cd=\n"))
    assert problems
    assert not any(piece in problem.message for problem in problems for piece in ("MIIE", "Ab12"))


def test_a_byte_that_is_not_utf_8():
    problems = find_problems(parse(b"A=1\r\n\r# \xe9\n"))
    assert [(problem.line, problem.fatal) for problem in problems] == [(3, True)]
