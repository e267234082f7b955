"""Simulates Mastodon's web process: it reads its env file, returns media addresses, and stores an upload each second.

A second process simulates Sidekiq, and does nothing.

When the web process stops while the media are on disk, it suspends the users of its first upload and of a new one.

Storage and public addresses follow the rules of Mastodon's config/initializers/paperclip.rb.

Usage: python -m demo.web serve|work HOME   (the settings are in HOME/web.json)
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import re
import shlex
import signal
import sys
import tempfile
import threading
import time
import typing as t
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from demo.sample import VERSION, partition, picture, snowflake

CACHE_CONTROL = "public, max-age=315576000, immutable"


def read_env_file(path: Path) -> dict[str, str]:
    """Return the variables of an env file that has no references and escapes. The last assignment of a name wins."""
    variables = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        name, separator, value = line.partition("=")
        if separator and not name.startswith("#"):
            variables[name.strip()] = "".join(shlex.split(value))
    return variables


class Storage:
    """Stores uploads, and computes their public addresses."""

    def __init__(self, media: Path, env: dict[str, str]) -> None:
        self.media = media
        self.env = env
        self.in_bucket = env.get("S3_ENABLED") == "true"
        self._client: t.Any = None

    def url(self, key: str) -> str:
        """Return the public address of a media file."""
        env = self.env
        if not self.in_bucket:
            return f"https://{env['LOCAL_DOMAIN']}{env.get('PAPERCLIP_ROOT_URL', '/system')}/{key}"
        key = f"{env['S3_KEY_PREFIX']}/{key}" if "S3_KEY_PREFIX" in env else key
        scheme = env.get("S3_PROTOCOL", "https")
        alias = env.get("S3_ALIAS_HOST", env.get("S3_CLOUDFRONT_HOST"))
        if alias is not None:
            return f"{scheme}://{alias}/{key}"
        host = env.get("S3_HOSTNAME", f"s3-{env.get('S3_REGION', 'us-east-1')}.amazonaws.com")
        return f"{scheme}://{host}/{env['S3_BUCKET']}/{key}"

    def policy(self) -> str:
        """Return the content security policy of the pages, as app/lib/content_security_policy.rb makes it."""
        env = self.env
        host = env.get("S3_ALIAS_HOST") or env.get("S3_CLOUDFRONT_HOST") or env.get("S3_HOSTNAME")
        hosts = [f"https://{env['LOCAL_DOMAIN']}", *([f"https://{host}"] if host else [])]
        sources = " ".join(["'self'", *hosts, *re.split(r"[\s,]+", env.get("EXTRA_MEDIA_HOSTS", ""))]).strip()
        return f"default-src 'none'; img-src {sources} data: blob:; media-src {sources}; connect-src {sources}"

    def suspend(self, key: str) -> None:
        """Make a picture private, as app/services/update_media_attachments_permissions_service.rb does on disk."""
        (self.media / key).chmod(0o600)

    def save(self, key: str, content: bytes) -> None:
        """Store a picture as Paperclip does: private until it is complete on disk, or with an ACL in the bucket."""
        if self.in_bucket:
            acl = self.env.get("S3_PERMISSION", "public-read")
            self._bucket().put_object(
                Bucket=self.env["S3_BUCKET"],
                Key=key,
                Body=content,
                ContentType="image/jpeg",
                CacheControl=CACHE_CONTROL,
                **({"ACL": acl} if acl else {}),
            )
            return
        path = self.media / key
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as stream:
            stream.write(content)
        os.replace(stream.name, path)
        path.chmod(0o644)

    def _bucket(self) -> t.Any:
        if self._client is None:
            import boto3
            from botocore.config import Config

            self._client = boto3.client(
                "s3",
                endpoint_url=self.env.get("S3_ENDPOINT"),
                region_name=self.env.get("S3_REGION", "us-east-1"),
                aws_access_key_id=self.env["AWS_ACCESS_KEY_ID"],
                aws_secret_access_key=self.env["AWS_SECRET_ACCESS_KEY"],
                config=Config(s3={"addressing_style": "path"}),
            )
        return self._client


def handler(storage: Storage, thumbnail: str, avatar: str) -> type[BaseHTTPRequestHandler]:
    """Return the class that answers requests."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path == "/":
                self._answer(200, "text/html", b"<!doctype html><title>Mastodon</title>", storage.policy())
            elif self.path == "/health":
                self._answer(200, "text/plain", b"OK")
            elif self.path == "/api/v2/instance":
                answer = {
                    "domain": storage.env["LOCAL_DOMAIN"],
                    "version": ".".join(map(str, VERSION)),
                    "thumbnail": {"url": storage.url(thumbnail)},
                }
                self._answer(200, "application/json", json.dumps(answer).encode())
            elif self.path.partition("?")[0] == "/api/v1/directory":
                accounts = [{"id": "1", "avatar": storage.url(avatar)}]
                self._answer(200, "application/json", json.dumps(accounts).encode())
            else:
                self._answer(404, "text/plain", b"not found")

        def _answer(self, status: int, kind: str, body: bytes, policy: str = "") -> None:
            self.send_response(status)
            if policy:
                self.send_header("Content-Security-Policy", policy)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *values: t.Any) -> None:  # noqa: A002 - its name in the base class
            pass

    return Handler


def log_event(log: Path, event: str, key: str) -> None:
    """Log an event for the checks at the end."""
    with log.open("a", encoding="utf-8") as stream:
        stream.write(f"{event} {key}\n")


def receive_upload(storage: Storage, log: Path) -> str:
    """Store a new picture and return its key."""
    chance = random.Random()
    key = f"media_attachments/files/{partition(snowflake(chance))}/original/{chance.getrandbits(64):016x}.jpg"
    storage.save(key, picture(chance, (320, 240), "JPEG"))
    log_event(log, "bucket" if storage.in_bucket else "disk", key)
    return key


def receive_uploads(storage: Storage, log: Path) -> None:
    """Store a new picture each second, without end."""
    while True:
        receive_upload(storage, log)
        time.sleep(1)


def stop(storage: Storage, log: Path) -> None:
    """Make an old and a new picture private, if they are on disk, and end the process."""
    lines = log.read_text(encoding="utf-8").splitlines() if log.exists() else []
    on_disk = [key for place, key in (line.split(" ", 1) for line in lines) if place == "disk"]
    if on_disk and not storage.in_bucket:
        for key in (on_disk[0], receive_upload(storage, log)):
            storage.suspend(key)
            log_event(log, "suspended", key)
    os._exit(0)


def exit_with(owner: int) -> None:
    """End this process soon after the demo itself has ended for any reason."""
    while True:
        with contextlib.suppress(PermissionError):
            try:
                os.kill(owner, 0)
            except ProcessLookupError:
                os._exit(0)
        time.sleep(0.5)


def main() -> None:
    """Read the settings, and serve requests until the process is killed."""
    kind, home = sys.argv[1], Path(sys.argv[2])
    settings = json.loads((home / "web.json").read_text(encoding="utf-8"))
    if kind == "work":
        exit_with(settings["owner"])
    live = Path(settings["live"])
    storage = Storage(live / "public" / "system", read_env_file(live / ".env.production"))
    server = ThreadingHTTPServer(
        ("127.0.0.1", settings["port"]), handler(storage, settings["thumbnail"], settings["avatar"])
    )
    threading.Thread(target=exit_with, args=(settings["owner"],), daemon=True).start()
    log = home / "uploads.log"
    signal.signal(signal.SIGTERM, lambda *_signal: stop(storage, log))
    threading.Thread(target=receive_uploads, args=(storage, log), daemon=True).start()
    server.serve_forever()


if __name__ == "__main__":
    main()
