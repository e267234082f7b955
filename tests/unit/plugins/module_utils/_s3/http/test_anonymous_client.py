# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import re
import socket
import threading

import pytest

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.http import anonymous_client as under_test

PICTURE = {"Content-Type": "image/png"}


@pytest.fixture
def visitor():
    found = under_test.AnonymousClient(timeout=5)
    yield found
    found.close()


@pytest.mark.parametrize(
    ("key", "path"),
    [
        ("site_uploads/files/@1x/a.png", "site_uploads/files/@1x/a.png"),
        ("a b/ü.png", "a%20b/%C3%BC.png"),
        ("a+b?(c)[d]#e%20.png", "a%2Bb%3F%28c%29%5Bd%5D%23e%2520.png"),
        ("a~b'c!d;e:f&g=h$i,j*k.png", "a~b'c!d;e:f&g=h$i,j*k.png"),
    ],
)
def test_addresses_are_escaped_as_mastodon_does(key, path):
    assert under_test.public_address("https://files.example.com/", key) == f"https://files.example.com/{path}"


@pytest.mark.parametrize(
    "base",
    [
        "files.example.com",
        "ftp://a",
        "https://",
        "https://a/?b",
        "https://a#b",
        "https://u:p@a",
        "https://a:b",
        "",
        "https://a b",
        "https://a/b c",
        "https://ü",
        "https://a/\tb",
    ],
)
def test_what_is_no_address_is_refused_and_no_password_repeated(base):
    with pytest.raises(under_test.AddressError, match="public_url") as caught:
        under_test.check_base("public_url", base)
    assert "u:p" not in str(caught.value)


def test_an_address_loses_its_last_slash():
    assert under_test.check_base("public_url", "https://a:8443/b/") == "https://a:8443/b"


def test_what_is_not_ascii_is_escaped_and_nothing_else():
    assert under_test.check_base("public_url", "https://a/m%20+&(ü)") == "https://a/m%20+&(%C3%BC)"


def test_head_is_enough_for_a_plain_success_and_the_connection_is_kept(web, visitor):
    web.answer = lambda method, path, headers: (200, PICTURE, b"x" * 10)
    for _time in range(3):
        answer = visitor.check(f"{web.url}/a.png")
        assert answer.readable
        assert answer.headers["content-type"] == "image/png"
    assert [request[0] for request in web.requests] == ["HEAD"] * 3
    assert len({request[3] for request in web.requests}) == 1
    assert all("Authorization" not in request[2] for request in web.requests)


def test_a_refusal_is_named_by_the_get(web, visitor):
    web.answer = lambda method, path, headers: (403, {}, b"<Error><Code>AccessDenied</Code></Error>")
    answer = visitor.check(f"{web.url}/a.png")
    assert (answer.readable, answer.status, answer.reason) == (False, 403, "AccessDenied")
    web.answer = lambda method, path, headers: (404, {}, b"gone")
    assert visitor.check(f"{web.url}/a.png").reason == "HTTP404"


@pytest.mark.parametrize("status", [200, 206, 416])
def test_a_server_without_head_is_asked_for_one_byte(web, visitor, status):
    web.answer = lambda method, path, headers: (405, {}, b"") if method == "HEAD" else (status, PICTURE, b"x")
    assert visitor.check(f"{web.url}/a.png").readable
    assert web.requests[1][2]["Range"] == "bytes=0-0"


def test_a_large_body_is_not_read_to_its_end(web, visitor):
    web.answer = lambda method, path, headers: (405, {}, b"") if method == "HEAD" else (200, PICTURE, b"x" * 10**7)
    answer = visitor.check(f"{web.url}/a.mp4")
    assert answer.readable
    assert len(answer.start) == 4096
    assert visitor.check(f"{web.url}/b.mp4").readable


def test_a_preflight_asks_as_a_browser_does(web, visitor):
    web.answer = lambda method, path, headers: (200, {"Access-Control-Allow-Origin": headers["Origin"]}, b"")
    answer = visitor.preflight(f"{web.url}/a.png", "https://mastodon.example.com")
    assert answer.headers["access-control-allow-origin"] == "https://mastodon.example.com"
    method, _path, headers, _port = web.requests[0]
    assert (method, headers["Access-Control-Request-Method"]) == ("OPTIONS", "GET")
    assert visitor.get(f"{web.url}/a.png", {"Origin": "null"}).headers["access-control-allow-origin"] == "null"


def test_redirects_count_as_what_they_lead_to(web, visitor):
    def answer(method, path, headers):
        if path == "/media/a.png":
            return 302, {"Location": "/there/a.png"}, b""
        if path == "/there/a.png":
            return 200, PICTURE, b"x"
        if path == "/loop":
            return 302, {"Location": "/loop"}, b""
        if path == "/file":
            return 302, {"Location": "file:///etc/passwd"}, b""
        return 404, {}, b""

    web.answer = answer
    assert visitor.check(f"{web.url}/media/a.png").readable
    assert not visitor.check(f"{web.url}/loop").readable
    assert 1 < sum(request[1] == "/loop" for request in web.requests) <= 8, "three redirects, of HEAD and of GET"
    assert not visitor.check(f"{web.url}/file").readable


def test_a_connection_that_the_server_closed_is_opened_again(visitor):
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Type: image/png\r\n\r\n"
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()

        def serve():
            for _connection in range(2):
                connection, _address = server.accept()
                connection.recv(65536)
                connection.sendall(answer)
                connection.close()

        thread = threading.Thread(target=serve)
        thread.start()
        url = f"http://127.0.0.1:{server.getsockname()[1]}/a.png"
        assert visitor.check(url).readable
        assert visitor.check(url).readable
        thread.join()


def test_silence_is_told_apart(web, visitor):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    assert visitor.check(f"http://127.0.0.1:{port}/a") == under_test.AnonymousResponse(None, "ConnectionRefused")
    assert visitor.check("http://files.invalid/a").reason == "NameNotResolved"
    assert visitor.check(web.url.replace("http:", "https:") + "/a").reason == "NotTls"
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        client = under_test.AnonymousClient(timeout=0.3)
        assert client.check(f"http://127.0.0.1:{silent.getsockname()[1]}/a").reason == "TimedOut"
        client.close()


def test_a_proxy_of_the_environment_is_used(web, visitor, monkeypatch):
    web.answer = lambda method, path, headers: (200, PICTURE, b"x")
    monkeypatch.setenv("http_proxy", web.url)
    monkeypatch.setenv("no_proxy", "direct.invalid")
    assert visitor.check("http://files.invalid/a.png").readable
    assert web.requests[0][1] == "http://files.invalid/a.png"
    assert visitor.check("http://direct.invalid/a.png").reason == "NameNotResolved"


def test_a_bundle_that_is_none_is_refused(tmp_path):
    bundle = tmp_path / "ca.pem"
    with pytest.raises(under_test.AddressError, match=re.escape(str(bundle))):
        under_test.AnonymousClient(ca_bundle=str(bundle))
    bundle.write_text("nothing")
    with pytest.raises(under_test.AddressError, match="PEM"):
        under_test.AnonymousClient(ca_bundle=str(bundle))


@pytest.mark.parametrize(("headers", "reason"), [(15, ""), (18, "ResponseTooLongError")])
def test_the_length_of_an_answer_is_bounded(web, visitor, headers, reason):
    """Just below and just above 1 MiB: the length of a header is bounded by http.client already."""
    long = {f"X-{number}": "a" * 60_000 for number in range(headers)}
    web.answer = lambda method, path, sent: (200, {**PICTURE, **long}, b"x")
    assert visitor.get(f"{web.url}/a.png").reason == reason


def test_of_a_long_body_only_the_start_is_read(web, visitor):
    web.answer = lambda method, path, sent: (200, PICTURE, b"a" * 3_000_000)
    answer = visitor.get(f"{web.url}/a.png")
    assert (answer.status, answer.start) == (200, b"a" * 4096)
