# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
from contextlib import closing

import pytest
from fake_s3 import FakeS3

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.connection.errors import (
    AclUnsupportedError,
    BadCredentialsError,
    Boto3MissingError,
    ClockSkewError,
    ConnectionFailedError,
    NotFoundError,
    PermissionDeniedError,
    S3Error,
    ThrottledError,
    UnsupportedError,
    WrongRegionError,
)
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.connection.options import ConnectionOptionsError
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.execution import upload
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.execution.executor import Executor, failure_of
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.model import (
    Action,
    ActionKind,
    Exposure,
    ExposureMode,
    Reason,
    Result,
    Row,
)
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.rules.rules import Rules
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.store.store import Store
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.tree.source import Source
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.tree.walk import entry_of


@pytest.mark.parametrize(
    "error", [Boto3MissingError("no module named botocore"), ConnectionOptionsError("aws_config: no option a")]
)
def test_without_a_client_each_action_fails_with_the_cause(tmp_path, error):
    """A run may begin without boto3, and a worker must outlive that it can't be had."""

    def no_client():
        raise error

    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / "a").write_bytes(b"x")
    rules = Rules(ExposureMode.ACL, ("cache/",), ())
    actions = [
        Action(kind, "cache/a", "why", Exposure.PUBLIC) for kind in (ActionKind.UPLOAD, ActionKind.SEND_IF_MISSING)
    ]
    with closing(Source(str(tmp_path))) as source:
        executor = Executor.by_boto3(Store(no_client, "media", "", acl=True), source, rules)
        outcomes = [executor.execute(action) for action in actions]
        outcomes += executor.delete([Action(ActionKind.DELETE, "cache/a", "gone", Exposure.PRIVATE)])
    assert len(outcomes) == 3
    for outcome in outcomes:
        assert outcome.result is Result.FAILED
        assert outcome.failure.systemic
        assert outcome.failure.message == str(error)


@pytest.fixture
def sent(tmp_path):
    """A file that is in the bucket, with the ACL private, and one who acts on it: (bucket, executor, path)."""
    bucket = FakeS3()
    path = tmp_path / "cache" / "a"
    path.parent.mkdir()
    path.write_bytes(b"x")
    bucket.put_object(Bucket="media", Key="cache/a", Body=b"x", ACL="private")
    rules = Rules(ExposureMode.ACL, ("cache/",), ())
    with closing(Source(str(tmp_path))) as source:
        yield bucket, Executor.by_boto3(Store(lambda: bucket, "media", "", acl=True), source, rules), path


def acl_of(path, exposure):
    entry = entry_of("cache/a", path.stat())
    row = Row("cache/a", 1, 2, 3, 0o600, "", "etag", "acl:private", "headers", "done", True)
    return Action(ActionKind.SET_ACL, "cache/a", "now public", exposure, entry, row=row)


def test_an_acl_is_set_and_written_down(sent):
    bucket, executor, path = sent
    path.chmod(0o644)
    outcome = executor.execute(acl_of(path, Exposure.PUBLIC))
    assert bucket.acls() == {"cache/a": "public-read"}
    assert outcome.result is Result.ACL_SET
    status = path.stat()
    assert outcome.row == Row(
        "cache/a", 1, 2, status.st_ctime_ns, 0o644, "", "etag", "acl:public", "headers", "done", True
    )


def test_a_file_that_was_suspended_since_it_was_planned_is_not_opened(sent):
    bucket, executor, path = sent
    path.chmod(0o644)
    action = acl_of(path, Exposure.PUBLIC)
    path.chmod(0o600)
    outcome = executor.execute(action)
    assert (outcome.result, outcome.reason) == (Result.SKIPPED, Reason.TOO_NEW)
    assert bucket.objects["cache/a"].acls == ["private"]
    assert outcome.row is None, "the next round has to judge it again"


def test_a_file_that_is_suspended_while_it_is_read_was_never_open(sent, monkeypatch):
    bucket, executor, path = sent
    path.chmod(0o644)
    real = os.pread

    def suspended_meanwhile(*arguments):
        path.chmod(0o600)
        return real(*arguments)

    # It is read to find out what it is, as its name does not tell.
    monkeypatch.setattr(os, "pread", suspended_meanwhile)
    monkeypatch.setattr(upload, "_PAUSE_SECONDS", 0.0)
    outcome = executor.execute(Action(ActionKind.UPLOAD, "cache/a", "new", Exposure.PUBLIC))
    assert (outcome.result, outcome.row.applied) == (Result.UPLOADED, "acl:private")
    assert bucket.objects["cache/a"].acls == ["private", "private"]


def test_what_is_there_already_is_closed_and_written_down_but_not_sent_again(sent):
    bucket, executor, path = sent
    bucket.put_object_acl(Bucket="media", Key="cache/a", ACL="public-read")
    path.write_bytes(b"another")
    action = acl_of(path, Exposure.PRIVATE)._replace(kind=ActionKind.SEND_IF_MISSING, after_switch=True, tighten=True)
    outcome = executor.execute(action)
    assert bucket.acls() == {"cache/a": "private"}
    assert bucket.objects["cache/a"].body == b"x"
    assert outcome.result is Result.ACL_SET
    assert (outcome.row.applied, outcome.row.state, outcome.row.ours) == ("acl:private", "done", True)
    assert outcome.row.etag == bucket.objects["cache/a"].etag


def test_what_can_not_be_deleted_fails_with_the_stores_reason(sent):
    bucket, executor, _path = sent

    def refuse(operation, _key):
        if operation.startswith("Delete"):
            raise bucket.error("AccessDenied", 403, "DeleteObject", "not yours")

    bucket.hook = refuse
    (outcome,) = executor.delete([Action(ActionKind.DELETE, "cache/a", "gone", Exposure.PRIVATE)])
    assert outcome.result is Result.FAILED
    assert not outcome.forget, "what is still there must not be forgotten"
    assert (outcome.failure.code, outcome.failure.systemic) == ("AccessDenied", True)
    assert set(bucket.objects) == {"cache/a"}


@pytest.mark.parametrize(
    ("kind", "code", "systemic"),
    [
        (NotFoundError, "NoSuchBucket", True),
        (PermissionDeniedError, "AccessDenied", True),
        (BadCredentialsError, "InvalidAccessKeyId", True),
        (ClockSkewError, "RequestTimeTooSkewed", True),
        (WrongRegionError, "PermanentRedirect", True),
        (ConnectionFailedError, "ConnectionRefused", True),
        (ThrottledError, "SlowDown", True),
        (AclUnsupportedError, "AccessControlListNotSupported", True),
        (UnsupportedError, "NotImplemented", True),
        (NotFoundError, "NoSuchKey", False),
        (S3Error, "BadDigest", False),
        (S3Error, "InternalError", False),
    ],
)
def test_which_errors_tell_more_of_the_store_than_of_one_file(kind, code, systemic):
    failure = failure_of(kind("why", code=code))
    assert (failure.message, failure.code, failure.systemic) == ("why", code, systemic)
    assert failure.throttled is (kind is ThrottledError)
