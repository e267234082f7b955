# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.http.circuit_breaker import CircuitBreaker


def test_it_closes_for_a_while_after_many_failures_in_a_row():
    breaker = CircuitBreaker()
    for _time in range(9):
        breaker.failed(100.0)
    assert breaker.allows(100.0)
    breaker.failed(100.0)
    assert not breaker.allows(100.0)
    assert not breaker.allows(159.0)
    assert breaker.allows(160.0)


def test_a_success_in_between_keeps_it_open():
    breaker = CircuitBreaker()
    for _time in range(30):
        for _failure in range(9):
            breaker.failed(100.0)
        breaker.succeeded()
    assert breaker.allows(100.0)
