# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Reads the XML of an answer. Pure."""

from __future__ import annotations

from xml.etree import ElementTree as ET


def document(answer: bytes, name: str) -> ET.Element:
    """Return the root of an answer that is a document of this name, whatever its namespace.

    Raises ValueError: it is none, or is incomplete.
    """
    try:
        root = ET.fromstring(answer)  # noqa: S314 - botocore reads the same answer in the same way
    except (ET.ParseError, LookupError) as error:  # the latter of a text in an encoding that is none
        raise ValueError(f"no XML: {error}") from error
    if bare(root.tag) != name:
        raise ValueError(f"no {name}, but {root.tag[:80]}")
    return root


def bare(tag: str) -> str:
    """Return the name of an element without its namespace: stores have several, and some have none."""
    return tag.rpartition("}")[2]
