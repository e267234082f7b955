# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The memory of a run does not grow with the number of files."""

from __future__ import annotations

import os
import shutil
import tracemalloc

import pytest

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.model import (
    Entry,
    Outcome,
    Result,
    Row,
    RowState,
)
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.plan import round_plan

pytestmark = pytest.mark.slow


class NullTransfer:
    """Says that all was uploaded."""

    def run(self, actions):
        for action in actions:
            row = Row(
                *action.entry, "0" * 32, "0" * 32, "acl:public", action.headers.fingerprint, RowState.DONE.value, True
            )
            yield Outcome(action, Result.UPLOADED, row)

    def delete(self, actions):
        return [Outcome(action, Result.DELETED, forget=True) for action in actions]


class Files:
    """As many entries as wanted, without a disk: a source as the walk is one."""

    complete = True
    linked = False

    def __init__(self, count, step=1):
        self.numbers = range(0, count, step)

    def __iter__(self):
        for number in self.numbers:
            yield Entry(f"cache/{number // 1000:06}/{number:09}.png", 100, 1, 2, 0o644)


@pytest.mark.parametrize(("first", "second"), [("upload", "unchanged"), ("unchanged", "delete")])
def test_constant_memory(world, monkeypatch, first, second):
    def run(name, count, kind, **options):
        step = 2 if kind == "delete" else 1
        monkeypatch.setattr(round_plan, "Tree", lambda _source, prefix_bytes: Files(count, step))
        tracemalloc.start()
        report = world.sync(transfer=NullTransfer(), state_dir=str(world.state_dir / name), **options)
        _now, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert report.error is None
        wanted = {"upload": "upload", "delete": "delete"}.get(kind)
        if wanted:
            assert report.as_dict()["actions"][wanted]["count"] == count // step
        else:
            assert report.as_dict()["unchanged"]["count"] == count
        return most

    kinds = {"upload": {}, "unchanged": {}, "delete": {"delete": "own"}}
    peaks = {}
    world.state_dir.mkdir(mode=0o700)
    for name, count in (("small", 5_000), ("large", 20_000)):
        if first == "unchanged":
            run(name, count, "upload")
        peaks[name] = [run(name, count, kind, **kinds[kind]) for kind in (first, second)]
    for small, large in zip(peaks["small"], peaks["large"]):
        assert large < small + 400_000, peaks


def test_very_many_files_in_one_folder(world):
    count = 30_000
    folder = world.src / "cache"
    folder.mkdir()
    for number in range(count):
        os.mknod(folder / f"{number:06}.png", 0o644)
    assert world.sync(transfer=NullTransfer()).as_dict()["actions"]["upload"]["count"] == count
    # Only names are held, and of one folder at a time.
    tracemalloc.start()
    report = world.sync(transfer=NullTransfer())
    _now, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    shutil.rmtree(folder)  # pytest would keep it for three runs
    assert report.as_dict()["unchanged"]["count"] == count
    assert most < count * 150 + 2_000_000
