"""media_url_info names the cause of broken URLs on real stores, each of them produced as it happens in life."""

from __future__ import annotations

import json
import ssl
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from stores import certificates
from stores.fixtures import new_bucket
from sync_world import StoreWorld

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.connection.options import (
    connection_argument_spec,
)
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.options import source_argument_spec
from ansible_collections.fediverse.mastodon_s3.plugins.modules import media_url_info

PICTURE = "accounts/avatars/a b.png"
DELETED = "cache/deleted.png"
SUSPENDED = "media_attachments/files/suspended.png"
ARCHIVE = "backups/dumps/archive-0123456789abcdef.zip"
EXCLUDED = "cache/left-out/a.png"
OWN = "https://social.example"


class Asked:
    """A world, and the URLs of its bucket."""

    def __init__(self, store, path, bucket="", **options):
        self.world = StoreWorld(store, bucket or new_bucket(store), path)
        self.options = {"exclude": ["cache/left-out/**"], **options}
        self.base = f"{store.endpoint_url}/{self.world.bucket}"
        for key in (PICTURE, DELETED, ARCHIVE, EXCLUDED):
            self.world.write(key, b"\x89PNG\r\n\x1a\n" + key.encode())
        self.world.write(SUSPENDED, b"suspended", 0o600)
        if self.options.get("exposure") == "policy":
            self.world.open_by_policy("accounts", "cache", "media_attachments")
        assert not self.world.sync(**self.options)["failures"]
        self.world.sync(**self.options, source_of_truth="bucket")
        # Mastodon deletes in the bucket from now on.
        self.world.client.delete_object(Bucket=self.world.bucket, Key=DELETED)

    def result(self, url, **options):
        """Run the module in this process, and return its result."""
        spec = {**source_argument_spec(), **connection_argument_spec()}
        params = {
            **{name: entry.get("default") for name, entry in spec.items()},
            "site_url": None,
            "old_urls": [f"{OWN}/system"],
            "public_ca_bundle": self.world.store.ca_bundle,
            "url": url,
            "public_url": self.base,
            "state_dir": str(self.world.state_dir),
            "src": str(self.world.src),
            "bucket": self.world.bucket,
            **self.world.store.module_options(),
            **self.options,
            **options,
        }
        return media_url_info._run(params)

    def codes(self, url, **options):
        return [cause["code"] for cause in self.result(url, **options)["causes"]]

    def below(self, key, **options):
        return self.codes(f"{self.base}/{key.replace(' ', '%20')}", **options)


@pytest.fixture(scope="module")
def acl(rgw, tmp_path_factory):
    return Asked(rgw, tmp_path_factory.mktemp("acl"))


@pytest.fixture(scope="module")
def policy(minio, tmp_path_factory):
    return Asked(minio, tmp_path_factory.mktemp("policy"), exposure="policy")


@contextmanager
def front(answer, tls=None):
    """A web server that answers GET with what `answer(path)` returns: status, headers and body. Yields its host."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            status, headers, body = answer(self.path)
            self.send_response(status)
            for name, value in (*headers, ("Content-Length", str(len(body)))):
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_arguments):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    if tls is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(tls.certificate, tls.key)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield f"127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def through(asked, *answer, url=None, **options):
    """The causes for the picture at a media host in front of the bucket that gives this answer."""
    with front(lambda _path: answer) as host:
        return asked.codes(
            url or f"http://{host}/{PICTURE.replace(' ', '%20')}", public_url=f"http://{host}", **options
        )


@pytest.mark.parametrize("which", ["acl", "policy"])
def test_objects_as_they_are(which, request):
    asked = request.getfixturevalue(which)
    assert asked.below(PICTURE) == []
    assert asked.below(DELETED) == ["DeletedByMastodon"]
    assert asked.below(EXCLUDED) == ["NeverSent"]
    assert asked.below("cache/nowhere.png") == ["Unknown"]
    assert asked.below(ARCHIVE) == ["PrivateFolder"]
    assert asked.below(SUSPENDED) == ["PrivateObject" if which == "acl" else "NeverSent"]
    assert asked.codes("https://other.example.invalid/a.png") in (["OtherServer"], ["NameNotResolved"])


def test_the_name_of_an_archive_is_masked(acl):
    shown = json.dumps(acl.result(f"{acl.base}/{ARCHIVE}?X-Amz-Signature=secret"))
    assert "backups/dumps/***" in shown
    assert "0123456789abcdef" not in shown
    assert "X-Amz-Signature" not in shown


def test_a_file_that_is_written_after_the_switch(acl):
    acl.world.write("cache/late.png", b"late")
    assert acl.below("cache/late.png") == ["OnlyOnDisk"]


def test_an_acl_and_a_policy_that_deny(acl, policy):
    client, bucket = acl.world.client, acl.world.bucket
    client.put_object(Bucket=bucket, Key="cache/closed.png", Body=b"x", ContentType="image/png", ACL="private")
    assert acl.below("cache/closed.png") == ["AclIsPrivate"]
    policy.world.client.put_object(
        Bucket=policy.world.bucket, Key="custom_emojis/a.png", Body=b"x", ContentType="image/png"
    )
    assert policy.below("custom_emojis/a.png") == ["PolicyDenies"]


def test_a_public_access_block(aws, tmp_path):
    client, bucket = aws.client(), new_bucket(aws)
    client.delete_public_access_block(Bucket=bucket)
    asked = Asked(aws, tmp_path, bucket=bucket, exposure="policy")
    assert asked.below(PICTURE) == []
    parts = ("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets")
    client.put_public_access_block(Bucket=bucket, PublicAccessBlockConfiguration=dict.fromkeys(parts, True))
    assert asked.below(PICTURE) == ["PublicAccessBlock"]


def test_wrong_headers_in_the_bucket(acl):
    acl.world.client.put_object(
        Bucket=acl.world.bucket, Key="cache/typed.png", Body=b"x", ContentType="text/plain", ACL="public-read"
    )
    assert acl.below("cache/typed.png") == ["WrongContentType"]


def test_paths_that_are_wrong(acl):
    root = acl.world.store.endpoint_url
    assert acl.codes(f"{root}/{PICTURE.replace(' ', '%20')}") == ["BucketInPath"]
    assert acl.codes(f"{acl.base}/{acl.world.bucket}/{PICTURE.replace(' ', '%20')}") == ["BucketInPath"]
    acl.world.client.put_object(Bucket=acl.world.bucket, Key=f"live/{PICTURE}", Body=b"x", ContentType="image/png")
    assert acl.below(f"live/live/{PICTURE}", key_prefix="live") == ["KeyPrefix"]


def test_a_key_that_the_store_refuses(acl):
    wrong = {"access_key": "AKIAWRONG", "secret_key": "wrong-secret-key"}
    assert acl.below(DELETED, **wrong) == ["InvalidAccessKeyId"]


def test_media_hosts_in_front_of_the_bucket(acl):
    picture = [("Content-Type", "image/png")]
    assert through(acl, 200, picture, b"x") == []
    assert through(acl, 404, [("X-Cache-Status", "HIT")], b"") == ["CachedAnswer"]
    assert through(acl, 404, [], b"") == ["AliasPointsElsewhere"]
    assert through(acl, 502, [], b"") == ["AliasPointsElsewhere"]
    assert through(acl, 200, [("Content-Type", "text/html")], b"<html>") == ["AliasPointsElsewhere"]
    assert through(acl, 302, [("Location", "/again")], b"") == ["Redirects"]
    assert through(acl, 301, [("x-amz-bucket-region", "eu-west-1")], b"") == ["WrongRegion"]
    assert through(acl, 200, [("Content-Type", "application/octet-stream")], b"x") == ["WrongContentType"]


def test_a_site_whose_pages_can_not_use_the_media(acl):
    def site(_path):
        return 200, [("Content-Security-Policy", "img-src 'self'")], b""

    picture = ("Content-Type", "image/png")
    with front(site) as host:
        page = f"http://{host}"
        assert through(acl, 200, [picture], b"x", site_url=page) == ["CorsMissing", "PolicyBlocksMedia"]
        twice = [("Access-Control-Allow-Origin", "*")] * 2
        assert through(acl, 200, [picture, *twice], b"x", site_url=page) == ["CorsTwice", "PolicyBlocksMedia"]


def test_old_addresses(acl):
    path = PICTURE.replace(" ", "%20")
    for status in (200, 404):
        with front(lambda _path, status=status: (status, [("Content-Type", "image/png")], b"x")) as host:
            old = f"http://{host}/system"
            assert acl.codes(f"{old}/{path}", old_urls=[old]) == ["OldAddressNotRedirected"]
    with front(lambda path: (302, [("Location", f"{acl.base}{path.removeprefix('/system')}")], b"")) as host:
        old = f"http://{host}/system"
        assert acl.codes(f"{old}/{path}", old_urls=[old]) == []
        assert acl.codes(f"{old}/{DELETED}", old_urls=[old]) == ["DeletedByMastodon"]


def test_hosts_that_can_not_be_reached(acl, tmp_path):
    def cause(base, **options):
        return acl.codes(f"{base}/{DELETED}", public_url=base, **options)

    with front(lambda _path: (200, [], b"")) as host:
        assert cause(f"https://{host}") == ["NotTls"]
    assert cause(f"http://{host}") == ["ConnectionRefused"]
    assert cause("https://no-such-host.invalid") == ["NameNotResolved"]
    own = certificates.make(tmp_path / "own", ["127.0.0.1"])
    with front(lambda _path: (200, [], b""), own) as host:
        assert cause(f"https://{host}") == ["CertificateNotTrusted"]
    other = certificates.make(tmp_path / "other", ["other.example"])
    with front(lambda _path: (200, [], b""), other) as host:
        trusted = {"public_ca_bundle": str(other.authority)}
        assert cause(f"https://{host}", **trusted) == ["CertificateOfOtherHost"]


def test_the_module_as_ansible_runs_it(acl):
    result = acl.world.module(
        "fediverse.mastodon_s3.media_url_info",
        url=f"{acl.base}/{SUSPENDED}",
        public_url=acl.base,
        public_ca_bundle=acl.world.store.ca_bundle,
        src=str(acl.world.src),
        bucket=acl.world.bucket,
        state_dir=str(acl.world.state_dir),
    )
    assert (result["changed"], result["place"], result["key"]) == (False, "bucket", SUSPENDED)
    assert [cause["code"] for cause in result["causes"]] == ["PrivateObject"]
    assert (result["object"]["exists"], result["object"]["readable"]) == (True, False)
    assert result["file"] == {"exists": True, "private": True, "left_out": "", "sent": True}
