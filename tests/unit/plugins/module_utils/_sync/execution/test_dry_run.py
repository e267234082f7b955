# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A dry run says of each action what the real one then does, and changes and reads nothing for it."""

from __future__ import annotations

import os
from contextlib import closing

import pytest
from fake_s3 import FakeS3

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.execution import upload
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.execution.executor import Executor
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.model import (
    Action,
    ActionKind,
    Exposure,
    ExposureMode,
    Headers,
    Reason,
    Result,
    Row,
)
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.rules.rules import Rules
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.store.store import Store
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.tree.source import Source
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.tree.walk import entry_of

KEY = "cache/a.png"
KINDS = [kind for kind in ActionKind if kind is not ActionKind.DELETE]
READS = {"HeadObject", "GetObjectAcl"}


def stored(content):
    bucket = FakeS3()
    if content is not None:
        bucket.put_object(Bucket="media", Key=KEY, Body=content, ACL="public-read")
    bucket.calls.clear()
    return bucket


def action_of(kind, path, bucket, exposure, **options):
    etag = bucket.objects[KEY].etag if bucket.objects else "etag"
    row = Row(KEY, 1, 2, 3, 0o644, "", etag, "", "", "done", True)
    headers = Headers("image/png", None, None, "fingerprint")
    return Action(kind, KEY, "why", exposure, entry_of(KEY, path.stat()), headers, row, **options)


@pytest.fixture
def path(tmp_path, monkeypatch):
    monkeypatch.setattr(upload, "_PAUSE_SECONDS", 0.0)
    path = tmp_path / KEY
    path.parent.mkdir()
    path.write_bytes(b"x")
    return path


# Whether an object is still there whose ACL is to be set, only the attempt tells.
CASES = [(kind, content) for kind in KINDS for content in (b"x", b"another", None)]
CASES.remove((ActionKind.SET_ACL, None))


@pytest.mark.parametrize("mode", [ExposureMode.ACL, ExposureMode.POLICY], ids=["ACLs", "a policy"])
@pytest.mark.parametrize("file_mode", [0o644, 0o600], ids=["public", "suspended"])
@pytest.mark.parametrize(("kind", "content"), CASES)
def test_it_foretells_what_is_done(path, kind, content, file_mode, mode):
    path.chmod(file_mode)
    rules = Rules(mode, ("cache/",), ())
    for exposure in Exposure:
        bucket = stored(content)
        action = action_of(kind, path, bucket, exposure, tighten=exposure is Exposure.PRIVATE)
        with closing(Source(str(path.parents[1]))) as source:
            store = Store(lambda bucket=bucket: bucket, "media", "", acl=mode is ExposureMode.ACL)
            foretold = Executor.dry_run(store, source, rules).execute(action)
            assert {name for name, _key in bucket.calls} <= READS
            done = Executor.by_boto3(store, source, rules).execute(action)
        assert (foretold.result, foretold.reason, foretold.sent_bytes) == (done.result, done.reason, done.sent_bytes)


def test_it_does_not_read_what_would_be_sent(path, monkeypatch):
    def read(*_arguments):
        raise OSError(5, "Input/output error")

    for name in ("read", "pread", "preadv"):
        monkeypatch.setattr(os, name, read)
    with closing(Source(str(path.parents[1]))) as source:
        executor = Executor.dry_run(None, source, Rules(ExposureMode.ACL, ("cache/",), ()))
        outcome = executor.execute(action_of(ActionKind.UPLOAD, path, stored(None), Exposure.PUBLIC))
    assert (outcome.result, outcome.sent_bytes) == (Result.UPLOADED, 1)


@pytest.mark.parametrize(
    ("kind", "result"),
    [
        (ActionKind.UPLOAD, Result.UPLOADED),
        (ActionKind.SEND_IF_MISSING, Result.UPLOADED),
        (ActionKind.VERIFY, Result.UPLOADED),
        (ActionKind.REPAIR, Result.HEADERS_SET),
        (ActionKind.SET_ACL, Result.ACL_SET),
        (ActionKind.DELETE_PRIVATE, Result.DELETED_PRIVATE),
    ],
)
def test_without_a_store_nothing_is_taken_to_be_right(path, kind, result):
    with closing(Source(str(path.parents[1]))) as source:
        executor = Executor.dry_run(None, source, Rules(ExposureMode.ACL, ("cache/",), ()))
        assert executor.execute(action_of(kind, path, stored(None), Exposure.PUBLIC)).result is result


def test_without_a_store_an_acl_that_is_not_known_is_set(path):
    with closing(Source(str(path.parents[1]))) as source:
        executor = Executor.dry_run(None, source, Rules(ExposureMode.ACL, ("cache/",), ()))
        action = action_of(ActionKind.REPAIR, path, stored(None), Exposure.PUBLIC)
        action = action._replace(row=action.row._replace(headers="fingerprint"))
        assert executor.execute(action).result is Result.ACL_SET


def test_a_file_that_is_gone_and_a_store_that_refuses_are_told(path):
    bucket = stored(b"x")

    def refuse(operation, _key):
        raise bucket.error("AccessDenied", 403, operation)

    with closing(Source(str(path.parents[1]))) as source:
        rules = Rules(ExposureMode.ACL, ("cache/",), ())
        executor = Executor.dry_run(Store(lambda: bucket, "media", "", acl=True), source, rules)
        action = action_of(ActionKind.VERIFY, path, bucket, Exposure.PUBLIC)
        path.unlink()
        assert executor.execute(action).reason is Reason.VANISHED
        bucket.hook = refuse
        assert executor.execute(action).failure.code == "AccessDenied"
