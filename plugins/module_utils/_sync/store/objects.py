# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The interface for a bucket's objects, and the bucket of a dry run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Optional, Protocol

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.connection.errors import S3Error
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.objects.acl import Acl
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.objects.objects import Head
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.model import Exposure, Headers
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.store.store import Stored

_UNKNOWN_HEADERS = Head(None, None, "", encrypted=False)
_UNKNOWN_ACL = Acl(readable=False, changeable=False, closed=False)


class ObjectStore(Protocol):
    """Reads and changes objects without their content. See `Store`, which is the real one."""

    def head(self, key: str) -> Optional[Stored]: ...

    def describe(self, key: str) -> Optional[Head]: ...

    def acl(self, key: str) -> Optional[Acl]: ...

    def set_acl(self, key: str, exposure: Exposure) -> None: ...

    def describe_anew(self, key: str, headers: Headers, exposure: Exposure, *, etag: str) -> str: ...

    def delete(self, keys: Sequence[str]) -> dict[str, S3Error]: ...


class DryRunStore:
    """Reads from another store, and changes nothing. Without a store, the bucket is assumed to be empty.

    If the journal knows an object anyway, neither its headers nor its ACL are assumed to be right.
    """

    def __init__(self, store: Optional[ObjectStore]) -> None:
        self._store = store

    def head(self, key: str) -> Optional[Stored]:
        """Return what the store reports about an object."""
        return self._store.head(key) if self._store is not None else None

    def describe(self, key: str) -> Optional[Head]:
        """Return the headers of an object."""
        return self._store.describe(key) if self._store is not None else _UNKNOWN_HEADERS

    def acl(self, key: str) -> Optional[Acl]:
        """Return the ACL of an object."""
        return self._store.acl(key) if self._store is not None else _UNKNOWN_ACL

    def set_acl(self, key: str, exposure: Exposure) -> None:
        """Do nothing."""

    def describe_anew(self, _key: str, _headers: Headers, _exposure: Exposure, *, etag: str) -> str:
        """Do nothing."""
        return etag

    def delete(self, _keys: Sequence[str]) -> dict[str, S3Error]:
        """Do nothing."""
        return {}
