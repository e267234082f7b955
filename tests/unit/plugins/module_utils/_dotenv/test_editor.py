# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The editor, on bytes."""

from __future__ import annotations

import pytest

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._dotenv.editor import edit
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._dotenv.errors import (
    DotenvEditError,
    DotenvValueError,
)

PEM = b"KEY='-----BEGIN\nS3_BUCKET=inside\n# S3_REGION=\n-----END'\n"


@pytest.mark.parametrize(
    ("before", "values", "after"),
    [
        (b"", {"A": "1"}, b"A=1\n"),
        (b"B=2", {"A": "1"}, b"B=2\nA=1\n"),
        (b"B=2\r\n", {"A": "1"}, b"B=2\r\nA=1\r\n"),
        (b"A=1\nB=2\n", {"A": "3"}, b"A=3\nB=2\n"),
        (b"B=2\nA=1", {"A": "3"}, b"B=2\nA=3"),
        (b"A=1\r\nB=2\r\n", {"A": "3"}, b"A=3\r\nB=2\r\n"),
        (b"A=1\nA=2\n", {"A": "3"}, b"A=1\nA=3\n"),
        (b"export A=1\n", {"A": "3"}, b"A=3\n"),
        (b"export A=1\n", {"A": "1"}, b"A=1\n"),
        (b"  A=1\n", {"A": "3"}, b"  A=3\n"),
        (b"A: 1\n", {"A": "1"}, b"A=1\n"),
        (b"A\n", {"A": "1"}, b"A=1\n"),
        (b"A:\n1\nB=2\n", {"A": "3"}, b"A=3\nB=2\n"),
        (b"A:\n\nB=2\n", {"A": "3"}, b"A=3\n\nB=2\n"),
        (b"A\n =\n\nB=2\n", {"A": "3"}, b"A=3\n\nB=2\n"),
        (b"A=1 # why\n", {"A": "3"}, b"# why\nA=3\n"),
        (b"  A=1 # why\r\nB=2", {"A": "1"}, b"  # why\r\n  A=1\r\nB=2"),
        (b"A=1 # why \\\n", {"A": "3"}, b"# why \\\n\nA=3\n"),
        (b"# A=\nB=2\n", {"A": "1"}, b"A=1\nB=2\n"),
        (b"B=2\n# A=x", {"A": "1"}, b"B=2\nA=1"),
        (b"# A=x # why\r\n", {"A": "1"}, b"# why\r\nA=1\r\n"),
        (b"# A=one\n# A=two\n", {"A": "1"}, b"A=1\n# A=two\n"),
        (b"# A=x is what you want\n", {"A": "1"}, b"# A=x is what you want\nA=1\n"),
        (b"# A=x\nA=2\n", {"A": "1"}, b"# A=x\nA=1\n"),
        (b"B=2\n# A=x\n", {"A": ""}, b"B=2\nA=\n"),
        (PEM, {"S3_BUCKET": "b", "S3_REGION": "r"}, PEM + b"S3_BUCKET=b\nS3_REGION=r\n"),
        (b"A='1\n2'\nB=2\n", {"A": "3"}, b"A=3\nB=2\n"),
        (b"\xef\xbb\xbfA=1\nB=2\n", {"A": "3"}, b"\xef\xbb\xbf\nA=3\nB=2\n"),
        (b"\xef\xbb\xbf", {"A": "3"}, b"\xef\xbb\xbf\nA=3\n"),
        (b"# c \\\n", {"A": "1"}, b"# c \\\n\nA=1\n"),
        (b"B=\xff\n# A=\n# \xfe", {"A": "1"}, b"B=\xff\nA=1\n# \xfe"),
    ],
)
def test_setting(before, values, after):
    assert edit(before, values).after.data == after
    assert edit(after, values).after.data == after


@pytest.mark.parametrize(
    "data",
    [b"A=1\n", b"A = 1\n", b"\tA='1' \n", b'A="1"\r\n', b"# A=2\nA=1"],
)
def test_what_all_readers_read_as_asked_is_left_alone(data):
    edited = edit(data, {"A": "1"})
    assert edited.after.data == data
    assert (edited.added, edited.updated) == ((), ())


@pytest.mark.parametrize(
    ("before", "after", "commented"),
    [
        (b"A=1\nB=2\n", b"B=2\n", b"# A=1\nB=2\n"),
        (b"A=1\nB=2\nexport A=3", b"B=2\n", b"# A=1\nB=2\n# export A=3"),
        (b"A=1\nexport A\n", b"", b"# A=1\n# export A\n"),
        (b"B=2\r\nA='1\r\n\r\n2'\r\n", b"B=2\r\n", b"B=2\r\n# A='1\r\n\r\n# 2'\r\n"),
        (b"A='x\\'\nB=2\n", b"B=2\n", b"# A='x\\'\nB=2\n"),
        (b"A=x\\\n# c\nB=2\n", b"# c\nB=2\n", b"# A=x\\ \n# c\nB=2\n"),
        (b"# c\\\nA=1\nB=2\n", b"# c\\\n\nB=2\n", b"# c\\\n\n# A=1\nB=2\n"),
        (b"# A=1\nB=2\n", b"# A=1\nB=2\n", b"# A=1\nB=2\n"),
        (b"\xef\xbb\xbfA=1\n", b"\xef\xbb\xbf", b"\xef\xbb\xbf\n# A=1\n"),
    ],
)
def test_removing(before, after, commented):
    assert edit(before, {}, ("A",)).after.data == after
    assert edit(before, {}, ("A",), comment_out=True).after.data == commented
    assert edit(after, {}, ("A",)).after.data == after
    assert edit(commented, {}, ("A",), comment_out=True).after.data == commented


def test_what_is_reported():
    edited = edit(b"A=1\nA=2\nB=1\nC=1\nA=3\n", {"A": "4", "B": "1", "D": "1"}, ("C", "E"))
    assert (edited.added, edited.updated, edited.removed) == (("D",), ("A",), ("C",))
    assert edited.duplicates == {"A": (1, 2)}


def test_removed_and_commented_is_the_place_for_the_next_value():
    data = b"A=1\nB=2\n"
    commented = edit(data, {}, ("A",), comment_out=True).after.data
    assert edit(commented, {"A": "1"}).after.data == data


def test_a_line_that_exports_several_names_stops_the_removal():
    with pytest.raises(DotenvEditError, match="export of A"):
        edit(b"A=1\nB=2\nexport A B\n", {}, ("A",))


def test_an_edit_that_would_change_what_is_read_for_others_is_refused():
    # Without the line of B, the quotes are the value of A.
    with pytest.raises(DotenvEditError, match="what is read for A: a quote"):
        edit(b"A=\nB=1\n'x'\n", {}, ("B",))


def test_a_value_that_can_not_be_written_is_refused():
    with pytest.raises(DotenvValueError, match="A"):
        edit(b"", {"A": "a\nb"})
