# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What each reader takes, as seen with the real ones (tests/parsers compares all of it with them)."""

from __future__ import annotations

import pytest

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._dotenv.editor import edit
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._dotenv.errors import DotenvEditError
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._dotenv.readers import compose, node
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._dotenv.readers.model import Reference, RefusalError
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._dotenv.readers.systemd import (
    parse_environment_file,
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("A=1\n", {"A": ("1", 1)}),
        ("A=1", {"A": ("1", 1)}),
        ("A=\n", {"A": ("", 1)}),
        ("A=", {"A": ("", 1)}),
        ("A=1\nA=2\n", {"A": ("2", 2)}),
        ("# A=1\n;B=2\nC=3 # x\n", {"C": ("3 # x", 3)}),
        ("# goes on \\\nA=1\nB=2\n", {"B": ("2", 3)}),
        ("  A = x y \n", {"A": ("x y", 1)}),
        ("export A=1\nB=2\n", {"B": ("2", 2)}),
        ("A: 1\n1A=2\n", {}),
        ("A='x $y \"z\" \\n'\n", {"A": ('x $y "z" \\n', 1)}),
        ('A="x \\" \\$ \\` \\\\ \\n"\n', {"A": ('x " $ ` \\ \\n', 1)}),
        ("A=x\\ y\\\\z\n", {"A": ("x y\\z", 1)}),
        ("A=x\\\n  y\nB=1\n", {"A": ("x  y", 1), "B": ("1", 3)}),
        ("A='x\ny'\nB=1\n", {"A": ("x\ny", 1), "B": ("1", 3)}),
        ("A='x'\"y\" z\n", {"A": ("xyz", 1)}),
        ("A=x\r\nB=2\r\n", {"A": ("x", 1), "B": ("2", 2)}),
        ("A='unfinished\nB=2\n", {"A": ("unfinished\nB=2\n", 1)}),
        ("no assignment\nB=2\n", {"B": ("2", 2)}),
    ],
)
def test_systemd(text, expected):
    found = parse_environment_file(text)
    assert {name: (setting.value, setting.line) for name, setting in found.items()} == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("A=1\nexport B=2\nC: 3\nD-E=4\n", {"A": "1", "B": "2", "C": "3", "D-E": "4"}),
        ("A=`x\nB=1`\n", {"A": "x\nB=1"}),
        ("A='x\nB=1\n", {"A": "'x", "B": "1"}),
        ('A="x\\ny"\n', {"A": "x\ny"}),
        ("A=a#b\nB= # c\n", {"A": "a", "B": ""}),
        ("A B=1\n", {}),
        ("\u00a0A=1\u00a0\n", {"A": "1"}),
        ("\ufeffA=1\rB=2\r", {"A": "1", "B": "2"}),
        ("A=$B\\n\n", {"A": "$B\\n"}),
    ],
)
def test_node(text, expected):
    assert node.read(text.encode()) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("A=1\nexport B=2\nC: 3\nD-E=4\nF\n", {"A": "1", "B": "2", "C": "3", "D-E": "4"}),
        ("\ufeffA='x\nB=1' C=2\n", {"A": "x\nB=1", "C": "2"}),
        ("A=a#b #c\n", {"A": "a#b"}),
        ("A=1\rB=2\n", {"A": "1\rB=2"}),
        ("A='it\\'s'\nB=\"\\tx\\0101\\$y\\q\"\n", {"A": "it's", "B": "\txA$y\\q"}),
        ("A=$$x\nB=a$\n", {"A": "$x", "B": "a$"}),
        ("A=$B\nC=${D:-x}\n", {"A": Reference("$B"), "C": Reference("${D:-x}")}),
        ("A=`x\n", {"A": "`x"}),
        ("A B=1\n", None),
        ("A'=1\n", None),
        ("A='x\nB=1\n", None),
        ("A=${x\n", None),
        ("\u00a0A=1\n", {"A": "1"}),
        ("word", {"": "word"}),
    ],
)
def test_compose(text, expected):
    if expected is None:
        with pytest.raises(RefusalError):
            compose.read(text.encode())
        return
    assert compose.read(text.encode()) == expected


SAMPLES = [
    # The file, the reader that is named, the line at fault.
    ('FOO-BAR="abc\nS3_BUCKET=old\nZ=1\n', "Node's dotenv|systemd|compose", 1),
    ('Y=1\nFOO BAR="abc\nS3_BUCKET=old\n', "systemd|compose", 2),
    ("FOO BAR=abc\nS3_BUCKET=old\n", "compose", 1),
    ("X=`a\nS3_BUCKET=old\nb`\nZ=1\n", "Node's dotenv", 1),
    ("X=1\rS3_BUCKET=old\rZ=1\r", "compose", 1),
    ("X=1\nS3_BUCKET=old\rZ=1\n", "compose", 2),
    ("X='a\nS3_BUCKET=old\n", "systemd|compose", 1),
    ("A=1\nX?=a\nS3_BUCKET=old\n", "compose", 2),
    ("X=${Y\nS3_BUCKET=old\n", "compose", 1),
    ("S3_BUCKET=old\nX?=a\n", "compose", 2),
    ("; it's a comment for systemd only\nS3_BUCKET=old\n", "compose", 1),
    ("X?=a\nY?=b\nS3_BUCKET=old\n", "compose", 2),
]


@pytest.mark.parametrize(("text", "readers", "line"), SAMPLES)
def test_an_edit_that_not_all_readers_would_take_is_refused_with_the_line(text, readers, line):
    with pytest.raises(DotenvEditError, match=f"S3_BUCKET can't be set here: ({readers}) .* because of line {line}\\b"):
        edit(text.encode(), {"S3_BUCKET": "new"})


@pytest.mark.parametrize(
    "text",
    [
        "# it's a comment\nS3_BUCKET=old\n",
        "# ends with \\\nS3_BUCKET=old\n",
        "export S3_BUCKET=old\n",
        "S3_BUCKET: old\n",
        "S3_BUCKET=a\nS3_BUCKET: b\nexport S3_BUCKET=c\n",
        "\ufeffS3_BUCKET=old\n",
        "\ufeffX=1\n",
        "X=$(id) $Y\nS3_BUCKET=$X\n",
        "\u00a0S3_BUCKET=old\n",
        "X=" + "y" * 100000 + "\nS3_BUCKET=old\n",
        "FOO-BAR=abc\nS3_BUCKET=old\r\n",
    ],
)
def test_what_all_readers_take_is_set(text):
    after = edit(text.encode(), {"S3_BUCKET": "new"}).after.data
    assert node.read(after)["S3_BUCKET"] == compose.read(after)["S3_BUCKET"] == "new"
    assert parse_environment_file(after.decode())["S3_BUCKET"].value == "new"


def test_a_line_that_systemd_joins_to_the_one_before_is_not_split():
    for values, absent in (({"S3_BUCKET": "new"}, ()), ({}, ("X",))):
        with pytest.raises(DotenvEditError, match=r"systemd reads for \w+; look at line \d and those above"):
            edit(b"X=a\\\nS3_BUCKET=old\n", values, absent)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        # Only Node and compose take this line.
        ("S3_BUCKET=a\n\u00a0S3_BUCKET=b\n", "would still read it, because of line 1"),
        # For Node and compose the line is a part of another value.
        ("FOO-BAR='a\nS3_BUCKET=old\nb'\n", "change what Node's dotenv reads for another variable"),
        ("X=`a\nS3_BUCKET=old\nb`\n", "change what Node's dotenv reads for X"),
    ],
)
def test_a_removal_that_not_all_readers_would_see_is_refused(text, said):
    with pytest.raises(DotenvEditError, match=said):
        edit(text.encode(), {}, ("S3_BUCKET",))


def test_no_message_holds_a_value():
    with pytest.raises(DotenvEditError) as raised:
        edit(b"hunter2 x='hunter3\nS3_BUCKET=hunter4\n", {"S3_BUCKET": "hunter5"})
    assert "hunter" not in str(raised.value)
