# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Masked diffs, and what several files give together."""

from __future__ import annotations

import pytest

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._dotenv.editor import edit
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._dotenv.lookup import combine, listed
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._dotenv.masking import masked_diff
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._dotenv.parser import parse


def shown(data, variables=None, secrets=None, absent=(), **options):
    values = {**(variables or {}), **(secrets or {})}
    diff = masked_diff(edit(data, values, absent, **options), "/x", (*(variables or {}), *absent), secrets or {})
    return diff["before"], diff["after"]


def test_a_diff_shows_what_was_asked_for_and_no_other_line():
    data = (
        b"\xef\xbb\xbfSECRET=hunter2 # hunter3\r\n# OLD_SECRET=hunter4\r\nKEY='hunter5\r\nhunter6=x\r\n'\r\n"
        b"# hunter7=\r\nhunter9A=1\nexport EMPTY=\n\n# hunter10A=\nexport S3_BUCKET=old # hunter11\nS3_REGION: r1\n"
        b"# S3_ALIAS_HOST=old.example\nS3_KEY_PREFIX=a/b\n"
    )
    variables = {"S3_BUCKET": "new", "S3_REGION": "r2", "S3_ALIAS_HOST": "new.example", "EMPTY": "x y"}
    assert shown(data, variables, {"NEW": "hunter14"}, ["S3_KEY_PREFIX"]) == (
        "export EMPTY=\nexport S3_BUCKET=old\nS3_REGION=r1\n# S3_ALIAS_HOST=old.example\nS3_KEY_PREFIX=a/b\n",
        "EMPTY='x y'\nS3_BUCKET=new\nS3_REGION=r2\nS3_ALIAS_HOST=new.example\nNEW=********\n",
    )


@pytest.mark.parametrize(
    "name",
    [
        "AWS_SECRET_ACCESS_KEY",
        "AWS_ACCESS_KEY_ID",
        "DB_PASS",
        "S3_PASSWORD",
        "OTP_SECRET",
        "s3_session_token",
        "S3_SSE_CUSTOMER_KEY",
        "HASH_SALT",
        "VAPID_PRIVATE_KEY",
        "S3_CREDENTIALS",
    ],
)
def test_a_name_that_looks_secret_is_masked_even_if_given_openly(name):
    before, after = shown(f"{name}=hunter1\n".encode(), {name: "hunter2"})
    assert (before, after) == (f"{name}=********\n", f"{name}=******** (new)\n")
    assert shown(f"{name}=hunter1\n".encode(), absent=[name], comment_out=True)[1] == f"# {name}=********\n"


@pytest.mark.parametrize(
    ("old", "secrets"),
    [
        ("https://user:hunter2@s3.example", {}),
        ("https://s3.example/?signature=hunter2", {}),
        ("x AWS_SECRET_ACCESS_KEY=hunter2", {}),
        ("hunter2hunter2", {"S3_X": "hunter2hunter2"}),
        ("a-hunter2-b", {"X": "hunter2"}),
        ("hunter2", {}),
        ("'hunter2\nx'", {}),
    ],
)
def test_a_secret_in_the_wrong_variable_is_masked(old, secrets):
    data = f"S3_ENDPOINT={old}\nOTP_SECRET=hunter2\n".encode()
    assert shown(data, {"S3_ENDPOINT": "https://s3.example"}, secrets)[0] == "S3_ENDPOINT=********\n"


def test_what_a_variable_held_is_shown_only_where_its_name_says_what_it_is_for():
    data = b"CDN_HOST=hunter1\n# CDN_HOST=hunter0\nEXTRA_MEDIA_HOSTS=https://a.example\n"
    variables = {"CDN_HOST": "cdn.example", "EXTRA_MEDIA_HOSTS": "https://b.example"}
    assert shown(data, variables) == (
        "CDN_HOST=********\n# CDN_HOST=********\nEXTRA_MEDIA_HOSTS=https://a.example\n",
        "CDN_HOST=cdn.example\n# CDN_HOST=********\nEXTRA_MEDIA_HOSTS=https://b.example\n",
    )


def test_no_diff_where_nothing_changes():
    before, after = shown(b"A=1\nB='x y'\n", {"A": "1", "B": "x y"}, absent=["C"])
    assert before == after == "A=1\nB='x y'\n"
    before, after = shown(b"A=1\n", secrets={"A": "1"})
    assert before == after == "A=********\n"


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
