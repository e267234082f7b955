# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Against a real web server that answers as the stores do; what stores really answer is looked at in tests/stores."""

from __future__ import annotations

import socket
import time
from email.utils import formatdate

import pytest

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.connection.options import ConnectionOptions
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.probe import access as under_test

LISTING = (
    b'<?xml version="1.0"?><ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Name>media</Name>'
    b"<KeyCount>0</KeyCount><MaxKeys>1</MaxKeys><IsTruncated>false</IsTruncated></ListBucketResult>"
)


def failure(code, message="no", extra=""):
    text = f'<?xml version="1.0"?><Error><Code>{code}</Code><Message>{message}</Message>{extra}</Error>'
    return text.encode()


@pytest.fixture(autouse=True)
def no_outside_configuration(monkeypatch, tmp_path):
    for name in ("AWS_PROFILE", "AWS_DEFAULT_REGION", "AWS_REGION", "AWS_ENDPOINT_URL", "AWS_ACCESS_KEY_ID"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")


def options(url, **others):
    keys = {"access_key": "AKIA", "secret_key": "secret", "region": "us-east-1", "addressing_style": "path"}
    return ConnectionOptions(endpoint_url=url, **{**keys, **others})


def check_access(url, *, wait=0, **others):
    return under_test.check_access(options(url, **others), "media", wait=wait)


def test_a_bucket_that_can_be_listed_is_usable(web):
    web.answer = lambda method, path, headers: (200, {"x-amz-bucket-region": "eu-central-1"}, LISTING)
    found = check_access(web.url)
    assert (found.usable, found.problem, found.answers, found.certificate_trusted) == (True, None, True, None)
    assert (found.credentials_accepted, found.bucket_exists, found.bucket_listable) == (True, True, True)
    assert found.bucket_region == "eu-central-1"
    assert [request[0] for request in web.requests] == ["GET"]


def test_the_key_prefix_is_what_is_listed(web):
    web.answer = lambda method, path, headers: (200, {}, LISTING)
    assert under_test.check_access(options(web.url), "media", key_prefix="mastodon/").usable
    assert "prefix=mastodon%2F" in web.requests[0][1]


def test_the_region_comes_from_a_head_where_the_listing_does_not_tell(web):
    def answer(method, path, headers):
        return (200, {"x-amz-bucket-region": "here"}, b"") if method == "HEAD" else (200, {}, LISTING)

    web.answer = answer
    assert check_access(web.url).bucket_region == "here"


@pytest.mark.parametrize(
    ("status", "code", "accepted", "exists", "listable"),
    [
        (403, "InvalidAccessKeyId", False, None, None),
        (403, "SignatureDoesNotMatch", False, None, None),
        (400, "ExpiredToken", False, None, None),
        (404, "NoSuchBucket", True, False, None),
        (403, "RequestTimeTooSkewed", None, None, None),
    ],
)
def test_a_refusal_is_named_by_the_stores_code(web, status, code, accepted, exists, listable):
    web.answer = lambda method, path, headers: (status, {}, failure(code))
    found = check_access(web.url)
    assert found.usable is False
    assert found.problem.code == code
    assert found.problem.remedy
    assert found.answers is True
    assert (found.credentials_accepted, found.bucket_exists, found.bucket_listable) == (accepted, exists, listable)


@pytest.mark.parametrize(
    ("status", "exists", "allowed"), [(200, True, True), (404, False, None), (403, None, False), (400, None, None)]
)
def test_a_bucket_that_may_not_be_listed_may_still_be_seen(web, status, exists, allowed):
    def answer(method, path, headers):
        return (status, {}, b"") if method == "HEAD" else (403, {}, failure("AccessDenied"))

    web.answer = answer
    found = check_access(web.url)
    assert (found.usable, found.problem.code) == (False, "AccessDenied")
    assert (found.credentials_accepted, found.bucket_listable, found.bucket_exists) == (True, False, exists)
    assert found.bucket_allowed is allowed
    assert ("bucket media belongs to another account" in found.problem.message) == (status == 403)
    assert status != 403 or found.problem.remedy.startswith("Choose another bucket name")


def test_a_refusal_in_another_region_names_the_region(web):
    def answer(method, path, headers):
        if "/eu-west-3/s3/" in headers["Authorization"]:
            return 403, {"x-amz-bucket-region": "eu-west-3"}, b"" if method == "HEAD" else failure("AccessDenied")
        return 400, {}, failure("AuthorizationHeaderMalformed", "wrong region", "<Region>eu-west-3</Region>")

    web.answer = answer
    found = check_access(web.url)
    assert (found.problem.code, found.problem.remedy) == ("WrongRegion", "Set region: eu-west-3")


@pytest.mark.parametrize(
    "code", ["AuthorizationHeaderMalformed", "PermanentRedirect", "IllegalLocationConstraintException"]
)
def test_a_wrong_region_that_the_store_does_not_tell(web, code):
    web.answer = lambda method, path, headers: (400, {}, failure(code))
    found = check_access(web.url)
    assert (found.usable, found.problem.code) == (False, code)
    assert "region" in found.problem.remedy


def test_a_region_that_botocore_mends_in_silence_is_a_problem(web):
    def answer(method, path, headers):
        if "/eu-west-3/s3/" in headers["Authorization"]:
            return 200, {"x-amz-bucket-region": "eu-west-3"}, LISTING
        return 400, {}, failure("AuthorizationHeaderMalformed", "wrong region", "<Region>eu-west-3</Region>")

    web.answer = answer
    found = check_access(web.url)
    assert (found.usable, found.problem.code) == (False, "WrongRegion")
    assert "eu-west-3" in found.problem.remedy
    assert found.bucket_region == "eu-west-3"
    assert check_access(web.url, region="eu-west-3").usable


def test_another_stores_word_for_its_region_is_no_problem(web):
    web.answer = lambda method, path, headers: (200, {"x-amz-bucket-region": "default"}, LISTING)
    assert check_access(web.url, region="us-east-1").usable


@pytest.mark.parametrize("ahead", [-1000, 0, 1000])
def test_the_clocks_are_compared(web, ahead):
    def answer(method, path, headers):
        return 403, {"Date": formatdate(time.time() - ahead, usegmt=True)}, failure("AccessDenied")

    web.answer = answer
    # BaseHTTPRequestHandler sends a Date of its own first; the parser joins or takes the last one.
    web.server.RequestHandlerClass.date_time_string = lambda self, *_: formatdate(time.time() - ahead, usegmt=True)
    assert abs(check_access(web.url).clock_offset - ahead) <= 1


def test_an_answer_that_is_no_s3_is_named_so(web):
    web.answer = lambda method, path, headers: (404, {"Content-Type": "text/html"}, b"<html>nginx</html>")
    found = check_access(web.url)
    assert (found.usable, found.problem.code, found.answers, found.bucket_exists) == (False, "NotS3", True, None)


def test_a_page_in_place_of_a_listing_is_named_so(web):
    web.answer = lambda method, path, headers: (200, {"Content-Type": "text/html"}, b"<html>welcome<br></html>")
    assert check_access(web.url).problem.code == "NotS3"


def test_a_gateway_without_its_store(web):
    web.answer = lambda method, path, headers: (502, {"Content-Type": "text/html"}, b"<html>Bad Gateway</html>")
    assert check_access(web.url).problem.code == "HTTP502"


def test_a_closed_port_and_an_unknown_name():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    refused = check_access(f"http://127.0.0.1:{port}")
    assert (refused.usable, refused.problem.code, refused.answers) == (False, "ConnectionRefused", False)
    unknown = check_access("http://store.invalid")
    assert (unknown.problem.code, unknown.answers) == ("NameNotResolved", False)


def test_a_store_that_hangs_costs_seconds_only():
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        begin = time.monotonic()
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        found = check_access(url, aws_config={"read_timeout": 1})
    assert found.problem.code == "TimedOut"
    assert time.monotonic() - begin < 15


def test_plain_http_behind_an_https_endpoint(web):
    found = check_access(web.url.replace("http:", "https:"))
    assert (found.problem.code, found.answers, found.certificate_trusted) == ("NotTls", True, None)


@pytest.mark.parametrize("body", [b"", b"<html>", b"Client sent an HTTP request to an HTTPS server."])
def test_a_bare_400_is_looked_into(web, monkeypatch, body):
    """What servers with TLS answer to plain HTTP; tests/stores asks real ones."""
    web.answer = lambda method, path, headers: (400, {}, body)
    assert check_access(web.url).problem.code != "TlsExpected"
    monkeypatch.setattr(under_test, "speaks_tls", lambda _url: True)
    found = check_access(web.url)
    assert (found.usable, found.problem.code, found.answers) == (False, "TlsExpected", True)
    assert found.problem.remedy == "Begin endpoint_url with https://, not http://"


def test_missing_credentials_and_profile(web):
    found = check_access(web.url, access_key=None, secret_key=None)
    assert (found.problem.code, found.credentials_accepted, found.answers) == ("NoCredentialsError", False, None)
    assert web.requests == []
    assert check_access(web.url, access_key=None, secret_key=None, profile="none").problem.code == "ProfileNotFound"


@pytest.mark.parametrize("code", ["InvalidAccessKeyId", "SignatureDoesNotMatch", "AccessDenied"])
def test_a_new_key_is_waited_for(web, monkeypatch, code):
    monkeypatch.setattr(under_test, "_PAUSE_SECONDS", 0.05)

    def answer(method, path, headers):
        listed = sum(request[0] == "GET" for request in web.requests)
        return (200, {"x-amz-bucket-region": "a"}, LISTING) if listed > 3 else (403, {}, failure(code))

    web.answer = answer
    assert check_access(web.url, wait=30).usable
    assert sum(request[0] == "GET" for request in web.requests) == 4


def test_waiting_ends_and_what_will_not_change_is_not_waited_for(web, monkeypatch):
    monkeypatch.setattr(under_test, "_PAUSE_SECONDS", 0.05)
    web.answer = lambda method, path, headers: (403, {}, failure("InvalidAccessKeyId"))
    begin = time.monotonic()
    assert check_access(web.url, wait=4).problem.code == "InvalidAccessKeyId"
    assert 4 <= time.monotonic() - begin < 30
    asked = len(web.requests)
    assert asked >= 2
    web.answer = lambda method, path, headers: (404, {}, failure("NoSuchBucket"))
    assert check_access(web.url, wait=30).problem.code == "NoSuchBucket"
    assert len(web.requests) == asked + 1


def test_listing_by_everybody_is_asked_for_without_a_signature(web):
    web.answer = lambda method, path, headers: (200, {}, LISTING)
    assert under_test.is_listable_by_everybody(options(web.url), "media") is True
    assert "Authorization" not in web.requests[0][2]
    web.answer = lambda method, path, headers: (403, {}, failure("AccessDenied"))
    assert under_test.is_listable_by_everybody(options(web.url), "media") is False
    web.answer = lambda method, path, headers: (404, {}, failure("NoSuchBucket"))
    assert under_test.is_listable_by_everybody(options(web.url), "media") is None


def test_no_secret_is_in_a_problem(web):
    web.answer = lambda method, path, headers: (403, {}, failure("SignatureDoesNotMatch"))
    found = check_access(web.url, secret_key="very-secret-word", session_token="token-secret")
    assert "very-secret-word" not in repr(found)
    assert "token-secret" not in repr(found)
