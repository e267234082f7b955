# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Reads from a Compose file whether it runs Mastodon, its version, and its media folders.

It is read line by line, since the host may lack a YAML library. Unusual notations are not recognised.
"""

from __future__ import annotations

import os
import re
import typing as t

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._mastodon.version import Version, parse_tag

# In the order in which Compose looks for them; of each kind it takes the first, and the override is merged into it.
COMPOSE_FILES = ("compose.yaml", "compose.yml", "docker-compose.yaml", "docker-compose.yml")
OVERRIDE_FILES = (
    "compose.override.yaml",
    "compose.override.yml",
    "docker-compose.override.yaml",
    "docker-compose.override.yml",
)

_MEDIA_FOLDER = "/public/system"
_IMAGE = re.compile(
    r"^\s*image:\s*[\"']?(?P<name>\S*(?:mastodon|glitch)[^\s\"':@]*)(?P<tag>[^\s\"'#]*)", re.MULTILINE | re.IGNORECASE
)
_COMMAND = re.compile(r"^\s*(?:-\s*|command:.*)\b(?:puma|sidekiq)\b", re.MULTILINE)
_COMMENT = re.compile(r"^\s*#.*$|(?<=\s)#.*$", re.MULTILINE)
# - ./public/system:/mastodon/public/system:z
_SHORT_MOUNT = re.compile(
    r"^\s*-\s*[\"']?(?P<source>[^\s\"':][^\"'\n]*?):(?P<target>/[^\s\"':]*)(?::[^\s\"']*)?[\"']?\s*$", re.MULTILINE
)
_PAIR = re.compile(r"(?P<name>source|src|target|destination|dst):\s*[\"']?(?P<value>[^\s\"',}]+)")


class Mount(t.NamedTuple):
    """A folder or named volume of the host that is mounted as the media folder.

    Attributes:
        source: As written in the file.
        path: Its absolute path; None for a named volume, or if it contains variables.
    """

    source: str
    path: str | None


def without_comments(text: str) -> str:
    """Return the text of a Compose file without its comments. The number of lines stays the same."""
    return _COMMENT.sub("", text)


def runs_mastodon(text: str) -> bool:
    """Return whether a Compose file with this text runs Mastodon."""
    return bool(_IMAGE.search(text)) or bool(_COMMAND.search(text))


def image_version(text: str) -> Version | None:
    """Return the version in the tag of Mastodon's image; None if no tag is a version (`latest`, `${TAG}`)."""
    for found in _IMAGE.finditer(without_comments(text)):
        if "streaming" not in found["name"].lower() and found["tag"].startswith(":"):
            version = parse_tag(found["tag"][1:].split("@")[0])
            if version:
                return version
    return None


def media_mounts(text: str, folder: str) -> list[Mount]:
    """Return what is mounted as the media folder, without duplicates.

    Args:
        text: Text of the Compose file.
        folder: The folder where its relative paths start.
    """
    text = without_comments(text)
    sources = [
        match["source"].strip()
        for match in _SHORT_MOUNT.finditer(text)
        if match["target"].rstrip("/").endswith(_MEDIA_FOLDER)
    ]
    sources += [source for source, target in _long_mounts(text) if target.rstrip("/").endswith(_MEDIA_FOLDER)]
    return [Mount(source, _path_of(source, folder)) for source in dict.fromkeys(sources)]


def _long_mounts(text: str) -> t.Iterator[tuple[str, str]]:
    """Yield source and target of the mounts that are written as mappings, on one line or several."""
    for item in re.split(r"^\s*-\s", text, flags=re.MULTILINE)[1:]:
        pairs = {match["name"]: match["value"] for match in _PAIR.finditer(item)}
        source = pairs.get("source") or pairs.get("src")
        target = pairs.get("target") or pairs.get("destination") or pairs.get("dst")
        if source and target:
            yield source, target


def _path_of(source: str, folder: str) -> str | None:
    if "$" in source or not source.startswith(("/", ".", "~")):
        return None
    return os.path.normpath(os.path.join(folder, os.path.expanduser(source)))
