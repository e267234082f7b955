# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Where too many files look private, a backup or a umask did that, and no run makes them private in the bucket."""

from __future__ import annotations

import pytest

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.plan.deferred import DeferredActions
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.plan.walkers import Walkers

PUBLIC, PRIVATE = "public-read", "private"
PLACES = ("accounts/avatars/1", "cache/accounts/avatars/1", "media_attachments/files/1")


@pytest.fixture
def known(world):
    """Thirty public files that were sent, and an archive."""
    for place in PLACES:
        for number in range(10):
            world.write(f"{place}/{number}.png", f"{place}{number}".encode())
    world.write("backups/dumps/1/a.zip", b"archive")
    assert world.sync().error is None
    return world


def close(world, folder="", count=None):
    paths = sorted(path for path in (world.src / folder).rglob("*.png"))[:count]
    for path in paths:
        path.chmod(0o600)
    return len(paths)


@pytest.mark.parametrize("check", [True, False])
@pytest.mark.parametrize("source_of_truth", ["disk", "bucket"])
@pytest.mark.parametrize("exposure", ["acl", "policy"])
def test_nothing_is_made_private_or_deleted(known, check, source_of_truth, exposure):
    known.sync(exposure=exposure)
    (known.src / "backups/dumps/1/a.zip").unlink()
    close(known)
    before = known.s3.acls()
    report = known.sync(
        check,
        source_of_truth=source_of_truth,
        exposure=exposure,
        delete="never" if source_of_truth == "bucket" else "own",
    )
    assert "30 of 30 files in public folders" in report.error
    for words in ("accounts/avatars/1/0.png", f"chmod -R go+rX {known.src}/", "UMask", "max_private_percent (now 30)"):
        assert words in report.error
    assert not report.complete
    assert known.s3.acls() == before
    assert not any(known.s3.count(name) for name in ("PutObject", "PutObjectAcl", "DeleteObjects", "DeleteObject"))


@pytest.mark.parametrize("check", [True, False])
@pytest.mark.parametrize("settle", [0, 60])
def test_a_first_run_sends_none_of_them(world, check, settle):
    for number in range(30):
        world.write(f"accounts/avatars/{number}.png", mode=0o600)
    report = world.sync(check, minimum_age=settle)
    assert "30 of 30 files" in report.error
    assert world.s3.objects == {}


def test_one_folder_is_enough(known, done):
    for number in range(11):
        known.write(f"site_uploads/files/{number}.png", mode=0o600)
    for number in range(100):
        known.write(f"cache/media_attachments/{number}.png")
    report = known.sync()
    assert f"11 of 11 files in public folders of {known.src}/site_uploads/files/ can" in report.error
    assert done(report) == {"upload": 100}
    assert not [key for key in known.s3.objects if key.startswith("site_uploads")]


def test_many_small_folders_are_enough_together(world):
    for place in ("accounts/a", "accounts/b", "custom_emojis/c", "site_uploads"):
        for number in range(3):
            world.write(f"{place}/{number}.png", mode=0o600)
    assert f"12 of 12 files in public folders of {world.src}/ can" in world.sync().error


def test_suspended_accounts_of_a_small_server_pass(known, done):
    assert close(known, count=9) == 9
    assert done(known.sync()) == {"set_acl": 9}
    assert sum(acl == PRIVATE for acl in known.s3.acls().values()) == 10


def test_a_share_below_the_limit_passes(world, done):
    for number in range(100):
        world.write(f"cache/media_attachments/files/{number:02}.png")
    world.sync()
    assert close(world, count=30) == 30
    assert "30 of 100 files" in world.sync(max_private_percent=29).error
    assert PRIVATE not in world.s3.acls().values()
    assert done(world.sync()) == {"set_acl": 30}


def test_archives_and_folders_that_are_left_out_do_not_count(world):
    for number in range(30):
        world.write(f"backups/dumps/{number}.zip", mode=0o600)
        world.write(f"imports/data/{number}.csv", mode=0o600)
        world.write(f"cache/x/{number}.png", mode=0o600)
    assert world.sync(exclude=["cache"]).error is None


@pytest.mark.parametrize("changes", [{"max_private_percent": 100}, {"exposure": "policy", "open_private": True}])
def test_with_consent_the_modes_are_followed(world, changes):
    for number in range(30):
        world.write(f"accounts/avatars/{number}.png", mode=0o600)
    assert world.sync(**changes).error is None
    assert len(world.s3.objects) == 30


def test_the_limit_of_zero_allows_none_beyond_the_first_few(known):
    close(known, count=11)
    assert "max_private_percent (now 0)" in known.sync(max_private_percent=0).error


def test_modes_restored_are_followed_by_the_next_run(known, done):
    close(known)
    assert known.sync().error
    for path in known.src.rglob("*.png"):
        path.chmod(0o644)
    report = known.sync()
    assert report.complete
    assert done(report) == {}
    assert sum(acl == PUBLIC for acl in known.s3.acls().values()) == 30


def test_once_all_is_settled_after_the_switch_modes_say_nothing(known):
    assert known.sync(source_of_truth="bucket").complete
    close(known)
    report = known.sync(source_of_truth="bucket")
    assert report.complete
    assert sum(acl == PUBLIC for acl in known.s3.acls().values()) == 30


def test_walking_processes_count_them_too(known):
    close(known)
    with Walkers(2) as walkers:
        report = known.sync(walkers=walkers)
    assert "30 of 30 files" in report.error
    assert sum(acl == PUBLIC for acl in known.s3.acls().values()) == 30


def test_deferred_actions_leave_no_file_behind(known, monkeypatch):
    seen = []
    real = DeferredActions.take
    monkeypatch.setattr(
        DeferredActions, "take", lambda deferred: seen.append(list(known.state_dir.iterdir())) or real(deferred)
    )
    close(known, count=5)
    assert known.sync().error is None
    assert seen
    assert {path.suffix for path in seen[0]} <= {".sqlite", ".lock", ".sqlite-wal", ".sqlite-shm"}
