# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[5] / "support"))

from fetch_world import MemoryBucket, World


@pytest.fixture
def bucket():
    return MemoryBucket()


@pytest.fixture
def world(tmp_path, bucket):
    return World(tmp_path, bucket)
