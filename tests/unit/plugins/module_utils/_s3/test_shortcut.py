# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.shortcut import Shortcut


def test_it_closes_for_a_while_after_many_failures_in_a_row():
    shortcut = Shortcut()
    for _time in range(9):
        shortcut.failed(100.0)
    assert shortcut.is_open(100.0)
    shortcut.failed(100.0)
    assert not shortcut.is_open(100.0)
    assert not shortcut.is_open(159.0)
    assert shortcut.is_open(160.0)


def test_a_success_in_between_keeps_it_open():
    shortcut = Shortcut()
    for _time in range(30):
        for _failure in range(9):
            shortcut.failed(100.0)
        shortcut.worked()
    assert shortcut.is_open(100.0)
