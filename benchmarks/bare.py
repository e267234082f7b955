"""The minimal way to send a tree in Python: walk, read, compute a checksum, sign, send, and wait for a 200.

It has no options, no journal, no listing of the bucket, no checks and no retries, so it shows which part of a
module's cost is that of the language and the machine. It reads its task as JSON from standard input.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import socket
import ssl
import stat
import sys
import time
import zlib
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.http.signature import (
    UNSIGNED_PAYLOAD,
    Credentials,
    Signer,
    encoded,
)

_CONNECTIONS = 16
_RESPONSE_BYTES = 16 * 1024
_SPLIT_DEPTH = 3  # folders at this depth are distributed among the processes


def _files(folder: str, depth: int, share: int, shares: int) -> Iterator[str]:
    with os.scandir(folder) as found:
        entries = sorted(found, key=lambda entry: entry.name)
    for number, entry in enumerate(entries):
        if entry.is_dir(follow_symlinks=False):
            if depth != _SPLIT_DEPTH or number % shares == share:
                yield from _files(entry.path, depth + 1, share, shares)
        elif stat.S_ISREG(entry.stat(follow_symlinks=False).st_mode) and (depth > _SPLIT_DEPTH or share == 0):
            yield entry.path


def _content(path: str) -> bytes:
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
    try:
        return os.read(descriptor, os.fstat(descriptor).st_size)
    finally:
        os.close(descriptor)


class _BareConnection:
    """A connection with at most one pending request."""

    def __init__(self, host: str, port: int, context: ssl.SSLContext | None) -> None:
        plain = socket.create_connection((host, port))
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket = plain if context is None else context.wrap_socket(plain, server_hostname=host)
        self._tls = context is not None
        self._pending = False

    def send(self, head: bytes, body: bytes) -> None:
        """Wait for the previous response, then send a request."""
        self.finish()
        sent = 0 if self._tls else self._socket.sendmsg((head, body))
        if sent < len(head) + len(body):
            self._socket.sendall((head + body)[sent:])
        self._pending = True

    def finish(self) -> None:
        """Wait for the response."""
        if self._pending and not self._socket.recv(_RESPONSE_BYTES).startswith(b"HTTP/1.1 200 "):
            raise SystemExit("the store refused a file")
        self._pending = False


def _send(task: dict[str, Any], share: int, shares: int) -> None:
    url = urlsplit(task["endpoint_url"])
    context = ssl.create_default_context(cafile=task["ca_bundle"]) if url.scheme == "https" else None
    signer = Signer(Credentials(task["access_key"], task["secret_key"], None), task["region"])
    connections = [_BareConnection(str(url.hostname), int(url.port or 0), context) for _number in range(_CONNECTIONS)]
    start = len(task["src"]) + 1
    for number, path in enumerate(_files(task["src"], 0, share, shares)):
        content = _content(path)
        name, digest = (
            ("x-amz-checksum-crc32", zlib.crc32(content).to_bytes(4, "big"))
            if context
            else ("x-amz-checksum-sha256", hashlib.sha256(content).digest())
        )
        target = f"/{task['bucket']}/{encoded(path[start:])}"
        described = {**task["headers"], name: base64.b64encode(digest).decode()}
        headers = signer.headers(target, url.netloc, described, UNSIGNED_PAYLOAD, time.time())
        words = "".join([f"{name}: {value}\r\n" for name, value in headers.items()])
        head = f"PUT {target} HTTP/1.1\r\n{words}content-length: {len(content)}\r\n\r\n".encode()
        connections[number % _CONNECTIONS].send(head, content)
    for connection in connections:
        connection.finish()


def main() -> int:
    """Send the tree with one process per processor. Return 0 if the store accepted all files."""
    task = json.load(sys.stdin)
    shares = len(os.sched_getaffinity(0))
    children = []
    for share in range(1, shares):
        child = os.fork()
        if not child:
            _send(task, share, shares)
            return 0
        children.append(child)
    _send(task, 0, shares)
    return max([os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children], default=0)


if __name__ == "__main__":
    sys.exit(main())
