# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import mimetypes

import pytest

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.rules.content_types import (
    DEFAULT,
    by_content,
    by_extension,
)

# What Mastodon accepts, app/models/media_attachment.rb, and what browsers play.
WANTED = {
    "webp": "image/webp",
    "avif": "image/avif",
    "heic": "image/heic",
    "heif": "image/heif",
    "png": "image/png",
    "jpg": "image/jpeg",
    "jpeg": "image/jpeg",
    "jfif": "image/jpeg",
    "gif": "image/gif",
    "apng": "image/apng",
    "svg": "image/svg+xml",
    "ico": "image/vnd.microsoft.icon",
    "mp4": "video/mp4",
    "m4v": "video/mp4",
    "mov": "video/quicktime",
    "webm": "video/webm",
    "3gp": "video/3gpp",
    "mp3": "audio/mpeg",
    "ogg": "audio/ogg",
    "oga": "audio/ogg",
    "opus": "audio/ogg",
    "flac": "audio/flac",
    "m4a": "audio/mp4",
    "aac": "audio/aac",
    "wav": "audio/wav",
    "wma": "audio/x-ms-wma",
    "zip": "application/zip",
    "gz": "application/gzip",
    "tar": "application/x-tar",
    "csv": "text/csv",
    "txt": "text/plain",
    "json": "application/json",
}


@pytest.mark.parametrize(("extension", "wanted"), WANTED.items())
def test_extensions(extension, wanted, monkeypatch):
    monkeypatch.setattr(mimetypes, "guess_type", None)
    assert by_extension(f"accounts/x.y/a.{extension}") == wanted
    assert by_extension(f"A.{extension.upper()}") == wanted


@pytest.mark.parametrize("key", ["a.html", "a.htm", "a.xhtml", "a.js", "a.xml"])
def test_nothing_that_runs_in_a_browser(key):
    assert by_extension(key) == "text/plain"


@pytest.mark.parametrize("key", ["a", "a.", "a.png/b", "a.unknown", "a.png_"])
def test_unknown_extensions(key):
    assert by_extension(key) is None


@pytest.mark.parametrize(
    ("start", "wanted"),
    [
        (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "image/png"),
        (b"\xff\xd8\xff\xe0\0\x10JFIF", "image/jpeg"),
        (b"GIF89a....", "image/gif"),
        (b"RIFF\x24\0\0\0WEBPVP8 ", "image/webp"),
        (b"RIFF\x24\0\0\0WAVEfmt ", "audio/wav"),
        (b"RIFF\x24\0\0\0????", DEFAULT),
        (b"\0\0\0\x1cftypavif\0\0\0\0", "image/avif"),
        (b"\0\0\0\x1cftypheic\0\0\0\0", "image/heic"),
        (b"\0\0\0\x1cftypmif1\0\0\0\0", "image/heif"),
        (b"\0\0\0\x20ftypisom\0\0\2\0", "video/mp4"),
        (b"\0\0\0\x20ftypM4A \0\0\2\0", "audio/mp4"),
        (b"\0\0\0\x14ftypqt  \0\0\0\0", "video/quicktime"),
        (b"\0\0\0\x14ftyp3gp5\0\0\0\0", "video/3gpp"),
        (b"\x1a\x45\xdf\xa3\x9f\x42\x86\x81\x01\x42\x82\x84webm", "video/webm"),
        (b"\x1a\x45\xdf\xa3\x9f\x42\x86\x81\x01\x42\x82\x88matroska", "video/x-matroska"),
        (b"OggS\0\2" + b"\0" * 22 + b"OpusHead", "audio/ogg"),
        (b"OggS\0\2" + b"\0" * 22 + b"\x80theora", "video/ogg"),
        (b"fLaC\0\0\0\x22", "audio/flac"),
        (b"ID3\4\0\0", "audio/mpeg"),
        (b"\xff\xfb\x90\x64", "audio/mpeg"),
        (b"\xff\xf1\x50\x80", "audio/aac"),
        (b"\xff\xff\xff\xff", "audio/mpeg"),
        (b"\xff\xe0\0\0", DEFAULT),
        (b"PK\3\4\x14\0", "application/zip"),
        (b"\x1f\x8b\x08", "application/gzip"),
        (b"<html><script>", DEFAULT),
        (b"", DEFAULT),
        (b"\xff", DEFAULT),
    ],
)
def test_first_bytes(start, wanted):
    assert by_content(start) == wanted
