# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from collections import deque

import pytest

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.options import sync_argument_spec
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.senders.flow_control import (
    AdaptiveConcurrency,
    RateLimit,
)


def simulated(concurrency, rate_of, seconds, start=0.0):
    """Let requests be answered for a while, `rate_of(allowed)` a second; return the clock."""
    now = start
    while now < start + seconds:
        now += 1.0 / rate_of(concurrency.allowed)
        concurrency.done(10_000, now)
    return now


def test_it_grows_while_throughput_grows_with_it():
    concurrency = AdaptiveConcurrency(64, now=0.0)
    simulated(concurrency, lambda allowed: allowed * 50.0, 5)  # 20 ms before each answer, and no other limit
    assert concurrency.allowed >= 60


def test_it_is_at_full_speed_within_a_second_of_a_store_with_20_ms():
    concurrency = AdaptiveConcurrency(64, now=0.0)
    simulated(concurrency, lambda allowed: allowed * 50.0, 1)
    assert concurrency.allowed == 64


def test_it_grows_where_answers_take_longer_than_a_window():
    concurrency, now, under_way = AdaptiveConcurrency(64, now=0.0), 0.0, []
    while now < 10:
        under_way += [now + 0.5] * (concurrency.allowed - len(under_way))
        now = under_way.pop(0)
        concurrency.done(10_000, now)
    assert concurrency.allowed == 64


def seconds_to_send(files, *, most, latency):
    """Return how long one worker takes for small files if it can begin 3,000 of them a second."""
    concurrency, now, under_way = AdaptiveConcurrency(most, now=0.0), 0.0, deque()
    for _file in range(files):
        now += 1 / 3000
        while under_way and (under_way[0] + latency <= now or len(under_way) >= concurrency.allowed):
            begun = under_way.popleft()
            now = max(now, begun + latency)
            concurrency.done(50_000, now, now - begun)
        under_way.append(now)
    return now + latency


def test_by_default_a_store_with_100_ms_gets_a_third_of_the_rate_of_one_without_delay():
    most = sync_argument_spec()["concurrency"]["default"] // 2  # with two workers
    near, far = (seconds_to_send(5_000, most=most, latency=latency) for latency in (0.001, 0.1))
    assert near < far < 3 * near


def test_it_does_not_grow_where_nothing_is_gained():
    concurrency = AdaptiveConcurrency(64, now=0.0)
    first = concurrency.allowed
    simulated(concurrency, lambda allowed: 1000.0, 20)
    assert concurrency.allowed == first


def test_it_finds_a_limit_in_between():
    concurrency = AdaptiveConcurrency(128, now=0.0)
    simulated(concurrency, lambda allowed: min(allowed, 30) * 50.0, 5)
    assert 20 <= concurrency.allowed <= 70


def test_it_halves_once_for_a_burst_of_refusals_and_grows_again_later():
    concurrency = AdaptiveConcurrency(64, now=0.0)
    now = simulated(concurrency, lambda allowed: allowed * 50.0, 5)
    for _each in range(20):
        concurrency.slow_down(now)
    halved = concurrency.allowed
    assert halved <= 32
    now = simulated(concurrency, lambda allowed: allowed * 50.0, 4, now)
    assert concurrency.allowed == halved
    simulated(concurrency, lambda allowed: allowed * 50.0, 10, now)
    assert concurrency.allowed >= 48


def test_one_is_always_allowed():
    concurrency = AdaptiveConcurrency(2, now=0.0)
    for second in range(10):
        concurrency.slow_down(second * 100.0)
    assert concurrency.allowed == 1


def test_it_never_allows_more_than_is_asked_for():
    assert AdaptiveConcurrency(1, now=0.0).allowed == 1


@pytest.mark.parametrize("rate", [1000.0, 10**6])
def test_bytes_are_spread_over_time(rate):
    rate_limit, now, sent = RateLimit(rate), 0.0, 0
    for size in [200, 5000, 1, 0, 30_000] * 20:
        now += rate_limit.wait(now)
        rate_limit.take(size, now)
        sent += size
    assert (sent - 30_000) / rate == pytest.approx(now)


def test_without_a_limit_nobody_waits():
    rate_limit = RateLimit(None)
    rate_limit.take(10**12, 0.0)
    assert rate_limit.wait(0.0) == 0.0


def answered(concurrency, took):
    for number, seconds in enumerate(took):
        concurrency.done(10_000, number * 0.01, seconds)
    return concurrency.gather_seconds()


def test_answers_gather_where_requests_wait_in_the_store():
    assert 0.01 <= answered(AdaptiveConcurrency(64, now=0.0), [0.005] + [0.08] * 100) <= 0.04
    assert 0.01 <= answered(AdaptiveConcurrency(64, now=0.0), [0.005] + [30.0] * 100) <= 0.04


@pytest.mark.parametrize("took", [[], [0.02] + [0.028] * 100, [0.1] * 100, [0.0003] + [0.008] * 100])
def test_where_they_do_not_wait_no_answer_has_to(took):
    """On a far store, and on a fast one."""
    assert answered(AdaptiveConcurrency(64, now=0.0), took) == 0.0


def test_what_took_nobody_knows_how_long_does_not_count():
    concurrency = AdaptiveConcurrency(64, now=0.0)
    before = answered(concurrency, [0.005] + [0.08] * 100)
    concurrency.done(10_000, 1.0)
    assert concurrency.gather_seconds() == before
