"""Creates the files of a sample Mastodon server: version, env file, and media with real pictures."""

from __future__ import annotations

import io
import os
import random
import secrets
import time
import zipfile
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, ImageDraw, ImageOps  # type: ignore[import-not-found, unused-ignore]

DOMAIN = "social.example"
VERSION = (4, 5, 2)
# Mastodon's ids begin with the time in milliseconds. Their last two bytes come from the database.
_SNOWFLAKE_BITS = 16
_DAY = 86400


@dataclass(frozen=True)
class Sample:
    """The files of the server.

    Attributes:
        live: The folder of the instance.
        media: Its media root.
        env_file: Its env file.
        thumbnail: Key of the picture that the instance's API names.
        suspended: Keys of the media of a suspended user.
        archive: Key of an account archive.
        left_out: Keys that must not be copied.
    """

    live: Path
    media: Path
    env_file: Path
    thumbnail: str
    suspended: tuple[str, ...]
    archive: str
    left_out: tuple[str, ...]


def partition(number: int) -> str:
    """Return the folders of an id, as Paperclip splits it: nine digits for small ids, eighteen for snowflakes."""
    digits = f"{number:09d}" if number < 10**9 else f"{number:018d}"
    return "/".join(digits[start : start + 3] for start in range(0, len(digits), 3))


def snowflake(chance: random.Random) -> int:
    """Return the id of a record that was created within the last year."""
    milliseconds = int((time.time() - chance.uniform(0, 365) * _DAY) * 1000)
    return (milliseconds << _SNOWFLAKE_BITS) + chance.getrandbits(_SNOWFLAKE_BITS)


def picture(chance: random.Random, size: tuple[int, int], kind: str) -> bytes:
    """Return a unique picture as PNG, JPEG, WEBP or animated GIF."""
    colours = [tuple(chance.randbytes(3)) for _turn in range(6)]
    ground = Image.linear_gradient("L").rotate(chance.choice((0, 90, 180, 270))).resize(size)
    image = ImageOps.colorize(ground, colours[0], colours[1])
    draw = ImageDraw.Draw(image)
    for colour in colours[2:]:
        x, y = chance.randrange(size[0]), chance.randrange(size[1])
        radius = chance.randrange(8, max(9, size[1] // 3))
        draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=colour)
    more = {"save_all": True, "append_images": [ImageOps.mirror(image)], "duration": 400} if kind == "GIF" else {}
    stream = io.BytesIO()
    image.save(stream, kind, **more)
    return stream.getvalue()


class _Tree:
    """Writes files below the media root, with Mastodon's names and modes."""

    def __init__(self, media: Path, chance: random.Random) -> None:
        self.media = media
        self.chance = chance

    def write(self, key: str, content: bytes, mode: int = 0o644) -> str:
        path = self.media / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        path.chmod(mode)
        then = time.time() - self.chance.uniform(1, 365) * _DAY
        os.utime(path, (then, then))
        return key

    def name(self, extension: str) -> str:
        return f"{self.chance.getrandbits(64):016x}.{extension}"

    def pictures(
        self, attachment: str, number: int, styles: dict[str, tuple[int, int]], extension: str, mode: int = 0o644
    ) -> tuple[str, ...]:
        """Write one attachment's picture in each style."""
        name = self.name(extension)
        kind = {"jpg": "JPEG", "jpeg": "JPEG"}.get(extension, extension.upper())
        return tuple(
            self.write(f"{attachment}/{partition(number)}/{style}/{name}", picture(self.chance, size, kind), mode)
            for style, size in styles.items()
        )

    def animated_avatar(self, number: int) -> None:
        """Write an animated avatar with its static version."""
        name = self.name("gif")
        folder = f"accounts/avatars/{partition(number)}"
        self.write(f"{folder}/original/{name}", picture(self.chance, (200, 200), "GIF"))
        self.write(f"{folder}/static/{name[:-3]}png", picture(self.chance, (200, 200), "PNG"))


def lay_out(live: Path, cached: int = 0) -> Sample:
    """Create the server in a new folder, with `cached` more pictures of other servers."""
    live.mkdir(parents=True)
    live.chmod(0o755)
    media = live / "public" / "system"
    chance = random.Random(20260101)
    tree = _Tree(media, chance)
    _write_version(live / "lib" / "mastodon" / "version.rb")
    _write_env_file(live / ".env.production")
    thumbnail = _local_media(tree)
    _remote_media(tree)
    for turn in range(cached):
        folder = ("media_attachments/files", "media_attachments/files", "accounts/avatars", "preview_cards/images")[
            turn % 4
        ]
        size = (chance.randrange(200, 900), chance.randrange(200, 700))
        tree.pictures(f"cache/{folder}", snowflake(chance), {"original": size}, "jpg")
    suspended = tree.pictures(
        "media_attachments/files", snowflake(chance), {"original": (640, 480), "small": (320, 240)}, "jpg", 0o600
    )
    return Sample(
        live=live,
        media=media,
        env_file=live / ".env.production",
        thumbnail=thumbnail,
        suspended=suspended,
        archive=_archive(tree),
        left_out=(
            tree.write(f"imports/data/{partition(7)}/original/{tree.name('csv')}", b"someone@elsewhere.example\n"),
        ),
    )


def _local_media(tree: _Tree) -> str:
    """Write the media of the server's own users. Return the key of the thumbnail."""
    attachment = {"original": (800, 600), "small": (400, 300)}
    for number in range(1, 31):
        tree.pictures("accounts/avatars", number, {"original": (200, 200)}, ("png", "jpg", "webp")[number % 3])
        tree.pictures("accounts/headers", number, {"original": (600, 200)}, ("jpg", "png")[number % 2])
    for number in range(31, 35):
        tree.animated_avatar(number)
    for turn in range(50):
        tree.pictures(
            "media_attachments/files", snowflake(tree.chance), attachment, ("jpg", "png", "webp", "gif")[turn % 4]
        )
    for number in range(1, 13):
        tree.pictures("custom_emojis/images", number, {"original": (64, 64), "static": (64, 64)}, "png")
    sizes = {"original": (800, 420), "@1x": (400, 210), "@2x": (800, 420)}
    return tree.pictures("site_uploads/files", 1, sizes, "png")[1]


def _remote_media(tree: _Tree) -> None:
    """Write cached media of other servers, which are the largest part on a real server."""
    for turn in range(90):
        tree.pictures(
            "cache/accounts/avatars", snowflake(tree.chance), {"original": (200, 200)}, ("jpg", "png")[turn % 2]
        )
    for turn in range(60):
        styles = {"original": (400, 300), "small": (200, 150)}
        tree.pictures("cache/media_attachments/files", snowflake(tree.chance), styles, ("jpg", "webp")[turn % 2])
    for number in range(100, 140):
        tree.pictures("cache/preview_cards/images", number, {"original": (400, 210)}, "jpg")
    for number in range(200, 210):
        tree.pictures("cache/custom_emojis/images", number, {"original": (64, 64), "static": (64, 64)}, "png")


def _archive(tree: _Tree) -> str:
    """Write an account archive. While it is on disk, everybody who knows its name can download it."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("outbox.json", '{"type": "OrderedCollection", "orderedItems": []}')
        archive.writestr("avatar.png", picture(tree.chance, (200, 200), "PNG"))
    name = f"archive-20260101000000-{tree.chance.getrandbits(128):032x}.zip"
    return tree.write(f"backups/dumps/{partition(1)}/original/{name}", stream.getvalue())


def _write_version(path: Path) -> None:
    path.parent.mkdir(parents=True)
    methods = [*zip(("major", "minor", "patch"), map(str, VERSION)), ("default_prerelease", "''")]
    body = "\n\n".join(f"    def {name}\n      {value}\n    end" for name, value in methods)
    path.write_text(f"module Mastodon\n  module Version\n    module_function\n\n{body}\n  end\nend\n", encoding="utf-8")


def _write_env_file(path: Path) -> None:
    """Write an env file like that of `bin/rails mastodon:setup` for a server with its media on disk."""
    lines = [
        f"# Generated with mastodon:setup on {time.strftime('%Y-%m-%d %H:%M:%S UTC', time.gmtime())}",
        "",
        f"LOCAL_DOMAIN={DOMAIN}",
        "SINGLE_USER_MODE=false",
        f"SECRET_KEY_BASE={secrets.token_hex(64)}",
        f"ACTIVE_RECORD_ENCRYPTION_DETERMINISTIC_KEY={secrets.token_urlsafe(24)}",
        f"ACTIVE_RECORD_ENCRYPTION_KEY_DERIVATION_SALT={secrets.token_urlsafe(24)}",
        f"ACTIVE_RECORD_ENCRYPTION_PRIMARY_KEY={secrets.token_urlsafe(24)}",
        f"VAPID_PRIVATE_KEY={secrets.token_urlsafe(32)}=",
        f"VAPID_PUBLIC_KEY={secrets.token_urlsafe(65)}=",
        "DB_HOST=/var/run/postgresql",
        "DB_PORT=5432",
        "DB_NAME=mastodon_production",
        "DB_USER=mastodon",
        f"DB_PASS='{secrets.token_urlsafe(12)} $#'",
        "REDIS_HOST=localhost",
        "REDIS_PORT=6379",
        "REDIS_PASSWORD=",
        "SMTP_SERVER=localhost",
        "SMTP_PORT=25",
        "SMTP_AUTH_METHOD=none",
        "SMTP_OPENSSL_VERIFY_MODE=none",
        f"SMTP_FROM_ADDRESS='Mastodon <notifications@{DOMAIN}>'",
    ]
    path.touch(mode=0o640)
    path.chmod(0o640)
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
