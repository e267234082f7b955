# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import tracemalloc

import pytest

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.connection.bucket_client import BucketClient
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.connection.errors import (
    ConnectionFailedError,
    ThrottledError,
)
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.http import xml as under_test

# Each of these is a listing to a reader that does not look out.
ENTITIES = (
    '<!DOCTYPE r [<!ENTITY a "{}"><!ENTITY b "{}">]>'
    "<ListBucketResult><IsTruncated>false</IsTruncated><Name>{}</Name></ListBucketResult>"
).format("x" * 1000, "&a;" * 100, "&b;" * 50)
PLAIN = "<ListBucketResult><IsTruncated>false</IsTruncated></ListBucketResult>"
COSTLY = {
    "entities": ENTITIES.encode(),
    "entities behind a declaration": b'<?xml version="1.0" encoding="UTF-8"?>\n' + ENTITIES.encode(),
    "entities in UTF-16": ENTITIES.encode("utf-16"),
    "entities in UTF-16 without a mark": f'<?xml version="1.0" encoding="UTF-16"?>{ENTITIES}'.encode("utf-16-be"),
    "entities in EBCDIC": b'<?xml version="1.0" encoding="cp037"?>' + ENTITIES.encode("cp037"),
    "a strange encoding": b"\xef\xbb\xbf <?xml version='1.0' encoding = 'koi8-r' ?>" + PLAIN.encode(),
    "elements": PLAIN.replace("</List", "<a/>" * 1_000_000 + "</List").encode(),
    "attributes": PLAIN.replace("</List", "<a b=''/>" * 400_000 + "</List").encode(),
}


@pytest.mark.parametrize("answer", COSTLY.values(), ids=COSTLY.keys())
def test_what_would_take_much_memory_is_not_read(answer):
    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match=r"document type|encoding|elements"):
            under_test.root_of(answer, "ListBucketResult")
        assert tracemalloc.get_traced_memory()[1] < 1024 * 1024
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    "answer",
    [
        PLAIN.encode(),
        b"<?xml version='1.0' encoding=\"utf-8\" standalone='no'?>" + PLAIN.encode(),
        b'<?xml version="1.0" encoding="US-ASCII"?>' + PLAIN.encode(),
        b"\xef\xbb\xbf" + PLAIN.encode(),
        # A thousand keys that are as long as they can be.
        PLAIN.replace("</List", f"<Contents><Key>{'%E2%82%AC' * 341}</Key></Contents>" * 1000 + "</List").encode(),
    ],
)
def test_what_stores_send_is_read(answer):
    assert under_test.root_of(answer, "ListBucketResult").findtext("IsTruncated") == "false"


@pytest.mark.parametrize("answer", COSTLY.values(), ids=COSTLY.keys())
def test_boto3_does_not_read_it_either(web, client_of_web, answer):
    web.answer = lambda method, path, headers: (200, {"Content-Type": "application/xml"}, answer)
    client = client_of_web(1)
    for operation in ("list_objects_v2", "get_bucket_cors", "list_multipart_uploads"):
        with pytest.raises(ConnectionFailedError, match="can't be read") as caught:
            BucketClient(lambda: client, "media")("Look", operation)
        assert caught.value.code == "NotS3"


def test_an_error_with_a_page_of_a_web_server_is_told_by_its_status(web, client_of_web):
    page = b'<!DOCTYPE HTML PUBLIC "-//IETF//DTD HTML 2.0//EN"><html><title>503</title></html>'
    web.answer = lambda method, path, headers: (503, {"Content-Type": "text/html"}, page)
    client = client_of_web(2)
    with pytest.raises(ThrottledError):
        BucketClient(lambda: client, "media")("Look", "list_objects_v2")
    assert len(web.requests) == 2


def test_a_value_that_botocore_stumbles_over_is_no_bug(web, client_of_web):
    listing = PLAIN.replace("</List", "<Contents><LastModified>never</LastModified><Size>?</Size></Contents></List")
    web.answer = lambda method, path, headers: (200, {}, listing.encode())
    client = client_of_web(1)
    with pytest.raises(ConnectionFailedError, match="not an S3 API") as caught:
        BucketClient(lambda: client, "media")("Look", "list_objects_v2")
    assert caught.value.code == "NotS3"
