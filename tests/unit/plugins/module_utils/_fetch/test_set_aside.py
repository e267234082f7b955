# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What was deleted, suspended or replaced in the bucket since s3_sync has sent it."""

from __future__ import annotations

import contextlib
import os
import signal
import stat
import time

import pytest
from attacker import UID
from fetch_world import SWITCH, md5

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._fetch import process
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._fetch.model import FetchError
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.journal.journal import Journal
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.model import ExposureMode, Row

FETCH = "ansible_collections.fediverse.mastodon_s3.plugins.module_utils._fetch"


class KnownRows:
    """A journal of files that were sent."""

    def __init__(self):
        self.known = {}

    def rows(self):
        return iter(row for _key, row in sorted(self.known.items()))


@pytest.fixture
def sent(world, bucket):
    """Write a file, and send it before the switch."""
    world.journal = KnownRows()

    def send(key, body=b"content", mode=0o644):
        path = world.write(key, body)
        path.chmod(mode)
        bucket.put(key, body, modified=SWITCH - 30)
        row = Row(key, len(body), path.stat().st_mtime_ns, 0, mode, "", md5(body), "", "", "done", True)
        world.journal.known[key] = row
        return path

    return send


def mode_of(path):
    return stat.S_IMODE(path.stat().st_mode)


def test_the_file_of_a_deleted_object_is_moved_away(world, bucket, sent):
    gone, stays = sent("media/gone", b"deleted"), sent("media/stays")
    never_sent = world.write("media/never sent")
    del bucket.objects["media/gone"]
    assert world.counts(newer_than=SWITCH, check_mode=True) == {"set_aside": 1}
    assert gone.exists()
    report = world.run(newer_than=SWITCH)
    assert report.changed
    assert report.examples == {"set_aside": [{"key": "media/gone"}]}
    assert not gone.exists()
    assert stays.exists()
    assert never_sent.exists()
    [(name, body)] = world.files(world.set_aside).items()
    assert (name.rpartition(".")[0], body) == ("media/gone", b"deleted")
    assert world.counts(newer_than=SWITCH) == {}


@pytest.mark.parametrize("change", ["content", "state", "symlink"])
def test_only_what_was_sent_is_moved(world, bucket, sent, change):
    path = sent("media/gone")
    del bucket.objects["media/gone"]
    if change == "content":
        path.write_bytes(b"of another upload")
    elif change == "state":
        world.journal.known["media/gone"] = world.journal.known["media/gone"]._replace(state="pending")
    else:
        path.unlink()
        path.symlink_to("elsewhere")
    bucket.put("media/other")
    world.counts(newer_than=SWITCH)
    assert world.files(world.set_aside) == {}
    assert path.exists() or path.is_symlink()


def test_an_empty_bucket_empties_no_folder(world, bucket, sent):
    sent("media/a")
    bucket.objects.clear()
    with pytest.raises(FetchError, match="the bucket is empty, although the journal knows 1 objects"):
        world.run()
    assert list(world.files()) == ["media/a"]


def test_too_many_deletions_change_nothing(world, bucket, sent, monkeypatch):
    monkeypatch.setattr(f"{FETCH}.tasks.GONE_ALLOWED", 2)
    for number in range(5):
        sent(f"media/{number}")
    bucket.put("media/new")
    for number in range(3):
        del bucket.objects[f"media/{number}"]
    with pytest.raises(FetchError, match=r"3 of 5 objects that were sent are gone.*max_change_percent=50"):
        world.run(newer_than=SWITCH)
    assert len(world.files()) == 5
    assert world.counts(newer_than=SWITCH, max_change_percent=60) == {"set_aside": 3, "fetched": 1}


def test_what_the_journal_knows_costs_no_request(world, bucket, sent):
    sent("media/a")
    assert world.counts() == {}
    bucket.put("media/a", b"replaced")
    assert world.counts() == {"replaced": 1}
    assert world.files(world.set_aside).popitem()[1] == b"content"


def test_acls_decide_who_may_read_files(world, bucket, sent):
    paths = {name: sent(f"media/{name}") for name in ("public", "suspended", "later")}
    paths["unsuspended"] = sent("media/unsuspended", mode=0o600)
    archive = sent("backups/archive")
    bucket.private.update(("media/suspended", "media/later", "backups/archive"))
    assert world.counts(newer_than=SWITCH) == {}
    for path in paths.values():
        os.utime(path)  # and so the ctime
    until = time.time() + 60
    paths_before = {name: mode_of(path) for name, path in paths.items()}
    assert world.counts(newer_than=SWITCH, all_acls=True, check_mode=True) == {"closed": 2, "opened": 1}
    assert {name: mode_of(path) for name, path in paths.items()} == paths_before
    assert world.counts(newer_than=SWITCH, all_acls=True, exposure=ExposureMode.POLICY) == {}
    assert world.counts(newer_than=SWITCH, all_acls=True, modes_until=SWITCH) == {}
    assert world.counts(newer_than=SWITCH, all_acls=True, modes_until=until) == {"closed": 2, "opened": 1}
    found = {name: mode_of(path) for name, path in paths.items()}
    assert found == {"public": 0o644, "suspended": 0o600, "later": 0o600, "unsuspended": 0o644}
    assert mode_of(archive) == 0o644
    assert world.counts(newer_than=SWITCH, all_acls=True) == {}


def test_a_bucket_without_acls_makes_no_tree_private(world, bucket, sent):
    paths = [sent(f"media/{number}") for number in range(20)]
    bucket.private.update(bucket.objects)
    report = world.run(newer_than=SWITCH, all_acls=True)
    assert "visitors can't read 20 of 20 objects" in report.error
    assert {mode_of(path) for path in paths} == {0o644}


def test_the_bucket_is_listed_once_if_little_changed(world, bucket, sent, monkeypatch):
    sent("media/a")
    for number in range(30):
        bucket.put(f"media/new/{number}")
    listings, listing = [], bucket.listing
    bucket.listing = lambda: listings.append(1) or listing()
    assert world.counts(check_mode=True) == {"fetched": 30}
    assert len(listings) == 1
    monkeypatch.setattr(f"{FETCH}.fetch._MOST_HELD", 10)
    assert world.counts() == {"fetched": 30}
    assert len(listings) == 3


@pytest.mark.parametrize("elsewhere", [False, True])
def test_root_reads_the_journal_and_moves_as_the_owner(as_root, world, bucket, monkeypatch, elsewhere):
    if elsewhere:
        monkeypatch.setattr(f"{FETCH}.process._is_one_file_system", lambda _one, _other: False)
    path = world.dest.parent / "state/journal.sqlite"
    path.parent.mkdir(mode=0o700)
    identity = {"endpoint": "aws", "bucket": "bucket-1", "prefix": "", "src": str(world.dest)}
    gone = world.write("media/gone")
    with_row = Row("media/gone", 7, gone.stat().st_mtime_ns, 0, 0o644, "", md5(b"content"), "", "", "done", True)
    journal = Journal.open(str(path), identity)
    journal.refresh(with_row)
    journal.close()
    os.chown(world.dest, UID, UID)
    os.chown(world.dest / "media", UID, UID)
    os.chown(gone, UID, UID)
    world.dest.parent.chmod(0o711)
    world.set_aside.chmod(0o700)
    bucket.put("media/new")
    report = process.run(world.settings(journal=str(path)), "bucket-1", bucket.as_bucket)
    assert (report.counts["set_aside"], report.counts["fetched"], report.error) == (1, 1, None)
    place = world.dest / ".mastodon_s3-set-aside" if elsewhere else world.set_aside
    assert report.set_aside_dir == str(place / "bucket-1")
    assert (place.stat().st_uid, mode_of(place)) == (0, 0o700)
    assert [entry.read_bytes() for entry in (place / "bucket-1/media").iterdir()] == [b"content"]
    assert not gone.exists()
    # The journal knows what tree and bucket have in common.
    with contextlib.closing(Journal.peek(str(path))) as journal:
        [row] = journal.rows()
    assert (row.key, row.etag, row.state) == ("media/new", md5(b"content"), "done")
    assert row.mtime_ns == (world.dest / "media/new").stat().st_mtime_ns
    again = process.run(world.settings(journal=str(path)), "bucket-1", bucket.as_bucket)
    assert not any(again.counts.values())


def test_a_journal_is_needed(world, bucket):
    with pytest.raises(FetchError, match="is missing or empty"):
        process.run(world.settings(journal=f"{world.dest}.sqlite"), "bucket-1", bucket.as_bucket)


def test_the_next_run_removes_what_a_killed_one_left(world, bucket):
    bucket.put("media/a", b"whole")
    child = os.fork()
    if not child:
        bucket.get = lambda *_arguments: os.kill(os.getpid(), signal.SIGKILL)
        world.run()
        os._exit(0)
    assert os.waitpid(child, 0)[1] == signal.SIGKILL
    [left] = world.files()
    assert left != "media/a"
    time.sleep(0.2)
    assert world.counts() == {"fetched": 1}
    assert world.files() == {"media/a": b"whole"}
