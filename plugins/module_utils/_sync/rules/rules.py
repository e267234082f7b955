# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Decides what is wanted for an entry. Pure: no file is opened, no request sent.

A file's exposure follows from its key, its mode and the prefixes:

- below a private prefix: private, whatever its mode;
- below a public prefix: public, but private if neither group nor others may read it (`mode & 0o044 == 0`), as
  Mastodon leaves the media of suspended accounts;
- anywhere else: left out.

Private files stay local if the bucket would make them public.

Patterns are matched against the whole relative path. `*` and `?` match anything but a slash, `**` matches anything,
`**/` also matches nothing, `[...]` matches a set. A pattern that matches a folder matches everything in it.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from re import Pattern
from typing import Optional

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.model import (
    Entry,
    Exposure,
    ExposureMode,
    Headers,
    Reason,
    SyncError,
    Verdict,
)
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.rules.content_types import by_extension

_READABLE_BY_OTHERS = 0o044
_PUBLIC = Verdict(Exposure.PUBLIC)
_PRIVATE = Verdict(Exposure.PRIVATE)
_LOCAL_ONLY = Verdict(None, Reason.LOCAL_ONLY)
_UNKNOWN = Verdict(None, Reason.UNKNOWN_FOLDER)
_FILTERED = Verdict(None, Reason.FILTERED)


@dataclass(frozen=True)
class Rules:
    """What the user wants for the whole tree. Prefixes end with a slash; patterns are as in the module's docstring.

    open_private: Below public prefixes, modes have no meaning. Only without ACLs, where private files would stay local.
    """

    mode: ExposureMode
    public_prefixes: tuple[str, ...]
    private_prefixes: tuple[str, ...]
    include: Optional[Pattern[str]] = None
    exclude: Optional[Pattern[str]] = None
    cache_control: Optional[str] = None
    storage_class: Optional[str] = None
    minimum_age_ns: int = 60 * 10**9
    open_private: bool = False

    def scope(self, key: str) -> Verdict:
        """Return the exposure that the location of `key` allows, or why it is left out (also for objects)."""
        if (self.exclude and self.exclude.match(key)) or (self.include and not self.include.match(key)):
            return _FILTERED
        if key.startswith(self.private_prefixes):
            return _PRIVATE
        if key.startswith(self.public_prefixes):
            return _PUBLIC
        return _UNKNOWN

    def judge(self, entry: Entry) -> Verdict:
        """Return what is wanted for a file, regardless of its age."""
        verdict = self.scope(entry.key)
        if verdict is _PUBLIC and self.hides(entry.mode):
            return _PRIVATE if self.mode is ExposureMode.ACL else _LOCAL_ONLY
        if verdict is _PRIVATE and self.mode is ExposureMode.OPEN_BUCKET:
            return _LOCAL_ONLY
        return verdict

    def hides(self, mode: int) -> bool:
        """Return whether a file of this mode is private in any location."""
        return looks_private(mode) and not self.open_private

    def hides_public(self, entry: Entry) -> bool:
        """Return whether a file is in a public location, but its mode makes it private."""
        return self.hides(entry.mode) and self.scope(entry.key) is _PUBLIC

    def may_be_unfinished(self, entry: Entry, now_ns: int) -> bool:
        """Return whether a file in a public location may look private only because it is still being written."""
        return self.is_fresh(entry, now_ns) and self.hides_public(entry)

    def concerns(self, folder: str) -> bool:
        """Return whether a folder (ending with a slash, or empty for the root) may contain files to send."""
        if self.exclude and self.exclude.match(folder):
            return False
        wanted = self.public_prefixes + self.private_prefixes
        return folder.startswith(wanted) or any(prefix.startswith(folder) for prefix in wanted)

    def is_fresh(self, entry: Entry, now_ns: int) -> bool:
        """Return whether a file that looks private may still be being written: new files have mode 0600."""
        return now_ns - entry.ctime_ns < self.minimum_age_ns

    def headers(self, key: str) -> Headers:
        """Return the headers for the object of `key`."""
        name = key[key.rfind("/") + 1 :]
        return _headers(name[name.rfind(".") :], self.cache_control, self.storage_class)

    def masked(self, key: str) -> str:
        """Return `key` as it may be shown: names outside the public prefixes must stay secret."""
        for prefix in self.private_prefixes:
            if key.startswith(prefix):
                return f"{prefix}***"
        if key.startswith(self.public_prefixes):
            return key
        folder, slash, _name = key.partition("/")
        return f"{folder}/***" if slash else key


def looks_private(mode: int) -> bool:
    """Return whether neither group nor others may read a file of this mode."""
    return mode & _READABLE_BY_OTHERS == 0


def applied_word(mode: ExposureMode, exposure: Exposure) -> str:
    """Return the journal's word for an exposure that was set in this mode."""
    return mode + ":" + exposure  # faster than a format string, since this is needed for each file


def prefixes(option: str, values: Sequence[str]) -> tuple[str, ...]:
    """Return prefixes that end with a slash, from values that may end with one.

    Raises:
        SyncError: A value is empty or begins with a slash.
    """
    found = []
    for value in values:
        folder = value.rstrip("/")
        if not folder or value.startswith("/") or ".." in folder.split("/"):
            raise SyncError(
                f"{option}: {value!r} is not a folder of the tree: write it relative to src, like accounts/"
            )
        found.append(f"{folder}/")
    return tuple(found)


def patterns(option: str, values: Sequence[str]) -> Optional[Pattern[str]]:
    """Return one expression that matches if any of the patterns does; None without patterns.

    Raises:
        SyncError: A pattern is empty or absolute and so would never match, or contains an invalid set.
    """
    for value in values:
        if not value or value.startswith("/"):
            raise SyncError(f"{option}: {value!r} never matches: patterns are relative to src, like cache/**")
    if not values:
        return None
    try:
        return re.compile(
            "(?:" + "|".join(_expression(value.rstrip("/")) for value in values) + r")(?:/.*)?\Z", re.DOTALL
        )
    except re.error as error:
        raise SyncError(f"{option}: {error.msg} in {', '.join(values)}: write a set like [a-z]") from error


_SET_SPECIAL = re.compile(r"[\\^\[\]&~|]")
_TOKEN = re.compile(r"\*\*/|\*\*|\*|\?|\[!?\]?[^\]]*\]|.", re.DOTALL)


def _expression(pattern: str) -> str:
    return "".join(_translate(token) for token in _TOKEN.findall(pattern))


def _translate(token: str) -> str:
    fixed = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}.get(token)
    if fixed is not None:
        return fixed
    if len(token) > 1:
        inverted = token[1] == "!"
        body = _SET_SPECIAL.sub(r"\\\g<0>", token[2:-1] if inverted else token[1:-1])
        if body:
            return f"[^/{body}]" if inverted else f"[{body}]"
    return re.escape(token)


@lru_cache(maxsize=1024)
def _headers(ending: str, cache_control: Optional[str], storage_class: Optional[str]) -> Headers:
    content_type = by_extension(ending)
    said = "\n".join((content_type or "sniffed", cache_control or "", storage_class or ""))
    return Headers(content_type, cache_control, storage_class, hashlib.sha256(said.encode()).hexdigest()[:16])
