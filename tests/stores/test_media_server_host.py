"""The media host in front of a real bucket: a real nginx with the files of the role media_server."""

from __future__ import annotations

import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from nginx_world import NameServer, NginxWorld, nginx_world, request
from stores import ProgramMissingError, certificates, processes
from stores.fixtures import new_bucket

PREFIX = "one"
FOLDER = "media_attachments/files/109/574/002/original"
CACHE_CONTROL = "public, max-age=315576000, immutable"
ARCHIVE = "backups/dumps/000/000/001/original/archive.zip"
DOMAIN = "media.example"


class MediaHost:
    """A world with a bucket and a media host. `get` requests a key from it."""

    def __init__(self, world: NginxWorld, store) -> None:
        self.world = world
        self.store = store
        self.client = store.client()
        self.bucket = new_bucket(store)
        self.port = processes.free_port("127.0.0.1")
        self.http_port = processes.free_port("127.0.0.1")
        self.flag = world.folder / "fallback"
        names = NameServer()
        names.start()
        made = certificates.make(world.folder / "certs", (DOMAIN, "localhost"))
        self.authorities = world.folder / "authorities.pem"
        self.authorities.write_bytes(made.authority.read_bytes() + Path(store.ca_bundle).read_bytes())
        world.variables |= {
            "media_server_system": "none",
            "media_server_domain": DOMAIN,
            "media_server_origin": f"{store.endpoint_url.replace('127.0.0.1', 'localhost')}/{self.bucket}",
            "media_server_resolvers": [names.address],
            "media_server_ca_bundle": store.ca_bundle,
            "media_server_certificate": str(made.certificate),
            "media_server_certificate_key": str(made.key),
            "media_server_https_port": self.port,
            "media_server_http_port": self.http_port,
            "media_server_log_dir": str(world.folder),
            "media_server_cache_dir": str(world.folder / "cache"),
            "mastodon_s3_key_prefix": PREFIX,
        }

    def apply(self, *options, **variables):
        extra = json.dumps({"__media_server_fallback_file": str(self.flag)})
        status, said = self.world.apply("-e", extra, *options, **variables)
        return status, said

    def put(self, key, content=b"content", **options):
        options = {"ContentType": "image/png", "CacheControl": CACHE_CONTROL, **options}
        self.client.put_object(Bucket=self.bucket, Key=f"{PREFIX}/{key}", Body=content, **options)

    def delete(self, key):
        self.client.delete_object(Bucket=self.bucket, Key=f"{PREFIX}/{key}")

    def open_bucket(self):
        resource = f"arn:aws:s3:::{self.bucket}/*"
        allow = {"Effect": "Allow", "Principal": "*", "Action": "s3:GetObject", "Resource": resource}
        policy = json.dumps({"Version": "2012-10-17", "Statement": [allow]})
        self.client.put_bucket_policy(Bucket=self.bucket, Policy=policy)

    def get(self, key, method="GET", **headers):
        return request(self.port, f"/{PREFIX}/{key}", method, DOMAIN, tls=True, **headers)

    def probe(self):
        """What s3_storage_info finds out about who can read what, through the media host."""
        options = {
            **self.store.module_options(),
            "bucket": self.bucket,
            "key_prefix": PREFIX,
            "probe": True,
            "public_url": f"https://localhost:{self.port}/{PREFIX}",
            "aws_ca_bundle": str(self.authorities),
        }
        asked = json.dumps({"ANSIBLE_MODULE_ARGS": options})
        command = [sys.executable, "-m", "ansible_collections.fediverse.mastodon_s3.plugins.modules.s3_storage_info"]
        done = subprocess.run(command, input=asked, capture_output=True, text=True, check=False, timeout=120)
        return json.loads(done.stdout)["probe"]["open_to_everybody"]

    def secret(self):
        lines = self.world.env_file.read_text(encoding="utf-8").splitlines()
        return dict(line.split("=", 1) for line in lines)["CACHE_BUSTER_SECRET"]


@pytest.fixture
def host(minio):
    try:
        with nginx_world() as world:
            yield MediaHost(world, minio)
    except ProgramMissingError as error:
        pytest.skip(str(error))


def check_what_is_public(host):
    """What holds in all modes."""
    host.put(f"{FOLDER}/a.png", b"0123456789")
    host.put(ARCHIVE, b"archive")
    answer = host.get(f"{FOLDER}/a.png")
    assert (answer.status, answer.body) == (200, b"0123456789")
    assert answer.headers["content-type"] == "image/png"
    assert answer.headers["cache-control"] == CACHE_CONTROL
    assert answer.headers["access-control-allow-origin"] == "*"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert not [name for name in answer.headers if name.startswith("x-amz-")]
    part = host.get(f"{FOLDER}/a.png", Range="bytes=2-4")
    assert (part.status, part.body, part.headers["content-range"]) == (206, b"234", "bytes 2-4/10")
    head = host.get(f"{FOLDER}/a.png", "HEAD")
    assert (head.status, head.body, head.headers["content-length"]) == (200, b"", "10")
    assert host.get(f"{FOLDER}/a.png", If_None_Match=answer.headers["etag"]).status == 304
    assert host.get(f"{FOLDER}/a.png", "OPTIONS").headers["access-control-allow-methods"] == "GET, HEAD, OPTIONS"
    assert host.get(f"{FOLDER}/a.png", "DELETE").status == 405
    assert host.get(f"{FOLDER}/a.png", "PUT").status == 405

    for key, written in {
        "a b.png": "a%20b.png",
        "@1x+ü.png": "@1x%2B%C3%BC.png",
        "100%.png": "100%25.png",
        "(1)~'!*.png": "(1)%7E'!*.png",
    }.items():
        host.put(f"{FOLDER}/{key}", key.encode())
        assert host.get(f"{FOLDER}/{written}").body == key.encode(), key

    for path in (
        ARCHIVE,
        "backups",
        "imports/x",
        f"accounts/../{ARCHIVE}",
        f"accounts/%2e%2e/{ARCHIVE}",
        f"./{ARCHIVE}",
    ):
        assert host.get(path).status == 403, path
    for path in ("", "?list-type=2", f"../{FOLDER}/a.png", "unknown/a.png", "cache/backups/a"):
        assert host.get(path).status == 404, path
    # Ways to write a public path that another server could read differently
    for path in (
        f"backups/../{FOLDER}/a.png",
        f"{FOLDER}//a.png",
        f"{FOLDER}/%61%0d%0aX-Injected:%201",
        f"{FOLDER}%2Fa.png",
    ):
        answer = host.get(path)
        assert answer.status == 404, path
        assert "x-injected" not in answer.headers
    missing = host.get(f"{FOLDER}/missing.png")
    assert missing.status in (403, 404)
    assert missing.headers["cache-control"] == "no-store"
    assert host.bucket.encode() not in missing.body
    plain = request(host.http_port, f"/{PREFIX}/x", host=DOMAIN)
    assert (plain.status, plain.headers["location"]) == (301, f"https://{DOMAIN}/{PREFIX}/x")


def test_a_cache_that_forgets_what_mastodon_deletes(host):
    host.open_bucket()
    status, said = host.apply()
    assert status == 0, said
    assert "Restart the web and the Sidekiq units" in said
    assert host.secret() not in said
    check_what_is_public(host)

    def source(key, **headers):
        answer = host.get(key, **headers)
        return answer.status, answer.headers["x-cache-status"]

    host.put(f"{FOLDER}/b.png", b"0123456789")
    assert source(f"{FOLDER}/b.png") == (200, "MISS")
    assert source(f"{FOLDER}/b.png") == (200, "HIT")
    host.delete(f"{FOLDER}/b.png")
    assert source(f"{FOLDER}/b.png") == (200, "HIT")
    assert source(f"{FOLDER}/b.png", X_Media_Refresh="guessed") == (200, "HIT")
    assert host.get(f"{FOLDER}/b.png", X_Media_Refresh=host.secret()).status in (403, 404)
    for key in (f"{FOLDER}/b.png", f"{FOLDER}/%62.png"):
        assert host.get(key).status in (403, 404), key
    # nginx reads what is in the folder of its cache again
    host.world.stop()
    host.world.start()
    assert host.get(f"{FOLDER}/b.png").status in (403, 404)
    assert source(f"{FOLDER}/a.png") == (200, "HIT")
    host.put(f"{FOLDER}/b.png", b"again")
    assert host.get(f"{FOLDER}/b.png", X_Media_Refresh=host.secret()).body == b"again"
    assert source(f"{FOLDER}/b.png") == (200, "HIT")

    # One request for many clients, and none of them waits for the start of a file to see its end
    host.put(f"{FOLDER}/long.mp4", bytes(12_000_000), ContentType="video/mp4")
    with ThreadPoolExecutor(8) as clients:
        answers = sorted(clients.map(source, [f"{FOLDER}/long.mp4"] * 8))
    assert answers == [(200, "HIT")] * 7 + [(200, "MISS")]
    answer = host.get(f"{FOLDER}/long.mp4", Range="bytes=11999990-")
    assert (answer.status, len(answer.body), answer.headers["x-cache-status"]) == (206, 10, "BYPASS")
    log = (host.world.folder / "media_server.access.log").read_text(encoding="utf-8")
    assert "source=bucket cache=HIT" in log

    status, said = host.apply()
    assert status == 0, said
    assert "changed=0" in said


def test_a_private_bucket_with_a_fallback_to_the_disk_that_ends_without_a_reload(host):
    world = host.world
    signed = {
        "media_server_access_key": host.store.access_key,
        "media_server_secret_key": host.store.secret_key,
        "media_server_region": host.store.region,
    }
    world.put(f"{FOLDER}/disk.png", b"from disk")
    world.put(f"{FOLDER}/suspended.png", b"suspended", 0o600)
    world.put(ARCHIVE, b"archive")
    (world.media / "accounts").mkdir()
    (world.media / "accounts" / "link.png").symlink_to("/etc/passwd")
    host.put(f"{FOLDER}/bucket.png", b"from the bucket")
    status, said = host.apply(media_server_fallback=True, **signed)
    assert status == 0, said
    assert host.store.secret_key not in said
    assert (world.etc / "media_server" / "secrets.conf").stat().st_mode & 0o777 == 0o600
    check_what_is_public(host)
    answer = host.get(f"{FOLDER}/disk.png")
    assert (answer.status, answer.body) == (200, b"from disk")
    assert (answer.headers["x-media-source"], answer.headers["cache-control"]) == ("disk", "no-store")
    assert host.get(f"{FOLDER}/bucket.png").headers["x-media-source"] == "bucket"
    assert host.get(f"{FOLDER}/suspended.png").status == 403
    assert host.get("accounts/link.png").status == 403
    assert host.get(ARCHIVE).status == 403
    assert host.get(f"{FOLDER}/missing.png").status == 404

    # What the role mastodon_s3 asks before it uses such a bucket
    found = host.probe()
    assert (found["public_prefix"], found["private_prefix"], found["list"]) == (True, False, False)

    host.flag.unlink()
    assert host.get(f"{FOLDER}/disk.png").status == 404

    # With workers that may read everything
    nginx_conf = world.folder / "nginx.conf"
    nginx_conf.write_text(
        nginx_conf.read_text(encoding="utf-8").replace("user www-data;", "user root;"), encoding="utf-8"
    )
    status, said = host.apply(media_server_fallback=True, media_server_certificate="/no/such.pem")
    assert status != 0
    assert "nginx's workers run as root, so they can read files with the mode 0600" in said
    assert "There is no /no/such.pem. Get a certificate" in said
    assert not host.flag.exists()
