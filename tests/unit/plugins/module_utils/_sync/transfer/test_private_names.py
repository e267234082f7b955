# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whatever fails, and however: no message of a run shows a name below a private folder, an address or a signature."""

from __future__ import annotations

import json
from urllib.parse import quote

import pytest
from old_files import Writer
from raw_server import RawServer, plain

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.connection.client import s3_client
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.connection.options import ConnectionOptions
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.engine import sync
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.execution import upload
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.options import (
    settings_from,
    sync_argument_spec,
)
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.senders import boto3_sender
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.store.store import Store
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.transfer import late_writes

KEYS = [
    "backups/dumps/1/original/archive-0123abcd.tar.gz",
    "backups/dumps/2/original/archive 0123abcd & ü.tar.gz",
    "imports/data/3/0123abcd\n.csv",
]
LISTING = b"<ListBucketResult><IsTruncated>false</IsTruncated>%s</ListBucketResult>"
OBJECT = "<Contents><Key>{}</Key><Size>1</Size><LastModified>2026-01-01T00:00:00Z</LastModified></Contents>"


def echo(request):
    """Return the body of an error that repeats all that it was asked, as some stores do."""
    said = f"no {request.target} for {request.headers.get('authorization')}, " + " or ".join(KEYS[:2])
    key = f"<Key>{KEYS[0]}</Key><Resource>{request.target}</Resource>"
    escaped = said.replace("&", "&amp;")
    return f"<Error><Code>InternalError</Code><Message>{escaped}</Message>{key}</Error>".encode()


FAULTS = {
    "closed": lambda line, request: False,
    "cut off": lambda line, request: line.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc") or False,
    "no HTTP": lambda line, request: line.send(f"{request.target}\r\n\r\n".encode()) or False,
    "refused": lambda line, request: line.send(plain(400, {}, echo(request))),
    "no XML": lambda line, request: line.send(plain(400, {}, echo(request)[:-9])),
    "silent": lambda line, request: line._server.over.wait(5) and False,
    "elsewhere": lambda line, request: line.send(plain(301, {"Location": f"http://h{request.target}"}, echo(request))),
}
# What fails, by method and a part of the target.
OPERATIONS = {
    "PUT": lambda request: request.method == "PUT" and "acl" not in request.target,
    "multipart": lambda request: "uploads" in request.target or "uploadId" in request.target,
    "HEAD": lambda request: request.method == "HEAD",
    "ACL": lambda request: request.target.endswith("?acl"),
    "DELETE": lambda request: request.method == "DELETE",
    "DELETE of many": lambda request: request.target.endswith("?delete"),
    "listing": lambda request: "list-type" in request.target,
}


class FaultyWorld(Writer):
    def __init__(self, path):
        self.src, self.path = path / "tree", path
        self.src.mkdir()
        self.fault, self.fails = None, None
        self.server = RawServer(self.answer)
        self.listed = []

    def answer(self, line, request):
        if self.fails is not None and self.fails(request):
            return self.fault(line, request)
        body = b""
        if "list-type" in request.target:
            body = LISTING % "".join(OBJECT.format(key.replace("&", "&amp;")) for key in self.listed).encode()
        line.send(plain(200, {"ETag": '"x-1"'}, body))
        return None

    def sync(self, **options):
        params = {name: spec.get("default") for name, spec in sync_argument_spec().items()}
        own = {"src": str(self.src), "bucket": "media", "state_dir": str(self.path / "state"), "minimum_age": 0}
        settings = settings_from({**params, **own, **options}, check_mode=False)
        connection = ConnectionOptions(
            endpoint_url=self.server.url,
            region="r",
            access_key="AKIAKEY",
            secret_key="secret",
            addressing_style="path",
            aws_config={"retries": {"mode": "standard", "total_max_attempts": 1}, "read_timeout": 0.5},
        )
        store = Store(lambda: s3_client(connection), "media", "", acl=True)
        try:
            return sync(settings, store)
        finally:
            store.close()


@pytest.fixture
def world(tmp_path, monkeypatch):
    monkeypatch.setattr(late_writes, "LATE_WRITE_SECONDS", 0.0)
    monkeypatch.setattr(upload, "_PAUSE_SECONDS", 0.0)
    found = FaultyWorld(tmp_path)
    yield found
    found.server.close()


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("operation", OPERATIONS)
def test_no_message_shows_a_private_name(world, operation, fault, monkeypatch):
    options = {}
    if operation == "multipart":
        monkeypatch.setattr(boto3_sender, "PART_BYTES", 3)
    if operation == "HEAD":
        world.write("accounts/a.png", b"content")
        assert world.sync().error is None
        options = {"source_of_truth": "bucket"}
    for key in KEYS:
        world.write(key, b"content")
    if operation == "ACL":
        assert world.sync(exposure="policy").error is None
    if "DELETE" in operation:
        world.write("accounts/a.png", b"content")
        assert world.sync().error is None
        for key in KEYS[1:] if operation == "DELETE" else KEYS[:2]:
            (world.src / key).unlink()
        options = {"delete": "own", "max_delete": 10}
    world.fails, world.fault = OPERATIONS[operation], FAULTS[fault]
    before = len(world.server.requests)
    report = world.sync(**options)
    asked = [request for request in world.server.requests[before:] if world.fails(request)]
    assert asked
    assert report.error is not None
    texts = [json.dumps(report.as_dict(), ensure_ascii=False), str(report.error), *report.warnings, str(report.diff())]
    for text in texts:
        for secret in ("0123abcd", quote("0123abcd\n"), "archive", "Signature=", "AKIAKEY"):
            assert secret not in text, text
