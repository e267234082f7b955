"""The bucket of `fake_s3` behind HTTP; it behaves as a test asks, and does not check signatures.

It is for what no real server can be made to do: to take a request and forget it, to stall in the middle, to say one
thing and do another, to break the connection. What stores really answer is looked at in tests/stores.
"""

from __future__ import annotations

import base64
import contextlib
import dataclasses
import hashlib
import re
import threading
import time
import typing as t
import uuid
import zlib
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape

from botocore.exceptions import ClientError
from fake_s3 import FakeS3

BUCKET = "media"
_NEVER = 10**9
_STATUS = {"NotImplemented": 501, "AccessDenied": 403}
_ARGUMENTS = {
    "cache-control": "CacheControl",
    "content-md5": "ContentMD5",
    "content-type": "ContentType",
    "x-amz-acl": "ACL",
    "x-amz-storage-class": "StorageClass",
}
_CHECKSUMS: dict[str, t.Callable[[bytes], bytes]] = {
    "x-amz-checksum-crc32": lambda body: zlib.crc32(body).to_bytes(4, "big"),
    "x-amz-checksum-sha256": lambda body: hashlib.sha256(body).digest(),
}

HttpReply = tuple[int, dict[str, str], bytes]


@dataclasses.dataclass
class Behaviour:
    """How the server behaves.

    acls: whether ACLs of objects are honoured; open_prefixes: what a policy opens to everybody.
    refuse: method and query or header to the error code or the bare status of the answer, such as
        {"PUT x-amz-acl": "NotImplemented"}.
    answers: how many requests are answered before the server stalls. delay: seconds before each answer.
    keeps_deleted: it says that objects are gone, and keeps them. page: what anybody gets in place of a refusal.
    repeats_checksums: the answer to a PUT has the checksum that was sent. etag_is_md5: otherwise it is no digest.
    """

    acls: bool = True
    open_prefixes: tuple[str, ...] = ()
    refuse: dict[str, str | int] = dataclasses.field(default_factory=dict)
    answers: int = _NEVER
    delay: float = 0
    keeps_deleted: bool = False
    page: bytes = b""
    repeats_checksums: bool = False
    etag_is_md5: bool = True


@dataclasses.dataclass(frozen=True)
class ReceivedRequest:
    """A request, with the names of its headers in lower case. `path` begins with the bucket, `key` has no slash."""

    method: str
    path: str
    query: dict[str, list[str]]
    headers: dict[str, str]
    body: bytes

    @property
    def bucket(self) -> str:
        return self.path.lstrip("/").partition("/")[0]

    @property
    def key(self) -> str:
        return self.path.lstrip("/").partition("/")[2]

    @property
    def is_signed(self) -> bool:
        return "authorization" in self.headers or "X-Amz-Signature" in self.query

    def first(self, name: str) -> str:
        """Return the value of a query parameter, empty if there is none."""
        return self.query.get(name, [""])[0]


class Exchange(BaseHTTPRequestHandler):
    """One request and its answer. A fault that a test gives to the server acts on it."""

    protocol_version = "HTTP/1.1"
    server: _HttpServer
    received: ReceivedRequest

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        headers = {name.lower(): value for name, value in self.headers.items()}
        host = f"/{BUCKET}" if headers["host"].startswith(f"{BUCKET}.") else ""
        body = self.rfile.read(int(headers.get("content-length") or 0))
        query = parse_qs(url.query, keep_blank_values=True)
        self.received = ReceivedRequest(self.command, host + unquote(url.path), query, headers, body)
        self.server.fake.handle(self)

    do_HEAD = do_PUT = do_POST = do_DELETE = do_OPTIONS = do_GET  # noqa: N815

    def go_on(self) -> None:
        """Answer as if there was no fault."""
        self.reply(*self.server.fake.answer(self.received))

    def reply(self, status: int, headers: dict[str, str], body: bytes) -> None:
        """Send an answer."""
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def reset(self) -> None:
        """End the connection."""
        self.close_connection = True
        self.connection.close()

    def stall(self) -> None:
        """Say nothing until the server is closed."""
        self.server.fake.released.wait(60)
        self.close_connection = True

    def log_message(self, *_arguments: t.Any) -> None:
        pass


class _HttpServer(ThreadingHTTPServer):
    daemon_threads = True
    fake: FakeS3Server

    def handle_error(self, _request: t.Any, _address: t.Any) -> None:
        """Log nothing about reset connections, since the tests reset them."""


Fault = t.Callable[[Exchange, str], None]


class FakeS3Server:
    """The running server.

    `s3` is the bucket, `requests` is all that came, and `sent_headers` what the last PUT of each key came with.
    A PUT meets the fault of its key in `faults_of_keys`, or else the next one in `faults`; None is no fault.
    `load` is how many PUTs were under way when each of them began.
    """

    def __init__(self) -> None:
        self.s3 = FakeS3()
        self.s3.page = 1000
        self.behaviour = Behaviour()
        self.requests: list[ReceivedRequest] = []
        self.sent_headers: dict[str, dict[str, str]] = {}
        self.faults: list[Fault | None] = []
        self.faults_of_keys: dict[str, Fault] = {}
        self.load: list[int] = []
        self.released = threading.Event()
        self._under_way = 0
        self._lock = threading.Lock()
        self._http = _HttpServer(("127.0.0.1", 0), Exchange)
        self._http.fake = self
        self.port = self._http.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self._thread = threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop the server."""
        self.released.set()
        self._http.shutdown()
        self._thread.join()
        self._http.server_close()

    def puts(self) -> list[str]:
        """Return the keys of all PUTs that came, in their order."""
        return [request.key for request in self.requests if request.method == "PUT"]

    def handle(self, exchange: Exchange) -> None:
        """Answer a request, after the delay, or do what its fault says."""
        request, fault = exchange.received, None
        put = request.method == "PUT"
        with self._lock:
            self.requests.append(request)
            number = len(self.requests)
            if put:
                self._under_way += 1
                self.load.append(self._under_way)
                fault = self.faults_of_keys.pop(request.key, None) or (self.faults.pop(0) if self.faults else None)
        try:
            if number > self.behaviour.answers:
                exchange.stall()
                return
            time.sleep(self.behaviour.delay)
            if fault is None:
                exchange.go_on()
            else:
                fault(exchange, request.key)
        finally:
            with self._lock:
                self._under_way -= put

    def answer(self, request: ReceivedRequest) -> HttpReply:
        """Return status, headers and body."""
        for rule, refusal in self.behaviour.refuse.items():
            method, _space, mark = rule.partition(" ")
            if method == request.method and (not mark or mark in request.query or mark in request.headers):
                return (refusal, {}, b"") if isinstance(refusal, int) else _error(_STATUS.get(refusal, 403), refusal)
        if not request.bucket:
            return 200, {}, b"<ListAllMyBucketsResult><Buckets/></ListAllMyBucketsResult>"
        if request.bucket != BUCKET:
            return _error(404, "NoSuchBucket")
        try:
            return self._object(request, request.key) if request.key else self._bucket(request)
        except ClientError as error:
            return _error(error.response["ResponseMetadata"]["HTTPStatusCode"], error.response["Error"]["Code"])

    def _bucket(self, request: ReceivedRequest) -> HttpReply:
        if "policy" in request.query:
            return _error(404, "NoSuchBucketPolicy")
        if "delete" in request.query:
            keys = [{"Key": key.decode()} for key in re.findall(rb"<Key>([^<]*)</Key>", request.body)]
            if not self.behaviour.keeps_deleted:
                self.s3.delete_objects(Bucket=BUCKET, Delete={"Objects": keys})
            return 200, {}, b"<DeleteResult></DeleteResult>"
        if "list-type" not in request.query:
            return _error(501, "NotImplemented")
        if not request.is_signed:
            return _error(403, "AccessDenied")
        token, after = request.first("continuation-token"), request.first("start-after")
        listed = self.s3.list_objects_v2(
            Bucket=BUCKET, Prefix=request.first("prefix"), ContinuationToken=token, StartAfter=after
        )
        more = listed.get("NextContinuationToken", "")
        found = "".join(
            f"<Contents><Key>{escape(each['Key'])}</Key><LastModified>2026-01-01T00:00:00.000Z</LastModified>"
            f"<Size>{each['Size']}</Size></Contents>"
            for each in listed["Contents"]
        )
        token = f"<NextContinuationToken>{escape(more)}</NextContinuationToken>" if more else ""
        truncated = f"<IsTruncated>{str(bool(more)).lower()}</IsTruncated>"
        return 200, {}, f"<ListBucketResult><Name>{BUCKET}</Name>{truncated}{token}{found}</ListBucketResult>".encode()

    def _object(self, request: ReceivedRequest, key: str) -> HttpReply:
        if request.method == "OPTIONS":
            return _error(403, "AccessForbidden")
        if "uploads" in request.query or "uploadId" in request.query:
            return self._multipart(request, key)
        if request.method == "PUT" and "acl" in request.query:
            self.s3.put_object_acl(Bucket=BUCKET, Key=key, ACL=request.headers.get("x-amz-acl", "private"))
            return 200, {}, b""
        if request.method == "PUT":
            return self._put(request, key)
        if request.method == "DELETE":
            if not self.behaviour.keeps_deleted:
                self.s3.delete_object(Bucket=BUCKET, Key=key)
            return 204, {}, b""
        return self._read(request, key)

    def _put(self, request: ReceivedRequest, key: str) -> HttpReply:
        sums = {name: request.headers[name] for name in _CHECKSUMS if name in request.headers}
        for name, value in sums.items():
            if base64.b64encode(_CHECKSUMS[name](request.body)).decode() != value:
                return _error(400, "BadDigest")
        arguments = {name: request.headers[header] for header, name in _ARGUMENTS.items() if header in request.headers}
        etag = self.s3.put_object(Bucket=BUCKET, Key=key, Body=request.body, **arguments)["ETag"]
        self.sent_headers[key] = request.headers
        if not self.behaviour.etag_is_md5:
            etag = f'"{uuid.uuid4().hex}-1"'
            self.s3.objects[key].etag = etag.strip('"')
        return 200, {"ETag": etag, **(sums if self.behaviour.repeats_checksums else {})}, b""

    def _read(self, request: ReceivedRequest, key: str) -> HttpReply:
        stored, behaviour = self.s3.objects.get(key), self.behaviour
        public = behaviour.acls and stored is not None and stored.acl == "public-read"
        if not request.is_signed and not public and not key.startswith(behaviour.open_prefixes or ("\0",)):
            return (200, {}, behaviour.page) if behaviour.page else _error(403, "AccessDenied")
        return (200, {"ETag": f'"{stored.etag}"'}, stored.body) if stored else _error(404, "NoSuchKey")

    def _multipart(self, request: ReceivedRequest, key: str) -> HttpReply:
        upload = request.first("uploadId")
        if request.method == "DELETE":
            self.s3.abort_multipart_upload(Bucket=BUCKET, Key=key, UploadId=upload)
            return 204, {}, b""
        if request.method == "PUT":
            etag = self.s3.upload_part(Bucket=BUCKET, Key=key, UploadId=upload, Body=request.body)["ETag"]
            return 200, {"ETag": etag}, b""
        if upload:
            etag = self.s3.complete_multipart_upload(Bucket=BUCKET, Key=key, UploadId=upload)["ETag"]
            words = f"<CompleteMultipartUploadResult><ETag>{etag}</ETag></CompleteMultipartUploadResult>"
        else:
            upload = self.s3.create_multipart_upload(Bucket=BUCKET, Key=key)["UploadId"]
            words = f"<InitiateMultipartUploadResult><UploadId>{upload}</UploadId></InitiateMultipartUploadResult>"
        return 200, {}, words.encode()


def status(number: int, code: str = "") -> Fault:
    """Return the fault of a server that answers with this status, and with an error's code if there is one."""
    return lambda exchange, _key: exchange.reply(*(_error(number, code) if code else (number, {}, b"")))


def reset_before(exchange: Exchange, _key: str) -> None:
    """Break the connection, and do nothing."""
    exchange.reset()


def reset_after(exchange: Exchange, _key: str) -> None:
    """Do what was requested, and break the connection."""
    exchange.server.fake.answer(exchange.received)
    exchange.reset()


def truncated(exchange: Exchange, _key: str) -> None:
    """Break the connection in the middle of the answer."""
    exchange.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc")
    exchange.reset()


def nonsense(exchange: Exchange, _key: str) -> None:
    """Answer with something else than HTTP."""
    exchange.wfile.write(b"SSH-2.0-OpenSSH\r\n\r\n")
    exchange.reset()


def wrong_etag(exchange: Exchange, _key: str) -> None:
    """Say that something else was stored."""
    exchange.reply(200, {"ETag": f'"{"0" * 32}"'}, b"")


def stall(exchange: Exchange, _key: str) -> None:
    """Say nothing until the server is closed."""
    exchange.stall()
    with contextlib.suppress(OSError):
        exchange.reset()


def _error(number: int, code: str) -> HttpReply:
    return number, {}, f"<Error><Code>{code}</Code><Message>no</Message></Error>".encode()
