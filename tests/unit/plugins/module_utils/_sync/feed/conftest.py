# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A world whose feed is in this process, so that it can be made to fail."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._feed.client import GapError
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._feed.errors import NoFeedError
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._feed.reader import Reader
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.execution import upload
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.feed import feed_use
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.transfer import late_writes

sys.path.insert(0, str(Path(__file__).resolve().parents[5] / "support"))

from disks import lacking, mounted
from feed_world import FeedWorld


class Feed:
    """A reader, with the methods of a client. While `reader` is None, no feed is running."""

    def __init__(self, world, path):
        self._world, self._path = world, path
        self.reader = None
        self.start()

    def start(self):
        self.stop()
        self.reader = Reader(str(self._world.src), str(self._path))

    def stop(self):
        if self.reader is not None:
            self.reader.close()
        self.reader = None

    def _running(self, feed=None):
        if self.reader is None or feed not in (None, self.reader.feed):
            raise NoFeedError("no feed is running")
        return self.reader

    def drain(self):
        return self._running().drain()

    def names(self, feed, since):
        after = b""
        while True:
            page = self._running(feed).page(since, after)
            if page is None:
                raise GapError("not complete any more")
            yield from page
            if not page:
                return
            after = page[-1]

    def again(self, feed, keys):
        self._running(feed).again(keys)

    def forget(self, feed, until):
        self._running(feed).forget(until)


@pytest.fixture
def hurry(monkeypatch):
    """Do not wait before repeated requests: the store is in memory."""
    monkeypatch.setattr(upload, "_PAUSE_SECONDS", 0.0)
    monkeypatch.setattr(late_writes, "LATE_WRITE_SECONDS", 0.0)


@pytest.fixture
def world(tmp_path, monkeypatch, hurry):
    """A world on a file system in memory, and as `world.feed` its feed."""
    if lacking("tmpfs"):
        pytest.skip(lacking("tmpfs"))
    with mounted("tmpfs", tmp_path / "disk") as disk:
        world = FeedWorld(disk, tmp_path / "state")
        world.feed = Feed(world, tmp_path)
        monkeypatch.setattr(feed_use, "Client", lambda _src, _state_dir: world.feed)
        yield world
        world.feed.stop()
