# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Content types that don't depend on the host: by extension where it is known, else by the file's first bytes.

The answers are what Mastodon sends, and what browsers play. The table is closed on purpose: the `mime.types` of some
distributions lacks webp and avif, and a picture sent as `binary/octet-stream` is offered for download.
"""

from __future__ import annotations

from typing import Optional

DEFAULT = "application/octet-stream"
SNIFF_BYTES = 512

_BY_EXTENSION = {
    "apng": "image/apng",
    "avif": "image/avif",
    "bmp": "image/bmp",
    "gif": "image/gif",
    "heic": "image/heic",
    "heif": "image/heif",
    "ico": "image/vnd.microsoft.icon",
    "jfif": "image/jpeg",
    "jpe": "image/jpeg",
    "jpeg": "image/jpeg",
    "jpg": "image/jpeg",
    "jxl": "image/jxl",
    "png": "image/png",
    # Active only when opened by itself, and the media host is an origin of its own; as text no page could show it.
    "svg": "image/svg+xml",
    "tif": "image/tiff",
    "tiff": "image/tiff",
    "webp": "image/webp",
    "3g2": "video/3gpp2",
    "3gp": "video/3gpp",
    "avi": "video/x-msvideo",
    "m4v": "video/mp4",
    "mkv": "video/x-matroska",
    "mov": "video/quicktime",
    "mp4": "video/mp4",
    "mpeg": "video/mpeg",
    "mpg": "video/mpeg",
    "ogv": "video/ogg",
    "qt": "video/quicktime",
    "webm": "video/webm",
    "wmv": "video/x-ms-wmv",
    "aac": "audio/aac",
    "aif": "audio/aiff",
    "aiff": "audio/aiff",
    "flac": "audio/flac",
    "m4a": "audio/mp4",
    "mp3": "audio/mpeg",
    "oga": "audio/ogg",
    "ogg": "audio/ogg",
    "opus": "audio/ogg",  # RFC 7845; audio/opus is a payload of RTP
    "wav": "audio/wav",
    "weba": "audio/webm",
    "wma": "audio/x-ms-wma",
    "csv": "text/csv",
    "gz": "application/gzip",
    "json": "application/json",
    "pdf": "application/pdf",
    "tar": "application/x-tar",
    "tgz": "application/gzip",
    "txt": "text/plain",
    "zip": "application/zip",
    # Media are never pages or scripts: a file that claims to be one is shown as text and never runs on the media host.
    "htm": "text/plain",
    "html": "text/plain",
    "js": "text/plain",
    "mjs": "text/plain",
    "shtml": "text/plain",
    "xht": "text/plain",
    "xhtml": "text/plain",
    "xml": "text/plain",
}

_BY_START = (
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
    (b"BM", "image/bmp"),
    (b"II*\x00", "image/tiff"),
    (b"MM\x00*", "image/tiff"),
    (b"\x00\x00\x01\x00", "image/vnd.microsoft.icon"),
    (b"\xff\x0a", "image/jxl"),
    (b"fLaC", "audio/flac"),
    (b"ID3", "audio/mpeg"),
    (b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", "video/x-ms-asf"),
    (b"PK\x03\x04", "application/zip"),
    (b"PK\x05\x06", "application/zip"),
    (b"\x1f\x8b", "application/gzip"),
    (b"%PDF-", "application/pdf"),
)

# The major brand of an ISO base media file, https://mp4ra.org/registered-types/brands
_BY_BRAND = {
    b"avif": "image/avif",
    b"avis": "image/avif",
    b"heic": "image/heic",
    b"heix": "image/heic",
    b"hevc": "image/heic",
    b"mif1": "image/heif",
    b"msf1": "image/heif",
    b"qt  ": "video/quicktime",
    b"M4A ": "audio/mp4",
    b"M4B ": "audio/mp4",
}


def by_extension(key: str) -> Optional[str]:
    """Return the content type for the extension of `key`; None if it is missing or not known."""
    _stem, dot, extension = key.rpartition("/")[2].rpartition(".")
    return _BY_EXTENSION.get(extension.lower()) if dot else None


def by_content(start: bytes) -> str:
    """Return the content type that a file's first bytes (up to `SNIFF_BYTES`) show; `DEFAULT` if they show none."""
    if start[4:8] == b"ftyp":
        brand = start[8:12]
        return "video/3gpp" if brand.startswith(b"3g") else _BY_BRAND.get(brand, "video/mp4")
    if start.startswith(b"RIFF"):
        return {b"WEBP": "image/webp", b"WAVE": "audio/wav", b"AVI ": "video/x-msvideo"}.get(start[8:12], DEFAULT)
    if start.startswith(b"OggS"):
        return "video/ogg" if b"theora" in start[:128] else "audio/ogg"
    if start.startswith(b"\x1a\x45\xdf\xa3"):
        return "video/webm" if b"webm" in start[:64] else "video/x-matroska"
    for magic, content_type in _BY_START:
        if start.startswith(magic):
            return content_type
    return _mpeg_audio(start)


def _mpeg_audio(start: bytes) -> str:
    """Distinguish MP3 from AAC by the frame header: eleven set bits, then version and layer (layer 0 is ADTS)."""
    if len(start) < 2 or start[0] != 0xFF or start[1] & 0xE0 != 0xE0:
        return DEFAULT
    if start[1] & 0xF6 == 0xF0:
        return "audio/aac"
    return "audio/mpeg" if start[1] & 0x06 else DEFAULT
