# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whoever asks a store or a web server gives up what never ends, in bounded time and memory."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.connection.bucket_client import BucketClient
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.connection.client import s3_client
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.connection.endpoint import (
    credentials_of,
    endpoint_of,
)
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.connection.errors import (
    ConnectionFailedError,
    S3Error,
)
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.connection.options import ConnectionOptions
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.http import limits
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.http.anonymous_client import AnonymousClient
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.http.limits import RequestLimits
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.http.signed_client import SignedClient

sys.path.insert(0, str(Path(__file__).resolve().parents[5] / "support"))

from raw_server import RawServer, plain, timed

READ_TIMEOUT = 0.4
PAUSE = 0.1  # between bytes, so that no single wait is too long
LONG_SECONDS = 60.0  # more than a flood takes on a busy machine, and far less than what drips
OK = plain(200, {"ETag": '"abc"'})
MEBIBYTE = b"x" * 1024 * 1024


@pytest.fixture
def serve():
    servers = []

    def start(answer):
        servers.append(RawServer(answer))
        return servers[-1]

    yield start
    for server in servers:
        server.close()


def client_of(server, attempts=1):
    return s3_client(
        ConnectionOptions(
            endpoint_url=server.url,
            region="r",
            access_key="AKIA",
            secret_key="secret",
            addressing_style="path",
            aws_config={"retries": {"total_max_attempts": attempts, "mode": "standard"}, "read_timeout": READ_TIMEOUT},
        )
    )


def by_direct(method):
    def ask(server):
        client = client_of(server)
        signed = SignedClient(endpoint_of(client, "media"), lambda: credentials_of(client))
        try:
            return signed.request("HeadObject", method, key="a")
        finally:
            signed.close()

    return ask


def by_boto3(operation, **arguments):
    return lambda server: BucketClient(lambda: client_of(server), "media")("Operation", operation, **arguments)


def by_visitor(server):
    visitor = AnonymousClient(timeout=READ_TIMEOUT)
    try:
        answer = visitor.get(f"{server.url}/a")
    finally:
        visitor.close()
    return answer.reason if answer.status is None else answer


ASKING = {
    "HEAD": by_direct("HEAD"),
    "GET": by_direct("GET"),
    "visitor": by_visitor,
    "boto3 HEAD": by_boto3("head_object", Key="a"),
    "boto3 PUT": by_boto3("put_object", Key="a", Body=b"content"),
    "boto3 listing": by_boto3("list_objects_v2"),
    "boto3 deletion": by_boto3("delete_objects", Delete={"Objects": [{"Key": "a"}]}),
}


def never_ends(*, start=b"", again=b"", pause=0.0):
    def answer(line, _request):
        line.send(start)
        if pause:
            line.drip(again, pause)
        else:
            line.flood(again)
        return False

    return answer


NEVER = {
    "a slow head": never_ends(again=b"HTTP/1.1 200 OK\r\n" + b"X-A: b\r\n" * 1000, pause=PAUSE),
    "a slow interim answer": never_ends(start=b"HTTP/1.1 100 Continue\r\n", again=b"X: y\r\n" * 1000, pause=PAUSE),
    "interim answers": never_ends(again=b"HTTP/1.1 100 Continue\r\n\r\n" * 1000),
    "headers": never_ends(start=b"HTTP/1.1 200 OK\r\n", again=b"X-A: b\r\n" * 1000),
    "one header": never_ends(start=b"HTTP/1.1 200 OK\r\nX-A: ", again=MEBIBYTE),
    "a status": never_ends(start=b"HTTP/1.1 200 ", again=MEBIBYTE),
}
# These have a body, which a HEAD's answer has not.
BODIES = {
    "a slow body": never_ends(start=b"HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n", again=b" " * 9999, pause=PAUSE),
    "a long body": never_ends(start=b"HTTP/1.1 200 OK\r\nContent-Length: 999999999999\r\n\r\n", again=MEBIBYTE),
    "a body without end": never_ends(start=b"HTTP/1.1 200 OK\r\n\r\n", again=MEBIBYTE),
    "a long error": never_ends(start=b"HTTP/1.1 400 Bad\r\nContent-Length: 999999999999\r\n\r\n", again=MEBIBYTE),
    "chunks": never_ends(
        start=b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", again=b"100000\r\n" + MEBIBYTE + b"\r\n"
    ),
    "a chunk's extension": never_ends(
        start=b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4;x=", again=MEBIBYTE
    ),
    "trailers": never_ends(
        start=b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n", again=b"X-A: b\r\n" * 1000
    ),
    "slow chunks": never_ends(
        start=b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", again=b"1\r\n \r\n" * 1000, pause=PAUSE
    ),
}


def given_up(found):
    """Return whether what asked says that there was no answer."""
    return found is None or isinstance(found, (ConnectionFailedError, str))


@pytest.mark.parametrize("asking", ASKING)
@pytest.mark.parametrize("kind", NEVER)
def test_an_answer_that_never_begins(serve, asking, kind):
    server = serve(NEVER[kind])
    found, seconds = timed(lambda: ASKING[asking](server))
    assert given_up(found), found
    assert seconds < LONG_SECONDS
    assert server.sent < 40 * 1024 * 1024


@pytest.mark.parametrize("asking", [name for name in ASKING if "HEAD" not in name])
@pytest.mark.parametrize("kind", BODIES)
def test_an_answer_that_never_ends(serve, asking, kind):
    server = serve(BODIES[kind])
    found, seconds = timed(lambda: ASKING[asking](server))
    if asking != "visitor":  # which is content with the start of a body
        assert given_up(found), found
    assert seconds < LONG_SECONDS
    assert server.sent < 40 * 1024 * 1024


def test_a_length_that_is_too_much_is_named(serve):
    server = serve(BODIES["a long body"])
    found, _seconds = timed(lambda: by_boto3("list_objects_v2")(server))
    assert "longer than 16777216 bytes" in str(found)
    assert "check host and port" in str(found)


def test_a_connection_that_ends_within_an_interim_answer(serve):
    def answer(line, _request):
        line.send(b"HTTP/1.1 100 Continue\r\n")
        line.reset()
        return False

    server = serve(answer)
    for asking in ASKING.values():
        found, seconds = timed(lambda asking=asking: asking(server))
        assert given_up(found), found
        assert seconds < LONG_SECONDS


def test_a_connection_that_ends_within_the_answer_to_an_expectation(serve):
    """The client would read on and on there."""

    class Body:
        def read(self, _size=-1):
            return b""

        def seek(self, *_where):
            return 0

        def tell(self):
            return 0

    server = serve(lambda line, request: False)
    server._serve = lambda connection: (
        connection.recv(65536),
        connection.sendall(b"HTTP/1.1 100 C\r\n"),
        connection.close(),
    )
    found, seconds = timed(lambda: by_boto3("put_object", Key="a", Body=Body())(server))
    assert given_up(found), found
    assert seconds < LONG_SECONDS


@pytest.mark.parametrize("asking", ["GET", "boto3 listing"])
def test_a_body_that_is_slow_but_whole_is_taken(serve, asking, monkeypatch):
    """It may take the time that its bytes need, though each of its parts took less than a wait may."""
    monkeypatch.setattr(limits, "MIN_BYTES_PER_SECOND", 1024)
    listing = b"<ListBucketResult><IsTruncated>false</IsTruncated></ListBucketResult>" + b" " * 2000

    def answer(line, _request):
        line.send(plain(200, {}, listing)[: -len(listing)])
        for place in range(0, len(listing), 500):
            line.drip(listing[place : place + 1], READ_TIMEOUT / 2)
            line.send(listing[place + 1 : place + 500])

    found, seconds = timed(lambda: ASKING[asking](serve(answer)))
    assert not given_up(found)
    assert not isinstance(found, S3Error)
    assert seconds > READ_TIMEOUT * 2


def test_a_body_that_is_sent_slowly_is_given_up(serve):
    server = serve(lambda line, request: None)
    server._serve = lambda connection: _read_slowly(connection, server)
    found, seconds = timed(lambda: by_boto3("put_object", Key="a", Body=b"x" * 8 * 1024 * 1024)(server))
    assert given_up(found), found
    assert seconds < 2 * LONG_SECONDS


def _read_slowly(connection, server):
    connection.setsockopt(1, 8, 4096)  # SO_RCVBUF
    while not server.over.wait(PAUSE) and connection.recv(64):
        pass


def test_an_operation_that_the_store_works_on_may_take_longer():
    clock = RequestLimits(READ_TIMEOUT)
    clock.begin(slow=True)
    clock._began -= 60
    clock.received(1)
    clock.begin()
    clock._began -= 60
    with pytest.raises(OSError, match="took more than 60 seconds"):
        clock.received(1)


@pytest.mark.parametrize(
    ("method", "target", "headers", "works"),
    [
        ("POST", "/media/a?uploadId=1", [], True),
        ("POST", "/media/a?uploads", [], False),
        ("PUT", "/media/a", ["X-Amz-Copy-Source"], True),
        ("PUT", "/media/a?uploadId=1&partNumber=1", ["host"], False),
        ("GET", "/media/a?uploadId=1", [], False),
    ],
)
def test_what_the_store_works_on(method, target, headers, works):
    assert limits.is_slow_operation(method, target, headers) is works


def test_boto3_waits_longer_for_a_copy(serve, monkeypatch):
    monkeypatch.setattr(limits, "SLOW_OPERATION_SECONDS", 60.0)
    copied = b"<CopyObjectResult><ETag>&quot;abc&quot;</ETag></CopyObjectResult>"

    def answer(line, _request):
        line.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        for _time in range(8):
            line.send(b"1\r\n\n\r\n")
            line._server.over.wait(READ_TIMEOUT / 2)
        line.send(b"%x\r\n%s\r\n0\r\n\r\n" % (len(copied), copied))

    copy = by_boto3("copy_object", Key="a", CopySource={"Bucket": "media", "Key": "a"})
    found, seconds = timed(lambda: copy(serve(answer)))
    assert not isinstance(found, Exception), found
    assert found["CopyObjectResult"]["ETag"] == '"abc"'
    assert seconds > READ_TIMEOUT * 3
