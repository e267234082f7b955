# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which headers an object should have, and what is wrong with its actual ones."""

from __future__ import annotations

import os
import re
from typing import Optional

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.rules.content_types import (
    SNIFF_BYTES,
    by_content,
)
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.rules.rules import Rules
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.tree.source import Source


class Expectations:
    """The expected headers of a file's object. A file without a known extension is read to find its type."""

    def __init__(self, rules: Rules, source: Source) -> None:
        self._rules = rules
        self._source = source

    def content_type_fault(self, key: str, found: Optional[str]) -> Optional[str]:
        """Return what is wrong with a content type, or None."""
        expected = self._rules.headers(key).content_type or self._sniffed(key)
        bare = (found or "").partition(";")[0].strip().lower()
        if expected is None or bare == expected:
            return None
        return f"content type {bare or 'missing'} instead of {expected}"

    def cache_fault(self, found: Optional[str]) -> Optional[str]:
        """Return what is wrong with a cache header, or None. The order of its parts does not matter."""
        expected = self._rules.cache_control
        if not expected or (found is not None and _directives(found) == _directives(expected)):
            return None
        return f"cache header {found or 'missing'} instead of {expected}"

    def _sniffed(self, key: str) -> Optional[str]:
        try:
            descriptor = self._source.open_file(key)
        except OSError:
            return None
        try:
            return by_content(os.read(descriptor, SNIFF_BYTES))
        except OSError:
            return None
        finally:
            os.close(descriptor)


def _directives(value: str) -> set[str]:
    return {re.sub(r"\s", "", part).lower() for part in value.split(",") if part.strip()}
