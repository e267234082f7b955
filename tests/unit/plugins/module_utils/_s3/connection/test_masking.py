# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import html
import json
from urllib.parse import quote, quote_plus

import pytest

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.connection.errors import S3Error
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.connection.masking import (
    Masking,
    masking_below,
    unexpected,
    without_secrets,
)

KEYS = [
    "backups/dumps/000/000/001/original/archive-0123abcd.tar.gz",
    "backups/dumps/1/archive 0123abcd+ü😀&<'\"~%.zip",
    "imports/data/1/first line\n0123abcd.csv",
    "elsewhere/0123abcd-secret.txt",
]
SPELLINGS = {
    "raw": str,
    "percent": quote,
    "percent, with slashes": lambda key: quote(key, safe=""),
    "percent, lower case": lambda key: quote(key, safe="").replace("%2F", "%2f").replace("%C3%BC", "%c3%bc"),
    "form": quote_plus,
    "twice": lambda key: quote(quote(key, safe=""), safe=""),
    "thrice": lambda key: quote(quote(quote(key, safe=""), safe=""), safe=""),
    "each character": lambda key: "".join(f"%{byte:02X}" for byte in key.encode()),
    "XML": html.escape,
    "XML, numbers": lambda key: "".join(f"&#{ord(each)};" for each in key),
    "XML, hexadecimal": lambda key: "".join(f"&#x{ord(each):X};" for each in key),
    "XML, twice": lambda key: html.escape(html.escape(key)),
    "JSON": lambda key: json.dumps(key)[1:-1],
    "JSON, slashes": lambda key: json.dumps(key)[1:-1].replace("/", "\\/"),
    "Python": lambda key: repr(key)[1:-1],
    "Python, bytes": lambda key: repr(key.encode())[2:-1],
    "Python, quoted JSON": lambda key: repr(json.dumps(key))[2:-2],
    "only the name": lambda key: key.rpartition("/")[2],
    "in capitals": str.upper,
}


def shown(key):
    return key if key.startswith("accounts/") else f"{key.partition('/')[0]}/***"


MASKING = Masking(shown, ("backups/", "imports/"))


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("spelling", SPELLINGS.values(), ids=SPELLINGS.keys())
@pytest.mark.parametrize(
    "text", ["lost {} on its way", "object '{}'\nis {}", '"{}"', "at /media/system/{}?acl", "{}", "<Name>{}</Name>"]
)
def test_a_private_key_is_hidden_however_it_is_written(key, spelling, text):
    found = MASKING.text(text.replace("{}", spelling(key)), key)
    assert "0123abcd" not in found.lower()
    assert "archive" not in found.lower()
    assert "***" in found


@pytest.mark.parametrize("spelling", [SPELLINGS[name] for name in SPELLINGS if name != "only the name"])
def test_a_name_below_a_private_folder_is_hidden_though_nobody_asked_for_it(spelling):
    key = "imports/data/1/o'clock 0123abcd.csv"
    text = spelling("system/" + key)
    assert "0123abcd" not in masking_below(["/backups", "imports"]).text(f"lost {text} on its way")


def test_what_is_hidden_stays_and_what_follows_it_too():
    text = "2 failed, the first: backups/***: it broke. See failures"
    assert MASKING.text(text, "backups/dumps/1/a.zip") == text


def test_public_keys_are_shown():
    text = "lost accounts/avatars/1/original/a.png on its way"
    assert MASKING.text(text, "accounts/avatars/1/original/a.png") == text


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ('endpoint URL: "https://user:pw@s3.test:9000/media/a%20b?acl"', 'endpoint URL: "https://s3.test:9000/***"'),
        ("(https://s3.test/a), then http://s3.test", "(https://s3.test/***), then http://s3.test"),
        ("begin endpoint_url with http://", "begin endpoint_url with http://"),
        ("Max retries with url: /media/a?b (Caused by x)", "Max retries with url: /*** (Caused by x)"),
        ("<Key>a\nb</Key><Resource>/media/a", "<Key>***</Key><Resource>***</Resource>"),
        ("&lt;Key&gt;a&lt;/Key&gt;!", "&lt;Key&gt;***&lt;/Key&gt;!"),
        (r'{"Key":"a\"b","Code":"x"}', '{"Key":"***","Code":"x"}'),
        ("GET /a?X-Amz-Signature=0a1b&X-Amz-Expires=3", "GET /a?X-Amz-Signature=***&X-Amz-Expires=3"),
        ("x-amz-security-token: Fwo/abc==, end", "x-amz-security-token: ***, end"),
        ("X-Amz-Security-Token%3DFwoabc", "X-Amz-Security-Token%3D***"),
        ("Authorization: AWS4-HMAC-SHA256 Credential=AK/2026\nHost: a", "Authorization: ***\nHost: a"),
        ("sent AWS4-HMAC-SHA256 Credential=AK, Signature=0a", "sent AWS4-HMAC-SHA256 ***"),
        ("secret_key=abc, session_token: 'def'", "secret_key=***, session_token: '***'"),
        ("Basic authentication is needed", "Basic authentication is needed"),
        ("The request signature we calculated does not match", "The request signature we calculated does not match"),
        ("set session_token as issued", "set session_token as issued"),
    ],
)
def test_addresses_and_credentials(text, wanted):
    assert without_secrets(text) == wanted
    assert without_secrets(wanted) == wanted
    assert str(S3Error(text)) == wanted


def test_an_exception_that_nobody_foresaw_shows_no_name():
    def fail():
        try:
            raise OSError(2, "gone", "/srv/backups/dumps/1/secret.zip")
        except OSError as error:
            raise ValueError("http://s3.test/media/imports/secret.csv") from error

    with pytest.raises(ValueError, match="secret") as caught:
        fail()
    found = unexpected(caught.value, ["backups/", "imports"])
    assert "secret" not in found["msg"] + found["exception"].replace("in fail", "")
    assert found["msg"] == "this is a bug, please report it (ValueError: http://s3.test/***)"
    assert "OSError" in found["exception"]
