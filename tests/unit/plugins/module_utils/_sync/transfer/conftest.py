# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from worker_world import WorkerWorld

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.transfer import late_writes


@pytest.fixture
def make_world(tmp_path, monkeypatch):
    """Make a world of workers, one in each test."""
    monkeypatch.setattr(late_writes, "LATE_WRITE_SECONDS", 0.0)
    worlds = []

    def make(number=2, **options):
        worlds.append(WorkerWorld(tmp_path, number, **options))
        return worlds[-1]

    yield make
    for world in worlds:
        world.close()
