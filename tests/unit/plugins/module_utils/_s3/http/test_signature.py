# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The signature and the address, held against what botocore itself makes of the same request."""

from __future__ import annotations

import calendar
import functools
import random
import string
import time
from urllib.parse import urlsplit

import pytest

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.connection.client import s3_client
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.connection.endpoint import (
    credentials_of,
    endpoint_of,
)
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.connection.options import ConnectionOptions
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.http.signature import (
    UNSIGNED_PAYLOAD,
    Credentials,
    Signer,
    encoded,
    encoded_query,
)

ODD = string.printable + "äöü€漢字😀\u00a0\u2028"


def signed_by_botocore(client, key, operation="PutObject", **arguments):
    """Return the request that botocore would send."""
    found = []

    class StopError(Exception):
        pass

    def keep(request, **_words):
        found.append(request)
        raise StopError

    methods = {
        "PutObject": functools.partial(client.put_object, Body=b""),
        "HeadObject": client.head_object,
        "GetObjectAcl": client.get_object_acl,
        "ListObjectsV2": client.list_objects_v2,
    }
    client.meta.events.register_first(f"before-send.s3.{operation}", keep)
    try:
        with pytest.raises(StopError):
            methods[operation](Bucket="media", **({"Key": key} if key else {}), **arguments)
    finally:
        client.meta.events.unregister(f"before-send.s3.{operation}", keep)
    return found[0]


def text(value):
    return value.decode() if isinstance(value, bytes) else value


@pytest.mark.parametrize("endpoint", ["https://store.example.org", "https://[2001:db8::1]:9000", None])
@pytest.mark.parametrize("style", ["path", "virtual"])
@pytest.mark.parametrize("token", [None, "a/session+token=="])
def test_the_signature_is_botocores(endpoint, style, token):
    if style == "virtual" and endpoint and "[" in endpoint:
        style = "path"  # an address has no names below it
    chance = random.Random(f"{endpoint}{style}{token}")
    options = ConnectionOptions(
        endpoint_url=endpoint,
        region="eu-central-1",
        access_key="AKIDEXAMPLE",
        secret_key="se/cret+key",
        session_token=token,
        addressing_style=style,
    )
    client = s3_client(options)
    endpoint = endpoint_of(client, "media")
    assert endpoint is not None
    assert endpoint.credentials == Credentials("AKIDEXAMPLE", "se/cret+key", token)
    signer = Signer(endpoint.credentials, endpoint.region)
    for _each in range(60):
        key = "".join(chance.choices(ODD, k=chance.randrange(1, 60))).strip("/") or "x"
        key = f"cache/{key}" if not key.startswith(".") else f"cache/_{key}"
        headers = {
            "ContentMD5": "1B2M2Y8AsgTpgAmY7PhCfg==",
            "ContentType": chance.choice(["image/png", "application/octet-stream", "text/plain; charset=utf-8"]),
        }
        if chance.random() < 0.7:
            headers["CacheControl"] = "public, max-age=315576000, immutable"
        if chance.random() < 0.7:
            headers["ACL"] = chance.choice(["public-read", "private"])
        if chance.random() < 0.3:
            headers["StorageClass"] = "STANDARD_IA"
        request = signed_by_botocore(client, key, **headers)
        theirs = {name.lower(): text(value) for name, value in request.headers.items()}
        names = theirs["authorization"].partition("SignedHeaders=")[2].partition(",")[0].split(";")
        own = ("host", "x-amz-content-sha256", "x-amz-date", "x-amz-security-token")
        said = {name: theirs[name] for name in names if name not in own}
        now = calendar.timegm(time.strptime(theirs["x-amz-date"], "%Y%m%dT%H%M%SZ"))
        path = endpoint.path + encoded(key)
        assert path == urlsplit(request.url).path
        assert theirs["x-amz-content-sha256"] == UNSIGNED_PAYLOAD
        mine = signer.headers(path, endpoint.host, said, UNSIGNED_PAYLOAD, now)
        assert mine["authorization"] == theirs["authorization"], key
        assert mine.get("x-amz-security-token") == token


@pytest.mark.parametrize(
    ("operation", "method", "query"), [("HeadObject", "HEAD", ""), ("GetObjectAcl", "GET", "acl=")]
)
def test_so_is_that_of_a_question(operation, method, query):
    options = ConnectionOptions(
        endpoint_url="https://store.example.org", region="r", access_key="A", secret_key="b", session_token="c/d"
    )
    client = s3_client(options)
    endpoint = endpoint_of(client, "media")
    signer = Signer(endpoint.credentials, endpoint.region)
    chance = random.Random(operation)
    for _each in range(30):
        key = "cache/" + "".join(chance.choices(ODD, k=chance.randrange(1, 60))).strip("/")
        request = signed_by_botocore(client, key, operation)
        theirs = {name.lower(): text(value) for name, value in request.headers.items()}
        now = calendar.timegm(time.strptime(theirs["x-amz-date"], "%Y%m%dT%H%M%SZ"))
        payload = theirs["x-amz-content-sha256"]
        path = endpoint.path + encoded(key)
        mine = signer.headers(path, endpoint.host, {}, payload, now, method=method, query=query)
        assert request.method == method
        assert mine["authorization"] == theirs["authorization"], key


def test_so_is_that_of_a_listing():
    options = ConnectionOptions(endpoint_url="https://store.example.org", region="r", access_key="A", secret_key="b")
    client = s3_client(options)
    signer = Signer(Credentials("A", "b"), "r")
    chance = random.Random("listing")
    for _each in range(60):
        prefix, after, token = ("".join(chance.choices(ODD, k=chance.randrange(1, 40))) for _part in range(3))
        request = signed_by_botocore(
            client, None, "ListObjectsV2", Prefix=prefix, StartAfter=after, ContinuationToken=token, Delimiter="/"
        )
        theirs = {name.lower(): text(value) for name, value in request.headers.items()}
        now = calendar.timegm(time.strptime(theirs["x-amz-date"], "%Y%m%dT%H%M%SZ"))
        words = {
            "prefix": prefix,
            "start-after": after,
            "continuation-token": token,
            "delimiter": "/",
            "list-type": "2",
            "encoding-type": "url",
        }
        query = "&".join(encoded_query(words))
        mine = signer.headers(
            urlsplit(request.url).path,
            "store.example.org",
            {},
            theirs["x-amz-content-sha256"],
            now,
            method="GET",
            query=query,
        )
        assert mine["authorization"] == theirs["authorization"], (prefix, after, token)


def test_a_new_day_gets_a_new_key():
    signer = Signer(Credentials("A", "b"), "r")
    first = signer.headers("/a", "h", {}, UNSIGNED_PAYLOAD, 0.0)
    second = signer.headers("/a", "h", {}, UNSIGNED_PAYLOAD, 86400.0)
    again = signer.headers("/a", "h", {}, UNSIGNED_PAYLOAD, 0.0)
    assert "19700101/r/s3" in first["authorization"]
    assert "19700102/r/s3" in second["authorization"]
    assert again == first


def test_keys_are_not_shown():
    assert "hidden" not in repr(Credentials("A", "hidden", "hidden"))


def connection(**options):
    base = {"endpoint_url": "https://store.example.org", "access_key": "a", "secret_key": "b"}
    return s3_client(ConnectionOptions(**{**base, **options}))


class TestAddress:
    def test_what_the_client_would_do(self):
        endpoint = endpoint_of(connection(ca_bundle="/etc/ca.pem"), "media")
        assert (endpoint.tls, endpoint.hostname, endpoint.port) == (True, "store.example.org", 443)
        assert (endpoint.host, endpoint.path, endpoint.ca_file) == ("store.example.org", "/media/", "/etc/ca.pem")

    def test_no_verification(self):
        endpoint = endpoint_of(connection(validate_certs=False), "media")
        assert endpoint.ca_file is None
        assert endpoint.context().check_hostname is False

    def test_plain_http_has_no_tls_settings(self):
        endpoint = endpoint_of(connection(endpoint_url="http://127.0.0.1:9000"), "media")
        assert (endpoint.host, endpoint.context()) == ("127.0.0.1:9000", None)

    def test_a_proxy_is_for_boto3(self, monkeypatch):
        monkeypatch.setenv("https_proxy", "http://proxy.example.org:3128")
        assert endpoint_of(connection(), "media") is None
        monkeypatch.setenv("no_proxy", "store.example.org")
        assert endpoint_of(connection(), "media") is not None

    @pytest.mark.parametrize(
        "config",
        [
            {"proxies": {"https": "http://proxy.example.org:3128"}},
            {"client_cert": "/etc/client.pem"},
            {"signature_version": "s3"},
        ],
    )
    def test_what_else_is_for_boto3(self, config):
        assert endpoint_of(connection(aws_config=config), "media") is None

    def test_missing_credentials_are_for_boto3_to_tell(self, monkeypatch):
        monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent")
        client = s3_client(ConnectionOptions(endpoint_url="https://store.example.org"))
        assert endpoint_of(client, "media") is None

    def test_keys_of_the_moment(self):
        assert credentials_of(connection(session_token="c")) == Credentials("a", "b", "c")
