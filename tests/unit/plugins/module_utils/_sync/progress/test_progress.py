# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a run says of itself while it is under way, and the count of the tree beside it."""

from __future__ import annotations

import os
import time

import pytest

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.journal.statefiles import (
    is_locked,
    progress_path,
)
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.progress import (
    file_count as file_count_module,
)
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.progress.file_count import (
    FileCount,
    Totals,
    count,
)
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.progress.progress import (
    ENDED,
    SENDING,
    ProgressWriter,
    Snapshot,
    known_totals,
    write_private,
)


def test_a_run_tells_from_its_start_to_its_end(world):
    world.sample()
    path = progress_path(world.settings().journal_path)
    writer, told = ProgressWriter(path, totals=Totals(3, 9)), []

    def tell(report):
        writer(report)
        with open(path, encoding="utf-8") as file:
            told.append(Snapshot.from_line(file.read()))

    report = world.sync(progress=tell)
    assert (told[0].stage, told[0].total_files, told[0].done_files, told[0].process) == (SENDING, 3, 0, os.getpid())
    last = told[-1]
    assert (last.stage, last.walked) == (ENDED, True)
    assert last.done_files == last.walked_files == last.total_files == report.tally.files.count == 6
    assert last.done_bytes == last.total_bytes == report.tally.files.bytes
    assert last.sent_files == 4
    assert os.stat(path).st_mode & 0o777 == 0o600
    assert known_totals(path) == Totals(6, report.tally.files.bytes)


def test_the_engine_lets_watch_only_who_holds_the_journal(world):
    world.write("accounts/a.png")
    journal = world.settings().journal_path
    held = []

    world.sync(progress=lambda _report: held.append(is_locked(journal)))
    assert held
    assert set(held) == {True}


def test_nothing_is_known_without_a_file_or_from_half_a_one(tmp_path):
    path = tmp_path / "x.progress"
    assert known_totals(str(path)) is None
    for content in ("", '{"process": 1, "total_files": 3', "[]", '{"process": 1}', '{"total_files": 3}'):
        path.write_text(content)
        assert known_totals(str(path)) is None, content


def test_a_snapshot_of_another_release_is_understood():
    assert Snapshot.from_line('{"process": 5, "novelty": [1], "seconds": 2.5}') == Snapshot(5, seconds=2.5)


def test_what_cannot_be_written_is_left(tmp_path):
    write_private(str(tmp_path / "missing" / "x"), "text")
    (tmp_path / "x").mkdir()
    write_private(str(tmp_path / "x"), "text")
    assert [path.name for path in tmp_path.iterdir()] == ["x"]


def test_a_link_in_the_place_of_the_new_file_is_not_followed(tmp_path):
    victim = tmp_path / "victim"
    victim.write_text("mine")
    (tmp_path / f"x.{os.getpid()}.tmp").symlink_to(victim)
    write_private(str(tmp_path / "x"), "text")
    assert victim.read_text() == "mine"


@pytest.fixture
def tree(tmp_path):
    for name, size in (("a/b/1", 10), ("a/2", 20), ("3", 0)):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"x" * size)
    (tmp_path / os.fsdecode(b"\xff")).write_bytes(b"y")
    (tmp_path / "link").symlink_to(tmp_path / "3")
    (tmp_path / "loop").symlink_to(tmp_path)
    os.mkfifo(tmp_path / "fifo")
    return tmp_path


def test_a_count_is_of_regular_files(tree):
    assert count(str(tree)) == Totals(4, 31)
    assert count(str(tree / "missing")) == Totals(0, 0)


def test_a_count_in_another_process(tree):
    file_count = FileCount(str(tree))
    until = time.monotonic() + 30
    while file_count.totals() is None:
        assert time.monotonic() < until
        time.sleep(0.01)
    assert file_count.totals() == Totals(4, 31)
    file_count.close()


def test_an_unfinished_count_is_ended(tree, monkeypatch):
    monkeypatch.setattr(file_count_module, "count", lambda _src: time.sleep(60))
    file_count = FileCount(str(tree))
    assert file_count.totals() is None
    began = time.monotonic()
    file_count.close()
    assert time.monotonic() - began < 10
    assert not file_count._process.is_alive()
