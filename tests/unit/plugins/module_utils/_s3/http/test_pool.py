# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import contextlib
import threading

import pytest
from raw_server import RawServer

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.http.limits import ResponseTooLongError
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.http.pool import ConnectionPool, Origin


@pytest.fixture
def pool_with():
    made = []

    def pool(**options):
        made.append(ConnectionPool(None, connect_seconds=5, read_seconds=5, **options))
        return made[-1]

    yield pool
    for each in made:
        each.close()


def origin(web):
    return Origin(False, "127.0.0.1", web.server.server_address[1])


def ports(web):
    return [request[3] for request in web.requests]


def test_a_connection_is_kept_for_the_next_request(web, pool_with):
    web.answer = lambda method, path, headers: (200, {"X-Name": "a"}, b"body")
    pool = pool_with()
    for _time in range(3):
        response = pool.request(origin(web), "GET", "/a?b=c", {"X-Sent": "d"})
        assert (response.status, response.headers["x-name"], response.body) == (200, "a", b"body")
    assert [(method, path, headers["X-Sent"]) for method, path, headers, _port in web.requests] == [
        ("GET", "/a?b=c", "d")
    ] * 3
    assert len(set(ports(web))) == 1


def test_a_server_that_ends_the_connection_gets_another_one(web, pool_with):
    web.answer = lambda method, path, headers: (200, {"Connection": "close"}, b"")
    pool = pool_with()
    for _time in range(2):
        assert pool.request(origin(web), "GET", "/", {}).status == 200
    assert len(set(ports(web))) == 2


def test_as_many_connections_are_made_as_are_in_use_at_once(web, pool_with):
    both = threading.Barrier(2, timeout=30)

    def answer(method, path, headers):
        both.wait()
        return 200, {}, path.encode()

    web.answer = answer
    pool, bodies = pool_with(), []

    def ask(path):
        bodies.extend((path, pool.request(origin(web), "GET", path, {}).body.decode()) for _time in range(3))

    threads = [threading.Thread(target=ask, args=(path,)) for path in ("/a", "/b")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(bodies) == [("/a", "/a")] * 3 + [("/b", "/b")] * 3, "each got the answer to its own request"
    assert len(set(ports(web))) == 2


def test_only_the_start_of_a_body_is_read(web, pool_with):
    web.answer = lambda method, path, headers: (200, {}, b"a" * 100_000)
    pool = pool_with(max_bytes=50_000)
    assert pool.request(origin(web), "GET", "/", {}, start=10).body == b"a" * 10
    with pytest.raises(ResponseTooLongError):
        pool.request(origin(web), "GET", "/", {})
    web.answer = lambda method, path, headers: (200, {}, b"b" * 10)
    assert pool.request(origin(web), "GET", "/", {}).body == b"b" * 10, "nothing of the long one"


def test_a_response_that_came_twice_is_refused(web, pool_with):
    names = iter(["1", "2", "2", "3"])
    web.answer = lambda method, path, headers: (200, {"X-Id": next(names)}, b"")
    pool = pool_with(unique_header="x-id")
    for _time in range(2):
        assert pool.request(origin(web), "GET", "/", {}).status == 200
    with pytest.raises(ValueError, match="twice"):
        pool.request(origin(web), "GET", "/", {})
    assert pool.request(origin(web), "GET", "/", {}).headers["x-id"] == "3"


def test_without_a_unique_header_equal_responses_are_fine(web, pool_with):
    web.answer = lambda method, path, headers: (200, {"X-Id": "1"}, b"")
    pool = pool_with()
    assert [pool.request(origin(web), "GET", "/", {}).status for _time in range(2)] == [200, 200]


@pytest.mark.parametrize("repeats", [True, False])
def test_a_request_that_fails_on_a_kept_connection_is_repeated_on_request(web, pool_with, repeats):
    """The connection ends only when the second request is there, so that nobody can know before."""
    pool = pool_with(repeats=repeats)
    web.answer = lambda method, path, headers: (200, {}, b"")
    pool.request(origin(web), "GET", "/first", {})
    kept = ports(web)[0]

    def answer(method, path, headers):
        if ports(web)[-1] == kept:
            raise ConnectionAbortedError  # the server drops the connection
        return 200, {}, b""

    web.answer = answer
    web.server.handle_error = lambda *_arguments: None
    if repeats:
        assert pool.request(origin(web), "GET", "/second", {}).status == 200
        assert [request[1] for request in web.requests] == ["/first", "/second", "/second"]
    else:
        with pytest.raises(ConnectionError):
            pool.request(origin(web), "GET", "/second", {})
        assert [request[1] for request in web.requests] == ["/first", "/second"]


def test_a_new_connection_that_fails_is_an_error_at_once(web, pool_with):
    web.server.handle_error = lambda *_arguments: None

    def answer(method, path, headers):
        raise ConnectionAbortedError

    web.answer = answer
    with pytest.raises(ConnectionError):
        pool_with(repeats=True).request(origin(web), "GET", "/", {})
    assert len(web.requests) == 1


def test_a_proxy_gets_the_whole_address(web, pool_with):
    web.answer = lambda method, path, headers: (200, {}, headers["Host"].encode())
    pool = pool_with(proxy=lambda server: origin(web)[1:] if server.hostname == "files.invalid" else None)
    assert pool.request(Origin(False, "files.invalid", 80), "GET", "/a", {}).body == b"files.invalid"
    assert web.requests[0][1] == "http://files.invalid/a"
    assert pool.request(origin(web), "GET", "/b", {}).status == 200
    assert web.requests[1][1] == "/b"


@pytest.mark.parametrize(
    ("server", "url"),
    [
        (Origin(False, "a.example", 80), "http://a.example"),
        (Origin(False, "a.example", 443), "http://a.example:443"),
        (Origin(True, "a.example", 443), "https://a.example"),
        (Origin(True, "::1", 8443), "https://[::1]:8443"),
    ],
)
def test_the_address_of_a_server(server, url):
    assert server.url == url


def test_all_values_of_a_header_are_seen(pool_with):
    def answer(connection, _request):
        connection.send(b"HTTP/1.1 200 OK\r\nX-A: 1\r\nX-B: 2\r\nx-a: 3\r\nContent-Length: 0\r\n\r\n")

    with contextlib.closing(RawServer(answer)) as server:
        response = pool_with().request(Origin(False, "127.0.0.1", server.port), "GET", "/", {})
    assert (response.headers["x-a"], response.headers["x-b"]) == ("1, 3", "2")
