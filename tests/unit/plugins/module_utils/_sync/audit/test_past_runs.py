# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a comparison leaves to the next run, and the check of what was sent after an earlier run."""

from __future__ import annotations

import os
import time
from contextlib import closing
from urllib.parse import unquote

import pytest

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.audit.audit import (
    Question,
    audit,
    audit_sent,
)
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.audit.inspector import Inspection
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.audit.past_runs import (
    LAST_BUT_ONE,
    last_run,
    sent_after,
)
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.journal.clock import Clock
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.journal.journal import Journal
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.model import SyncError
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.store.store import Store
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.tree import stamps
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.tree.source import Source

OLD = "accounts/avatars/1/original/a.png"
NEW = "media_attachments/files/3/original/new.webp"
ARCHIVE = "backups/dumps/2/archive-new.zip"
LAG_SECONDS = 0.1  # a file that is this old when a run begins is older than that run, see `Source.lag_ns`
MINUTE_NS = 60 * 10**9
AFTER_SWITCH = {"source_of_truth": "bucket"}


def visited(objects):
    """Return how the bucket answers visitors, with ranges as a web server has them."""

    def answer(method, path, headers):
        stored = objects.get(unquote(path).removeprefix("/"))
        if stored is None or stored.acl != "public-read":
            return 403, {}, b"<Error><Code>AccessDenied</Code></Error>"
        told = {"Content-Type": stored.headers["ContentType"], "Cache-Control": stored.headers["CacheControl"]}
        if headers.get("Range") != "bytes=0-0":
            return 200, told, stored.body
        if not stored.body:
            return 416, {"Content-Type": "application/xml"}, b"<Error><Code>InvalidRange</Code></Error>"
        return 206, told, stored.body[:1]

    return answer


class Checks:
    """Compares a world's tree with its bucket, and checks what was sent."""

    def __init__(self, world, web):
        self.world = world
        self.web = web
        web.answer = visited(world.s3.objects)

    @property
    def journal(self):
        return self.world.settings().journal_path

    def _with(self, **given):
        asked = {"aspects": (Inspection.ACL, Inspection.HEADERS), "public_url": self.web.url, **given}
        return Question(self.world.settings().rules, **asked)

    def _open(self):
        return Source(str(self.world.src)), Store(lambda: self.world.s3, "media", "", acl=False)

    def settled(self):
        source, store = self._open()
        with closing(source), closing(store):
            return audit(self._with(settled_before_ns=last_run(self.journal).watermark_ns), source, store)

    def sent(self, number, **given):
        self.world.s3.calls.clear()
        self.web.requests.clear()
        source, store = self._open()
        question = self._with(**given)
        with closing(source), closing(store), sent_after(self.journal, number, question.rules) as rows:
            return audit_sent(question, rows, source, store)


@pytest.fixture
def checks(world, web):
    world.sample()
    time.sleep(LAG_SECONDS)
    world.sync()
    return Checks(world, web)


def faults(found):
    """Return everything in a result that can be wrong, without the zeros."""
    counts, public, private = found["counts"], found["sampled"]["public"], found["sampled"]["private"]
    acl, headers = found["inspected"]["acl"], found["inspected"]["headers"]
    each = {name: counts[name] for name in ("missing", "size_differs", "exposed")}
    each.update({name: public[name] for name in ("unreadable", "wrong_type", "wrong_cache_header")})
    each.update({name: private[name] for name in ("readable", "unanswered")})
    each.update({name: acl[name] for name in ("hidden", "unknown")}, acl_exposed=acl["exposed"])
    each.update(kept_type=headers["wrong_type"], kept_cache=headers["wrong_cache_header"])
    return {name: number for name, number in each.items() if number}


def test_what_mastodon_does_during_a_comparison_is_no_fault(checks):
    world = checks.world
    world.write("media_attachments/files/9/original/later.webp", b"later")
    world.write(OLD, b"another avatar")
    os.chmod(world.src / "media_attachments/files/1/original/open.webp", 0o600)
    os.chmod(world.src / "media_attachments/files/2/original/suspended.webp", 0o644)
    os.unlink(world.src / "backups/dumps/1/archive-secret.zip")
    found = checks.settled()
    assert faults(found) == {}
    assert found["left_out"]["changed"] == 4
    assert found["counts"]["files"] == 0


def test_an_old_fault_is_found_beside_changes(checks):
    world = checks.world
    world.write("media_attachments/files/9/original/later.webp", b"later")
    del world.s3.objects["media_attachments/files/1/original/open.webp"]
    world.s3.objects[OLD].body += b"!"
    world.s3.objects["media_attachments/files/2/original/suspended.webp"].acl = "public-read"
    found = checks.settled()
    assert faults(found) == {"missing": 1, "size_differs": 1, "readable": 1, "acl_exposed": 1}
    assert found["missing"] == ["media_attachments/files/1/original/open.webp"]
    assert found["size_differs"] == [OLD]


def test_with_a_policy_too_a_new_suspension_is_no_fault(world):
    world.sample()
    time.sleep(LAG_SECONDS)
    world.sync(exposure="policy")
    os.chmod(world.src / OLD, 0o600)
    settings = world.settings(exposure="policy")
    question = Question(settings.rules, settled_before_ns=last_run(settings.journal_path).watermark_ns)
    store = Store(lambda: world.s3, "media", "", acl=False)
    with closing(Source(str(world.src))) as source:
        assert audit(question, source, store)["counts"]["exposed"] == 0
        time.sleep(LAG_SECONDS)
        world.sync(exposure="policy")
        world.s3.objects[OLD] = world.s3.objects["media_attachments/files/1/original/open.webp"]
        question = Question(settings.rules, settled_before_ns=last_run(settings.journal_path).watermark_ns)
        assert audit(question, source, store)["counts"]["exposed"] == 1


def test_after_the_clock_was_set_back_more_files_count_as_changed(checks, monkeypatch):
    before = last_run(checks.journal).watermark_ns
    now = Clock.now()
    monkeypatch.setattr(Clock, "now", classmethod(lambda _class: now._replace(wall_ns=now.wall_ns - 3600 * 10**9)))
    assert before - last_run(checks.journal).watermark_ns >= 3599 * 10**9


def sent_in_the_switch(checks):
    """Play a switch after the first run, and return the number of that run."""
    world, first = checks.world, last_run(checks.journal).number
    world.write(NEW, b"new")
    world.sync(delete="own")
    world.write(ARCHIVE, b"archive")
    os.chmod(world.src / OLD, 0o600)
    world.write("media_attachments/files/4/original/empty.txt", b"")
    world.sync(**AFTER_SWITCH)
    return first


def test_only_what_was_sent_is_checked_without_a_walk_or_a_listing(checks):
    number = sent_in_the_switch(checks)
    found = checks.sent(number)
    assert faults(found) == {}
    assert (found["counts"]["files"], found["counts"]["present"]) == (4, 4)
    assert (found["sampled"]["public"]["readable"], found["sampled"]["private"]["denied"]) == (2, 2)
    assert found["inspected"]["acl"]["objects"] == found["inspected"]["headers"]["objects"] == 4
    assert sorted(set(checks.world.s3.calls)) == [
        (operation, key)
        for operation in ("GetObjectAcl", "HeadObject")
        for key in sorted((OLD, ARCHIVE, NEW, "media_attachments/files/4/original/empty.txt"))
    ]
    visits = {(method, unquote(path)[1:]) for method, path, _headers, _port in checks.web.requests}
    assert {("GET", NEW), ("GET", OLD), ("GET", ARCHIVE)} <= visits
    assert {method for method, _path in visits} == {"GET"}
    # What an interrupted switch leaves is the same, though nobody knows the number any more.
    assert checks.sent(LAST_BUT_ONE)["counts"] == found["counts"]


def test_what_was_sent_right_after_it_was_written_is_checked_too(checks, monkeypatch):
    monkeypatch.setattr(stamps, "TICK_NS", MINUTE_NS)
    number = sent_in_the_switch(checks)
    assert checks.world.rows()[ARCHIVE].ctime_ns == 0, "a later write in the same tick would look the same"
    checks.sent(number)
    assert ("HeadObject", ARCHIVE) in checks.world.s3.calls


def test_each_fault_of_what_was_sent_is_found(checks):
    number = sent_in_the_switch(checks)
    objects = checks.world.s3.objects
    objects[ARCHIVE].acl = "public-read"
    objects[NEW].body += b"!"
    objects[NEW].headers["ContentType"] = "text/plain"
    objects[NEW].headers["CacheControl"] = "no-store"
    del objects["media_attachments/files/4/original/empty.txt"]
    found = checks.sent(number)
    assert faults(found) == {
        "missing": 1,
        "size_differs": 1,
        "readable": 1,
        "acl_exposed": 1,
        "wrong_type": 1,
        "wrong_cache_header": 1,
        "kept_type": 1,
        "kept_cache": 1,
    }
    assert (found["missing"], found["size_differs"]) == (["media_attachments/files/4/original/empty.txt"], [NEW])
    assert found["counts"]["present"] == 3
    assert "archive-new" not in str(found)


def test_a_public_object_that_nobody_can_read_is_found(checks):
    number = sent_in_the_switch(checks)
    checks.world.s3.objects[NEW].acl = "private"
    assert faults(checks.sent(number)) == {"unreadable": 1, "hidden": 1}


def test_an_object_that_the_store_does_not_tell_of_is_neither_present_nor_missing(checks):
    number = sent_in_the_switch(checks)

    def refuse(operation, key):
        if (operation, key) == ("HeadObject", NEW):
            raise checks.world.s3.error("AccessDenied", 403, operation)

    checks.world.s3.hook = refuse
    found = checks.sent(number)
    assert (found["counts"]["files"], found["counts"]["present"], found["counts"]["missing"]) == (4, 3, 0)
    assert found["inspected"]["headers"]["unknown"] == 1


def test_more_than_a_sample_is_checked(checks):
    number = sent_in_the_switch(checks)
    assert checks.sent(number, sample=1)["sampled"]["public"]["requested"] == 2


def test_without_a_run_in_between_everything_was_sent_since(checks):
    assert checks.sent(LAST_BUT_ONE)["counts"]["files"] == len(checks.world.rows())


def test_runs_that_the_journal_does_not_know(checks, tmp_path):
    with (
        pytest.raises(SyncError, match="does not know a complete run 4711, only 1"),
        sent_after(checks.journal, 4711, checks.world.settings().rules),
    ):
        pass
    with pytest.raises(SyncError, match="settled: there is no journal of a complete run"):
        last_run(str(tmp_path / "none.sqlite"))


def test_a_row_that_was_not_sent_is_not_checked(checks):
    number = sent_in_the_switch(checks)
    with closing(Journal.open(checks.journal, {})) as journal:
        row = journal.row(NEW)
        journal.refresh(row._replace(key=f"{NEW}.pending", state="pending"))
    assert checks.sent(number)["counts"]["files"] == 4


def test_a_damaged_row_is_refused(checks):
    number = sent_in_the_switch(checks)
    with closing(Journal.open(checks.journal, {})) as journal:
        journal.refresh(journal.row(NEW)._replace(size=-1))
    with pytest.raises(SyncError, match="makes no sense"):
        checks.sent(number)
