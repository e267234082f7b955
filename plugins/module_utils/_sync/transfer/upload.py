# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Sends one file: opens it, judges it once more, sends it, and looks whether it is still what was judged."""

from __future__ import annotations

import hashlib
import os
import time
from typing import BinaryIO, Callable, NamedTuple, Optional

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.errors import S3Error
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.model import (
    Action,
    Entry,
    Exposure,
    ExposureMode,
    Failure,
    Headers,
    Outcome,
    Reason,
    Result,
    Row,
    RowState,
)
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.plan.plan import WITHDRAWN
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.rules.rules import Rules, applied_word
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.store.store import Store, Stored
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.transfer.content import (
    PartReader,
    is_rewritten,
    sniffed,
)
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.transfer.pace import jittered
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.tree.source import NotRegularError, Source
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.tree.walk import entry_of

PART_BYTES = 8 * 1024 * 1024
_MAX_PARTS = 10_000
_ATTEMPTS = 3
_PAUSE_SECONDS = 0.3


class _Sent(NamedTuple):
    stored: Stored
    md5: str
    size: int


class _DamagedError(Exception):
    """What the store holds is not what was sent."""


class Uploader:
    """Sends files to one store. All methods raise S3Error and OSError."""

    def __init__(
        self, store: Store, source: Source, rules: Rules, *, pause: Optional[Callable[[int], None]] = None
    ) -> None:
        """`pause` is called with the size of each piece that is read from a large file, and may wait."""
        self._pause = pause
        self._store = store
        self._source = source
        self._rules = rules

    def upload(self, action: Action) -> Outcome:
        """Send the file of an action, with the exposure that its mode allows at that moment."""
        sent = False
        for attempt in range(_ATTEMPTS):
            time.sleep(jittered(_PAUSE_SECONDS * attempt))
            try:
                outcome, sent = self._attempt(action, sent)
            except (FileNotFoundError, NotRegularError):
                if not sent:
                    raise
                return Outcome(action, Result.SKIPPED, reason=Reason.VANISHED)
            except OSError as error:
                if not sent:
                    raise
                return failed(action, unreadable(error))  # and not forgotten, as something may be in the bucket
            if outcome is not None:
                return outcome
        return failed(
            action, Failure(f"changed or was damaged on its way {_ATTEMPTS} times in a row, left to the next run")
        )

    def _attempt(self, action: Action, sent: bool) -> tuple[Optional[Outcome], bool]:
        """Return what came of sending a file once, None to do so again, and whether it is, or was, in the bucket."""
        with os.fdopen(self._source.open_file(action.key), "rb") as body:
            before = entry_of(action.key, os.fstat(body.fileno()))
            exposure = exposure_now(self._rules, action, before)
            if exposure is None:
                return (self.withdraw(action) if sent else self.kept_home(action)), sent
            try:
                done = self._send(action, body, before, exposure)
            except _DamagedError:
                return None, True
            if done is None:
                return None, sent
            return self._settle(action, os.fstat(body.fileno()), before, exposure, done), True

    def kept_home(self, action: Action) -> Outcome:
        """Leave a private file at home, and take it back where it was sent earlier."""
        if action.row is not None and action.row.ours:
            return self.withdraw(action)
        return Outcome(action, Result.SKIPPED, reason=Reason.KEPT_HOME, forget=action.row is None)

    def _send(self, action: Action, body: BinaryIO, before: Entry, exposure: Exposure) -> Optional[_Sent]:
        """Send the opened file, None if it changed before anything was sent."""
        headers = sniffed(action.headers or self._rules.headers(action.key), body.fileno())
        if before.size > PART_BYTES:
            sent = self._send_parts(action.key, body, before, headers, exposure)
            if not action.after_switch:
                # Of a run that was killed, or where the answer to its beginning was lost.
                self._store.drop_unfinished(action.key)
            return sent
        content = body.read(before.size + 1)
        after = os.fstat(body.fileno())
        if len(content) != before.size or is_rewritten(before, after):
            return None
        if self._rules.hides(after.st_mode) and exposure is Exposure.PUBLIC:
            return None
        md5 = hashlib.md5(content, usedforsecurity=False)
        try:
            stored = self._store.put(action.key, content, md5.digest(), headers, exposure)
        except S3Error as error:
            if error.code == "BadDigest":
                raise _DamagedError from error
            raise
        if stored.contradicts(md5.hexdigest()):
            raise _DamagedError
        return _Sent(stored, md5.hexdigest(), len(content))

    def _send_parts(
        self, key: str, body: BinaryIO, before: Entry, headers: Headers, exposure: Exposure
    ) -> Optional[_Sent]:
        part_bytes = max(PART_BYTES, -(-before.size // _MAX_PARTS))
        reader = PartReader(body, part_bytes, self._pause)
        stored = self._store.put_stream(key, reader, headers, exposure, part_bytes)
        if stored is None or stored.size not in (None, reader.size):
            raise _DamagedError
        # Some stores put the parts together and take the MD5 of the whole.
        if stored.contradicts(reader.etag()) or stored.contradicts(reader.md5.hexdigest()):
            raise _DamagedError
        return _Sent(stored, reader.md5.hexdigest(), reader.size)

    def _settle(
        self, action: Action, after: os.stat_result, before: Entry, exposure: Exposure, sent: _Sent
    ) -> Optional[Outcome]:
        """Look at the file again after it was sent; None to send it once more."""
        if self._rules.hides(after.st_mode) and exposure is Exposure.PUBLIC:
            # Suspended while it was on its way.
            if self._rules.mode is not ExposureMode.ACL:
                return self.withdraw(action)
            self._store.set_acl(action.key, Exposure.PRIVATE)
            exposure = Exposure.PRIVATE
        if is_rewritten(before, after) or sent.size != before.size or after.st_nlink == 0:
            return None
        row = sent_row(self._rules, action, before, exposure, digest=sent.md5, etag=sent.stored.etag)
        return Outcome(action, Result.UPLOADED, row, sent_bytes=sent.size)

    def withdraw(self, action: Action) -> Outcome:
        """Delete the object of a private file."""
        errors = self._store.delete([action.key])
        if errors:
            raise errors[action.key]
        if action.after_switch and action.row is not None:
            row = action.row._replace(applied=WITHDRAWN, state=RowState.DONE.value)
            return Outcome(action, Result.WITHDRAWN, row)
        return Outcome(action, Result.WITHDRAWN, forget=True)


def unreadable(error: OSError) -> Failure:
    """Return the failure of a file that can't be read."""
    return Failure(f"can't be read: {error.strerror or error}", local=True)


def failed(action: Action, failure: Failure, *, forget: bool = False) -> Outcome:
    """Return the outcome of an action that failed."""
    return Outcome(action, Result.FAILED, forget=forget, failure=failure)


def exposure_now(rules: Rules, action: Action, now: Entry) -> Optional[Exposure]:
    """Return the exposure by the opened file's own mode: never more public than planned, None to leave it out."""
    wanted = rules.judge(now).exposure
    return Exposure.PRIVATE if wanted is not None and action.exposure is Exposure.PRIVATE else wanted


def sent_row(rules: Rules, action: Action, entry: Entry, exposure: Exposure, *, digest: str, etag: str) -> Row:
    """Return what the journal is to know of a file that was sent."""
    return Row(
        *entry,
        "" if digest == etag else digest,
        etag,
        applied_word(rules.mode, exposure),
        (action.headers or rules.headers(action.key)).fingerprint,
        RowState.DONE.value,
        True,
    )
