# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import subprocess
from datetime import datetime, timedelta

import pytest

from ansible_collections.fediverse.mastodon_s3.plugins.plugin_utils._waiting import (
    Condition,
    ConditionError,
    condition,
    look_command,
    missed,
    next_moment,
    parsed_look,
    pause_after,
)

NIGHT = Condition(hour=3, minute=30)


@pytest.mark.parametrize(
    ("text", "means"),
    [
        ("03:30", NIGHT),
        ("3:30", NIGHT),
        ("00:00", Condition(hour=0)),
        ("23:59", Condition(hour=23, minute=59)),
        ("/run/switch-now", Condition(file="/run/switch-now")),
        ("confirmed", Condition()),
    ],
)
def test_what_is_waited_for(text, means):
    assert condition(text) == means
    assert means.asks is (text == "confirmed")


@pytest.mark.parametrize(
    "text", ["25:00", "24:00", "03:60", "3:5", "03:30\n", "true", "run/now", "/run/", "/", "confirm"]
)
def test_what_means_nothing_is_named(text):
    with pytest.raises(ConditionError) as error:
        condition(text)
    assert f"repeat_until: '{text}' is no time of day and no file" in str(error.value)


@pytest.mark.parametrize(
    ("now", "moment"),
    [
        ("2026-11-30T22:00:00", "2026-12-01T03:30:00"),
        ("2026-12-01T03:29:59", "2026-12-01T03:30:00"),
        ("2026-12-01T03:30:00", "2026-12-02T03:30:00"),
        ("2026-12-31T03:31:00", "2027-01-01T03:30:00"),
    ],
)
def test_the_next_moment(now, moment):
    assert next_moment(NIGHT, datetime.fromisoformat(now)) == datetime.fromisoformat(moment)


def test_a_moment_that_is_noticed_much_too_late_does_not_count():
    moment = datetime.fromisoformat("2026-12-01T03:30:00")
    assert not missed(moment, moment + timedelta(minutes=50))
    assert missed(moment, moment + timedelta(minutes=70))


def test_long_rounds_are_less_frequent():
    assert pause_after(1.0) == 300
    assert pause_after(1000.0) == 3000


@pytest.mark.parametrize(("zone", "name"), [("UTC", "UTC"), ("EST5EDT", "E"), ("Asia/Kolkata", "IST")])
def test_a_look_at_a_host(tmp_path, zone, name):
    file = tmp_path / "it's here"
    environment = {"TZ": zone, "PATH": "/usr/bin:/bin"}

    def look(path):
        done = subprocess.run(
            ["sh", "-c", look_command(str(path))], env=environment, capture_output=True, text=True, check=True
        )
        return parsed_look(f"a banner\n{done.stdout}")

    before = look(file)
    local = subprocess.run(["date", "+%FT%T"], env=environment, capture_output=True, text=True, check=True).stdout
    assert abs(datetime.fromisoformat(local.strip()) - before.now) < timedelta(seconds=10)
    assert (before.file_found, before.zone.startswith(name)) == (False, True)
    file.touch()
    assert look(file).file_found
    assert not look("").file_found


@pytest.mark.parametrize("output", ["", "sudo: no", "s3_sync_wait found", "s3_sync_wait - yesterday UTC"])
def test_an_incomplete_answer_is_none(output):
    assert parsed_look(output) is None
