# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The facts about one media URL, and how it is taken apart. Pure."""

from __future__ import annotations

import enum
import typing as t
from dataclasses import dataclass, field
from urllib.parse import unquote, urlsplit

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.connection.diagnosis import StoreProblem
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.probe.content_security_policy import SitePolicy

_MOST_CHARACTERS = 4096
_PORTS = {"http": 80, "https": 443}


class UrlError(ValueError):
    """The URL can't be one of media. The text says why, without what may be secret in it."""


class Place(enum.Enum):
    """Where a URL leads.

    BUCKET: the public address of the bucket.
    OLD: the address that media on disk have on the site.
    ELSEWHERE: neither of them.
    """

    BUCKET = "bucket"
    OLD = "old"
    ELSEWHERE = "elsewhere"


@dataclass(frozen=True)
class Target:
    """What a URL stands for.

    Attributes:
        url: The URL without a query, which may be a signature.
        place: Where it leads.
        object_key: The key in the bucket that it asks for; empty if it leads elsewhere.
        other_keys: Keys that could be meant if a prefix, or the bucket, is missing or there twice.
    """

    url: str
    place: Place
    object_key: str = ""
    other_keys: tuple[str, ...] = ()


@dataclass(frozen=True)
class Hop:
    """One request of a visitor: the address, and the response as in AnonymousResponse."""

    url: str
    status: int | None
    reason: str = ""
    headers: t.Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class ObjectFacts:
    """The object, as the instance's key sees it. None means unknown.

    Attributes:
        exists: Whether there is one.
        content_type: Its content type in the bucket.
        readable: Whether its ACL lets everybody read it.
        other_key: A key of Target.other_keys that exists; empty if none does.
        blocked: The active parts of the bucket's public access block.
    """

    exists: bool | None = None
    content_type: str | None = None
    readable: bool | None = None
    other_key: str = ""
    blocked: tuple[str, ...] | None = None


@dataclass(frozen=True)
class HostFacts:
    """What the Mastodon host knows of the file. None means unknown.

    Attributes:
        on_disk: Whether there is a file.
        private: Its mode makes it private.
        left_out: Why the copy does not send it; empty if it does.
        sent: Whether the copy has sent it, by its journal.
        switched: Whether Mastodon was switched to the bucket, by the same journal.
    """

    on_disk: bool | None = None
    private: bool = False
    left_out: str = ""
    sent: bool | None = None
    switched: bool | None = None


@dataclass(frozen=True)
class Facts:
    """All facts about one URL.

    Attributes:
        target: What the URL stands for.
        bucket: The bucket's name.
        private_folder: The key is in a folder that nobody may read.
        acls: Objects have ACLs that decide who can read them.
        hops: The requests of a visitor, one for each redirect.
        page: The last response is a web page, and no file.
        origin: The site's origin; empty if it is not known.
        expected_type: The content type by the name's extension; None if that says nothing.
        direct: The same request straight to the store; None if the URL already leads there, or it is not known where.
        store: Why the store can't be used with the instance's key; None if it can, or was not asked.
        found: The object.
        host: The file.
        site: The policies of the site's pages; None if they were not read.
    """

    target: Target
    bucket: str
    private_folder: bool = False
    acls: bool = True
    hops: tuple[Hop, ...] = ()
    page: bool = False
    origin: str = ""
    expected_type: str | None = None
    direct: Hop | None = None
    store: StoreProblem | None = None
    found: ObjectFacts = ObjectFacts()
    host: HostFacts = HostFacts()
    site: SitePolicy | None = None


def checked(url: str) -> str:
    """Return the URL if it can be requested.

    Raises:
        UrlError: It is no plain http or https URL.
    """
    try:
        parts = urlsplit(url)
        fine = parts.scheme in ("http", "https") and parts.hostname and (parts.port is None or parts.port > 0)
    except ValueError:
        fine = False
    if not fine or not url.isascii() or not url.isprintable() or " " in url or len(url) > _MOST_CHARACTERS:
        raise UrlError("url is not a URL of media; copy it from the browser, with https:// in front and escaped")
    if "@" in parts.netloc:
        raise UrlError("url contains a user name; copy the URL of the picture from the browser again")
    return url


def target(url: str, *, bucket: str, key_prefix: str, public_url: str, old_urls: t.Sequence[str]) -> Target:
    """Take a URL apart.

    Args:
        url: A URL that was checked.
        bucket: The bucket's name.
        key_prefix: What all keys begin with; empty, or with a slash at its end.
        public_url: The public address of the bucket, without the prefix.
        old_urls: Addresses of the media on disk, such as https://social.example/system.

    Raises:
        UrlError: Its path leads outside.
    """
    shown = url.partition("?")[0].partition("#")[0]
    for old in old_urls:
        rest = _below(shown, old)
        if rest:
            return Target(shown, Place.OLD, key_prefix + _key(rest))
    rest = _below(shown, public_url)
    if rest:
        key = _key(rest)
        others = [key_prefix + key, key.removeprefix(key_prefix)] if key_prefix else []
        others.append(key.removeprefix(f"{bucket}/"))
        return Target(shown, Place.BUCKET, key, tuple(dict.fromkeys(each for each in others if each != key)))
    if _origin(shown) == _origin(public_url):
        # The bucket, or another part of the path, is missing.
        path = _key(urlsplit(shown).path.lstrip("/"))
        return Target(shown, Place.BUCKET, "", (path, key_prefix + path) if key_prefix else (path,))
    return Target(shown, Place.ELSEWHERE)


def _origin(url: str) -> tuple[str, int | None]:
    parts = urlsplit(url)
    return (parts.hostname or "", parts.port or _PORTS.get(parts.scheme))


def _below(url: str, base: str) -> str:
    """Return what follows `base` in a URL, whichever of both schemes they have; empty if it is not below it."""
    parts, root = urlsplit(url), urlsplit(base)
    same = parts.hostname == root.hostname and (parts.port or 0, parts.scheme) == (root.port or 0, parts.scheme)
    path = root.path.rstrip("/") + "/"
    return parts.path[len(path) :] if same and parts.path.startswith(path) else ""


def _key(path: str) -> str:
    key = unquote(path)
    if not key.isprintable() or any(part in ("", ".", "..") for part in key.split("/")):
        raise UrlError("url has a path that no media can have; copy the URL of the picture from the browser again")
    return key
