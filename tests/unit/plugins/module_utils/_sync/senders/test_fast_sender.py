# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is sent the fast way, and what is left to boto3: files that change meanwhile, and odd answers."""

from __future__ import annotations

import contextlib
import hashlib
import os

import pytest

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.http.endpoint import Endpoint
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.http.signature import Credentials
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.content.content import PART_BYTES
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.model import (
    Action,
    ActionKind,
    Entry,
    Exposure,
    ExposureMode,
    Result,
)
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.report import Traffic
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.rules.rules import Rules
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.senders.checked import CheckedSender
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.senders.put_connection import PutResponse
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.senders.request_builder import RequestBuilder
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.senders.sender import Unsent
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.transfer.fallback import Fallback
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.tree.source import NotAFileError, Source

KEY, CONTENT = "accounts/a.png", b"0123456789"
ETAG = hashlib.md5(CONTENT, usedforsecurity=False).hexdigest()


class ScriptedSender:
    """Reads as the fast sender does, and has `meanwhile` done before it answers what the store said."""

    def __init__(self, builder):
        self.builder = builder
        self.meanwhile = lambda: None
        self.response = PutResponse(200, {"etag": f'"{ETAG}"'})
        self.requests = []
        self.exposures = []

    def read(self, file):
        return self.builder.read(file)

    def send(self, file, done):
        request = self.builder.request(file)
        self.requests.append(request)
        self.exposures.append(file.exposure)
        self.builder.sent(file.content)
        self.meanwhile()
        sent, told_apart = self.builder.proven(file.content, self.response)
        assert sent is not None or not told_apart
        done(sent or Unsent("unproven"))


class Desk:
    """A file of 10 bytes, and a checked sender; `meanwhile` is done after the file was opened and read."""

    def __init__(self, folder, monkeypatch, mode=ExposureMode.ACL, tls=False):
        self.path = folder / KEY
        self.path.parent.mkdir()
        self.path.write_bytes(CONTENT)
        os.utime(self.path, ns=(10**18, 10**18))
        self.meanwhile = lambda: None
        self.source = Source(str(folder))
        endpoint = Endpoint(tls, "h", 1, "h", "/media/", "r", "agent", 1.0, 1.0, None, Credentials("key", "secret"))
        self.sender = ScriptedSender(RequestBuilder(endpoint, "", acl=mode is ExposureMode.ACL))
        self.checked = CheckedSender(self.source, Rules(mode, ("accounts/",), ("backups/",)), self.sender)
        for name in ("pread", "preadv"):
            monkeypatch.setattr(os, name, self.followed(getattr(os, name)))

    def followed(self, read):
        def read_and_go_on(*arguments):
            found = read(*arguments)
            self.meanwhile()
            return found

        return read_and_go_on

    def send(self, exposure=Exposure.PUBLIC):
        results = []
        self.checked.send(Action(ActionKind.UPLOAD, KEY, "new", exposure), results.append)
        (result,) = results
        return result

    def request(self):
        (request,) = self.sender.requests
        return request

    def suspend(self):
        self.path.chmod(0o600)

    def rewrite(self):
        self.path.write_bytes(CONTENT[::-1])

    def grow(self):
        self.path.write_bytes(CONTENT * 2)

    def cut(self):
        os.truncate(self.path, 3)

    def remove(self):
        self.path.unlink()


def files_open_below(folder):
    """Files of this process only: what others opened meanwhile does not count. The tree's root stays open."""
    found = []
    for descriptor in os.listdir("/proc/self/fd"):
        with contextlib.suppress(FileNotFoundError):
            found.append(os.readlink(f"/proc/self/fd/{descriptor}"))
    return [path for path in found if path.startswith(f"{folder}/")]


@pytest.fixture(params=[False, True], ids=["plain", "TLS"])
def desk(request, tmp_path, monkeypatch):
    desk = Desk(tmp_path, monkeypatch, tls=request.param)
    yield desk
    assert not files_open_below(tmp_path), "a file is still open"
    desk.source.close()


def test_a_file_that_stands_still_goes_and_its_row_says_what_was_sent(desk):
    outcome = desk.send()
    request = desk.request()
    assert request.headers["x-amz-acl"] == "public-read"
    assert "x-amz-acl" in request.headers["authorization"]
    assert request.body.size == len(CONTENT)
    assert (outcome.result, outcome.sent_bytes) == (Result.UPLOADED, len(CONTENT))
    row = outcome.row
    assert (row.key, row.size, row.mtime_ns, row.etag) == (KEY, len(CONTENT), 10**18, ETAG)
    assert (row.applied, row.state, row.ours) == ("acl:public", "done", True)


@pytest.mark.parametrize("change", ["suspend", "rewrite", "grow", "cut"])
def test_what_changes_while_it_is_read_is_not_sent(desk, change):
    desk.meanwhile = getattr(desk, change)
    assert desk.send() == Unsent(begun=False)
    assert desk.sender.requests == []


@pytest.mark.parametrize("change", ["suspend", "rewrite", "grow", "cut", "remove"])
def test_what_changed_on_its_way_is_not_taken_for_sent(desk, change):
    desk.sender.meanwhile = getattr(desk, change)
    result = desk.send()
    assert isinstance(result, Unsent)
    assert result.begun
    assert (result.public is not None) is (change == "suspend")


def test_what_is_suspended_and_rewritten_on_its_way_is_closed_and_not_taken_for_sent(desk):
    def both():
        desk.suspend()
        desk.rewrite()

    desk.sender.meanwhile = both
    assert desk.send().public.outcome is None


@pytest.mark.parametrize(
    ("status", "etag"), [(201, ETAG), (204, ETAG), (206, ETAG), (307, ETAG), (500, ETAG), (200, "0" * 32), (200, "")]
)
def test_an_answer_that_proves_nothing_is_not_taken_for_a_success(desk, status, etag):
    desk.sender.response = PutResponse(status, {"etag": f'"{etag}"'})
    assert desk.send() == Unsent("unproven")


def test_a_suspended_file_is_sent_private_and_stays_so_though_it_is_opened(desk):
    desk.suspend()
    desk.sender.meanwhile = lambda: desk.path.chmod(0o644)
    assert desk.send().row.applied == "acl:private"
    assert desk.request().headers["x-amz-acl"] == "private"


def test_what_was_planned_private_is_sent_private(desk):
    assert desk.send(Exposure.PRIVATE).row.applied == "acl:private"
    assert desk.request().headers["x-amz-acl"] == "private"


def test_without_acls_a_suspended_file_does_not_go(tmp_path, monkeypatch):
    desk = Desk(tmp_path, monkeypatch, mode=ExposureMode.POLICY)
    assert desk.send().result is Result.UPLOADED
    assert "x-amz-acl" not in desk.request().headers
    desk.suspend()
    assert desk.send() == Unsent(begun=False, local_only=True)
    assert len(desk.sender.requests) == 1
    desk.source.close()


def test_a_large_file_does_not_go_this_way(desk):
    os.truncate(desk.path, PART_BYTES + 1)
    assert desk.send() == Unsent(begun=False)
    assert desk.sender.requests == []


@pytest.mark.parametrize("trap", ["symlink", "fifo", "folder", "nothing"])
def test_what_is_no_file_is_not_sent(desk, tmp_path, trap):
    desk.path.unlink()
    if trap == "symlink":
        (tmp_path / "secret").write_bytes(b"root's")
        desk.path.symlink_to(tmp_path / "secret")
    elif trap == "fifo":
        os.mkfifo(desk.path)
    elif trap == "folder":
        desk.path.mkdir()
    with pytest.raises(FileNotFoundError if trap == "nothing" else NotAFileError):
        desk.send()
    assert desk.sender.requests == []


@pytest.mark.parametrize("kind", list(ActionKind))
def test_only_uploads_of_small_files_go_the_fast_way(kind):
    went = []

    class Way:
        def __init__(self, name):
            self.name = name

        def send(self, action, _done):
            went.append((self.name, action.size))

    fallback = Fallback(Way("fast"), Way("boto3"), Traffic())
    for size in (0, PART_BYTES, PART_BYTES + 1):
        fallback.send(Action(kind, KEY, "new", Exposure.PUBLIC, Entry(KEY, size, 1, 1, 0o644)), went.append)
    small = "fast" if kind is ActionKind.UPLOAD else "boto3"
    assert went == [(small, 0), (small, PART_BYTES), ("boto3", PART_BYTES + 1)]
