# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Masked diffs, and what several files give together."""

from __future__ import annotations

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._dotenv.editor import edit
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._dotenv.lookup import combine, listed
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._dotenv.masking import masked_diff
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._dotenv.parser import parse


def test_a_diff_shows_names_and_places_only():
    lines = [
        b"\xef\xbb\xbfSECRET=hunter2 # hunter3\r\n# OLD_SECRET=hunter4\r\nKEY='hunter5\r\nhunter6=x\r\n'\r\n",
        b"# hunter7=\r\n; hunter8\nhunter9A=1\nexport EMPTY=\n\n# hunter10A=\nS3_BUCKET=hunter11\nhunter12\n",
    ]
    data = b"".join(lines)
    diff = masked_diff(edit(data, {"S3_BUCKET": "hunter13", "NEW": "hunter14"}), "/x")
    assert diff["before"] == (
        "SECRET=********\n# OLD_SECRET=********\nKEY=********\n# ********\n********\n********=********\n"
        "export EMPTY=\n\n# ********\nS3_BUCKET=********\n********\n"
    )
    assert diff["after"].endswith("S3_BUCKET=******** (new)\n********\nNEW=********\n")
    shown = diff["before"] + diff["after"]
    assert "hunter" not in shown


def test_no_diff_where_nothing_changes():
    diff = masked_diff(edit(b"A=1\n", {"A": "1"}), "/x")
    assert diff["before"] == diff["after"] == "A=********\n"


def test_the_first_file_wins_and_in_it_the_last_assignment():
    files = [("/1", parse(b"A=1\nA=2\nC=$B\n")), ("/2", parse(b"A=3\nB=4\nC=5\n"))]
    found = listed(combine(files), ["A", "C"])
    assert found["A"] == {
        "path": "/1",
        "line": 2,
        "empty": False,
        "dynamic": False,
        "masked": False,
        "value": "2",
        "shadowed": [{"path": "/1", "line": 1}, {"path": "/2", "line": 1}],
    }
    assert (found["C"]["value"], found["C"]["dynamic"], found["C"]["path"]) == (None, True, "/1")
    assert found["B"]["masked"] is True
    assert "value" not in found["B"]


def test_what_may_be_a_piece_of_a_key_is_listed_only_by_name():
    files = [("/1", parse(b"KEY=-----BEGIN\nMIIEvQa=\nA=\n"))]
    assert list(listed(combine(files), [])) == ["KEY", "A"]
    assert listed(combine(files), ["MIIEvQa"])["MIIEvQa"]["value"] == ""


def test_values_that_are_not_utf_8_can_be_returned():
    assert listed(combine([("/1", parse(b"A=\xff\n"))]), ["A"])["A"]["value"] == "\ufffd"
