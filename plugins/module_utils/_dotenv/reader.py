# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Reads dotenv files from disk."""

from __future__ import annotations

import os

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._dotenv.errors import DotenvReadError
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._dotenv.parser import Document, parse
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._files.errors import FileError
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._files.walk import read_file

MAX_BYTES = 1024 * 1024


def read_variables(path: str) -> dict[str, str]:
    """Return the variables of one dotenv file as Ruby dotenv reads them: the last assignment of a name wins.

    Commands (`$(...)`) are never run and references (`$NAME`) never expanded. Variables with such a value, and those
    that are named without a value, are left out, since the file alone does not determine them.

    Raises:
        DotenvReadError: It can't be read safely, or is not UTF-8 text.
    """
    return read_document(path).values()


def read_document(path: str) -> Document:
    """Read and parse one dotenv file; symbolic links are followed if they are safe (see `_files.walk`).

    Raises:
        DotenvReadError: It can't be read safely, or is not UTF-8 text.
    """
    data = read_bytes(path)[0]
    check_utf8(path, data)
    return parse(data)


def read_bytes(path: str) -> tuple[bytes, os.stat_result]:
    """Read one file, and the status of this very file.

    Raises:
        DotenvReadError: The file is missing, unreadable, not a regular file, too large, not text, or behind an unsafe
            symlink.
    """
    try:
        data, status = read_file(path, MAX_BYTES)
    except FileError as error:
        raise DotenvReadError(str(error)) from error
    check_text(path, data)
    return data, status


def check_text(path: str, data: bytes) -> None:
    """Refuse what can't be a dotenv file.

    Raises:
        DotenvReadError: It contains NUL bytes.
    """
    if b"\0" in data:
        raise DotenvReadError(f"{path} contains NUL bytes, so it is not a dotenv file in UTF-8; check the path")


def check_utf8(path: str, data: bytes) -> None:
    """Refuse a file that Ruby dotenv can't read.

    Raises:
        DotenvReadError: Names the line.
    """
    try:
        data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise DotenvReadError(
            f"{path}, line {line}: there is a byte that is not UTF-8, so Ruby dotenv can't read the file; write the "
            "line anew"
        ) from error
