"""A tree, worker processes, and a small server that keeps what it is sent and misbehaves as it is told."""

from __future__ import annotations

import base64
import hashlib
import threading
import time
import uuid
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote

from old_files import Writer

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.client import s3_client
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.options import ConnectionOptions
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.engine import sync
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.model import ExposureMode
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.options import (
    settings_from,
    sync_argument_spec,
)
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.store.store import Store
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.transfer.workers import Workers

EMPTY_LISTING = b"<ListBucketResult><IsTruncated>false</IsTruncated></ListBucketResult>"
CHECKSUM = "x-amz-checksum-sha256"


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_PUT(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        path = unquote(self.path)
        key = path[1:] if self.headers["host"].startswith("media.") else path.partition("/media/")[2]
        with self.server.lock:
            self.server.under_way += 1
            self.server.load.append(self.server.under_way)
            self.server.seen.append((key, self.headers.get("user-agent", "")))
            fault = self.server.spoiled.pop(key, None) or (self.server.faults.pop(0) if self.server.faults else None)
        time.sleep(self.server.seconds)
        try:
            self.put(key, body, fault)
        finally:
            with self.server.lock:
                self.server.under_way -= 1

    def put(self, key, body, fault):
        if callable(fault):
            fault(self, key)
            return
        md5, sha256 = hashlib.md5(body, usedforsecurity=False), hashlib.sha256(body)
        repeated = {}
        if CHECKSUM in self.headers and self.server.refuses:
            self.answer(self.server.refuses)
            return
        for name, digest in (("content-md5", md5.digest()), (CHECKSUM, sha256.digest())):
            if name in self.headers and self.headers[name] != base64.b64encode(digest).decode():
                self.answer(400)
                return
            if name == CHECKSUM and name in self.headers and self.server.repeats:
                repeated = {name: self.headers[name]}
        with self.server.lock:
            self.server.objects[key] = (body, dict(self.headers))
        if fault == "reset after":
            self.close_connection = True
            self.connection.close()
            return
        etag = md5.hexdigest() if self.server.etag_is_md5 else f"{uuid.uuid4().hex}-1"
        self.answer(200, {"ETag": f'"{etag}"', **repeated})

    def do_GET(self):
        self.answer(200, {"Content-Type": "application/xml"}, EMPTY_LISTING)

    def answer(self, status, headers=None, body=b""):
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_arguments):
        pass


def status(number, code=""):
    body = f"<Error><Code>{code}</Code><Message>m</Message></Error>".encode() if code else b""
    return lambda handler, _key: handler.answer(number, {}, body)


def reset_before(handler, _key):
    handler.close_connection = True
    handler.connection.close()


def truncated(handler, _key):
    handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc")
    reset_before(handler, _key)


def stall(handler, key):
    handler.server.over.wait()
    reset_before(handler, key)


def nonsense(handler, _key):
    handler.wfile.write(b"SSH-2.0-OpenSSH\r\n\r\n")
    reset_before(handler, _key)


def wrong_etag(handler, _key):
    handler.answer(200, {"ETag": f'"{"0" * 32}"'})


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, _request, _address):
        """Say nothing of connections that were reset, which is what is tested."""


class World(Writer):
    def __init__(self, path, number=2, read_timeout=60):
        self.read_timeout = read_timeout
        self.src = path / "tree"
        self.src.mkdir()
        self.state = path / "state"
        self.server = None
        self.workers = Workers(number, self.store)
        self.server = Server(("127.0.0.1", 0), Handler)
        self.server.lock, self.server.objects, self.server.faults, self.server.seen = threading.Lock(), {}, [], []
        self.server.repeats, self.server.refuses, self.server.etag_is_md5 = False, 0, True
        self.server.spoiled, self.server.seconds, self.server.under_way, self.server.load = {}, 0.0, 0, []
        self.server.over = threading.Event()
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def digests(self):
        """Count what the objects' contents came with."""
        return Counter(
            name for _body, sent in self.server.objects.values() for name in ("content-md5", CHECKSUM) if name in sent
        )

    def store(self, endpoint=None, style="auto"):
        # A worker was forked before the port was known: it learns it from the tree's own folder.
        endpoint = endpoint or (self.src.parent / "endpoint").read_text()
        options = ConnectionOptions(
            endpoint_url=endpoint,
            region="us-east-1",
            access_key="key",
            secret_key="secret",
            addressing_style=style,
            aws_config={"retries": {"mode": "standard", "total_max_attempts": 3}, "read_timeout": self.read_timeout},
        )
        return Store(lambda: s3_client(options), "media", "", acl=True)

    def sync(self, *, style="auto", host="127.0.0.1", **options):
        (self.src.parent / "endpoint").write_text(f"http://{host}:{self.server.server_port}")
        params = {name: spec.get("default") for name, spec in sync_argument_spec().items()}
        params.update(
            {"src": str(self.src), "bucket": "media", "state_dir": str(self.state), "settle_seconds": 0, **options}
        )
        settings = settings_from(params, check_mode=False)
        assert settings.rules.mode is ExposureMode.ACL
        return sync(settings, self.store(style=style), workers=self.workers)

    def close(self):
        self.workers.close()
        if self.server is not None:
            self.server.over.set()
            self.server.shutdown()
            self.server.server_close()
