# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Real file systems, and what changes on them."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[4] / "support"))

from disks import lacking, mounted


@pytest.fixture
def disk(tmp_path):
    """A new file system in memory."""
    reason = lacking("tmpfs")
    if reason is not None:
        pytest.skip(reason)
    with mounted("tmpfs", tmp_path / "disk") as folder:
        yield folder


@pytest.fixture
def tree(disk):
    """A folder on it, with a folder inside."""
    (disk / "tree" / "folder").mkdir(parents=True)
    (disk / "outside").mkdir()
    return disk / "tree"
