# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Random changes on real file systems: after each final sync the bucket equals the tree, whatever happened before."""

from __future__ import annotations

import os
import random
import signal
import sys
import threading
from pathlib import Path

import pytest

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._feed import start as start_module
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._feed.client import Client
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._feed.start import start, stop

sys.path.insert(0, str(Path(__file__).resolve().parents[5] / "support"))

from disks import lacking, mounted
from feed_world import Changes, FeedWorld

pytestmark = pytest.mark.slow

KINDS = ("tmpfs", "ext4", "xfs", "btrfs")
ROUNDS = 8


@pytest.fixture(params=KINDS)
def world(request, tmp_path, hurry):
    """A world on each file system, whose feed is running."""
    reason = lacking(request.param)
    if reason is not None:
        pytest.skip(reason)
    with mounted(request.param, tmp_path / "disk") as disk:
        world = FeedWorld(disk, tmp_path / "state")
        begin_feed(world)
        try:
            yield world
        finally:
            stop(str(world.src), str(world.state_dir))


def begin_feed(world):
    return start(str(world.src), str(world.state_dir), 300, lambda _command: (1, "", "")).process


def kill_feed(world):
    process = Client(str(world.src), str(world.state_dir)).status().process
    os.kill(process, signal.SIGKILL)
    os.waitpid(process, 0)


@pytest.fixture(autouse=True)
def no_systemd(monkeypatch):
    """Start the feed as a child of this process, which can kill it and wait for it."""
    monkeypatch.setattr(start_module, "_WITH_SYSTEMD", "/nowhere")


def test_the_bucket_equals_the_tree_and_only_changes_are_looked_at(world):
    seed = random.randrange(10**6)
    changes = Changes(world, seed)
    assert world.done() == "walk"
    for number in range(ROUNDS):
        changes.make(40)
        # Others go on while a run is under way. It may fail, since files vanish; the next one may not.
        writer = threading.Thread(target=changes.make, args=(60,))
        writer.start()
        world.sync()
        writer.join()
        changes.fill_empty_folders()
        assert world.done() == "feed", (seed, number)
        assert world.bucket() == world.expected(), (seed, number)


def test_the_bucket_equals_the_tree_though_reader_and_runs_are_killed_at_random(world, monkeypatch):
    seed = random.randrange(10**6)
    used = []
    changes, chance = Changes(world, seed), random.Random(seed)

    def die(*_arguments):
        raise KeyboardInterrupt

    world.done()
    for number in range(ROUNDS):
        changes.remove_links()
        changes.links = number % 4 == 3  # then runs walk
        changes.make(20)
        what = chance.choice(["reader", "run", "end of run", "nothing"])
        if what == "reader":
            kill_feed(world)
            changes.make(5)
            begin_feed(world)
        elif what == "run":
            world.s3.after = lambda *_arguments: chance.random() < 0.2 and die()
        with monkeypatch.context() as patch:
            if what == "end of run":
                patch.setattr(Client, chance.choice(["again", "forget"]), die)
            try:
                world.sync()
            except KeyboardInterrupt:
                changes.make(10)
        world.s3.after = lambda *_arguments: None
        changes.fill_empty_folders()
        used.append(world.done())
        assert world.bucket() == world.expected(), (seed, number, what)
    assert "feed" in used, seed
