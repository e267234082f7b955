"""A TLS proxy for a Ceph RGW that simulates the object ownership and public access block of Amazon S3.

Requests are forwarded unchanged, with Host and signature, since RGW verifies them. RGW enforces what it supports, such
as the public access block. The proxy does the rest. Two differences from Amazon S3 remain: RGW does not accept
checksums in a trailer, and for calls about ownership and blocks the proxy checks the access key, not the signature.

Usage: aws_app.py SETTINGS, a JSON file with host, port, certificate, key, backend_url, access_key, secret_key, region
"""

from __future__ import annotations

import http.client
import json
import ssl
import sys
import threading
import typing as t
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

# Run as a file, Python puts this folder first, and not the one above it.
sys.path[0] = str(Path(__file__).resolve().parent.parent)

from stores import aws_rules  # noqa: E402
from stores.aws_rules import Answer, BucketSettings, Call  # noqa: E402

# They concern one connection, not the whole way. Expect is answered by our own server.
_HOP_BY_HOP = ("connection", "keep-alive", "transfer-encoding", "expect")


class Account:
    """The settings of the buckets, and the administrator's client of the store."""

    def __init__(self, options: dict[str, t.Any]) -> None:
        import boto3
        from botocore.config import Config

        self.backend = urlsplit(options["backend_url"])
        self.region = options["region"]
        self._access_key = options["access_key"]
        self._buckets: dict[str, BucketSettings] = {}
        self._lock = threading.Lock()
        self._client = boto3.client(
            "s3",
            endpoint_url=options["backend_url"],
            aws_access_key_id=options["access_key"],
            aws_secret_access_key=options["secret_key"],
            region_name=options["region"],
            config=Config(s3={"addressing_style": "path"}, request_checksum_calculation="when_required"),
        )

    def settings(self, bucket: str) -> BucketSettings:
        """Return a bucket's settings, or those of a new bucket if it is not known."""
        with self._lock:
            return self._buckets.get(bucket, BucketSettings())

    def keep(self, bucket: str, settings: BucketSettings) -> None:
        """Save a bucket's settings, and set those that the store can enforce."""
        self._client.put_public_access_block(
            Bucket=bucket,
            PublicAccessBlockConfiguration={
                **{name: settings.blocks_now(name) for name in aws_rules.BLOCKS},
                # Switched off, ACLs give nobody anything, those that were set before included.
                "IgnorePublicAcls": settings.blocks_now("IgnorePublicAcls") or settings.enforced,
                # That is refused here, with Amazon's code.
                "BlockPublicAcls": False,
            },
        )
        with self._lock:
            self._buckets[bucket] = settings

    def forget(self, bucket: str) -> None:
        """Remove the settings of a deleted bucket."""
        with self._lock:
            self._buckets.pop(bucket, None)

    def has_public_policy(self, bucket: str) -> bool:
        """Return whether the bucket's policy allows anything to everybody."""
        from botocore.exceptions import ClientError

        try:
            policy = json.loads(self._client.get_bucket_policy(Bucket=bucket)["Policy"])
        except ClientError:
            return False
        return any(
            statement["Effect"] == "Allow" and statement["Principal"] in ("*", {"AWS": "*"}, {"AWS": ["*"]})
            for statement in policy["Statement"]
        )

    def is_administrator(self, call: Call) -> bool:
        """Return whether a request has the administrator's access key."""
        return f"Credential={self._access_key}/" in call.headers.get("authorization", "")


class AwsHandler(BaseHTTPRequestHandler):
    """A client's connection, with its own connection to the store."""

    protocol_version = "HTTP/1.1"
    # Headers and body are two writes: without this the second waits for the visitor's acknowledgement.
    disable_nagle_algorithm = True
    account: Account
    _onward: http.client.HTTPConnection | None = None

    def log_message(self, *_arguments: t.Any) -> None:
        """Log nothing."""

    def _serve(self) -> None:
        headers = {name.lower(): value for name, value in self.headers.items()}
        body = self.rfile.read(int(headers.get("content-length", "0")))
        call = Call(self.command, self.path, headers, body)
        creates = call.method == "PUT" and bool(call.bucket) and not call.key and not call.query
        settings = aws_rules.at_creation(call) if creates else self.account.settings(call.bucket)
        if isinstance(settings, Answer):
            self._say(settings)
            return
        answer = self._own_answer(settings, call)
        if answer is not None:
            self._say(answer)
            return
        status, fields, content = self._forward(call)
        if 200 <= status < 300:
            if creates:
                self.account.keep(call.bucket, settings)
            elif call.method == "DELETE" and call.bucket and not call.key and not call.query:
                self.account.forget(call.bucket)
            elif call.method == "GET" and "acl" in call.query and settings.enforced:
                content = aws_rules.owner_only(content)
            elif call.method == "GET" and "location" in call.query:
                content = aws_rules.location(self.account.region)
        self._write(status, fields, content)

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = do_OPTIONS = _serve  # noqa: N815 - the base class's names

    def _own_answer(self, settings: BucketSettings, call: Call) -> Answer | None:
        """Return the proxy's own response, or None if the request has to be forwarded."""
        denied = Answer(403, "AccessDenied", "Access Denied")
        own = aws_rules.own_answer(settings, call)
        if own is not None:
            answer, after = own
            if not self.account.is_administrator(call):
                return denied
            if after != settings:
                self.account.keep(call.bucket, after)
            return answer
        if (
            call.bucket
            and not call.is_signed
            and settings.blocks_now("RestrictPublicBuckets")
            and self.account.has_public_policy(call.bucket)
        ):
            return denied
        return aws_rules.refusal(settings, call)

    def _forward(self, call: Call) -> tuple[int, list[tuple[str, str]], bytes]:
        """Forward a request unchanged, and return status, headers and body of the response."""
        for fresh in (False, True):
            if self._onward is None:
                host, port = self.account.backend.hostname, self.account.backend.port
                self._onward = http.client.HTTPConnection(str(host), port, timeout=60)
            try:
                self._onward.putrequest(call.method, call.target, skip_host=True, skip_accept_encoding=True)
                for name, value in self.headers.items():
                    if name.lower() not in _HOP_BY_HOP:
                        self._onward.putheader(name, value)
                self._onward.endheaders(call.body or None)
                answer = self._onward.getresponse()
                fields = [field for field in answer.getheaders() if field[0].lower() not in _HOP_BY_HOP]
                return answer.status, fields, answer.read()
            except (http.client.HTTPException, OSError):
                # One that was idle may have been closed; a fresh one has no excuse.
                self._onward = None
                if fresh:
                    raise
        raise AssertionError("unreachable")

    def _say(self, answer: Answer) -> None:
        self._write(answer.status, [("Content-Type", "application/xml")], answer.content())

    def _write(self, status: int, fields: list[tuple[str, str]], content: bytes) -> None:
        self.send_response_only(status)
        for name, value in fields:
            if name.lower() != "content-length" or self.command == "HEAD":
                self.send_header(name, value)
        if self.command != "HEAD" and status != 204:
            self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)


class AwsServer(ThreadingHTTPServer):
    """Handles each connection in a thread, including the TLS handshake, so that a slow client does not delay others."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, host: str, port: int, trust: ssl.SSLContext, account: Account) -> None:
        self._trust = trust
        super().__init__((host, port), type("AwsHandler", (AwsHandler,), {"account": account}))

    def get_request(self) -> tuple[t.Any, t.Any]:
        """Accept a connection."""
        connection, address = super().get_request()
        wrapped = self._trust.wrap_socket(connection, server_side=True, do_handshake_on_connect=False)
        return wrapped, address

    def handle_error(self, request: t.Any, client_address: t.Any) -> None:
        """Log nothing. Clients may close a connection early, or not trust the certificate."""
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)


def main() -> None:
    """Read the settings and serve requests."""
    options = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    trust = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trust.load_cert_chain(options["certificate"], options["key"])
    with AwsServer(options["host"], options["port"], trust, Account(options)) as server:
        server.serve_forever()


if __name__ == "__main__":
    main()
