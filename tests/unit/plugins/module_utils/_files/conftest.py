# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Fixtures for the tests of files and folders that belong to other users."""

from __future__ import annotations

import os

import pytest

ACCOUNT = 4242
STRANGER = 4343


@pytest.fixture
def need():
    """Leaves out a test that this machine can't run."""

    def check(possible, reason):
        if not possible:
            pytest.skip(reason)

    return check


@pytest.fixture
def home(tmp_path, as_root):
    """A folder that belongs to another user, below ones that only root can change."""
    folder = tmp_path / "home"
    folder.mkdir(mode=0o755)
    os.chown(folder, ACCOUNT, ACCOUNT)
    return folder


@pytest.fixture
def link():
    """Makes a symlink that belongs to a user."""

    def make(path, target, owner):
        os.symlink(target, path)
        os.lchown(path, owner, owner)
        return path

    return make


@pytest.fixture
def write():
    """Makes a file that belongs to a user."""

    def make(path, data=b"A=1\n", owner=ACCOUNT, mode=0o600):
        path.write_bytes(data)
        path.chmod(mode)
        os.chown(path, owner, owner)
        return path

    return make
