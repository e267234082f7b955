# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Reads dotenv files from disk."""

from __future__ import annotations

import os
import stat

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._dotenv.errors import DotenvReadError
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._dotenv.parser import Document, parse

MAX_BYTES = 1024 * 1024


def read_variables(path: str) -> dict[str, str]:
    """Return the variables of one dotenv file as Ruby dotenv reads them: of several assignments the last wins.

    Commands (`$(...)`) are never run and references (`$NAME`) never expanded: a variable whose value holds one, and one
    that is named without a value, can't be told from the file alone and is left out.

    Raises:
        DotenvReadError: The file is missing, unreadable, no regular file, too large, or no text.
    """
    return read_document(path).values()


def read_document(path: str) -> Document:
    """Read and parse one dotenv file; symbolic links are followed.

    Raises:
        DotenvReadError: The file is missing, unreadable, no regular file, too large, or no text.
    """
    return parse(read_bytes(path)[0])


def read_bytes(path: str) -> tuple[bytes, os.stat_result]:
    """Read one file and what the file system says of the very file that was read.

    Raises:
        DotenvReadError: The file is missing, unreadable, no regular file, too large, or no text.
    """
    try:
        # Without O_NONBLOCK a FIFO would keep the task waiting for ever.
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        try:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                raise DotenvReadError(f"{path} is not a regular file; name the dotenv file itself")
            with open(descriptor, "rb", closefd=False) as stream:
                data = stream.read(MAX_BYTES + 1)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise DotenvReadError(f"{path} can't be read: {error.strerror or error}") from error
    except ValueError as error:
        raise DotenvReadError(f"{path!r} is no file name: {error}") from error
    if len(data) > MAX_BYTES:
        raise DotenvReadError(f"{path} is larger than {MAX_BYTES // 1024} KiB; that is no dotenv file")
    if b"\0" in data:
        raise DotenvReadError(f"{path} holds NUL bytes; that is no dotenv file, or not one in UTF-8")
    return data, status
