# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Detects a listing that makes no progress, so that a faulty store can't cause endless requests. Pure."""

from __future__ import annotations

import typing as t

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.connection.errors import S3Error

# Pages may be empty where much was deleted or is left out; so many in a row are no listing any more.
MOST_EMPTY_PAGES = 100


class NoProgressError(S3Error):
    """A listing that does not end."""


class Pages:
    """Watches the pages of one listing. All of its methods raise NoProgressError."""

    def __init__(self, operation: str) -> None:
        self._operation = operation
        self._empty = 0
        self._tokens: set[t.Hashable] = set()  # of the empty pages in a row

    def took(self, token: t.Hashable, *, new: bool) -> None:
        """Record a page.

        Args:
            token: The token of the next page; None at the end.
            new: Whether the page contained anything that no earlier page contained.
        """
        if new:
            self._empty = 0
            self._tokens.clear()
        elif token is not None:
            self._empty += 1
            if token in self._tokens:
                raise self._error("it sends the same continuation token again and again")
            if self._empty > MOST_EMPTY_PAGES:
                raise self._error(f"{self._empty} pages in a row contained nothing new")
        if token is not None:
            self._tokens.add(token)

    def no_token(self) -> NoProgressError:
        """Return the error for a page that says that there is more, but not how to continue."""
        return self._error("it says that there are more pages, but not how to get them")

    def _error(self, fault: str) -> NoProgressError:
        return NoProgressError(
            f"the store's listing does not end: {fault}. This is a fault of the store",
            remedy="update the store's software, or ask its provider; until then use another store",
            operation=self._operation,
            code="NoProgress",
        )
