# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Clocks that go back, and files whose times are not to be believed."""

from __future__ import annotations

import os
import time

import pytest

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.journal.clock import Clock

HOUR = 3600
NS = 10**9
BEFORE = Clock(1000 * NS, 100 * NS, "boot")


@pytest.mark.parametrize(
    ("now", "back"),
    [
        (Clock(1060 * NS, 160 * NS, "boot"), 0),
        (Clock(5060 * NS, 160 * NS, "boot"), 0),
        (Clock(1030 * NS, 160 * NS, "boot"), 30),
        (Clock(560 * NS, 160 * NS, "boot"), 500),
        (Clock(1030 * NS, 20 * NS, "another boot"), 0),
        (Clock(900 * NS, 20 * NS, "another boot"), 100),
        (Clock(900 * NS, 160 * NS, ""), 100),
    ],
)
def test_how_far_it_was_set_back(now, back):
    assert now.set_back_ns(BEFORE) == back * NS


def test_it_survives_being_written_down():
    now = Clock.now()
    assert Clock.parsed(str(now)) == now
    assert now.since_boot_ns > 0
    assert [Clock.parsed(text) for text in ("", "1 2", "a b c", "1 2 3 4")] == [None] * 4


@pytest.fixture
def set_clock(monkeypatch):
    """Set the host's clock to so many seconds from the real one. What files are stamped with is the real one's time."""
    real = time.time_ns
    return lambda seconds: monkeypatch.setattr(time, "time_ns", lambda: real() + seconds * NS)


class TestSwitch:
    """Files that appear between the last round before the switch and the first after it, whose stamps look too old."""

    def test_a_clock_that_is_set_back_between_the_rounds_hides_no_file(self, world, set_clock, done, left_out):
        set_clock(HOUR)
        world.write("accounts/a.png")
        world.sync()
        set_clock(0)
        world.write("accounts/new.png")
        report = world.sync(source_of_truth="bucket")
        assert left_out(report) == {}
        assert done(report) == {"upload": 1}
        assert set(world.s3.objects) == {"accounts/a.png", "accounts/new.png"}

    def test_a_clock_that_is_right_leaves_the_watermark_where_it_is(self, world, set_clock, left_out):
        set_clock(HOUR)
        world.write("accounts/a.png")
        world.sync()
        world.write("accounts/new.png")
        report = world.sync(source_of_truth="bucket")
        assert left_out(report) == {"older_than_switch": 1}


def test_times_in_the_future_or_long_ago_change_nothing(world, done):
    for key, seconds in (("future", 10**9), ("epoch", -time.time()), ("before", -time.time() - 10**8)):
        path = world.write(f"accounts/{key}.png", key.encode())
        os.utime(path, (time.time() + seconds,) * 2)
    assert done(world.sync()) == {"upload": 3}
    assert world.sync().as_dict()["changed"] is False
    os.utime(world.src / "accounts/future.png", (0, 0))
    (world.src / "accounts/epoch.png").write_bytes(b"other")
    os.utime(world.src / "accounts/epoch.png", (0, 0))
    assert done(world.sync()) == {"upload": 2}
    assert world.s3.objects["accounts/epoch.png"].body == b"other"


def test_a_file_in_the_writing_under_a_clock_that_was_set_back_waits(world, set_clock, left_out):
    """Its stamp lies in the future. It is told, and neither lost nor exposed."""
    world.write("accounts/a.png")
    path = world.write("accounts/b.png", mode=0o600)
    set_clock(-HOUR)
    assert left_out(world.sync(minimum_age=60)) == {"too_new": 1}
    set_clock(0)
    path.chmod(0o644)
    assert world.sync(minimum_age=60).error is None
    assert world.s3.acls() == {"accounts/a.png": "public-read", "accounts/b.png": "public-read"}
