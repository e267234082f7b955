# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Removes names of objects and credentials from the messages of libraries and stores. Pure."""

from __future__ import annotations

import re
import traceback
import typing as t
from functools import lru_cache

HIDDEN = "***"

_URL = re.compile(
    r"([a-z][a-z0-9+.-]*://)(?:[^/\s\"'<>@]*@)?([^/?#\s\"'<>]*)([/?#][^\s\"'<>]*?)?(?=[).,;:]*(?:[\s\"'<>]|\Z))",
    re.IGNORECASE,
)
# urllib3: "Max retries exceeded with url: /bucket/key".
_TARGET = re.compile(r"\b(url: ?)/[^\s\"'<>]*", re.IGNORECASE)
# What stores repeat in the bodies of errors, also where such a body is cut off or quoted inside of another.
_ELEMENTS = (
    "Key|Resource|Prefix|UploadId|AWSAccessKeyId|StringToSign(?:Bytes)?|SignatureProvided|CanonicalRequest(?:Bytes)?|"
    "Token-\\d"
)
_ELEMENT = re.compile(rf"(<|&lt;)({_ELEMENTS})(>|&gt;).*?(?:(?:<|&lt;)/\2(?:>|&gt;)|\Z)", re.DOTALL)
_MEMBER = re.compile(rf"\"({_ELEMENTS})\"(\s*:\s*)\"(?:[^\"\\]|\\.)*\"?", re.DOTALL)
# urllib3 takes half of a proxy's password for a port, and quotes it.
_MISREAD = re.compile(r"\b(Failed to parse: )[^\r\n]*")
_HEADER = re.compile(r"\b((?:proxy-)?authorization\b[\"']?\s*[:=])[^\r\n]*", re.IGNORECASE)
_SCHEME = re.compile(r"\b(AWS4-[A-Z0-9-]+|Bearer|Basic)(\s+)(?=\S*[=:/0-9])[^\r\n]*")
_PARAMETER = re.compile(
    r"\b(X-Amz-(?:Signature|Credential|Security-Token)|AWSAccessKeyId|Signature|Credential|secret_?(?:access_?)?key|"
    r"session_?token|security-?token)(\s*[\"']?\s*(?:=|:|%(?:25)*3D)\s*[\"']?)(?!\s)[^\s&\"'<>,;]+",
    re.IGNORECASE,
)


def without_secrets(text: str) -> str:
    """Return a text with only the host of each URL, and without signatures, credentials and quoted object names."""
    text = _URL.sub(lambda found: found[1] + found[2] + (f"/{HIDDEN}" if len(found[3] or "") > 1 else ""), text)
    text = _TARGET.sub(rf"\1/{HIDDEN}", text)
    text = _MISREAD.sub(rf"\1{HIDDEN}", text)
    text = _ELEMENT.sub(rf"\1\2\3{HIDDEN}\1/\2\3", text)
    text = _MEMBER.sub(rf'"\1"\2"{HIDDEN}"', text)
    text = _HEADER.sub(rf"\1 {HIDDEN}", text)
    text = _SCHEME.sub(rf"\1\2{HIDDEN}", text)
    return _PARAMETER.sub(rf"\1\2{HIDDEN}", text)


def hide_name(text: str, name: str, shown: str) -> str:
    """Return a text with `shown` in place of a name, however the name is written there.

    It may be raw, escaped as in URLs (once or several times), XML, JSON or Python, or a mixture.
    """
    return _spellings(name).sub(lambda _found: shown, text)


def hide_below(text: str, folder: str) -> str:
    """Return a text without the names below a folder, which ends with a slash. Each hides the rest of its line."""
    return _spellings_below(folder).sub(lambda _found: folder + HIDDEN, text)


@lru_cache(maxsize=64)
def _spellings(name: str) -> re.Pattern[str]:
    return re.compile("".join(map(_spelling, name)), re.IGNORECASE)


@lru_cache(maxsize=64)
def _spellings_below(folder: str) -> re.Pattern[str]:
    # What is hidden already stays as it is, with what follows it.
    return re.compile("".join(map(_spelling, folder)) + rf"(?!{re.escape(HIDDEN)})[^\r\n]*", re.IGNORECASE)


def _spelling(character: str) -> str:
    """Return an expression for all ways to write a character."""
    code = ord(character)
    ways = [re.escape(character), _percent(character), rf"&(?:amp;)*#(?:0*{code}|x0*{code:x});"]
    ways += [rf"\\+u{unit}" for unit in (_units(character),)]
    if code < 256:
        ways.append(rf"\\+x{code:02x}")
    if code >= 128:
        ways.append("".join(rf"\\+x{byte:02x}" for byte in character.encode("utf-8", "surrogateescape")))
    named = {"&": "amp", "<": "lt", ">": "gt", '"': "quot", "'": "apos"}.get(character)
    if named:
        ways.append(rf"&(?:amp;)*{named};")
    if character in "\\/\"'":
        ways.append(rf"\\+{re.escape(character)}")
    if character.isspace():
        ways += [r"\s+", r"\+", r"\\+[nrtvf]"]
    return f"(?:{'|'.join(ways)})"


def _percent(character: str) -> str:
    return "".join(f"%(?:25)*{byte:02x}" for byte in character.encode("utf-8", "surrogateescape"))


def _units(character: str) -> str:
    """Return a character in the form of JSON: code units of UTF-16, four hexadecimal digits each."""
    raw = character.encode("utf-16-be", "surrogatepass")
    return r"\\+u".join(raw[place : place + 2].hex() for place in range(0, len(raw), 2))


class Masking:
    """Masks texts.

    Attributes:
        shown: Returns a key in the form that may be shown.
        private_folders: Folders below which no name may be shown.
    """

    def __init__(self, shown: t.Callable[[str], str], private_folders: t.Iterable[str]) -> None:
        self._shown = shown
        self._private_folders = tuple(private_folders)

    def text(self, text: str, *keys: str) -> str:
        """Return a text, which may mention the keys, as it may be shown."""
        text = without_secrets(text)
        for key in keys:
            shown = self._shown(key)
            if shown != key:
                text = hide_name(text, key, shown)
                for part in _telling_parts(key):
                    text = hide_name(text, part, HIDDEN)
        for folder in self._private_folders:
            text = hide_below(text, folder)
        return text


def _telling_parts(key: str) -> list[str]:
    """Return what identifies an object if only a part of its key is quoted: its last name, with and without suffix."""
    name = key.rpartition("/")[2]
    return [part for part in (name, name.partition(".")[0]) if len(part) >= _TELLING_LENGTH]


_TELLING_LENGTH = 6


def masking_below(private_folders: t.Iterable[str]) -> Masking:
    """Return a Masking for the names below some folders, which may be written as users write them."""
    return Masking(str, [f"{folder.rstrip('/')}/" for folder in private_folders if folder.strip("/")])


def unexpected(error: Exception, private_folders: t.Iterable[str]) -> dict[str, str]:
    """Return what a module says about an unforeseen exception, in C(msg), and the traceback in C(exception)."""
    masking = masking_below(private_folders)
    trace = "".join(traceback.format_exception(type(error), error, error.__traceback__))
    return {
        "msg": masking.text(f"this is a bug, please report it ({type(error).__name__}: {error})"),
        "exception": masking.text(trace),
    }
