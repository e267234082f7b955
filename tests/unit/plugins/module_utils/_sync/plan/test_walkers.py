# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Runs whose tree is walked by other processes, held against runs that walk it alone."""

from __future__ import annotations

import copy
import os
import shutil

import pytest

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync import sync_round
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.journal.journal import Journal
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.plan import merge, walker
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.plan.plan import TreePlanner
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.plan.walkers import MOST_WALKERS, Walkers
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.report import DIFF_SHOWN
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.tree import walk
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.tree.counts import EXAMPLES_SHOWN
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.tree.source import Source
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.tree.span import EVERYTHING

FOLDERS = ("accounts/a", "accounts/b", "backups/c", "cache/d", "media_attachments/e", "media_attachments/e/f")
FILES = [f"{folder}/{number:02}.png" for folder in FOLDERS for number in range(50)] + ["stray/s.txt", "t.txt"]

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore:This process .* is multi-threaded")]


@pytest.fixture
def known(world):
    """A tree of some hundred files that was synced."""
    for key in FILES:
        world.write(key, key.encode())
    assert world.sync().error is None
    return world


def with_walkers(world, number=2, **options):
    """Run with so many walkers, which are forked as the module does: before there is anything else."""
    with Walkers(number) as walkers:
        return world.sync(walkers=walkers, **options)


def twin_of(world):
    """Return another bucket and journal of the same state, for the same tree."""
    twin = copy.copy(world)
    twin.s3, twin.state_dir = copy.deepcopy(world.s3), world.state_dir.with_name(f"{world.state_dir.name} of twin")
    shutil.rmtree(twin.state_dir, ignore_errors=True)
    shutil.copytree(world.state_dir, twin.state_dir)
    return twin


def told(report):
    """Return what a report says, but for times and what depends on the order of things: which of many are shown."""
    error = (report.error or "").partition("the first: ")[0]
    result = {**report.as_dict(), "warnings": report.warnings, "error": error}
    for name in ("seconds", "bytes_per_second", "journal"):
        del result[name]
    lines = report.diff()["prepared"].splitlines()
    result["diff"] = sorted(lines) if len(lines) < DIFF_SHOWN else len(lines)
    for amount in result["left_out"].values():
        shown = amount["examples"]
        amount["examples"] = sorted(shown) if len(shown) < EXAMPLES_SHOWN else len(shown)
    result["failures"] = sorted(result["failures"], key=str)
    return result


def held(world):
    return {key: (stored.body, stored.acl, stored.headers) for key, stored in world.s3.objects.items()}


def cut_of(world, parts=2):
    """Return the key by which the first of so many spans ends."""
    journal = Journal.peek(world.settings().journal_path)
    try:
        return journal.cuts(parts)[0]
    finally:
        journal.close()


def both_ways(world, number=2, **options):
    """Run alone on a twin and with walkers here; return the report, once it is known that it is the same."""
    twin = twin_of(world)
    alone, report = twin.sync(**options), with_walkers(world, number, **options)
    assert told(report) == told(alone)
    assert held(world) == held(twin)
    assert world.rows() == twin.rows()
    assert sorted(world.s3.calls) == sorted(twin.s3.calls)
    return report


def new(world):
    for key in ("accounts/0.png", "accounts/a/25x.png", "cache/new/deep/1.png", "media_attachments/z.png"):
        world.write(key, b"new")


def changed(world):
    for key in FILES[::7]:
        world.write(key, b"another content")


def touched(world):
    for key in FILES[::7]:
        os.rename(world.src / key, world.src / "tmp")
        os.rename(world.src / "tmp", world.src / key)


def hidden(world):
    for key in FILES[1::7]:
        (world.src / key).chmod(0o600)


def vanished(world):
    for key in FILES[::7]:
        (world.src / key).unlink()
    shutil.rmtree(world.src / "media_attachments/e/f")


def turned_about(world):
    """Files where folders were, and folders where files were, also by the cut."""
    shutil.rmtree(world.src / "accounts/b")
    world.write("accounts/b")
    cut = cut_of(world)
    (world.src / cut).unlink()
    world.write(f"{cut}/below")


def odd(world):
    for number in range(3):
        (world.src / f"accounts/a/link{number}").symlink_to(os.devnull)
        world.write(f"unknown/{number}")
        os.mkfifo(world.src / f"cache/d/fifo{number}")
    with open(os.fsencode(world.src) + b"/cache/d/\xff.png", "wb"):
        pass


class TestSameAsAlone:
    @pytest.mark.parametrize("number", [1, 2, 3, MOST_WALKERS])
    def test_an_unchanged_tree_is_counted_and_nothing_is_done(self, known, number):
        report = both_ways(known, number, delete="own")
        assert report.error is None
        assert report.as_dict()["changed"] is False
        assert report.as_dict()["unchanged"]["count"] == len(FILES) - 2
        assert report.as_dict()["source"]["files"] == len(FILES)
        assert report.as_dict()["source"]["exposure"] == {"public": 250, "private": 50}
        assert report.tally.walked
        assert known.s3.calls == []

    @pytest.mark.parametrize(
        ("change", "wanted"),
        [
            (new, {"upload": 4}),
            (changed, {"upload": 43}),
            (touched, {}),
            (hidden, {"set_acl": 36}),
            (vanished, {"delete": 86}),
            (turned_about, {"upload": 2, "delete": 51}),
            (odd, {}),
        ],
    )
    def test_a_change_is_dealt_with(self, known, done, change, wanted):
        change(known)
        assert done(both_ways(known, delete="own")) == wanted
        assert done(both_ways(twin_of(known), 3, delete="own")) == {}

    def test_all_changes_at_once(self, known, done):
        for change in (hidden, vanished, new, odd):
            change(known)
        assert set(done(both_ways(known, 3, delete="own"))) == {"upload", "set_acl", "delete"}

    def test_without_acls(self, known, done):
        assert done(both_ways(known, exposure="policy")) == {}
        hidden(known)
        assert done(both_ways(known, exposure="policy")) == {"delete_private": 36}

    def test_other_headers_and_rules(self, known, done):
        assert done(both_ways(known, cache_control="no-store", exclude=["cache/d/*7.png"])) == {"set_headers": 295}

    def test_below_a_key_prefix(self, known, done):
        assert known.sync(key_prefix="media/").error is None
        new(known)
        assert done(both_ways(known, key_prefix="media/")) == {"upload": 4}
        assert known.s3.objects["media/accounts/0.png"].body == b"new"

    def test_after_the_switch(self, known, done, left_out):
        hidden(known)
        new(known)
        report = both_ways(known, source_of_truth="bucket")
        assert done(report) == {"set_acl": 36, "upload": 4}
        assert done(both_ways(twin_of(known), source_of_truth="bucket")) == {}
        vanished(known)
        assert done(both_ways(known, source_of_truth="bucket")) == {}

    def test_where_the_tree_is_the_truth_again(self, known):
        assert known.sync(source_of_truth="bucket").error is None
        del known.s3.objects["accounts/a/00.png"]
        report = both_ways(known, reopen=True)
        assert report.as_dict()["actions"]["upload"]["count"] == 1
        assert report.as_dict()["unchanged"]["count"] == len(FILES) - 3

    def test_a_tree_that_is_gone_is_not_deleted(self, known):
        for path in known.src.iterdir():
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        assert "is its disk mounted" in both_ways(known, delete="own").error
        assert len(known.s3.objects) == len(FILES) - 2

    def test_more_is_gone_than_may_be_deleted(self, known):
        vanished(known)
        assert "max_delete_percent=0" in both_ways(known, delete="own", max_delete_percent=0).error
        assert len(known.s3.objects) == len(FILES) - 2

    def test_fewer_rows_than_walkers(self, world, done):
        world.write("accounts/a.png")
        assert world.sync().error is None
        assert done(both_ways(world, 3)) == {}
        for number in range(9):
            world.write(f"cache/{number}.png")
        assert done(both_ways(twin_of(world), 3)) == {"upload": 9}
        assert done(both_ways(world, 1)) == {"upload": 9}

    def test_many_folders_are_counted_in_all(self, world):
        for number in range(50):
            world.write(f"{number}/a", b"12345")
        world.write("accounts/a.png")
        world.write("cache/a.png")
        assert world.sync().error is None
        source = with_walkers(world).as_dict()["source"]
        assert (source["files"], source["bytes"]) == (52, 252)
        assert sum(folder["files"] for folder in source["folders"].values()) == 52
        assert sum(folder["bytes"] for folder in source["folders"].values()) == 252

    @pytest.mark.parametrize("option", [{"compare_with": "listing"}, {"compare_with": "checksum"}, {"delete": "all"}])
    def test_where_the_bucket_is_listed_walkers_stay_idle(self, known, done, option):
        new(known)
        del known.s3.objects["accounts/a/00.png"]
        assert done(both_ways(known, **option)) == {"upload": 5}

    def test_check_mode_writes_nothing(self, known, done):
        new(known)
        before = {path.name: path.read_bytes() for path in known.state_dir.iterdir()}
        assert done(with_walkers(known, check=True)) == {"upload": 4}
        assert {path.name: path.read_bytes() for path in known.state_dir.iterdir()} == before


class TestTroubles:
    @pytest.mark.parametrize("number", [2, 4])
    def test_a_folder_that_spans_share_and_nobody_can_read_is_reported_once(self, known, make_unreadable, number):
        shared = cut_of(known, number).split("/")[-2]
        make_unreadable(shared)
        (known.src / "accounts/a/00.png").unlink()
        report = both_ways(known, number, delete="own")
        assert report.as_dict()["failed_count"] == 1
        assert "can't be read: Permission denied" in report.error
        assert "nothing was deleted" in report.as_dict()["deletions_skipped"]
        assert "accounts/a/00.png" in known.s3.objects

    def test_the_root_that_nobody_can_read_is_reported_once(self, known, monkeypatch):
        real = Source.open_folder

        def no_root(self, parent, name):
            if parent is None:
                raise OSError(5, "Input/output error")
            return real(self, parent, name)

        monkeypatch.setattr(Source, "open_folder", no_root)
        report = both_ways(known, 3, delete="own")
        assert "contains no file for the bucket" in report.error
        assert report.as_dict()["failed_count"] == 1
        assert len(known.s3.objects) == len(FILES) - 2

    @pytest.mark.parametrize("depth", [1, 2])
    def test_a_shared_folder_that_is_a_link_now_is_reported_once(self, known, tmp_path, depth):
        cut = cut_of(known)
        shared = known.src.joinpath(*cut.split("/")[:depth])
        os.rename(shared, tmp_path / "elsewhere")
        shared.symlink_to(tmp_path / "elsewhere")
        report = both_ways(known, delete="own")
        assert report.as_dict()["failed_count"] == 1
        assert "symlink to a folder" in report.error
        assert cut in known.s3.objects

    def test_folders_that_are_no_utf8_are_reported_once_each(self, known):
        for parent in ("", "accounts/", cut_of(known).rpartition("/")[0] + "/"):
            for name in (b"\xfe", b"0\xff"):
                os.mkdir(os.fsencode(known.src) + b"/" + parent.encode() + name)
        report = both_ways(known, 3)
        assert report.as_dict()["left_out"]["bad_name"]["count"] == 4
        assert report.error is None

    def test_many_problems_come_one_by_one(self, known, left_out):
        for number in range(3000):
            (known.src / f"cache/d/{number:04}").symlink_to(os.devnull)
        assert left_out(both_ways(known))["symlink"] == 3000

    def test_a_file_that_is_renamed_while_its_folder_is_read_is_not_deleted(self, known, monkeypatch):
        # A folder into which no second walker comes, which would do the same.
        place = next(folder for folder in FOLDERS if not cut_of(known).startswith(f"{folder}/"))
        real, there, away = walk._sorted_names, known.src / place / "00.png", known.src / place / "tmp"

        def sorted_names(folder, path, span):
            if path != f"{place}/":
                return real(folder, path, span)
            os.rename(there, away)
            names = list(real(folder, path, span))
            os.rename(away, there)
            return iter(names)

        with monkeypatch.context() as patch:
            patch.setattr(walk, "_sorted_names", sorted_names)
            report = with_walkers(known, delete="own")
        assert report.error is None
        assert report.tally.marked_for_deletion.count == 1
        assert report.as_dict()["actions"]["delete"]["count"] == 0
        assert f"{place}/00.png" in known.s3.objects
        assert with_walkers(known, delete="own").as_dict()["unchanged"]["count"] == len(FILES) - 2


class TestWhatIsLeft:
    def test_the_next_run_finds_a_journal_as_if_the_tree_was_walked_alone(self, known):
        files = sorted(path.name for path in known.state_dir.iterdir())
        assert len(files) == 2
        new(known)
        assert with_walkers(known).error is None
        # Neither a write-ahead log, which would hold what the journal does not, nor its index.
        assert sorted(path.name for path in known.state_dir.iterdir()) == files

    def test_check_mode_writes_nothing_after_a_run_with_walkers(self, known, done):
        assert with_walkers(known).error is None
        before = {path.name: path.read_bytes() for path in known.state_dir.iterdir()}
        assert done(known.sync(check=True)) == {}
        assert {path.name: path.read_bytes() for path in known.state_dir.iterdir()} == before

    def test_walkers_leave_no_descriptor_open(self, known):
        before = sorted(os.listdir("/proc/self/fd"))
        assert with_walkers(known, 3).error is None
        assert sorted(os.listdir("/proc/self/fd")) == before


class TestProgress:
    @pytest.mark.parametrize("walked_by", [0, 2])
    def test_a_long_walk_without_changes_shows_how_far_it_is(self, known, monkeypatch, walked_by):
        monkeypatch.setattr(sync_round, "PROGRESS_SECONDS", 0.0)
        monkeypatch.setattr(merge, "_UNCHANGED_AT_ONCE", 10)
        monkeypatch.setattr(walker, "_TELL_SECONDS", 0.0)
        shown = []
        report = with_walkers(known, walked_by, progress=lambda report: shown.append(report.tally.files.count))
        assert report.error is None
        assert shown == sorted(shown)
        assert (shown[0], shown[-1]) == (0, len(FILES))
        assert len({number for number in shown if 0 < number < len(FILES)}) >= 5

    def test_a_walker_tells_many_things_at_once(self, known):
        for number in range(2 * walker._STEPS_TOLD):
            (known.src / f"accounts/a/new{number}.png").touch()
        settings = known.settings()
        planner = TreePlanner(settings.rules, settings.delete)
        share = walker.Walk(settings.src, 0, settings.journal_path, planner, EVERYTHING)
        root = os.open(known.src, os.O_RDONLY)
        batches = list(walker._batches(share, root))
        os.close(root)
        assert [batch.last for batch in batches] == [False] * (len(batches) - 1) + [True]
        assert [len(batch.steps) for batch in batches][:2] == [walker._STEPS_TOLD] * 2
        assert sum(batch.counts.files.count for batch in batches) == len(FILES) + 2 * walker._STEPS_TOLD
        assert sum(batch.counts.unchanged.count for batch in batches) == len(FILES) - 2
