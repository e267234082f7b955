# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from urllib.parse import parse_qs, urlsplit

import pytest

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.connection.bucket_client import BucketClient
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.connection.endpoint import (
    credentials_of,
    endpoint_of,
)
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.connection.errors import (
    ConnectionFailedError,
    NotFoundError,
    PermissionDeniedError,
)
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.http.signed_client import SignedClient
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.objects.listing import (
    ListedObject,
    Listing,
    ListingPage,
    parsed,
)

SPACE = 'xmlns="http://s3.amazonaws.com/doc/2006-03-01/"'
OBJECT = "<Contents><Key>{}</Key><LastModified>{}</LastModified><ETag>&quot;abc&quot;</ETag><Size>7</Size></Contents>"
TIME = "2026-11-29T10:20:30.500Z"
SECONDS = 1795947630.5


def answer(*parts, space=SPACE):
    return f"<?xml version='1.0'?><ListBucketResult {space}>{''.join(parts)}</ListBucketResult>".encode()


WHOLE = "<IsTruncated>false</IsTruncated>"
CODED = "<EncodingType>url</EncodingType>"
MORE = "<IsTruncated>true</IsTruncated><NextContinuationToken>to/ken=</NextContinuationToken>"
PREFIX = "<CommonPrefixes><Prefix>{}</Prefix></CommonPrefixes>"
BROKEN = [
    answer("<IsTruncated>true</IsTruncated>"),
    answer(OBJECT.format("a", TIME)),
    answer(WHOLE, OBJECT.format("", TIME)),
    answer(WHOLE, OBJECT.format("a", "")),
    answer(WHOLE, OBJECT.format("a", "yesterday")),
    answer(WHOLE, OBJECT.format("a", "2026-11-29T10:20:30")),
    answer(WHOLE, OBJECT.format("a", TIME).replace("<Size>7", "<Size>seven")),
    answer(WHOLE, OBJECT.format("a", TIME).replace("<Size>7</Size>", "")),
    answer(WHOLE, OBJECT.format("a", TIME))[:-10],
    b'<?xml version="1.0" encoding="x-user-defined"?><ListBucketResult/>',
    b"<html>a web server</html>",
    b"no XML",
    b"",
]


@pytest.fixture
def client(client_of_web):
    return client_of_web(1)


@pytest.fixture
def signed(client):
    found = SignedClient(endpoint_of(client, "media"), lambda: credentials_of(client))
    yield found
    found.close()


def listing(signed, client):
    return Listing(signed, BucketClient(lambda: client, "media"))


@pytest.mark.parametrize("space", [SPACE, ""])
def test_a_page_is_read(space):
    content = answer(CODED, MORE, OBJECT.format("a%2Bb+%C3%BC%0A", TIME), PREFIX.format("c%20d/"), space=space)
    assert parsed(content) == ListingPage([ListedObject("a+b ü\n", 7, "abc", SECONDS)], ["c d/"], "to/ken=")


def test_keys_that_are_not_encoded_are_taken_as_they_are():
    assert parsed(answer(WHOLE, OBJECT.format("a%2Bb+c", TIME))).objects[0].key == "a%2Bb+c"


def test_a_token_without_more_pages_is_none():
    assert parsed(answer(WHOLE, "<NextContinuationToken>x</NextContinuationToken>")) == (
        [],
        [],
        None,
    )


@pytest.mark.parametrize(
    "content",
    [
        f'<x:ListBucketResult xmlns:x="urn:x">{MORE}{OBJECT.format("a", TIME)}</x:ListBucketResult>',
        answer(MORE, OBJECT.format("a", TIME).replace("<Contents>", '<Contents xmlns="">')).decode(),
    ],
)
def test_namespaces_do_not_matter(content):
    assert parsed(content.encode()) == ListingPage([ListedObject("a", 7, "abc", SECONDS)], [], "to/ken=")


@pytest.mark.parametrize("content", BROKEN)
def test_what_is_no_complete_listing_is_refused(content):
    with pytest.raises(ValueError, match=r"."):
        parsed(content)


def test_both_ways_ask_and_read_alike(web, client, signed):
    web.answer = lambda method, path, headers: (
        200,
        {"Content-Type": "application/xml"},
        answer(CODED, MORE, OBJECT.format("p/a%2Bb+%C3%BC", TIME), PREFIX.format("p/c%20d/")),
    )
    for asked in (
        {"prefix": "p/"},
        {"prefix": "p/ü +", "after": "p/a&b=c", "delimiter": "/"},
        {"prefix": "", "token": "to/ken+="},
    ):
        quick = listing(signed, client).page(**asked)
        thorough = listing(None, client).page(**asked)
        assert quick == thorough
        (_m, one, first, _port), (_m, other, second, _port) = web.requests[-2:]
        assert "amz-sdk-request" not in first
        assert "amz-sdk-request" in second
        assert parse_qs(urlsplit(one).query) == parse_qs(urlsplit(other).query)


@pytest.mark.parametrize("content", BROKEN)
def test_what_is_strange_is_left_to_boto3(web, client, signed, content):
    good = answer(WHOLE, OBJECT.format("a", TIME))
    web.answer = lambda method, path, headers: (200, {}, good if "amz-sdk-request" in headers else content)
    assert [found.key for found in listing(signed, client).page("").objects] == ["a"]


def test_a_page_of_html_is_an_error(web, client, signed):
    web.answer = lambda method, path, headers: (200, {}, b"<html><body>It works!</body></html>")
    with pytest.raises(ConnectionFailedError, match="not an S3 API"):
        listing(signed, client).page("")


@pytest.mark.parametrize(
    ("status", "code", "error"), [(404, "NoSuchBucket", NotFoundError), (403, "AccessDenied", PermissionDeniedError)]
)
def test_a_refusal_is_an_error(web, client, signed, status, code, error):
    web.answer = lambda method, path, headers: (status, {}, f"<Error><Code>{code}</Code></Error>".encode())
    with pytest.raises(error, match="ListObjectsV2"):
        listing(signed, client).page("")
