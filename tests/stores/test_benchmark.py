"""The benchmark runs, and its null store checks what it says it checks."""

from __future__ import annotations

import base64
import hashlib
import subprocess
import sys
import zlib
from pathlib import Path

import pytest
from botocore.exceptions import ClientError

ROOT = Path(__file__).resolve().parents[2]

pytestmark = pytest.mark.usefixtures("null_store")


@pytest.fixture
def server(null_store):
    with null_store(verify="all") as running:
        running.store.client().create_bucket(Bucket="bench")
        yield running


def run(program, *words):
    return subprocess.run(
        [sys.executable, ROOT / "benchmarks" / program, "--python", sys.executable, "--rounds", "1", *words],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_a_comparison(tmp_path):
    done = run(
        "compare.py",
        *("--files", "50", "--stores", "null", "--only", "mastodon_s3", "bare", "--verify", "all"),
        *("--no-delay", "--dir", tmp_path),
    )
    assert done.returncode == 0, done.stderr
    assert "\n50 files, " in done.stdout
    for name, least in (("fediverse.mastodon_s3.s3_sync", 10), ("bare Python", 1)):
        (row,) = [line for line in done.stdout.splitlines() if line.startswith(f"| {name} |")]
        wall, _spread, cpu, memory = (cell.strip() for cell in row.split("|")[3:7])
        assert float(wall) > 0
        assert float(cpu) > 0
        assert float(memory) > least
    assert not list(tmp_path.iterdir())


def test_an_unchanged_tree(tmp_path):
    done = run("noop.py", "--files", "50", "--tree", "mastodon", "--dir", tmp_path)
    assert done.returncode == 0, done.stderr
    (row,) = [line for line in done.stdout.splitlines() if line.startswith("| as Mastodon's |")]
    cells = [cell.strip() for cell in row.split("|")[1:-1]]
    assert cells[1] == "50"
    assert cells[-1] == "0", "an unchanged tree costs no request"
    assert not list(tmp_path.iterdir())


def test_a_check(tmp_path):
    done = run("check.py", "--files", "50", "--no-rclone", "--dir", tmp_path)
    assert done.returncode == 0, done.stderr
    (row,) = [line for line in done.stdout.splitlines() if line.startswith("| 50 |")]
    (head,) = [line for line in done.stdout.splitlines() if line.startswith("| files |")]
    assert [cell.strip() for cell in head.split("|")[3:6]] == [
        "s3_sync_info s",
        "s3_sync_info CPU s",
        "s3_sync_info MiB",
    ]
    assert head.count("|") == row.count("|")
    wall, cpu, memory, *rclone = (cell.strip() for cell in row.split("|")[3:-1])
    assert float(wall) > 0
    assert float(cpu) > 0
    assert float(memory) > 10
    assert not any(rclone)
    assert not list(tmp_path.iterdir())


def test_the_null_store_keeps_what_it_says(server):
    client = server.store.client()
    client.put_object(
        Bucket="bench",
        Key="a b/ü+1.png",
        Body=b"12345",
        ACL="public-read",
        ContentType="image/png",
        CacheControl="no-store",
    )
    client.put_object(Bucket="bench", Key="c", Body=b"")
    assert [(found["Key"], found["Size"]) for found in client.list_objects_v2(Bucket="bench")["Contents"]] == [
        ("a b/ü+1.png", 5),
        ("c", 0),
    ]
    headers = client.head_object(Bucket="bench", Key="a b/ü+1.png")
    assert (headers["ContentType"], headers["CacheControl"]) == ("image/png", "no-store")
    pages = client.get_paginator("list_objects_v2").paginate(Bucket="bench", PaginationConfig={"PageSize": 1})
    assert [len(page["Contents"]) for page in pages] == [1, 1]
    counts = server.counts()
    assert counts["buckets"] == {"bench": {"objects": 2, "bytes": 5}}
    assert counts["requests"]["HEAD"] == 1
    client.delete_object(Bucket="bench", Key="c")
    assert server.counts(reset=True)["buckets"]["bench"]["objects"] == 1
    assert server.counts()["requests"] == {}


def test_parts_become_one_object(server):
    client, where = server.store.client(), {"Bucket": "bench", "Key": "large"}
    upload = client.create_multipart_upload(**where)["UploadId"]
    parts = []
    for number, content in ((1, b"x" * 100), (2, b"y" * 50)):
        answer = client.upload_part(**where, UploadId=upload, PartNumber=number, Body=content)
        parts.append({"PartNumber": number, "ETag": answer["ETag"]})
    client.complete_multipart_upload(**where, UploadId=upload, MultipartUpload={"Parts": parts})
    assert client.head_object(**where)["ContentLength"] == 150


@pytest.mark.parametrize(
    ("name", "digest"),
    [
        ("ContentMD5", hashlib.md5(b"another", usedforsecurity=False).digest()),
        ("ChecksumSHA256", hashlib.sha256(b"another").digest()),
        ("ChecksumCRC32", zlib.crc32(b"another").to_bytes(4, "big")),
    ],
)
def test_a_damaged_body_is_refused(server, name, digest):
    where, said = {"Bucket": "bench", "Key": "a"}, base64.b64encode(digest).decode()
    client = server.store.client()
    with pytest.raises(ClientError, match="BadDigest"):
        client.put_object(**where, Body=b"body", **{name: said})
    assert server.counts()["buckets"]["bench"]["objects"] == 0
    answer = client.put_object(**where, Body=b"another", **{name: said})
    assert name == "ContentMD5" or answer[name] == said


@pytest.mark.parametrize(
    ("keys", "code"),
    [
        ({"aws_secret_access_key": "wrong"}, "SignatureDoesNotMatch"),
        ({"aws_access_key_id": "ANOTHER"}, "InvalidAccessKeyId"),
    ],
)
def test_a_wrong_key_is_refused(server, keys, code):
    with pytest.raises(ClientError, match=code):
        server.store.client(**keys).put_object(Bucket="bench", Key="a", Body=b"body")
    assert server.counts()["buckets"]["bench"]["objects"] == 0
