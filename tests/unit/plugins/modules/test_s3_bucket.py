# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
from functools import partial

import pytest
from ansible.module_utils import basic

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.bucket import setting
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.connection.errors import Boto3MissingError
from ansible_collections.fediverse.mastodon_s3.plugins.modules import s3_bucket as under_test

SECRET = "a-secret-that-shows-nowhere"
UNKNOWN = dict.fromkeys(("encryption", "versioning", "object_lock", "ownership", "public_access_block"))


@pytest.fixture
def run(monkeypatch, capsys, web):
    monkeypatch.setattr(setting, "_CHECK_PAUSES", (0.0,))
    return partial(_run, monkeypatch, capsys, web)


def _run(monkeypatch, capsys, web, *, check=False, **options):
    arguments = {
        "bucket": "media",
        "endpoint_url": web.url,
        "access_key": "AKIA",
        "secret_key": SECRET,
        "aws_config": {"retries": {"total_max_attempts": 1}},
        "_ansible_check_mode": check,
        **options,
    }
    monkeypatch.setattr(basic, "_ANSIBLE_ARGS", json.dumps({"ANSIBLE_MODULE_ARGS": arguments}).encode())
    monkeypatch.setattr(basic, "_ANSIBLE_PROFILE", "legacy", raising=False)
    with pytest.raises(SystemExit) as ended:
        under_test.main()
    result = json.loads(capsys.readouterr().out)
    result.pop("_ansible_new_secrets", None)
    assert SECRET not in json.dumps(result)
    assert bool(result.get("failed")) == bool(ended.value.code)
    return result


class OddStore:
    """A store that has buckets and nothing else: all questions about settings get the same refusal."""

    def __init__(self, web, status=503, code="ServiceUnavailable"):
        self.there = False
        self.created = []
        self.refusal = (status, {}, f"<Error><Code>{code}</Code></Error>".encode())
        self.head = (404, {}, b"")
        self.create = None
        self.web = web
        web.answer = self

    def __call__(self, method, path, headers):
        if "?" in path:
            return self.refusal
        if method == "HEAD":
            return (200, {}, b"") if self.there else self.head
        if self.create:
            return self.create
        self.there = True
        return 200, {}, b""

    def asked(self, method):
        return [path for verb, path, *_rest in self.web.requests if verb == method]


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (503, "ServiceUnavailable"),
        (405, "MethodNotAllowed"),
        (400, "BadRequest"),
        (404, "NoSuchPolicyConfiguration"),
        (403, "AccessDenied"),
        (501, "NotImplemented"),
    ],
)
def test_a_store_that_reports_no_settings_gets_its_bucket_once(run, web, status, code):
    store = OddStore(web, status, code)
    predicted = run(check=True)
    assert (predicted["changed"], predicted["created"], store.there) == (True, True, False)
    first = run()
    assert (first["changed"], first["created"], first["settings"]) == (True, True, UNKNOWN)
    second = run()
    assert (second["changed"], second["created"], second["settings"]) == (False, False, UNKNOWN)
    assert store.asked("PUT") == ["/media"]


def test_the_diff_shows_a_new_bucket(run, web):
    OddStore(web)
    shown = run(check=True)["diff"]
    assert json.loads(shown["before"]) == {}
    assert "bucket" in json.loads(shown["after"])


@pytest.mark.parametrize("check", [False, True])
def test_a_bucket_of_another_account(run, web, check):
    store = OddStore(web)
    store.head = (403, {}, b"")
    message = run(check=check)["msg"]
    assert "bucket media belongs to another account, or this key may not use it; choose another bucket name" in message
    assert store.asked("PUT") == []


@pytest.mark.parametrize(
    ("status", "code", "named"),
    [
        (409, "BucketAlreadyExists", "belongs to another account; choose another bucket name"),
        (403, "BucketAlreadyExists", "belongs to another account; choose another bucket name"),
        (400, "InvalidLocationConstraint", "api_name of the zonegroup"),
        (400, "IllegalLocationConstraintException", "set region and endpoint_url to match"),
        (400, "TooManyBuckets", "reached its limit of buckets"),
        (400, "InvalidBucketName", "check bucket"),
        (403, "AccessDenied", "not allowed"),
    ],
)
def test_errors_for_a_new_bucket(run, web, status, code, named):
    store = OddStore(web)
    store.create = (status, {}, f"<Error><Code>{code}</Code><Message>No.</Message></Error>".encode())
    message = run()["msg"]
    assert message.startswith("CreateBucket: ")
    assert named in message
    assert code in message


def test_another_client_creates_the_bucket_first(run, web):
    store = OddStore(web)
    store.create = (409, {}, b"<Error><Code>BucketAlreadyOwnedByYou</Code></Error>")
    assert not run()["changed"]


def test_a_store_that_reports_success_without_creating(run, web):
    OddStore(web).create = (200, {}, b"")
    assert "bucket media was written, but is not there" in run()["msg"]


@pytest.mark.parametrize(
    ("options", "wanted", "forbidden"),
    [
        ({"tags": {"a": "b"}}, "GetBucketTagging", ["/media?tagging"]),
        ({"encryption": "AES256"}, "PutBucketEncryption", []),
        ({"ownership": "BucketOwnerPreferred"}, "PutBucketOwnershipControls", []),
        ({"public_access": {"block_public_acls": False}}, "PutPublicAccessBlock", []),
    ],
)
def test_a_requested_setting_that_is_refused(run, web, options, wanted, forbidden):
    store = OddStore(web, 405, "MethodNotAllowed")
    store.there = True
    message = run(**options)["msg"]
    assert message.startswith(f"{wanted}: the store does not implement this")
    # All tags are written at once: others' would be lost.
    assert not set(store.asked("PUT")) & set(forbidden)


def test_without_boto3_only_check_mode_works(run, monkeypatch):
    def missing(_options):
        raise Boto3MissingError("No module named 'boto3'")

    monkeypatch.setattr(under_test, "s3_client", missing)
    result = run(check=True)
    assert result["created"]
    assert "python3-boto3" in json.dumps(result["warnings"])
    assert "python3-boto3" in run()["msg"]
