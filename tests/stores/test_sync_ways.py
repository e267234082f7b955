"""Which way uploads go, the fast way or through boto3, depending on what lies between the host and the store."""

from __future__ import annotations

import http.client
import threading
import uuid
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

import pytest
from botocore.exceptions import ClientError
from stores.fixtures import new_bucket
from sync_world import StoreWorld

FILES = 100
SHA256_OF_NOTHING = "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="
KEYS = ["cache/a b.png", "cache/b+ü.jpg", "accounts/c.gif"]


class Proxy(BaseHTTPRequestHandler):
    """Hands requests for whole URLs on, as a forward proxy does."""

    protocol_version = "HTTP/1.1"

    def hand_on(self):
        self.server.seen.append((self.command, self.path))
        url = urlsplit(self.path)
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        onward = http.client.HTTPConnection(url.hostname, url.port, timeout=20)
        onward.request(self.command, url._replace(scheme="", netloc="").geturl(), body, dict(self.headers))
        answer = onward.getresponse()
        content = answer.read()
        self.send_response(answer.status)
        for name in ("ETag", "Content-Type"):
            if name in answer.headers:
                self.send_header(name, answer.headers[name])
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)
        onward.close()

    do_GET = do_PUT = hand_on  # noqa: N815 - the names that http.server looks for

    def log_message(self, *_arguments):
        pass


@pytest.fixture
def proxy():
    with ThreadingHTTPServer(("127.0.0.1", 0), Proxy) as server:
        server.seen = []
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


def a_world(store, path):
    world = StoreWorld(store, new_bucket(store), path)
    for key in KEYS:
        world.write(key, uuid.uuid4().bytes)
    return world


@pytest.mark.parametrize("host", ["::1", "127.0.0.1"])
def test_an_address_goes_the_fast_way(null_store, tmp_path, host):
    with null_store(host=host) as server:
        world = a_world(server.store, tmp_path)
        result = world.sync()
        assert result["uploads_by"] == {"fast": 3, "boto3": 0}, result
        assert world.objects() == world.files()


def test_a_proxy_of_the_environment_is_for_boto3(null_store, tmp_path, monkeypatch, proxy):
    with null_store() as server:
        world = a_world(server.store, tmp_path)
        with monkeypatch.context() as patch:
            for name in ("no_proxy", "NO_PROXY"):
                patch.delenv(name, raising=False)
            patch.setenv("http_proxy", f"http://127.0.0.1:{proxy.server_port}")
            result = world.sync()
        assert result["uploads_by"] == {"fast": 0, "boto3": 3}, result
        assert [method for method, _url in proxy.seen].count("PUT") == 3
        assert all(url.startswith(server.store.endpoint_url) for _method, url in proxy.seen)
        assert world.objects() == world.files()


def test_an_exception_from_the_proxy_goes_the_fast_way(null_store, tmp_path, monkeypatch, proxy):
    with null_store() as server:
        world = a_world(server.store, tmp_path)
        with monkeypatch.context() as patch:
            patch.setenv("http_proxy", f"http://127.0.0.1:{proxy.server_port}")
            patch.setenv("no_proxy", "127.0.0.1")
            result = world.sync()
        assert result["uploads_by"] == {"fast": 3, "boto3": 0}, result
        assert proxy.seen == []


def test_a_private_authority_goes_the_fast_way(minio, tmp_path):
    world = a_world(minio, tmp_path)
    assert world.sync()["uploads_by"] == {"fast": 3, "boto3": 0}
    assert world.objects() == world.files()


def test_an_authority_that_is_not_trusted_is_told(minio, tmp_path):
    world = a_world(minio, tmp_path)
    result = world.sync(aws_ca_bundle=None)
    assert result["failed"]
    assert "certificate" in result["msg"]
    assert world.objects() == {}


@pytest.mark.parametrize(
    ("kind", "url", "checksum"),
    [
        ("minio", "endpoint_url", "ChecksumCRC32"),
        ("seaweedfs", "plain_endpoint_url", "ChecksumSHA256"),
        ("versitygw", "endpoint_url", "ChecksumCRC32"),
        ("rgw", "plain_endpoint_url", None),
    ],
)
def test_a_store_that_repeats_checksums_gets_them(request, tmp_path, kind, url, checksum):
    store = request.getfixturevalue(kind)
    world = StoreWorld(store, new_bucket(store), tmp_path)
    for folder in ("accounts", "cache"):  # the first of a bucket may take SeaweedFS a second, and others overtake them
        for number in range(FILES):
            world.write(f"{folder}/{number:03}.png", b"%d" % number)
        # Few at once, so that the first answer comes before most files are begun.
        result = world.sync(endpoint_url=getattr(store, url), concurrency=4)
        assert result["uploads_by"] == {"fast": FILES, "boto3": 0}
        assert result["retries"] == {}
    of_what = Counter(
        name
        for key in world.files()
        if key.startswith("cache/")
        for name in world.client.head_object(Bucket=world.bucket, Key=key, ChecksumMode="ENABLED")
        if name in ("ChecksumCRC32", "ChecksumSHA256")
    )
    assert set(of_what) == ({checksum} if checksum else set())
    assert not checksum or of_what[checksum] > FILES / 2


@pytest.mark.parametrize("kind", ["minio", "seaweedfs", "versitygw"])
@pytest.mark.parametrize("checksum", [{"ChecksumSHA256": SHA256_OF_NOTHING}, {"ChecksumCRC32": "AAAAAA=="}])
def test_a_store_that_repeats_a_checksum_has_checked_it(request, kind, checksum):
    store = request.getfixturevalue(kind)
    client, bucket = store.client(), new_bucket(store)
    with pytest.raises(ClientError, match=r"Mismatch|BadDigest"):
        client.put_object(Bucket=bucket, Key="a", Body=b"something", **checksum)
    assert "Contents" not in client.list_objects_v2(Bucket=bucket)
