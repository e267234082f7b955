# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from pathlib import Path

import pytest

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._mastodon import systemctl as under_test

CAPTURED = Path(__file__).parent / "captured"

# What the process that systemd started with this Environment= had in /proc/PID/environ.
IN_THE_PROCESS = {
    "RAILS_ENV": "production",
    "PORT": "3000",
    "LD_PRELOAD": "libjemalloc.so",
    "S3_BUCKET": "has space",
    "S3_ALIAS_HOST": "media.example",
    "S3_REGION": 'quo"te',
    "BACK": r"a\b",
    "TAB": "a\tb",
    "DOLLAR": "a$$b",
    "Q": "'x'",
    "EMPTY": "",
    "PCT": "100%",
    "UNI": "ü€",
    "NL": "a\nb",
    "SEMI": "a;b",
    "HASH": "a#b",
    "BT": "a`b",
    "PAR": "(x)&|<>",
    "ONE": "it's",
}


@pytest.fixture(scope="module")
def shown():
    text = (CAPTURED / "show-systemd-252.txt").read_text(encoding="utf-8")
    return {unit["Id"][0]: unit for unit in under_test.parse_show(text)}


def test_output_for_several_units(shown):
    assert list(shown) == [
        "mastodon-web.service",
        "mastodon-sidekiq@default.service",
        "mastodon-sidekiq.service",
        "mastodon-streaming.service",
        "mastodon-streaming@4000.service",
        "nonexist.service",
    ]


def test_environment(shown):
    assert under_test.parse_environment(shown["mastodon-web.service"]["Environment"][0]) == IN_THE_PROCESS


def test_environment_files_with_spaces_and_patterns(shown):
    web = [under_test.parse_environment_file(value) for value in shown["mastodon-web.service"]["EnvironmentFiles"]]
    assert web == [
        under_test.EnvironmentFile("/opt/sd/s3 extra.env", optional=True),
        under_test.EnvironmentFile("/opt/sd/default.env", optional=False),
    ]
    (sidekiq,) = shown["mastodon-sidekiq@default.service"]["EnvironmentFiles"]
    assert under_test.parse_environment_file(sidekiq) == under_test.EnvironmentFile("/opt/sd/glob*.env", optional=False)


def test_command_line_with_semicolons(shown):
    assert under_test.parse_exec(shown["mastodon-sidekiq.service"]["ExecStart"][0]) == (
        "/bin/sh",
        "/bin/sh -c cd /home/mastodon/live && exec /home/mastodon/live/bundle exec sidekiq -c 25; echo done",
    )


def test_no_command_line():
    assert under_test.parse_exec("") == ("", "")


def test_names_for_show():
    names = [
        name
        for file in ("list-units-systemd-252.txt", "list-unit-files-systemd-252.txt")
        for name in under_test.parse_units((CAPTURED / file).read_text(encoding="utf-8"))
    ]
    assert under_test.showable(names) == [
        "auditd.service",
        "dbus-org.freedesktop.hostname1.service",
        "dbus-org.freedesktop.locale1.service",
        "dbus-org.freedesktop.login1.service",
        "dbus-org.freedesktop.timedate1.service",
        "dbus.service",
        "getty-static.service",
        "mastodon-sidekiq.service",
        "mastodon-sidekiq@default.service",
        "mastodon-sidekiq@pull.service",
        "mastodon-streaming.service",
        "mastodon-streaming@4000.service",
        "mastodon-web.service",
    ]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", []),
        ("  A=1   B=2 ", ["A=1", "B=2"]),
        (r'"A=x y" B=z', ["A=x y", "B=z"]),
        (r"$'A=x\ty'", ["A=x\ty"]),
        (r'"A=\x41\101\u00fc\\"', ["A=AAü\\"]),
        ("'A=x y' \"B='\"", ["A=x y", "B='"]),
        ("A=x'y z'", ["A=xy z"]),
        ("A=$x", ["A=$x"]),
        ('"A=unfinished', ["A=unfinished"]),
    ],
)
def test_words(text, words):
    assert under_test.split_words(text) == words


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("15s", 15),
        ("1min 30s", 90),
        ("1h 1ms", 3600.001),
        ("500ms", 0.5),
        ("0", 0),
        ("1month 1d", 2716200),
        ("infinity", None),
        ("", None),
        ("5 fortnights", None),
    ],
)
def test_timespans(text, seconds):
    assert under_test.parse_timespan(text) == seconds
