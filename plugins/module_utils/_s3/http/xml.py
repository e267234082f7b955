# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Parses the XML of a response. Pure."""

from __future__ import annotations

import re
from xml.etree import ElementTree as ET

# A document type holds entities, a few bytes of which stand for gigabytes; no answer of S3's has one. Encodings other
# than these could hide it.
_DOCTYPE = b"<!DOCTYPE"
_ENCODING = re.compile(rb"\A(?:\xef\xbb\xbf)?\s*<\?xml[^>]*?\sencoding\s*=\s*[\"']([^\"']*)")
_ENCODINGS = (b"utf-8", b"us-ascii", b"ascii", b"iso-8859-1")
# An element takes many times the memory of its text. What is shorter can't hold too many.
_LONG_BYTES = 1024 * 1024
_MOST_MARKS = 200_000
_MOST_DIGITS = 18  # so that sizes, and their sums, fit into what the journal can hold


def refuse_expensive(answer: bytes) -> None:
    """Refuse XML that would take more memory than its length suggests, before it is parsed.

    Raises:
        ValueError: It would.
    """
    if _DOCTYPE in answer:
        raise ValueError("it has a document type")
    encoding = _ENCODING.match(answer)
    if b"\0" in answer or (encoding and encoding[1].lower() not in _ENCODINGS):
        raise ValueError("it is in a strange encoding")
    if len(answer) > _LONG_BYTES and answer.count(b"<") + answer.count(b"=") > _MOST_MARKS:
        raise ValueError("it has too many elements")


def root_of(answer: bytes, name: str) -> ET.Element:
    """Return the root of a response that is a document with this name, whatever its namespace.

    Raises:
        ValueError: It is something else, is incomplete, or would take too much memory.
    """
    refuse_expensive(answer)
    try:
        root = ET.fromstring(answer)  # noqa: S314 - see refuse_expensive
    except (ET.ParseError, LookupError) as error:  # the latter of a text in an encoding that is none
        raise ValueError(f"no XML: {error}") from error
    if local_name(root.tag) != name:
        raise ValueError(f"no {name}, but {root.tag[:80]}")
    return root


def is_size(text: str) -> bool:
    """Return whether a text is a possible size of an object in bytes."""
    return text.isdecimal() and len(text) <= _MOST_DIGITS


def local_name(tag: str) -> str:
    """Return the name of an element without its namespace: stores use different ones, and some use none."""
    return tag.rpartition("}")[2]
