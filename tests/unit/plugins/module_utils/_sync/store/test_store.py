# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import base64
import hashlib
from contextlib import suppress

import pytest

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.connection.client import s3_client
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.connection.errors import S3Error
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.connection.options import ConnectionOptions
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.objects.pages import NoProgressError
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.model import Exposure, Headers, SyncError
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.store import store as under_test
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.store.store import Store

HEADERS = Headers("image/png", "public", "STANDARD_IA", "")


@pytest.fixture
def requests():
    return []


@pytest.fixture
def store(requests):
    """A store on a real boto3 client, whose requests are answered before they are sent."""
    return made(requests, "when_required")


def made(requests, checksums, acl=True, answers=None):
    from botocore.awsrequest import AWSResponse

    client = s3_client(
        ConnectionOptions(endpoint_url="http://127.0.0.1:9", access_key="key", secret_key="secret", checksums=checksums)
    )
    store = Store(lambda: client, "media", "p/", acl=acl)

    class Raw:
        def __init__(self, content):
            self.content = content

        def stream(self, **_words):
            yield self.content

    def answer(request, **_words):
        requests.append(request)
        status, headers, content = (
            (answers or [(200, {"ETag": '"etag"'}, b"")]).pop(0)
            if answers
            else (
                200,
                {"ETag": '"etag"'},
                b"",
            )
        )
        return AWSResponse(request.url, status, headers, Raw(content))

    client.meta.events.register_last("before-send.s3", answer)
    return store


def put(store, body=b"content", headers=HEADERS):
    digest = hashlib.md5(body, usedforsecurity=False).digest()
    return store.put("a/ü.png", body, digest, headers, Exposure.PUBLIC)


def sent(request, name):
    value = request.headers.get(name)
    return value.decode() if isinstance(value, bytes) else value


def test_what_is_sent(store, requests):
    put(store)
    (request,) = requests
    assert request.url == "http://127.0.0.1:9/media/p/a/%C3%BC.png"
    assert sent(request, "x-amz-acl") == "public-read"
    assert sent(request, "Content-Type") == "image/png"
    assert sent(request, "Cache-Control") == "public"
    assert sent(request, "x-amz-storage-class") == "STANDARD_IA"
    md5 = hashlib.md5(b"content", usedforsecurity=False).digest()
    assert sent(request, "Content-MD5") == base64.b64encode(md5).decode()
    assert "x-amz-checksum-crc32" not in request.headers
    assert store.requests == {"PutObject": 1}


def test_what_is_not_sent(requests):
    store = made(requests, "when_required", acl=False)
    put(store, headers=Headers("image/png", None, None, ""))
    for name in ("x-amz-acl", "Cache-Control", "x-amz-storage-class"):
        assert name not in requests[0].headers


def test_never_two_checksums(requests):
    """Cloudflare R2 refuses a request that has both."""
    put(made(requests, "when_supported"))
    has = [name for name in ("Content-MD5", "x-amz-checksum-crc32") if name in requests[0].headers]
    assert len(has) == 1


def test_a_store_that_insists_on_content_md5_gets_it(requests):
    refusal = b"<?xml version='1.0'?><Error><Code>MissingContentMD5</Code><Message>m</Message></Error>"
    done = b"<?xml version='1.0'?><DeleteResult></DeleteResult>"
    store = made(requests, "when_required", answers=[(400, {}, refusal), (200, {}, done), (200, {}, done)])
    assert store.delete(["a", "b"]) == {}
    assert len(requests) == 2
    body = requests[1].body
    md5 = hashlib.md5(body if isinstance(body, bytes) else body.encode(), usedforsecurity=False).digest()
    assert sent(requests[1], "Content-MD5") == base64.b64encode(md5).decode()
    assert not [name for name in requests[1].headers if name.lower().startswith("x-amz-checksum")]
    assert "content-md5" in sent(requests[1], "Authorization")
    assert store.delete(["c", "d"]) == {}
    assert len(requests) == 3


def test_errors_of_a_batch_are_told_by_key(requests):
    partly = (
        b"<?xml version='1.0'?><DeleteResult><Error><Key>p/b</Key><Code>AccessDenied</Code><Message>m</Message></Error>"
        b"<Error><Key>p/c</Key><Code>NoSuchKey</Code></Error></DeleteResult>"
    )
    store = made(requests, "when_required", answers=[(200, {}, partly)])
    failed = store.delete(["a", "b", "c"])
    assert {key: error.code for key, error in failed.items()} == {"b": "AccessDenied"}


def test_a_batch_of_which_the_store_does_not_tell_what_failed_is_done_one_by_one(requests):
    failed = (
        b"<?xml version='1.0'?><DeleteResult><Error><Key></Key><Code>InternalError</Code></Error>"
        b"<Error><Key>elsewhere</Key><Code>AccessDenied</Code></Error></DeleteResult>"
    )
    refusal = b"<?xml version='1.0'?><Error><Code>AccessDenied</Code></Error>"
    store = made(requests, "when_required", answers=[(200, {}, failed), (204, {}, b""), (403, {}, refusal)])
    assert {key: error.code for key, error in store.delete(["a", "b"]).items()} == {"b": "AccessDenied"}


def test_a_page_that_says_nothing_of_deletions_has_deleted_nothing(requests):
    store = made(requests, "when_required", answers=[(200, {}, b"<html><body>Welcome</body></html>")] * 2)
    with pytest.raises(S3Error, match="not an S3 API"):
        store.delete(["a", "b"])


def uploads(keys, key_marker="", id_marker="", truncated=True):
    found = "".join(f"<Upload><Key>{key}</Key><UploadId>of {key}</UploadId></Upload>" for key in keys)
    marks = f"<NextKeyMarker>{key_marker}</NextKeyMarker>" if key_marker else ""
    marks += f"<NextUploadIdMarker>{id_marker}</NextUploadIdMarker>" if id_marker else ""
    return (
        f"<?xml version='1.0'?><ListMultipartUploadsResult>{marks}<IsTruncated>{str(truncated).lower()}</IsTruncated>"
        f"{found}</ListMultipartUploadsResult>"
    ).encode()


@pytest.mark.parametrize(
    ("page", "fault"),
    [
        (lambda number: uploads([], "same", "id"), "same continuation token"),
        (lambda number: uploads(["p/a"], "same", "id"), "same continuation token"),
        (lambda number: uploads(["p/a"], f"m{number % 3}", "id"), "same continuation token"),
        (lambda number: uploads([], f"m{number}", "id"), "101 pages in a row"),
        (lambda number: uploads(["p/a", "p/b"][number % 2 :], f"m{number}"), "101 pages in a row"),
        (lambda number: uploads(["p/a"]), "not how to get them"),
    ],
)
def test_a_list_of_uploads_without_an_end_is_given_up(requests, page, fault):
    store = made(requests, "when_required", answers=[(200, {}, page(number)) for number in range(300)])
    with pytest.raises(NoProgressError, match=fault):
        list(store.unfinished())


def test_all_pages_of_uploads_are_read(requests):
    pages = [uploads(["p/a", "other"], "p/a"), uploads([], "p/b"), uploads(["p/c"], truncated=False)]
    store = made(requests, "when_required", answers=[(200, {}, page) for page in pages])
    assert list(store.unfinished()) == [("a", "of p/a"), ("c", "of p/c")]
    assert ["key-marker=p%2Fa" in request.url for request in requests] == [False, True, False]


def test_sizes_that_no_object_has_are_no_listing(requests):
    for size in ("-1", "9" * 19, "1e3", ""):
        page = listing("p/a").replace(b"<Size>1<", f"<Size>{size}<".encode())
        store = made(requests, "when_required", answers=[(200, {}, page)] * 2)
        with pytest.raises(S3Error, match="not an S3 API"):
            list(store.listing())


def test_keys_elsewhere_are_not_ours(requests):
    store = made(requests, "when_required", answers=[(200, {}, listing("a/b", "p/a", "pq/b"))])
    assert [found.key for found in store.listing()] == ["a"]


def test_head_of_a_missing_object(requests):
    store = made(requests, "when_required", answers=[(404, {}, b""), (403, {}, b"")])
    assert store.head("a") is None
    with pytest.raises(S3Error) as error:
        store.head("a")
    assert error.value.status == 403


def listing(*keys):
    contents = "".join(
        f"<Contents><Key>{key}</Key><Size>1</Size><ETag>&quot;e&quot;</ETag>"
        "<LastModified>2026-01-01T00:00:00Z</LastModified></Contents>"
        for key in keys
    )
    return f"<?xml version='1.0'?><ListBucketResult>{contents}</ListBucketResult>".encode()


def test_listing(requests):
    store = made(requests, "when_required", answers=[(200, {}, listing("p/", "p/a/", "p/a/b", "p/c"))])
    assert [(found.key, found.size, found.etag) for found in store.listing()] == [("a/b", 1, "e"), ("c", 1, "e")]
    assert "prefix=p%2F" in requests[0].url


def test_a_listing_out_of_order_is_refused(requests):
    store = made(requests, "when_required", answers=[(200, {}, listing("p/b", "p/a"))])
    with pytest.raises(SyncError, match="order"):
        list(store.listing())


@pytest.mark.parametrize(
    ("headers", "digest"),
    [
        ({"ETag": '"0123456789abcdef0123456789abcdef"'}, True),
        ({"ETag": '"0123456789abcdef0123456789abcdef-12"'}, True),
        ({"ETag": '"other"'}, False),
        ({"ETag": '"0123456789abcdef0123456789abcdef"', "x-amz-server-side-encryption": "aws:kms"}, False),
        ({"ETag": '"0123456789abcdef0123456789abcdef"', "x-amz-server-side-encryption": "AES256"}, True),
    ],
)
def test_which_etags_are_digests(requests, headers, digest):
    stored = put(made(requests, "when_required", answers=[(200, headers, b"")]))
    etag = headers["ETag"].strip('"')
    assert stored.etag == etag
    assert stored.contradicts(etag.replace("0", "1")) is digest
    assert not stored.contradicts(etag)
    assert not stored.contradicts(etag.partition("-")[0] if "-" in etag else f"{etag}-1")


def test_who_learns_the_address_disturbs_no_request_of_another_thread(monkeypatch):
    """A request that is only prepared, to see where it would go, is ended by a handler that all threads would meet."""
    learned = []
    real = under_test.endpoint_of

    def endpoint_of(client, bucket):
        learned.append(store._client)  # what other threads can have by now
        return real(client, bucket)

    monkeypatch.setattr(under_test, "endpoint_of", endpoint_of)
    requests = []
    store = made(requests, "when_required")
    store.put("a", b"", b"x" * 16, HEADERS, Exposure.PRIVATE)
    assert learned == [None]
    assert store.endpoint() is not None
    with suppress(S3Error):
        store.acl("a")
    assert learned == [None]
    store.close()
