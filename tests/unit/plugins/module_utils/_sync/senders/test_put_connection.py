# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One connection: what it takes for an answer, and what it does not."""

from __future__ import annotations

import select
import time

import pytest
from raw_server import RawServer, plain

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.http.limits import MIN_BYTES_PER_SECOND
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.senders.put_connection import (
    Body,
    PutConnection,
    PutConnectionError,
)

OK = b"HTTP/1.1 200 OK\r\n"


@pytest.fixture
def serve():
    servers = []

    def start(answer):
        servers.append(RawServer(answer if callable(answer) else lambda line, _request: line.send(answer)))
        return servers[-1]

    yield start
    for server in servers:
        server.close()


def connection_to(server):
    return PutConnection((2, ("127.0.0.1", server.port)), "127.0.0.1", None)


def exchange(connection, path="/a", content=b"content", seconds=10.0):
    """Send and return the answer."""
    connection.put(path, {"host": "h"}, Body(len(content), content))
    return awaited(connection, seconds)


def awaited(connection, seconds=10.0):
    until = time.monotonic() + seconds
    answer = None
    while answer is None and time.monotonic() < until:
        poll = select.poll()
        poll.register(connection.socket, connection.wants)
        if poll.poll(100):
            answer = connection.step()
    return answer


def wait_for(condition):
    until = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.01)


@pytest.mark.parametrize(
    "head",
    [
        b"Transfer-Encoding: chunked\r\n",
        b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n",
        b"Transfer-Encoding: chunked\r\nContent-Length: 4\r\n",
        b"transfer-encoding: identity\r\nContent-Length: 4\r\n",
        b"TRANSFER-ENCODING:\r\nContent-Length: 4\r\n",
        b"Content-Length: 4\r\nContent-Length: 0\r\n",
        b"Content-Length: 0\r\ncontent-length: 4\r\n",
        b"Content-Length: 4\r\nContent-Length: 4\r\n",
        b"Content-Length: 4, 4\r\n",
        b"Content-Length : 4\r\n",
        b" Content-Length: 4\r\n",
        b"Content-Length: -4\r\n",
        b"Content-Length: +4\r\n",
        b"Content-Length: 0x4\r\n",
        b"Content-Length: 4 4\r\n",
        b"Content-Length: \r\n",
        b"Content-Length: " + b"0" * 5000 + b"4\r\n",
        b"",
    ],
)
def test_an_answer_whose_length_is_not_plain_is_none(serve, head):
    connection = connection_to(serve(OK + head + b"\r\n0\r\n\r\n"))
    with pytest.raises(PutConnectionError, match="length"):
        exchange(connection)


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 100 Continue\r\n\r\n" + plain(200),
        b"HTTP/1.1 103 Early Hints\r\nLink: <a>\r\n\r\n" + plain(200),
        b"HTTP/1.1 204 No Content\r\n\r\n",
        b"HTTP/1.1 304 Not Modified\r\nETag: a\r\n\r\n",
        b"HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/2 200\r\nContent-Length: 0\r\n\r\n",
        b"\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 2000 OK\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1  200 OK\r\nContent-Length: 0\r\n\r\n",
        b"X" * 70_000,
        OK + b"X-A: " + b"b" * 70_000,
    ],
    ids=lambda answer: repr(answer[:20]),
)
def test_what_is_no_plain_answer_is_none(serve, answer):
    with pytest.raises(PutConnectionError):
        exchange(connection_to(serve(answer)))


@pytest.mark.parametrize(
    ("answer", "ends"),
    [
        (plain(200), False),
        (plain(200, {}, b"a body"), False),
        (plain(200, {"Connection": "Keep-Alive"}), False),
        (plain(200, {"Connection": "close"}), True),
        (plain(200, {"connection": "Close, TE"}), True),
        (plain(200, {"Vary": "a\r\nVary: b"}), False),
        (plain(200) + plain(200), True),
        (plain(200) + b"\r\n", True),
        (plain(200, {}, b"a body") + b"more", True),
    ],
)
def test_a_connection_ends_by_its_answers_word_or_where_more_comes_than_the_answer(serve, answer, ends):
    connection = connection_to(serve(answer))
    assert exchange(connection).status == 200
    assert connection.ends is ends


def test_an_answer_in_pieces_is_taken_when_it_is_whole(serve):
    answer = plain(200, {"ETag": '"a"'}, b"a body")
    server = serve(lambda line, _request: line.drip(answer, 0.002))
    connection = connection_to(server)
    found = exchange(connection)
    assert (found.status, found.headers["etag"]) == (200, '"a"')
    assert server.sent == len(answer)
    assert exchange(connection).status == 200


def test_what_is_said_unasked_is_noticed(serve):
    server = serve(lambda line, _request: (line.send(plain(200)), server.over.wait(0.05), line.send(plain(200))))
    connection = connection_to(server)
    exchange(connection)
    wait_for(lambda: server.sent > len(plain(200)))
    wait_for(connection.hung_up)


def test_a_request_has_time_for_its_bytes_and_no_more(serve):
    server = serve(lambda line, _request: None)
    connection = connection_to(server)
    size = 100 * MIN_BYTES_PER_SECOND
    connection.put("/a", {"host": "h"}, Body(size, b"x" * size))
    while not connection.asks:
        connection.step()
    now = connection.asked
    for second in range(1, 165, 3):
        connection.moved = now + second  # as with a byte every three seconds
        assert not connection.is_overdue(now + second, 10, 60) or second > 155
    assert connection.is_overdue(now + 164, 10, 60)
    connection.moved = now
    assert connection.is_overdue(now + 61, 10, 60)
    connection.put("/a", {"host": "h"}, Body(1, b"x"))
    connection.moved += 61
    assert connection.is_overdue(connection.moved, 10, 60)
