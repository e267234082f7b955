"""A bucket in memory behind HTTP, of the manners that a test asks for; signatures are not looked at.

It is for what no real server can be made to do: to take a request and forget it, to stall in the middle, to say one
thing and do another. What stores really answer is looked at in tests/stores.
"""

from __future__ import annotations

import dataclasses
import re
import threading
import time
import typing as t
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit

_NEVER = 10**9


@dataclasses.dataclass
class Manners:
    """How the store behaves.

    acls: whether ACLs of objects are honoured; open_prefixes: what a policy opens to everybody.
    refuse: method and query or header to the error code of the answer, such as {"PUT x-amz-acl": "NotImplemented"}.
    answers: how many requests are answered before the store stalls. delay: seconds before each answer.
    keeps_deleted: it says that objects are gone, and keeps them. page: what anybody gets in place of a refusal.
    """

    acls: bool = True
    open_prefixes: tuple[str, ...] = ()
    refuse: dict[str, str] = dataclasses.field(default_factory=dict)
    answers: int = _NEVER
    delay: float = 0
    keeps_deleted: bool = False
    page: bytes = b""


@dataclasses.dataclass(frozen=True)
class Seen:
    """A request, with the names of its headers in lower case."""

    method: str
    path: str
    query: dict[str, list[str]]
    headers: dict[str, str]
    body: bytes


class SmallS3:
    """The server; the bucket is called C(media)."""

    def __init__(self) -> None:
        self.manners = Manners()
        self.objects: dict[str, tuple[bytes, str]] = {}
        self.uploads: dict[str, tuple[str, bytes]] = {}
        self.requests: list[Seen] = []
        self.released = threading.Event()
        small = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                url = urlsplit(self.path)
                seen = Seen(
                    self.command,
                    unquote(url.path),
                    parse_qs(url.query, keep_blank_values=True),
                    {name.lower(): value for name, value in self.headers.items()},
                    self.rfile.read(int(self.headers.get("Content-Length") or 0)),
                )
                small.requests.append(seen)
                if len(small.requests) > small.manners.answers:
                    small.released.wait(60)
                    self.close_connection = True
                    return
                time.sleep(small.manners.delay)
                status, headers, body = small.answer(seen)
                self.send_response(status)
                length = headers.pop("Content-Length", str(len(body)))
                for name, value in {"Content-Length": length, **headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(body)

            do_HEAD = do_PUT = do_POST = do_DELETE = do_OPTIONS = do_GET  # noqa: N815

            def log_message(self, *_arguments: t.Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        self._thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.02})
        self._thread.start()

    def close(self) -> None:
        """Stop the server."""
        self.released.set()
        self.server.shutdown()
        self._thread.join()
        self.server.server_close()

    def answer(self, seen: Seen) -> tuple[int, dict[str, str], bytes]:
        """Status, headers and body."""
        bucket, _slash, key = seen.path.lstrip("/").partition("/")
        for rule, code in self.manners.refuse.items():
            method, _space, mark = rule.partition(" ")
            if method == seen.method and (not mark or mark in seen.query or mark in seen.headers):
                return _error(501 if code == "NotImplemented" else 403, code)
        if not bucket:
            return 200, {}, b"<ListAllMyBucketsResult><Buckets/></ListAllMyBucketsResult>"
        if bucket != "media":
            return _error(404, "NoSuchBucket")
        if key:
            return self._object(seen, key)
        return self._bucket(seen)

    def _bucket(self, seen: Seen) -> tuple[int, dict[str, str], bytes]:
        if "policy" in seen.query:
            return _error(404, "NoSuchBucketPolicy")
        if "delete" in seen.query:
            for key in re.findall(rb"<Key>([^<]*)</Key>", seen.body):
                self._remove(key.decode())
            return 200, {}, b"<DeleteResult></DeleteResult>"
        if "list-type" not in seen.query:
            return _error(501, "NotImplemented")
        if not _is_signed(seen):
            return _error(403, "AccessDenied")
        prefix = seen.query.get("prefix", [""])[0]
        keys = "".join(
            f"<Contents><Key>{key}</Key><LastModified>2026-01-01T00:00:00.000Z</LastModified>"
            f"<Size>{len(body)}</Size></Contents>"
            for key, (body, _acl) in list(self.objects.items())
            if key.startswith(prefix)
        )
        return (
            200,
            {},
            f"<ListBucketResult><Name>media</Name><IsTruncated>false</IsTruncated>{keys}</ListBucketResult>".encode(),
        )

    def _object(self, seen: Seen, key: str) -> tuple[int, dict[str, str], bytes]:
        if seen.method == "OPTIONS":
            return _error(403, "AccessForbidden")
        if "uploads" in seen.query or "uploadId" in seen.query:
            return self._upload(seen, key)
        if seen.method == "PUT":
            acl = seen.headers.get("x-amz-acl", "private")
            self.objects[key] = (self.objects[key][0] if "acl" in seen.query else seen.body, acl)
            return 200, {"ETag": '"0"'}, b""
        if seen.method == "DELETE":
            self._remove(key)
            return 204, {}, b""
        return self._read(seen, key)

    def _read(self, seen: Seen, key: str) -> tuple[int, dict[str, str], bytes]:
        body, acl = self.objects.get(key, (b"", ""))
        public = (self.manners.acls and acl == "public-read") or key.startswith(self.manners.open_prefixes or ("\0",))
        if not _is_signed(seen) and not public:
            return (200, {}, self.manners.page) if self.manners.page else _error(403, "AccessDenied")
        return (200, {"ETag": '"0"'}, body) if key in self.objects else _error(404, "NoSuchKey")

    def _upload(self, seen: Seen, key: str) -> tuple[int, dict[str, str], bytes]:
        upload = seen.query.get("uploadId", [""])[0]
        if seen.method == "DELETE":
            del self.uploads[upload]
            return 204, {}, b""
        if seen.method == "PUT":
            self.uploads[upload] = (key, seen.body)
            return 200, {"ETag": '"0"'}, b""
        if upload:
            self.objects[key] = (self.uploads.pop(upload)[1], "private")
            return 200, {}, b"<CompleteMultipartUploadResult><ETag>0</ETag></CompleteMultipartUploadResult>"
        upload = f"upload{len(self.requests)}"
        self.uploads[upload] = (key, b"")
        words = f"<InitiateMultipartUploadResult><UploadId>{upload}</UploadId></InitiateMultipartUploadResult>"
        return 200, {}, words.encode()

    def _remove(self, key: str) -> None:
        if not self.manners.keeps_deleted:
            self.objects.pop(key, None)


def _is_signed(seen: Seen) -> bool:
    return "authorization" in seen.headers or "X-Amz-Signature" in seen.query


def _error(status: int, code: str) -> tuple[int, dict[str, str], bytes]:
    return status, {}, f"<Error><Code>{code}</Code><Message>no</Message></Error>".encode()
