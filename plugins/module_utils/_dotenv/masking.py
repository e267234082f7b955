# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Diffs of dotenv files that show the edit, and no secret."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._dotenv.editor import Edit
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._dotenv.parser import BOM, Assignment, Document

MASK = "********"

_COMMENTED = re.compile(rb"[ \t]*#+[ \t]*(?:export[ \t]+)?([A-Za-z_][A-Za-z0-9_]*)[ \t]*=[ \t]*([^\r\n]*)")
_LINE = re.compile(rb"[^\r\n]*(?:\r\n|\n|\r|\Z)")

_SECRET_NAME = re.compile(r"SECRET|PASS|TOKEN|SALT|CREDENTIAL|PRIVATE|COOKIE|KEY(?!_PREFIX)")
# Old values of these may be shown too. Under any other name, there may be a secret.
_KNOWN_NAME = re.compile(r"S3_|EXTRA_MEDIA_HOSTS\Z|AWS_(?:REQUEST|RESPONSE)_CHECKSUM_")
# A user's name and password, or the query, of a URL; another assignment that slipped into the line.
_SECRET_TEXT = re.compile(r"://[^/\s]*@|://\S*\?|(?:SECRET|PASS|TOKEN|KEY)\w*['\"]?\s*[=:]", re.IGNORECASE)
# Shorter ones occur in ordinary words.
_TELLING_LENGTH = 6


def looks_secret(name: str) -> bool:
    """Return whether a variable with this name is likely to contain a secret."""
    return _SECRET_NAME.search(name.upper()) is not None


def masked_diff(edit: Edit, path: str, plain: Collection[str], secrets: dict[str, str]) -> dict[str, str]:
    """Return a diff for Ansible with the lines of the requested variables only.

    Values are shown unless they are given as secrets, or their name or form looks like a secret. The previous value of
    a variable is shown only if the name says what it is for.

    Args:
        edit: The edit.
        path: The file.
        plain: Names of the variables that were given openly, and of those that are removed.
        secrets: Value by name of those that were given as secrets.
    """
    # A secret in a wrong variable is still a secret.
    known = {value for value in secrets.values() if value}
    for document in (edit.before, edit.after):
        known |= {found.value for found in document.assignments if found.value and looks_secret(found.name)}
    names = {*plain, *secrets}
    given = {name for name in edit.after.last() if name in plain}
    same = {name for name in given if _last_text(edit.before, name) == _last_text(edit.after, name)}
    before = _Lines(edit.before, names, secrets, same, known)
    after = _Lines(edit.after, names, secrets, given, known, dict.fromkeys(edit.updated, " (new)"))
    return {
        "before_header": path,
        "after_header": path,
        "before": "".join(f"{line}\n" for line in before),
        "after": "".join(f"{line}\n" for line in after),
    }


def _last_text(document: Document, name: str) -> bytes | None:
    found = document.last().get(name)
    return None if found is None else document.data[found.value_start : found.value_end]


class _Lines:
    """The lines of some variables in a file; `shown` are those whose value was given openly."""

    def __init__(
        self,
        document: Document,
        names: Collection[str],
        hidden: Collection[str],
        shown: Collection[str],
        secrets: Collection[str],
        notes: dict[str, str] | None = None,
    ) -> None:
        self._shown = shown
        self._document = document
        self._names = names
        self._hidden = hidden
        self._secrets = secrets
        self._notes = notes or {}

    def __iter__(self) -> Iterator[str]:
        data = self._document.data
        places = {found.start: found for found in self._document.assignments}
        last = self._document.last()
        position = len(BOM) if data.startswith(BOM) else 0
        while position < len(data):
            found = places.get(position)
            if found:
                position = found.end
                if found.name in self._names:
                    yield self._assignment(found, counts=last.get(found.name) == found)
                continue
            comment = _COMMENTED.match(data, position)
            if comment and comment[1].decode("ascii") in self._names:
                yield "# " + self._pair(comment[1].decode("ascii"), comment[2], counts=False)
            match = _LINE.match(data, position)
            position = match.end() if match and match.end() > position else len(data)

    def _assignment(self, found: Assignment, *, counts: bool) -> str:
        head = "export " if found.export else ""
        if found.bare:
            return head + found.name
        text = self._document.data[found.value_start : found.value_end]
        return head + self._pair(found.name, text, counts=counts)

    def _pair(self, name: str, raw: bytes, *, counts: bool) -> str:
        text = raw.decode("utf-8", "replace").strip(" \t")
        shown = name not in self._hidden and not looks_secret(name)
        # An earlier assignment of the name, or a comment, contains its old value.
        shown = shown and ((counts and name in self._shown) or _KNOWN_NAME.match(name) is not None)
        if text in ("", "''", '""') or (shown and not self._looks_like_secret(text)):
            return f"{name}={text}"
        return f"{name}={MASK}{self._notes.get(name, '') if counts else ''}"

    def _looks_like_secret(self, text: str) -> bool:
        value = text.strip("'\"")
        return (
            "\n" in text
            or "\r" in text
            or _SECRET_TEXT.search(text) is not None
            or any(value == secret or (len(secret) >= _TELLING_LENGTH and secret in value) for secret in self._secrets)
        )
