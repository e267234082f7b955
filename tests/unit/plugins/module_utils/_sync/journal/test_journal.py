# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import contextlib
import os
import signal
import sqlite3
import subprocess
import sys

import pytest

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.journal import intents
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.journal import journal as under_test
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.journal.database import JournalError, number
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.journal.journal import Journal
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.journal.statefiles import (
    BusyError,
    StateFolderError,
    create_private,
)
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.model import (
    Action,
    ActionKind,
    Entry,
    Exposure,
    Outcome,
    Result,
    Row,
    RowState,
    SourceOfTruth,
)
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.settings import journal_path


@pytest.fixture
def path(tmp_path):
    return str(tmp_path / "state" / "journal.sqlite")


@pytest.fixture
def journal(path):
    journal = Journal.open(path, {"bucket": "media"})
    yield journal
    journal.close()


def entry(key, **changes):
    return Entry(key, 5, 10, 20, 0o644)._replace(**changes)


def row(key, **changes):
    return Row(*entry(key), "md5", "etag", "acl:public", "headers", "done", True)._replace(**changes)


def action(kind, key, known=None):
    return Action(kind, key, "", Exposure.PUBLIC, entry(key), None, known)


def done(key, **changes):
    return Outcome(action(ActionKind.UPLOAD, key), Result.UPLOADED, row(key, **changes))


def test_rows_come_in_the_order_of_their_bytes(journal, monkeypatch):
    monkeypatch.setattr(under_test, "_PAGE_ROWS", 3)
    keys = ["a", "a-b", "a/b", "a0", "z", "é", "￿", "𐍈"]
    for key in reversed(keys):
        journal.apply(done(key))
    assert [found.key for found in journal.rows()] == keys == sorted(keys, key=str.encode)
    assert next(journal.rows()) == row("a")


def test_rows_behind_may_change_while_they_are_read(journal, monkeypatch):
    monkeypatch.setattr(under_test, "_PAGE_ROWS", 2)
    for key in "abcdef":
        journal.apply(done(key))
    seen = []
    for found in journal.rows():
        seen.append(found.key)
        journal.apply(done(found.key, etag="new"))
        journal.apply(done(found.key + "0"))
        journal.commit()
    assert [key for key in seen if len(key) == 1] == list("abcdef")
    assert journal.count() == 6 + len(seen)


@pytest.mark.parametrize(
    ("kind", "state", "applied"),
    [
        (ActionKind.UPLOAD, "pending", ""),
        (ActionKind.SEND_IF_MISSING, "pending", ""),
        (ActionKind.SET_ACL, "done", ""),
        (ActionKind.COMPARE, "done", ""),
        (ActionKind.VERIFY, "done", ""),
        (ActionKind.DELETE_PRIVATE, "pending", "acl:public"),
        (ActionKind.DELETE, "pending", "acl:public"),
    ],
)
def test_what_is_about_to_be_done_is_on_disk_before(journal, path, kind, state, applied):
    journal.apply(done("a"))
    recorded = journal.recorded([action(kind, "a", row("a"))])
    next(recorded)
    other = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    assert other.execute("SELECT state, applied, ours FROM objects").fetchall() == [(state, applied, 1)]
    other.close()


def test_a_new_key_is_known_as_ours_before_it_is_sent(journal, path):
    next(journal.recorded([action(ActionKind.UPLOAD, "a")]))
    other = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    assert other.execute("SELECT key, state, ours FROM objects").fetchall() == [("a", "pending", 1)]
    other.close()


def test_batches_are_bounded(journal, monkeypatch):
    monkeypatch.setattr(intents, "BATCH_ACTIONS", 4)
    taken = []

    def actions():
        for many in range(10):
            taken.append(many)
            yield action(ActionKind.UPLOAD, f"{many}")

    recorded = journal.recorded(actions())
    next(recorded)
    assert len(taken) == 4
    assert len(list(recorded)) == 9
    monkeypatch.setattr(intents, "BATCH_SECONDS", -1.0)
    taken.clear()
    next(journal.recorded(actions()))
    assert len(taken) == 1


def test_outcomes(journal):
    journal.record([action(ActionKind.UPLOAD, "a"), action(ActionKind.UPLOAD, "b"), action(ActionKind.UPLOAD, "c")])
    journal.apply(done("a"))
    journal.apply(Outcome(action(ActionKind.UPLOAD, "b"), Result.SKIPPED, forget=True))
    journal.apply(Outcome(action(ActionKind.UPLOAD, "c"), Result.FAILED))
    assert {found.key: found.state for found in journal.rows()} == {"a": "done", "c": "pending"}


def test_a_list_of_deletions_lives_for_one_run(journal, path, monkeypatch):
    monkeypatch.setattr(under_test, "_PAGE_ROWS", 2)
    journal.apply(done("a"))
    for key in ("e", "d", "c", "b", "a"):
        journal.mark_for_deletion(key)
    assert list(journal.marked_for_deletion()) == [("a", row("a")), ("b", None), ("c", None), ("d", None), ("e", None)]
    journal.close()
    again = Journal.open(path, {})
    assert list(again.marked_for_deletion()) == []
    again.close()


class TestRounds:
    def test_only_completed_rounds_of_the_tree_count(self, journal):
        assert journal.watermark_ns is None
        first = journal.begin_round(SourceOfTruth.DISK, 10**18)
        journal.finish_round(first, 2 * 10**18, complete=False, oldest_left_ns=None)
        assert journal.watermark_ns is None
        second = journal.begin_round(SourceOfTruth.DISK, 3 * 10**18, lag_ns=50)
        journal.finish_round(second, 4 * 10**18, complete=True, oldest_left_ns=None)
        assert journal.watermark_ns == 3 * 10**18 - 50
        third = journal.begin_round(SourceOfTruth.DISK, 5 * 10**18)
        journal.finish_round(third, 6 * 10**18, complete=True, oldest_left_ns=42)
        assert journal.watermark_ns == 42

    def test_the_switch(self, journal):
        first = journal.begin_round(SourceOfTruth.BUCKET, 5)
        assert (journal.switched_ns, journal.settled_ns) == (5, None)
        journal.finish_round(first, 6, complete=False, oldest_left_ns=None)
        assert journal.settled_ns is None
        second = journal.begin_round(SourceOfTruth.BUCKET, 7)
        journal.finish_round(second, 8, complete=True, oldest_left_ns=None)
        assert (journal.switched_ns, journal.settled_ns) == (5, 8)
        journal.apply(done("a"))
        journal.record([action(ActionKind.UPLOAD, "b")])
        journal.reopen()
        assert (journal.switched_ns, journal.settled_ns) == (None, None)
        assert {found.key: (found.state, found.applied) for found in journal.rows()} == {
            "a": (RowState.DOUBTED.value, ""),
            "b": (RowState.PENDING.value, ""),
        }

    def test_old_rounds_are_dropped(self, journal):
        for many in range(60):
            journal.finish_round(
                journal.begin_round(SourceOfTruth.DISK, 10**18 + many), 2, complete=True, oldest_left_ns=None
            )
        assert number(journal._connection, "SELECT count(*) FROM rounds") == 50


class TestFiles:
    def test_modes(self, journal, path):
        journal.apply(done("a"))
        journal.commit()
        assert os.stat(os.path.dirname(path)).st_mode & 0o777 == 0o700
        names = os.listdir(os.path.dirname(path))
        assert {f"journal.sqlite{end}" for end in ("", "-wal", "-shm", ".lock")} == set(names)
        for name in names:
            assert os.stat(os.path.join(os.path.dirname(path), name)).st_mode & 0o777 == 0o600

    def test_what_is_about_to_be_sent_is_on_disk_before_it_is_sent(self, journal, path):
        # SQLite syncs its log with each commit at this level only: 2 is FULL. Else a power cut takes commits back.
        assert journal._connection.execute("PRAGMA synchronous").fetchone() == (2,)
        assert journal._connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        journal.record([action(ActionKind.UPLOAD, "a")])
        # Another connection sees only what was committed.
        with contextlib.closing(sqlite3.connect(path)) as another:
            assert another.execute("SELECT key, state FROM objects").fetchall() == [("a", "pending")]

    def test_the_name_of_a_new_journal_outlives_a_power_cut(self, tmp_path, kept_by_disk):
        path = tmp_path / "state" / "journal.sqlite"
        path.parent.mkdir(mode=0o700)
        seen = kept_by_disk(path)
        create_private(str(path))
        assert seen == [("folder", None, b"")]

    def test_a_path_for_each_pair(self):
        base = {"endpoint": "https://s3.example", "bucket": "media", "prefix": "", "src": "/srv/system"}
        others = [
            {**base, "endpoint": "https://other.example"},
            {**base, "bucket": "media2"},
            {**base, "prefix": "p/"},
            {**base, "src": "/srv/other"},
        ]
        paths = {journal_path("/state", **place) for place in (base, *others)}
        assert len(paths) == 5
        assert all(path.startswith("/state/sync-media") for path in paths)
        same = {**base, "endpoint": "https://S3.example/", "src": "/srv/system/"}
        assert journal_path("/state", **same) == journal_path("/state", **base)

    def test_peeking_writes_nothing(self, journal, path, tmp_path):
        assert list(Journal.peek(str(tmp_path / "none")).rows()) == []
        assert not (tmp_path / "none").exists()
        journal.apply(done("a"))
        journal.close()
        folder = os.path.dirname(path)
        before = {name: os.stat(os.path.join(folder, name)).st_mtime_ns for name in os.listdir(folder)}
        peeking = Journal.peek(path)
        assert [found.key for found in peeking.rows()] == ["a"]
        assert {name: os.stat(os.path.join(folder, name)).st_mtime_ns for name in os.listdir(folder)} == before
        with pytest.raises(JournalError):
            peeking.reopen()
        peeking.close()

    def test_peeking_sees_what_a_killed_run_left(self, path):
        code = (
            "import os, signal, sys\n"
            f"sys.path[:0] = {sys.path!r}\n"
            f"from {Journal.__module__} import Journal\n"
            f"from {Entry.__module__} import Action, ActionKind, Entry, Exposure\n"
            f"journal = Journal.open({path!r}, {{}})\n"
            "journal.record([Action(ActionKind.UPLOAD, 'a', '', Exposure.PUBLIC, Entry('a', 1, 2, 3, 4))])\n"
            "os.kill(os.getpid(), signal.SIGKILL)\n"
        )
        assert subprocess.run([sys.executable, "-c", code], check=False).returncode == -signal.SIGKILL
        assert os.path.getsize(f"{path}-wal") > 0
        for opened in (Journal.peek(path), Journal.open(path, {}, lock_seconds=1)):
            assert [(found.key, found.state) for found in opened.rows()] == [("a", "pending")]
            opened.close()

    def test_an_empty_file_is_a_new_journal(self, path):
        os.makedirs(os.path.dirname(path), mode=0o700)
        with open(path, "wb"):
            pass
        assert list(Journal.peek(path).rows()) == []
        Journal.open(path, {}).close()

    def test_a_journal_says_whose_it_is_though_its_first_run_was_killed_at_once(self, path, monkeypatch):
        class KilledConnection(sqlite3.Connection):
            def executemany(self, *_words):
                os.kill(os.getpid(), signal.SIGKILL)

        child = os.fork()
        if child == 0:
            try:
                connect = sqlite3.connect
                monkeypatch.setattr(
                    sqlite3, "connect", lambda *words, **options: connect(*words, factory=KilledConnection, **options)
                )
                Journal.open(path, {"bucket": "media"})
            finally:
                os._exit(1)
        assert os.waitpid(child, 0)[1] == signal.SIGKILL
        with contextlib.closing(Journal.open(path, {"bucket": "media"})) as journal:
            found = journal._connection.execute("SELECT value FROM meta WHERE name='bucket'").fetchall()
        assert found == [("media",)]

    def test_a_newer_journal_is_refused(self, journal, path):
        journal._connection.execute("PRAGMA user_version=3")
        journal.close()
        for opener in (Journal.peek, lambda name: Journal.open(name, {})):
            with pytest.raises(JournalError, match="newer release"):
                opener(path)

    def test_another_program_s_database_is_refused(self, path):
        os.makedirs(os.path.dirname(path), mode=0o700)
        foreign = sqlite3.connect(path)
        foreign.execute("CREATE TABLE theirs(x)")
        foreign.close()
        for opener in (Journal.peek, lambda name: Journal.open(name, {})):
            with pytest.raises(JournalError, match="not a journal"):
                opener(path)

    def test_a_damaged_journal_is_told(self, path):
        os.makedirs(os.path.dirname(path), mode=0o700)
        with open(path, "wb") as file:
            file.write(b"nonsense" * 1000)
        for opener in (Journal.peek, lambda name: Journal.open(name, {})):
            with pytest.raises(JournalError, match="damaged"):
                opener(path)

    def test_a_full_disk_is_told(self, journal):
        journal._connection.execute("PRAGMA max_page_count=12")
        with pytest.raises(JournalError, match="make room"):  # noqa: PT012 - which row is one too many is not known
            for many in range(100000):
                journal.apply(done(f"{many:0200}"))

    def test_a_folder_that_others_may_write_to_is_refused(self, tmp_path):
        (tmp_path / "state").mkdir()
        (tmp_path / "state").chmod(0o777)
        with pytest.raises(StateFolderError, match="other users"):
            Journal.open(str(tmp_path / "state" / "x.sqlite"), {})
        (tmp_path / "file").write_bytes(b"")
        with pytest.raises(StateFolderError, match="not a folder"):
            Journal.open(str(tmp_path / "file" / "x.sqlite"), {})

    def test_a_lock_dies_with_its_process(self, path):
        code = (
            f"import sys, time\nsys.path[:0] = {sys.path!r}\n"
            f"from {Journal.__module__} import Journal\nJournal.open({path!r}, {{}})\nprint('open', flush=True)\n"
            "time.sleep(60)\n"
        )
        with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as process:
            assert process.stdout.readline() == b"open\n"
            with pytest.raises(BusyError, match=f"process {process.pid}"):
                Journal.open(path, {}, lock_seconds=0.3)
            process.kill()
        Journal.open(path, {}, lock_seconds=0.3).close()
