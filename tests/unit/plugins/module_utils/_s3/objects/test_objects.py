# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import dataclasses
import threading
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

import pytest
from botocore.exceptions import CredentialRetrievalError

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.connection.bucket_client import BucketClient
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.connection.client import s3_client
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.connection.endpoint import (
    credentials_of,
    endpoint_of,
)
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.connection.errors import (
    NotFoundError,
    PermissionDeniedError,
    S3Error,
)
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.connection.options import ConnectionOptions
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.http.endpoint import Endpoint
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.http.signature import Credentials
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.http.signed_client import SignedClient
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.objects import objects as under_test
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.objects.acl import Acl

OPEN = (
    b"<AccessControlPolicy><AccessControlList><Grant><Grantee>"
    b"<URI>http://acs.amazonaws.com/groups/global/AllUsers</URI></Grantee><Permission>READ</Permission>"
    b"</Grant></AccessControlList></AccessControlPolicy>"
)
KEPT = {"Content-Type": "image/png", "Cache-Control": "max-age=1", "ETag": '"abc"', "x-amz-storage-class": "GLACIER"}


@pytest.fixture
def counted():
    """The operations that were counted."""
    return []


@pytest.fixture
def objects(client_of_web, counted):
    client = client_of_web(2)
    signed = SignedClient(endpoint_of(client, "media"), lambda: credentials_of(client), counted.append)
    yield under_test.Objects(signed, BucketClient(lambda: client, "media"))
    signed.close()


def boto3_asked(web):
    return sum("amz-sdk-request" in headers for _method, _path, headers, _port in web.requests)


def test_plain_answers_come_over_one_kept_connection_without_boto3(web, objects):
    web.answer = lambda method, path, headers: (200, KEPT, b"" if method == "HEAD" else OPEN)
    for _time in range(3):
        assert objects.head("cache/a b+ü.png") == under_test.Head("image/png", "max-age=1", "abc", False, "GLACIER", 0)
        assert objects.acl("cache/a b+ü.png") == Acl(
            readable=True, changeable=False, closed=False, canned="public-read"
        )
    assert {(method, path) for method, path, _headers, _port in web.requests} == {
        ("HEAD", "/media/cache/a%20b%2B%C3%BC.png"),
        ("GET", "/media/cache/a%20b%2B%C3%BC.png?acl"),
    }
    assert len({port for _method, _path, _headers, port in web.requests}) == 1
    assert boto3_asked(web) == 0


def test_what_boto3_does_not_send_is_counted(web, objects, counted):
    web.answer = lambda method, path, headers: (503, {}, b"") if len(web.requests) < 3 else (200, KEPT, OPEN)
    objects.head("a")
    objects.acl("a")
    assert counted == ["HeadObject", "GetObjectAcl"]
    assert len(web.requests) - boto3_asked(web) == 2


def test_a_store_that_ends_each_connection_is_asked_all_the_same(web, objects):
    web.answer = lambda method, path, headers: (200, {**KEPT, "Connection": "close"}, b"")
    assert [objects.head("a").etag for _time in range(4)] == ["abc"] * 4


@pytest.mark.parametrize(
    "encryption",
    [
        {"x-amz-server-side-encryption": "aws:kms"},
        {"x-amz-server-side-encryption-customer-algorithm": "AES256"},
    ],
)
def test_encryption_that_makes_other_etags_is_told(web, objects, encryption):
    web.answer = lambda method, path, headers: (200, {**KEPT, **encryption}, b"")
    assert objects.head("a").encrypted


def test_what_is_gone_is_none(web, objects):
    gone = b"<Error><Code>NoSuchKey</Code></Error>"
    web.answer = lambda method, path, headers: (404, {}, b"" if method == "HEAD" else gone)
    assert objects.head("a") is None
    assert objects.acl("a") is None


def test_a_bucket_that_is_gone_is_an_error(web, objects):
    web.answer = lambda method, path, headers: (404, {}, b"<Error><Code>NoSuchBucket</Code></Error>")
    with pytest.raises(NotFoundError):
        objects.acl("a")


def test_a_refusal_is_an_error(web, objects):
    web.answer = lambda method, path, headers: (403, {}, b"<Error><Code>AccessDenied</Code></Error>")
    with pytest.raises(PermissionDeniedError, match="GetObjectAcl") as caught:
        objects.acl("a")
    assert "secret" not in str(caught.value)
    with pytest.raises(PermissionDeniedError):
        objects.head("a")


def test_boto3_tries_again_what_went_wrong(web, objects):
    web.answer = lambda method, path, headers: (503, {}, b"") if len(web.requests) < 3 else (200, KEPT, b"")
    assert objects.head("a").etag == "abc"
    assert boto3_asked(web) == 2


def test_an_answer_that_is_no_acl_is_left_to_boto3(web, objects):
    web.answer = lambda method, path, headers: (200, {}, b"<html>no</html>" if len(web.requests) < 2 else OPEN)
    assert objects.acl("a").readable
    assert boto3_asked(web) == 1


def test_an_acl_is_set_over_the_kept_connection(web, objects, counted):
    web.answer = lambda method, path, headers: (200, {}, b"")
    for canned in ("private", "public-read"):
        objects.set_acl("cache/a b.png", canned)
    assert [(method, path) for method, path, _headers, _port in web.requests] == [
        ("PUT", "/media/cache/a%20b.png?acl")
    ] * 2
    sent = [{name.lower(): value for name, value in headers.items()} for _m, _p, headers, _port in web.requests]
    assert [headers["x-amz-acl"] for headers in sent] == ["private", "public-read"]
    assert all("x-amz-acl" in headers["authorization"] for headers in sent)
    assert {headers["content-length"] for headers in sent} == {"0"}
    assert boto3_asked(web) == 0
    assert counted == ["PutObjectAcl"] * 2


def test_an_acl_that_is_not_set_at_once_is_left_to_boto3(web, objects):
    web.answer = lambda method, path, headers: (503, {}, b"") if len(web.requests) < 3 else (200, {}, b"")
    objects.set_acl("a", "private")
    assert boto3_asked(web) == 2


@pytest.mark.parametrize(
    ("status", "code", "error"),
    [
        (404, "NoSuchKey", NotFoundError),
        (404, "NoSuchBucket", NotFoundError),
        (403, "AccessDenied", PermissionDeniedError),
    ],
)
def test_an_acl_that_can_not_be_set_is_an_error(web, objects, status, code, error):
    web.answer = lambda method, path, headers: (status, {}, f"<Error><Code>{code}</Code></Error>".encode())
    with pytest.raises(error) as caught:
        objects.set_acl("a", "private")
    assert (caught.value.code, caught.value.operation) == (code, "PutObjectAcl")


def test_keys_that_can_not_be_renewed_leave_the_request_to_boto3(web, monkeypatch):
    """As those of an instance profile, when the metadata service does not answer for a moment."""
    client = s3_client(ConnectionOptions(endpoint_url=web.url, region="r", access_key="AKIA", secret_key="secret"))
    endpoint = dataclasses.replace(endpoint_of(client, "media"), credentials=None)
    asked = []

    class Credentials:
        def get_frozen_credentials(self):
            asked.append(1)
            raise CredentialRetrievalError(provider="iam-role", error_msg="timed out")

    monkeypatch.setattr(client._request_signer, "_credentials", Credentials())
    with pytest.raises(OSError, match="timed out"):
        credentials_of(client)
    signed = SignedClient(endpoint, lambda: credentials_of(client))
    with pytest.raises(S3Error, match="timed out"):
        under_test.Objects(signed, BucketClient(lambda: client, "media")).set_acl("a", "private")
    signed.close()
    assert len(asked) >= 3
    assert web.requests == []


def test_boto3_is_not_needed_for_what_is_plain(web, counted):
    def no_client():
        raise AssertionError("asked for")

    url = urlsplit(web.url)
    endpoint = Endpoint(False, url.hostname, url.port, url.netloc, "/media/", "r", "agent", 1.0, 1.0)
    signed = SignedClient(endpoint, lambda: Credentials("AKIA", "secret"), counted.append)
    web.answer = lambda method, path, headers: (200, KEPT, b"")
    assert under_test.Objects(signed, BucketClient(no_client, "media")).head("a").etag == "abc"
    signed.close()


def test_several_threads_have_a_connection_each(web, objects):
    together = threading.Barrier(4)

    def answer(method, path, headers):
        together.wait(10)
        return 200, KEPT, b""

    web.answer = answer
    with ThreadPoolExecutor(4) as pool:
        assert {found.etag for found in pool.map(objects.head, "abcd")} == {"abc"}
        assert {found.etag for found in pool.map(objects.head, "abcd")} == {"abc"}
    assert len({port for _method, _path, _headers, port in web.requests}) == 4
    assert boto3_asked(web) == 0


def test_a_way_that_never_works_is_not_tried_again_and_again(web, objects, counted):
    web.answer = lambda method, path, headers: (200, KEPT, b"") if "amz-sdk-request" in headers else (400, {}, b"")
    for _time in range(30):
        assert objects.head("a").etag == "abc"
    assert len(web.requests) - boto3_asked(web) == len(counted) == 10


def test_what_is_gone_is_no_failure_of_the_way(web, objects):
    web.answer = lambda method, path, headers: (404, {}, b"")
    for _time in range(12):
        assert objects.head("a") is None
    web.answer = lambda method, path, headers: (200, KEPT, b"")
    before = boto3_asked(web)
    assert objects.head("a").etag == "abc"
    assert boto3_asked(web) == before
