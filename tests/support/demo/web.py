"""Stands in for Mastodon's web process: reads its env file once, hands out media URLs, and gets an upload each second.

The last thing that it does, while the media are on disk, is to suspend the user of its first upload and of a new one.

Where the media go, and what their public URLs are, is decided as in Mastodon's config/initializers/paperclip.rb.

Usage: python -m demo.web HOME   (HOME/web.json says the rest)
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import shlex
import signal
import sys
import tempfile
import threading
import time
import typing as t
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from demo.sample import partition, picture, snowflake

CACHE_CONTROL = "public, max-age=315576000, immutable"


def read_env_file(path: Path) -> dict[str, str]:
    """The variables of an env file without references and escapes, the last assignment of each."""
    variables = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        name, separator, value = line.partition("=")
        if separator and not name.startswith("#"):
            variables[name.strip()] = "".join(shlex.split(value))
    return variables


class Storage:
    """Where uploads go and what their public URLs are."""

    def __init__(self, media: Path, env: dict[str, str]) -> None:
        self.media = media
        self.env = env
        self.in_bucket = env.get("S3_ENABLED") == "true"
        self._client: t.Any = None

    def url(self, key: str) -> str:
        """The public URL of a media file."""
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

    def suspend(self, key: str) -> None:
        """Hides a picture as app/services/update_media_attachments_permissions_service.rb does on disk."""
        (self.media / key).chmod(0o600)

    def save(self, key: str, content: bytes) -> None:
        """Stores a picture as Paperclip does: written in private and then opened, or put with its ACL."""
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


def handler(storage: Storage, thumbnail: str) -> type[BaseHTTPRequestHandler]:
    """The class that answers requests."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path == "/health":
                self._answer(200, "text/plain", b"OK")
            elif self.path == "/api/v2/instance":
                answer = {"domain": storage.env["LOCAL_DOMAIN"], "thumbnail": {"url": storage.url(thumbnail)}}
                self._answer(200, "application/json", json.dumps(answer).encode())
            else:
                self._answer(404, "text/plain", b"not here")

        def _answer(self, status: int, kind: str, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *values: t.Any) -> None:  # noqa: A002 - its name in the base class
            pass

    return Handler


def note(record: Path, what: str, key: str) -> None:
    """Writes down what was done, for the checks at the end."""
    with record.open("a", encoding="utf-8") as stream:
        stream.write(f"{what} {key}\n")


def receive_upload(storage: Storage, record: Path) -> str:
    """Stores a new picture and returns its key."""
    chance = random.Random()
    key = f"media_attachments/files/{partition(snowflake(chance))}/original/{chance.getrandbits(64):016x}.jpg"
    storage.save(key, picture(chance, (320, 240), "JPEG"))
    note(record, "bucket" if storage.in_bucket else "disk", key)
    return key


def receive_uploads(storage: Storage, record: Path) -> None:
    """Stores a new picture each second, for ever."""
    while True:
        receive_upload(storage, record)
        time.sleep(1)


def leave(storage: Storage, record: Path) -> None:
    """Hides an old and a new picture, if they are on disk, and ends the process."""
    lines = record.read_text(encoding="utf-8").splitlines() if record.exists() else []
    on_disk = [key for place, key in (line.split(" ", 1) for line in lines) if place == "disk"]
    if on_disk and not storage.in_bucket:
        for key in (on_disk[0], receive_upload(storage, record)):
            storage.suspend(key)
            note(record, "suspended", key)
    os._exit(0)


def die_with(owner: int) -> None:
    """Ends this process soon after the demo itself has ended, however that happened."""
    while True:
        with contextlib.suppress(PermissionError):
            try:
                os.kill(owner, 0)
            except ProcessLookupError:
                os._exit(0)
        time.sleep(0.5)


def main() -> None:
    """Reads the settings and serves until it is killed."""
    home = Path(sys.argv[1])
    settings = json.loads((home / "web.json").read_text(encoding="utf-8"))
    live = Path(settings["live"])
    storage = Storage(live / "public" / "system", read_env_file(live / ".env.production"))
    server = ThreadingHTTPServer(("127.0.0.1", settings["port"]), handler(storage, settings["thumbnail"]))
    threading.Thread(target=die_with, args=(settings["owner"],), daemon=True).start()
    record = home / "uploads.log"
    signal.signal(signal.SIGTERM, lambda *_signal: leave(storage, record))
    threading.Thread(target=receive_uploads, args=(storage, record), daemon=True).start()
    server.serve_forever()


if __name__ == "__main__":
    main()
