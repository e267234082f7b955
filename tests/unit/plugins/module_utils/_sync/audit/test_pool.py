# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import threading
import time

import pytest

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.audit import pool as under_test


def test_answers_come_in_order_and_items_are_taken_only_as_far_as_there_is_room():
    taken = []

    def items():
        for number in range(500):
            taken.append(number)
            yield number

    answers = under_test.in_order(lambda number: number * 2, items(), threads=2)
    assert next(answers) == 0
    assert len(taken) <= 17
    assert list(answers) == [number * 2 for number in range(1, 500)]


def test_it_does_several_at_a_time():
    together = threading.Barrier(4, timeout=10)
    assert len(list(under_test.in_order(lambda _number: together.wait(), range(8), threads=4))) == 8


def test_an_error_ends_it_and_what_waits_is_dropped():
    done = []

    def fail(number):
        done.append(number)
        time.sleep(0.01)
        raise ValueError(number)

    with pytest.raises(ValueError, match="0"):
        list(under_test.in_order(fail, range(100), threads=2))
    assert len(done) < 20


def test_patience_ends_with_silences_in_a_row_only():
    silence_limit = under_test.SilenceLimit(3)
    for answered in (False, False, True, False, False):
        silence_limit.note(answered=answered)
    assert not silence_limit.reached
    silence_limit.note(answered=False)
    assert silence_limit.reached
    silence_limit.note(answered=True)
    assert silence_limit.reached
