# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3 import lookup as under_test
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.acl import Acl
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.client import s3_client
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.errors import (
    NotFoundError,
    PermissionDeniedError,
)
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.options import ConnectionOptions

OPEN = (
    b"<AccessControlPolicy><AccessControlList><Grant><Grantee>"
    b"<URI>http://acs.amazonaws.com/groups/global/AllUsers</URI></Grantee><Permission>READ</Permission>"
    b"</Grant></AccessControlList></AccessControlPolicy>"
)
KEPT = {"Content-Type": "image/png", "Cache-Control": "max-age=1", "ETag": '"abc"', "x-amz-storage-class": "GLACIER"}


@pytest.fixture
def lookup(web):
    options = ConnectionOptions(
        endpoint_url=web.url,
        region="r",
        access_key="AKIA",
        secret_key="secret",
        addressing_style="path",
        aws_config={"retries": {"mode": "standard", "total_max_attempts": 2}},
    )
    found = under_test.Lookup(s3_client(options), "media")
    yield found
    found.close()


@pytest.fixture
def counted(lookup, monkeypatch):
    """The operations that were counted."""
    found = []
    monkeypatch.setattr(lookup, "_count", found.append)
    return found


def boto3_asked(web):
    return sum("amz-sdk-request" in headers for _method, _path, headers, _port in web.requests)


def test_plain_answers_come_over_one_kept_connection_without_boto3(web, lookup):
    web.answer = lambda method, path, headers: (200, KEPT, b"" if method == "HEAD" else OPEN)
    for _time in range(3):
        assert lookup.head("cache/a b+ü.png") == under_test.Head("image/png", "max-age=1", "abc", False, "GLACIER", 0)
        assert lookup.acl("cache/a b+ü.png") == Acl(readable=True, changeable=False, closed=False, canned="public-read")
    assert {(method, path) for method, path, _headers, _port in web.requests} == {
        ("HEAD", "/media/cache/a%20b%2B%C3%BC.png"),
        ("GET", "/media/cache/a%20b%2B%C3%BC.png?acl"),
    }
    assert len({port for _method, _path, _headers, port in web.requests}) == 1
    assert boto3_asked(web) == 0


def test_what_boto3_does_not_send_is_counted(web, lookup, counted):
    web.answer = lambda method, path, headers: (503, {}, b"") if len(web.requests) < 3 else (200, KEPT, OPEN)
    lookup.head("a")
    lookup.acl("a")
    assert counted == ["HeadObject", "GetObjectAcl"]
    assert len(web.requests) - boto3_asked(web) == 2


def test_a_store_that_ends_each_connection_is_asked_all_the_same(web, lookup):
    web.answer = lambda method, path, headers: (200, {**KEPT, "Connection": "close"}, b"")
    assert [lookup.head("a").etag for _time in range(4)] == ["abc"] * 4


@pytest.mark.parametrize(
    "encryption",
    [
        {"x-amz-server-side-encryption": "aws:kms"},
        {"x-amz-server-side-encryption-customer-algorithm": "AES256"},
    ],
)
def test_encryption_that_makes_other_etags_is_told(web, lookup, encryption):
    web.answer = lambda method, path, headers: (200, {**KEPT, **encryption}, b"")
    assert lookup.head("a").encrypted


def test_what_is_gone_is_none(web, lookup):
    gone = b"<Error><Code>NoSuchKey</Code></Error>"
    web.answer = lambda method, path, headers: (404, {}, b"" if method == "HEAD" else gone)
    assert lookup.head("a") is None
    assert lookup.acl("a") is None


def test_a_bucket_that_is_gone_is_an_error(web, lookup):
    web.answer = lambda method, path, headers: (404, {}, b"<Error><Code>NoSuchBucket</Code></Error>")
    with pytest.raises(NotFoundError):
        lookup.acl("a")


def test_a_refusal_is_an_error(web, lookup):
    web.answer = lambda method, path, headers: (403, {}, b"<Error><Code>AccessDenied</Code></Error>")
    with pytest.raises(PermissionDeniedError, match="GetObjectAcl") as caught:
        lookup.acl("a")
    assert "secret" not in str(caught.value)
    with pytest.raises(PermissionDeniedError):
        lookup.head("a")


def test_boto3_tries_again_what_went_wrong(web, lookup):
    web.answer = lambda method, path, headers: (503, {}, b"") if len(web.requests) < 3 else (200, KEPT, b"")
    assert lookup.head("a").etag == "abc"
    assert boto3_asked(web) == 2


def test_an_answer_that_is_no_acl_is_left_to_boto3(web, lookup):
    web.answer = lambda method, path, headers: (200, {}, b"<html>no</html>" if len(web.requests) < 2 else OPEN)
    assert lookup.acl("a").readable
    assert boto3_asked(web) == 1
