# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Corrects an object's exposure and headers without sending its content again."""

from __future__ import annotations

import os
from typing import NamedTuple, Optional

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.connection.errors import (
    NotFoundError,
    PermissionDeniedError,
    S3Error,
    UnsupportedError,
)
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.objects.objects import Head
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.content.content import (
    is_md5,
    sniffed,
    unchanged_row,
)
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.execution.upload import Uploader
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.model import (
    Action,
    Entry,
    Exposure,
    ExposureMode,
    Headers,
    Outcome,
    Result,
    Row,
    RowState,
)
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.rules.rules import Rules, applied_word
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.senders.checked import (
    exposure_now,
    is_suspended,
)
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.store.objects import ObjectStore
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.store.store import CANNED_ACL
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.tree.source import Source

# https://docs.aws.amazon.com/AmazonS3/latest/API/API_CopyObject.html
_MOST_COPIED_BYTES = 5 * 1024**3
_STANDARD = "STANDARD"  # which no store reports
_PRECONDITION_FAILED = ("PreconditionFailed", "412")


class Need(NamedTuple):
    """What an object needs: other headers, and with or without them another ACL."""

    headers: Optional[Headers]
    acl: bool


class Examiner:
    """Finds out what an object needs, and asks the store only for what the row does not know. Changes nothing."""

    def __init__(self, store: ObjectStore, source: Source, rules: Rules) -> None:
        self._store = store
        self._source = source
        self._rules = rules

    def need(self, action: Action, row: Row, exposure: Exposure) -> Optional[Need]:
        """Return what the object of `row` needs for `exposure` and the action's headers; None if it is gone.

        Raises:
            S3Error, OSError: The store or the file can't be read.
        """
        headers = self._headers(action, row)
        if headers is _GONE:
            return None
        word = applied_word(self._rules.mode, exposure)
        if self._rules.mode is not ExposureMode.ACL:
            # A copy has only the owner's ACL: so it makes an object private that may have a public one.
            was_open = row.applied in ("", applied_word(ExposureMode.ACL, Exposure.PUBLIC))
            if exposure is Exposure.PRIVATE and was_open:
                headers = headers or self._wanted(action)
            return Need(headers, acl=False)
        if row.applied == word:
            return Need(headers, acl=False)
        if row.applied or headers is not None:
            return Need(headers, acl=True)
        try:
            kept = self._store.acl(action.key)
        except (PermissionDeniedError, UnsupportedError):
            return Need(None, acl=True)
        return None if kept is None else Need(None, acl=kept.canned != CANNED_ACL[exposure])

    def _headers(self, action: Action, row: Row) -> Optional[Headers]:
        if row.headers == (action.headers or self._rules.headers(action.key)).fingerprint:
            return None
        wanted = self._wanted(action)
        if row.headers:
            return wanted
        described = self._store.describe(action.key)
        if described is None:
            return _GONE
        return None if _has(described, wanted) else wanted

    def _wanted(self, action: Action) -> Headers:
        headers = action.headers or self._rules.headers(action.key)
        if headers.content_type is not None:
            return headers
        descriptor = self._source.open_file(action.key)
        try:
            return sniffed(headers, descriptor)
        finally:
            os.close(descriptor)


class Repairer:
    """Does what an object needs. All methods raise S3Error and OSError."""

    def __init__(self, store: ObjectStore, source: Source, rules: Rules, uploader: Uploader) -> None:
        """`uploader` sends the file if there is no other way."""
        self._store = store
        self._source = source
        self._rules = rules
        self._uploader = uploader
        self._examiner = Examiner(store, source, rules)

    def compare(self, action: Action) -> Outcome:
        """Hash the file. If its content differs, send it; otherwise correct its exposure and headers."""
        same = unchanged_row(self._source, action)
        return self._uploader.upload(action) if same is None else self._repair(action, same)

    def verify(self, action: Action) -> Outcome:
        """Check the journal against the bucket first, and then do the same as `compare`."""
        stored = self._store.head(action.key)
        if action.row is None or stored is None or not stored.etag or stored.etag != action.row.etag:
            return self._uploader.upload(action)
        return self.compare(action)

    def repair(self, action: Action) -> Outcome:
        """Correct exposure and headers of an object whose content is known to be right."""
        row, entry = action.row, action.entry
        if row is None or entry is None:
            return self._uploader.upload(action)
        return self._repair(action, row._replace(**entry._asdict()))

    def _repair(self, action: Action, row: Row) -> Outcome:
        """`row` has its file's current metadata."""
        exposure = exposure_now(self._rules, action, Entry(*row[:5]))
        if exposure is None:
            return self._uploader.keep_local(action)
        need = self._examiner.need(action, row, exposure)
        if need is None or (need.headers is not None and row.size > _MOST_COPIED_BYTES):
            return self._uploader.upload(action)
        word = applied_word(self._rules.mode, exposure)
        known = row._replace(
            applied=word, headers=(action.headers or self._rules.headers(action.key)).fingerprint, ours=True
        )
        known = known._replace(state=RowState.DONE.value)
        if need.headers is None and not need.acl:
            return Outcome(action, Result.SAME, known)
        if exposure is Exposure.PUBLIC and is_suspended(self._source, self._rules, action.key):
            # Suspended a moment ago: it is not made public, and the next run judges it again.
            return self.compare(action)
        try:
            if need.headers is not None:
                known = self._described_anew(known, need.headers, exposure)
            elif need.acl:
                self._store.set_acl(action.key, exposure)
        except (NotFoundError, UnsupportedError) as error:
            if error.code == "NoSuchBucket" or (need.headers is None and not isinstance(error, NotFoundError)):
                raise
            return self._uploader.upload(action)
        except S3Error as error:
            if error.code in _PRECONDITION_FAILED:
                return self._uploader.upload(action)
            raise
        if exposure is Exposure.PUBLIC and is_suspended(self._source, self._rules, action.key):
            return self._close(action, known)
        return Outcome(action, Result.ACL_SET if need.headers is None else Result.HEADERS_SET, known)

    def _described_anew(self, row: Row, headers: Headers, exposure: Exposure) -> Row:
        etag = self._store.describe_anew(row.key, headers, exposure, etag=row.etag)
        digest = row.digest or (row.etag if is_md5(row.etag) else "")
        return row._replace(etag=etag, digest="" if digest == etag else digest)

    def _close(self, action: Action, row: Row) -> Outcome:
        if self._rules.mode is not ExposureMode.ACL:
            return self._uploader.delete_private(action)
        self._store.set_acl(action.key, Exposure.PRIVATE)
        closed = row._replace(applied=applied_word(self._rules.mode, Exposure.PRIVATE))
        return Outcome(action, Result.ACL_SET, closed)


def _has(kept: Head, wanted: Headers) -> bool:
    """Return whether an object has the wanted headers. If no storage class is wanted, any is right."""
    return (
        (kept.content_type or "") == (wanted.content_type or "")
        and (kept.cache_control or "") == (wanted.cache_control or "")
        and (wanted.storage_class is None or (kept.storage_class or _STANDARD) == wanted.storage_class)
    )


_GONE = Headers(None, None, None, "")
