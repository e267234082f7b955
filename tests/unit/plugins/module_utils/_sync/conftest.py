# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A tree, a bucket in memory, and runs of the engine between them."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.engine import sync
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.execution import upload
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.journal.journal import Journal
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.options import (
    settings_from,
    sync_argument_spec,
)
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.store.store import Store
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.transfer import late_writes
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.tree import stamps
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.tree.source import Source

sys.path.insert(0, str(Path(__file__).resolve().parents[4] / "support"))

from fake_s3 import FakeS3
from old_files import Writer


class EngineWorld(Writer):
    """A folder to write files in, and a bucket to sync them to."""

    def __init__(self, path):
        self.src = path / "tree"
        self.src.mkdir()
        self.state_dir = path / "state"
        self.s3 = FakeS3()

    def sample(self):
        """Write a file of each kind."""
        self.write("accounts/avatars/1/original/a.png", b"avatar")
        self.write("media_attachments/files/1/original/open.webp", b"open")
        self.write("media_attachments/files/2/original/suspended.webp", b"suspended", 0o600)
        self.write("backups/dumps/1/archive-secret.zip", b"archive")
        self.write("imports/data/1/secret.csv", b"follows")
        self.write("stray.txt", b"?")

    def params(self, **changes):
        defaults = {name: option.get("default") for name, option in sync_argument_spec().items()}
        own = {"src": str(self.src), "bucket": "media", "state_dir": str(self.state_dir), "minimum_age": 0}
        return {**defaults, **own, **changes}

    def settings(self, check=False, **changes):
        return settings_from(self.params(**changes), check_mode=check)

    def sync(self, check=False, transfer=None, progress=None, store=True, walkers=None, **changes):
        settings = self.settings(check, **changes)
        real = (
            Store(lambda: self.s3, "media", settings.prefix, acl=settings.rules.mode.value == "acl") if store else None
        )
        self.s3.calls.clear()
        return sync(settings, real, transfer=transfer, progress=progress, walkers=walkers)

    def rows(self, **changes):
        journal = Journal.peek(self.settings(**changes).journal_path)
        try:
            return {row.key: row for row in journal.rows()}
        finally:
            journal.close()


@pytest.fixture
def world(tmp_path, monkeypatch):
    """An empty tree and an empty bucket."""
    monkeypatch.setattr(upload, "_PAUSE_SECONDS", 0.0)
    monkeypatch.setattr(late_writes, "LATE_WRITE_SECONDS", 0.0)
    # What a test has just written is not read a second time because of that.
    monkeypatch.setattr(stamps, "TICK_NS", -1)
    return EngineWorld(tmp_path)


@pytest.fixture
def make_unreadable(monkeypatch):
    """Have each folder of a name refuse to be opened, to root as well."""
    real = Source.open_folder

    def make(hidden):
        def opened(self, parent, name):
            if name == hidden:
                raise PermissionError(13, "Permission denied")
            return real(self, parent, name)

        monkeypatch.setattr(Source, "open_folder", opened)

    return make


@pytest.fixture
def done():
    """What a report counts as done, without the zeros."""
    return lambda report: {
        name: amount["count"] for name, amount in report.as_dict()["actions"].items() if amount["count"]
    }


@pytest.fixture
def left_out():
    """What a report counts as left out."""
    return lambda report: {name: amount["count"] for name, amount in report.as_dict()["left_out"].items()}
