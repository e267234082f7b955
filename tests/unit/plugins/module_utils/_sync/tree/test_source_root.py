# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The root of the tree belongs to an account that may be hostile, and the reader is root."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.model import SyncError
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.tree.source import Source, SourceMissingError
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.tree.walk import Tree

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can work in the folders of others")
ACCOUNT, OTHER = 4242, 4343
TRIES = 1500

# Swaps a folder for a symlink to one of root's, as fast as it can.
ATTACK = """
import os, sys
folder, victim, account = sys.argv[1], sys.argv[2], int(sys.argv[3])
os.setgroups([]); os.setgid(account); os.setuid(account)
print("ready", flush=True)
while True:
    os.rename(folder, folder + ".mine")
    os.symlink(victim, folder)
    os.unlink(folder)
    os.rename(folder + ".mine", folder)
"""


@pytest.fixture
def place():
    """A folder that everybody can enter, unlike those of pytest."""
    with tempfile.TemporaryDirectory(prefix="tree-") as name:
        Path(name).chmod(0o755)
        yield Path(name)


def make(path, owner):
    path.mkdir()
    path.chmod(0o755)
    os.chown(path, owner, owner)
    return path


def file_in(folder, name, owner):
    path = folder / name
    path.write_bytes(b"x")
    path.chmod(0o644)
    os.chown(path, owner, owner)


@pytest.mark.parametrize("swapped", ["system", "public"])
def test_an_account_that_swaps_its_folder_for_root_s_never_gets_that_read(place, swapped):
    live = make(place / "live", ACCOUNT)
    public = make(live / "public", ACCOUNT)
    file_in(make(make(public / "system", ACCOUNT) / "accounts", ACCOUNT), "own.png", ACCOUNT)
    vault = make(place / "vault", 0)
    secrets = make(vault / "system", 0) if swapped == "public" else vault
    file_in(make(secrets / "accounts", 0), "secret.png", 0)
    folder = public / "system" if swapped == "system" else public
    process = subprocess.Popen(
        [sys.executable, "-c", ATTACK, str(folder), str(vault), str(ACCOUNT)], stdout=subprocess.PIPE
    )
    found, refused = set(), 0
    try:
        assert process.stdout.readline() == b"ready\n"
        for _each in range(TRIES):
            try:
                source = Source(str(public / "system"))
            except SyncError as error:
                refused += not isinstance(error, SourceMissingError)
                continue
            found |= {item.key for item in Tree(source)}
            source.close()
        assert process.poll() is None
    finally:
        process.kill()
        process.communicate()
    assert found == {"accounts/own.png"}
    assert refused, "the swapped folder was never met"


@pytest.mark.parametrize(
    ("link_owner", "target_owner", "folder_owner", "counts"),
    [
        (ACCOUNT, ACCOUNT, ACCOUNT, True),
        (ACCOUNT, 0, ACCOUNT, False),
        (ACCOUNT, OTHER, ACCOUNT, False),
        (0, ACCOUNT, 0, True),
        (0, 0, ACCOUNT, True),
        (0, ACCOUNT, ACCOUNT, False),
    ],
)
def test_a_link_counts_where_nobody_but_the_owner_of_its_target_or_root_can_have_made_it(
    place, link_owner, target_owner, folder_owner, counts
):
    target = make(place / "disk", target_owner)
    file_in(target, "a.png", target_owner)
    folder = make(place / "public", folder_owner)
    (folder / "system").symlink_to(target)
    os.chown(folder / "system", link_owner, link_owner, follow_symlinks=False)
    if counts:
        source = Source(str(folder / "system"))
        assert [item.key for item in Tree(source)] == ["a.png"]
        source.close()
    else:
        with pytest.raises(SyncError, match=r"may be a trap.*chown -h"):
            Source(str(folder / "system"))
