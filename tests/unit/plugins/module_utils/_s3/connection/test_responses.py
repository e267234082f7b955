# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Answers that report success and come from no store."""

from __future__ import annotations

import pytest

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.connection.client import s3_client
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.connection.errors import ConnectionFailedError
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.connection.options import ConnectionOptions

HTML = b"<html><body>Welcome</body></html>"
ENTRY = (
    "<Contents><Key>a</Key><Size>1</Size><LastModified>2026-01-01T00:00:00.000Z</LastModified><ETag>e</ETag></Contents>"
)


def listing(inside):
    return f'<?xml version="1.0"?><ListBucketResult xmlns="urn:x">{inside}</ListBucketResult>'.encode()


@pytest.fixture
def client(web):
    options = ConnectionOptions(
        endpoint_url=web.url, region="r", access_key="A", secret_key="b", addressing_style="path"
    )
    return s3_client(options)


CALLS = {
    "list_objects_v2": {},
    "put_object": {"Key": "a", "Body": b"x"},
    "head_object": {"Key": "a"},
    "create_multipart_upload": {"Key": "a"},
    "upload_part": {"Key": "a", "PartNumber": 1, "UploadId": "u", "Body": b"x"},
}


@pytest.mark.parametrize("body", [HTML, b""])
@pytest.mark.parametrize("method", CALLS)
def test_a_web_servers_own_page_is_no_success(web, client, method, body):
    web.answer = lambda verb, path, headers: (200, {"Content-Type": "text/html"}, body)
    with pytest.raises(ConnectionFailedError, match="not an S3 API") as caught:
        getattr(client, method)(Bucket="media", **CALLS[method])
    assert caught.value.code == "NotS3"
    assert "endpoint_url" in caught.value.remedy


@pytest.mark.parametrize(
    "inside",
    [
        ENTRY.replace("<Size>1</Size>", ""),
        ENTRY.replace("<Key>a</Key>", ""),
        f"{ENTRY}<IsTruncated>true</IsTruncated>",
    ],
)
def test_half_a_listing_is_none(web, client, inside):
    web.answer = lambda verb, path, headers: (200, {}, listing(inside))
    with pytest.raises(ConnectionFailedError, match="not an S3 API"):
        client.list_objects_v2(Bucket="media")


def test_what_a_store_says_is_taken(web, client):
    web.answer = lambda verb, path, headers: (200, {"ETag": '"e"'}, listing(f"<IsTruncated>false</IsTruncated>{ENTRY}"))
    assert client.list_objects_v2(Bucket="media")["Contents"][0]["Key"] == "a"
    assert client.put_object(Bucket="media", Key="a", Body=b"x")["ETag"] == '"e"'
    assert client.head_object(Bucket="media", Key="a")["ETag"] == '"e"'
