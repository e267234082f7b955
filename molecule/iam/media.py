"""Creates a small tree with files of each exposure.

Usage: media.py ROOT
"""

from __future__ import annotations

import sys
import zlib
from pathlib import Path

# key -> whether everybody may read it; None: must not be copied
MEDIA: dict[str, bool | None] = {
    "site_uploads/files/000/000/001/@1x/0123456789abcdef.png": True,
    **{f"accounts/avatars/000/000/{number:03}/original/{number:016x}.png": True for number in range(1, 21)},
    **{f"cache/preview_cards/images/000/000/{number:03}/original/{number:016x}.png": True for number in range(1, 21)},
    **{f"media_attachments/files/000/000/{number:03}/original/{number:016x}.png": False for number in range(1, 6)},
    "backups/dumps/000/000/001/original/archive-20240302101112-0123456789abcdef0123456789abcdef.zip": False,
    "imports/data/000/000/001/original/0123456789abcdef.csv": None,
    "old_theme/banner.png": None,
}


def picture(number: int) -> bytes:
    """Return a PNG of one pixel in a unique colour."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return len(data).to_bytes(4, "big") + kind + data + zlib.crc32(kind + data).to_bytes(4, "big")

    header = chunk(b"IHDR", (1).to_bytes(4, "big") * 2 + bytes([8, 2, 0, 0, 0]))
    body = chunk(b"IDAT", zlib.compress(bytes([0, number, 0, 0])))
    return b"\x89PNG\r\n\x1a\n" + header + body + chunk(b"IEND", b"")


def main() -> None:
    """Write the files. Only its owner can read a file of a suspended user."""
    root = Path(sys.argv[1])
    for number, (key, public) in enumerate(MEDIA.items()):
        path = root / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(picture(number))
        path.chmod(0o600 if public is False and key.startswith("media_attachments/") else 0o644)


if __name__ == "__main__":
    main()
