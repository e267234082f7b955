# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The errors of dotenv files; no message ever contains a value."""

from __future__ import annotations


class DotenvError(Exception):
    """Base of all errors of this package; `str()` is one sentence with its remedy, fit for the user."""


class DotenvReadError(DotenvError):
    """A file can't be opened, is not a regular file, or is too large for a dotenv file."""


class DotenvValueError(DotenvError):
    """A name or a value that the readers of dotenv files would understand differently."""


class DotenvEditError(DotenvError):
    """An edit that would change what is read for other variables, or would make the file unreadable."""


class DotenvWriteError(DotenvError):
    """The file can't be written, or another program has changed it in the meantime."""
