"""A proxy for a store that makes some requests fail, at random but always the same for the same seed.

Clients use plain HTTP unless it has a certificate. The signature of a request covers its Host header, so this header is
forwarded unchanged, and stores that verify signatures with it (RGW, MinIO) accept them.
"""

from __future__ import annotations

import http.client
import os
import random
import socket
import ssl
import struct
import threading
import typing as t
from collections import Counter
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

from stores.certificates import Certificates

ELSEWHERE = "eu-elsewhere-1"
_RESET = struct.pack("ii", 1, 0)  # struct linger, socket(7)
_OF_THE_WAY = ("connection", "expect", "keep-alive", "transfer-encoding")


class _Answer(t.NamedTuple):
    status: int
    headers: list[tuple[str, str]]
    body: bytes


Fault = t.Callable[["_Handler"], None]


def _refusal(status: int, code: str, **headers: str) -> Fault:
    """Return a fault that answers instead of the store, which does not get the request."""
    body = f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>by chance</Message></Error>".encode()

    def fault(handler: _Handler) -> None:
        handler.read_body()
        shown = [(name.replace("_", "-"), value) for name, value in headers.items()]
        handler.give(_Answer(status, [("Content-Type", "application/xml"), *shown], body))

    return fault


def _reset_before(handler: _Handler) -> None:
    handler.reset()


def _reset_after(handler: _Handler) -> None:
    handler.ask_store()
    handler.reset()


def _stall(handler: _Handler) -> None:
    handler.ask_store()
    handler.server.over.wait(handler.server.stall_seconds)
    handler.reset()


def _truncated(handler: _Handler) -> None:
    answer = handler.ask_store()
    handler.give(answer._replace(body=answer.body + b"<Truncated>"), missing=8)
    handler.close_connection = True


def _wrong_etag(handler: _Handler) -> None:
    answer = handler.ask_store()
    headers = [(name, f'"{"0" * 32}"' if name.lower() == "etag" else value) for name, value in answer.headers]
    handler.give(answer._replace(headers=headers))


def _forgotten(handler: _Handler) -> None:
    """Read a body and report success, but store nothing."""
    if handler.command != "PUT" or not handler.read_body():
        handler.give(handler.ask_store())
        return
    handler.give(_Answer(200, [("ETag", f'"{"0" * 32}"')], b""))


def _damaged(handler: _Handler) -> None:
    handler.give(handler.ask_store(alter=lambda body: body[:-1] + bytes([body[-1] ^ 1])))


FAULTS: dict[str, Fault] = {
    "500": _refusal(500, "InternalError"),
    "503": _refusal(503, "SlowDown"),
    "429": _refusal(429, "TooManyRequests"),
    "reset_before": _reset_before,
    "reset_after": _reset_after,
    "stall": _stall,
    "truncated": _truncated,
    "wrong_etag": _wrong_etag,
    "forgotten": _forgotten,
    "damaged": _damaged,
    "clock_skew": _refusal(403, "RequestTimeTooSkewed"),
    "expired_token": _refusal(400, "ExpiredToken"),
    "other_region": _refusal(301, "PermanentRedirect", x_amz_bucket_region=ELSEWHERE),
}


class FaultProxy:
    """The running proxy. `seen` counts requests, `done` counts faults by kind. `share` can be changed at any time."""

    def __init__(
        self,
        target: str,
        kinds: t.Sequence[str],
        *,
        share: float,
        seed: int,
        stall_seconds: float = 3.0,
        ca_bundle: str | None = None,
        certificates: Certificates | None = None,
    ) -> None:
        """Start a proxy for `target`, in which a `share` (0 to 1) of the requests gets one of `kinds` of `FAULTS`."""
        self._server = _Server(("127.0.0.1", 0), _Handler)
        if certificates is not None:
            self._server.speak_tls(certificates)
        self._server.prepare(urlsplit(target), ca_bundle, stall_seconds, self._pick)
        self._kinds, self._chance, self._lock = tuple(kinds), random.Random(seed), threading.Lock()
        self.share = share
        self.seen = 0
        self.done: Counter[str] = Counter()
        self.url = f"{'https' if certificates else 'http'}://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        """Stop it."""
        self._server.over.set()
        self._server.shutdown()
        self._server.server_close()

    def _pick(self) -> Fault | None:
        with self._lock:
            self.seen += 1
            if self._chance.random() >= self.share:
                return None
            kind = self._chance.choice(self._kinds)
            self.done[kind] += 1
            return FAULTS[kind]


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def prepare(self, target: t.Any, ca_bundle: str | None, stall: float, pick: t.Callable[[], Fault | None]) -> None:
        self.over = threading.Event()
        self.stall_seconds = stall
        self.pick = pick
        self._target = target
        self._trust = ssl.create_default_context(cafile=ca_bundle) if target.scheme == "https" else None

    def speak_tls(self, certificates: Certificates) -> None:
        trust = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        trust.load_cert_chain(certificates.certificate, certificates.key)
        # The handshake is made by the thread that reads, so that nobody waits for another's.
        self.socket = trust.wrap_socket(self.socket, server_side=True, do_handshake_on_connect=False)

    def connection(self) -> http.client.HTTPConnection:
        host, port = self._target.hostname, self._target.port
        if self._trust is not None:
            return http.client.HTTPSConnection(host, port, context=self._trust, timeout=60)
        return http.client.HTTPConnection(host, port, timeout=60)

    def handle_error(self, *_arguments: t.Any) -> None:
        """Log nothing. Clients close connections, as expected."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server
    headers: Message

    def setup(self) -> None:
        super().setup()
        self._store = self.server.connection()

    def finish(self) -> None:
        self._store.close()
        super().finish()

    def _handle(self) -> None:
        fault = self.server.pick()
        self._body: bytes | None = None
        if fault is None:
            self.give(self.ask_store())
        else:
            fault(self)

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = _handle  # noqa: N815 - the names are http.server's

    def handle_expect_100(self) -> bool:
        """Do not answer yet. Some faults do not read the body."""
        return True

    def read_body(self) -> bytes:
        """Return the request's body."""
        if self._body is None:
            if self.headers.get("Expect", "").lower() == "100-continue":
                self.send_response_only(100)
                self.end_headers()
            self._body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        return self._body

    def ask_store(self, alter: t.Callable[[bytes], bytes] | None = None) -> _Answer:
        """Forward the request, with a changed body if `alter` is set, and return the store's response."""
        body = self.read_body()
        if body and alter is not None:
            body = alter(body)
        self._store.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
        for name, value in self.headers.items():
            if name.lower() not in _OF_THE_WAY:
                self._store.putheader(name, value)
        self._store.endheaders(body)
        answer = self._store.getresponse()
        return _Answer(answer.status, answer.getheaders(), answer.read())

    def give(self, answer: _Answer, *, missing: int = 0) -> None:
        """Send a response without its last `missing` bytes."""
        self.send_response_only(answer.status)
        has_body = self.command != "HEAD" and answer.status not in (204, 304)
        for name, value in answer.headers:
            if name.lower() not in _OF_THE_WAY and not (has_body and name.lower() == "content-length"):
                self.send_header(name, value)
        if has_body:
            self.send_header("Content-Length", str(len(answer.body)))
        self.end_headers()
        if has_body:
            self.wfile.write(answer.body[: len(answer.body) - missing])

    def reset(self) -> None:
        """Close the connection without a response."""
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        self.close_connection = True
        os.close(self.connection.detach())

    def log_message(self, *_arguments: t.Any) -> None:
        """Log nothing."""
