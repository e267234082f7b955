# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The version of an instance, from its `lib/mastodon/version.rb` (without running Ruby) or the tag of its image."""

from __future__ import annotations

import re
from dataclasses import dataclass

_METHOD = r"^[ \t]*def[ \t]+(?:self\.)?{name}[ \t]*(?:=[ \t]*|\n(?:[ \t]*(?:\#[^\n]*)?\n)*[ \t]*)(?P<body>[^\n]*)"
_ENVIRONMENT = re.compile(r"ENV(?:\.fetch)?[\[(][^\])]*[\])]")
_TAG = re.compile(
    r"v?(?P<major>\d+)\.(?P<minor>\d+)(?:\.(?P<patch>\d+))?(?:-(?P<pre>[\w.-]+))?(?:\+(?P<metadata>[\w.-]+))?$"
)
_LITERAL = re.compile(r"'([^'\n]*)'|\"([^\"\n#]*)\"")


@dataclass(frozen=True)
class Version:
    """A Mastodon version.

    Attributes:
        major: First number.
        minor: Second number.
        patch: Third number.
        prerelease: Such as `rc.1`, or an empty string.
        metadata: What a fork adds, such as `glitch`, or an empty string.
    """

    major: int
    minor: int
    patch: int
    prerelease: str = ""
    metadata: str = ""

    @property
    def string(self) -> str:
        """The three numbers, such as `4.3.0`."""
        return f"{self.major}.{self.minor}.{self.patch}"

    @property
    def full(self) -> str:
        """The version as Mastodon writes it, such as `4.3.0-rc.1+glitch`."""
        return (
            self.string
            + (f"-{self.prerelease}" if self.prerelease else "")
            + (f"+{self.metadata}" if self.metadata else "")
        )


def parse_version(text: str) -> Version | None:
    """Return the version in the text of `lib/mastodon/version.rb`; None if there is none.

    Reads the methods `major`, `minor`, `patch`, `default_prerelease` and `build_metadata`, and those of Mastodon before
    4.2 (`pre`, `flags`, `suffix`). Values from the environment of the running process are not known and are left out.
    """
    numbers = [_number(text, name) for name in ("major", "minor", "patch")]
    major, minor, patch = numbers
    if major is None or minor is None or patch is None:
        return None
    prerelease = next(filter(None, (_literal(text, name) for name in ("default_prerelease", "flags", "pre"))), "")
    metadata = next(filter(None, (_literal(text, name) for name in ("build_metadata", "suffix"))), "")
    return Version(major, minor, patch, prerelease.lstrip("-"), metadata.lstrip("+"))


def parse_tag(tag: str) -> Version | None:
    """Return the version in an image's tag such as `v4.3.1` or `4.5.0-rc.1`; None if it contains none."""
    found = _TAG.match(tag)
    if not found:
        return None
    metadata = found["metadata"] or ""
    return Version(int(found["major"]), int(found["minor"]), int(found["patch"] or 0), found["pre"] or "", metadata)


def _body(text: str, name: str) -> str:
    """Return the first line of code of a method, or an empty string."""
    found = re.search(_METHOD.format(name=name), text, re.MULTILINE)
    return found["body"].strip() if found else ""


def _number(text: str, name: str) -> int | None:
    """Return the number that a method returns, or its namesake in forks that have their own numbers."""
    for method in (name, f"upstream_{name}"):
        found = re.match(r"\d+\b", _body(text, method))
        if found:
            return int(found[0])
    return None


def _literal(text: str, name: str) -> str:
    """Return the first string in a method's first line that is not the name of an environment variable."""
    found = _LITERAL.search(_ENVIRONMENT.sub("", _body(text, name)))
    return (found[1] or found[2] or "").strip() if found else ""
