# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The parser, on the forms in which files are found; tests/parsers compares it with the real gem on random ones."""

from __future__ import annotations

import time

import pytest

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._dotenv.parser import is_conventional, parse


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("A=1\n", {"A": "1"}),
        ("A=1", {"A": "1"}),
        ("A=", {"A": ""}),
        ("A=\n\n# note\nB=2", {"A": "", "B": "2"}),
        ("A = 1 \n", {"A": "1"}),
        ("  export A=1", {"A": "1"}),
        ("A: 1", {"A": "1"}),
        ("A:1", {}),
        ("#A=1", {}),
        ("A=1\nA=2", {"A": "2"}),
        ("A=a#b", {"A": "a"}),
        ("A='a#b' # c", {"A": "a#b"}),
        ("A='it''s'", {"A": "it''s"}),
        ('A="it\'s"', {"A": "it's"}),
        ('A="a\\"b"', {"A": 'a"b'}),
        ('A="a\\nb"', {"A": "a\\nb"}),
        ('DOTENV_LINEBREAK_MODE=legacy\nA="a\\nb"', {"DOTENV_LINEBREAK_MODE": "legacy", "A": "a\nb"}),
        ("A='a\\nb'", {"A": "a\\nb"}),
        ("A=a\\b", {"A": "ab"}),
        ("A='\nB=inside\n'\nC=3", {"A": "\nB=inside\n", "C": "3"}),
        ("A='\r\nB=inside\r\n'\r\nC=3\r\n", {"A": "\nB=inside\n", "C": "3"}),
        ('A="unclosed\nB=2', {"A": '"unclosed', "B": "2"}),
        ("\ufeffA=1\nB=2", {"A": "1", "B": "2"}),
        ("a.b=1", {"a.b": "1"}),
        ("A-B=1", {}),
        ("A='$B $(c)'", {"A": "$B $(c)"}),
        ("A=\\$B", {"A": "$B"}),
        ("A=\\$(b)", {"A": "$(b)"}),
        ("A=5$", {"A": "5$"}),
        ("A=$()", {"A": "$()"}),
        ("A=$(b", {"A": "$(b"}),
    ],
)
def test_values(text, values):
    assert parse(text.encode()).values() == values


@pytest.mark.parametrize("value", ["$B", "${B}", "x$B", '"$B"', "$(b)", '"a $(b (c)) d"', "$(", "\\\\$(b)"])
def test_a_value_that_refers_or_runs_is_dynamic_and_not_guessed(value):
    found = parse(f"A={value}\n".encode()).last()["A"]
    expected = value not in {"$(", "\\\\$(b)"}
    assert found.dynamic is expected
    assert (found.value is None) is expected


def test_a_file_is_never_run(tmp_path):
    victim = tmp_path / "victim"
    assert parse(f"A=$(touch {victim})\nB=`touch {victim}`\n".encode()).values() == {"B": f"`touch {victim}`"}
    assert not victim.exists()


def test_places_are_those_of_the_file_itself():
    data = b"\xef\xbb\xbf# c\r\n  export A='x\r\ny'  # d\r\nB: 2"
    first, second = parse(data).assignments
    assert (first.name, first.line, first.export, first.quote) == ("A", 2, True, "'")
    assert data[first.start : first.end] == b"  export A='x\r\ny'  # d\r\n"
    assert data[first.value_start : first.value_end] == b"'x\r\ny'"
    assert (second.line, data[second.start : second.end]) == (4, b"B: 2")


def test_lines_that_end_in_a_carriage_return_only():
    data = b"A=1\rB=2\rC=3"
    document = parse(data)
    assert document.values() == {"A": "1", "B": "2", "C": "3"}
    assert [data[found.start : found.end] for found in document.assignments] == [b"A=1\r", b"B=2\r", b"C=3"]


def test_a_name_alone_is_uncertain():
    document = parse(b"A=1\nA\n")
    assert document.last()["A"].bare
    assert document.values() == {}


@pytest.mark.parametrize(("name", "expected"), [("S3_BUCKET", True), ("http_proxy", True), ("MIIevQ", False)])
def test_conventional_names(name, expected):
    assert is_conventional(name) is expected


def test_many_blank_lines_and_quotes_take_no_time():
    many = 100_000
    began = time.process_time()
    values = parse(b"\n" * many + b"A='" + b"\\'" * many + b"\n").values()
    # Some hundredths of a second; many minutes if each character were looked at once for each other.
    assert time.process_time() - began < 10
    assert values == {"A": "\\'" * (many - 1) + "\\"}
