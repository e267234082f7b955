# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Quoting; tests/parsers proves with the real readers that the forms are read alike."""

from __future__ import annotations

import pytest

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._dotenv.errors import DotenvValueError
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._dotenv.quoting import (
    check_name,
    is_portable,
    quote,
)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("", ""),
        ("media", "media"),
        ("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLE=", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLE="),
        ("a b", "'a b'"),
        ("a#b", "'a#b'"),
        ("$(id)", "'$(id)'"),
        ('say "x"', "'say \"x\"'"),
        ("C:\\dir", "'C:\\dir'"),
        ("it's", '"it\'s"'),
        ("a\tb", "'a\tb'"),
        ("é", "'é'"),
    ],
)
def test_forms(value, text):
    assert quote("A", value) == text
    assert is_portable(text, value)


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("a\nb", "line break"),
        ("a\rb", "line break"),
        ("it's $5", "a single quote and a dollar sign"),
        ("'\"\\", "a double quote and a backslash"),
        ("a\\", "ends with a backslash"),
        ("a\0b", "U+0000"),
        ("a\x7fb", "U+007F"),
        ("a\ufffeb", "U+FFFE"),
        ("a\ufdd0b", "U+FDD0"),
        ("a\udcffb", "not UTF-8"),
    ],
)
def test_what_can_not_be_written_is_refused_with_name_and_reason_but_without_value(value, reason):
    with pytest.raises(DotenvValueError) as caught:
        quote("DB_PASS", value)
    assert reason in str(caught.value)
    assert "DB_PASS" in str(caught.value)
    assert value not in str(caught.value)
    assert not is_portable(f"'{value}'", value)


@pytest.mark.parametrize("text", ["a~b", "a b", "'a'", '"a"', "(a)"])
def test_other_forms_that_all_readers_take(text):
    assert is_portable(text, text.strip("'\"") if text[0] in "'\"" else text)


@pytest.mark.parametrize(
    ("text", "value"), [("a\\b", "ab"), ("a # b", "a"), ('"a\\"b"', 'a"b'), ("é", "é"), ('"$"', "$")]
)
def test_forms_that_not_all_readers_take(text, value):
    assert not is_portable(text, value)


@pytest.mark.parametrize("name", ["", "1A", "A-B", "A.B", "Ä", "A B", "A=B", "A\n"])
def test_names_that_not_all_readers_take(name):
    with pytest.raises(DotenvValueError, match="ASCII letters"):
        check_name(name)
