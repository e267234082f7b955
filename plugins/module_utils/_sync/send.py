# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Does one action: opens the file, sends it, and looks whether it is still what was judged. One object per worker."""

from __future__ import annotations

import hashlib
import os
import time
from typing import BinaryIO, Callable, NamedTuple, Optional

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.errors import (
    AclUnsupportedError,
    BadCredentialsError,
    ClockSkewError,
    ConnectionFailedError,
    NotFoundError,
    PermissionDeniedError,
    S3Error,
    ThrottledError,
    UnsupportedError,
    WrongRegionError,
)
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.content_types import SNIFF_BYTES, by_content
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.model import (
    Action,
    ActionKind,
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
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.plan import WITHDRAWN
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.rules import (
    Rules,
    applied_word,
)
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.source import NotRegularError, Source
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.store import Store, Stored
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.tree import entry_of

PART_BYTES = 8 * 1024 * 1024
_MAX_PARTS = 10_000
_ATTEMPTS = 3
_PAUSE_SECONDS = 0.3
_FATAL_CODES = ("NoSuchBucket", "SSLError")
_READ_BYTES = 1024 * 1024


class _Sent(NamedTuple):
    stored: Stored
    md5: str
    size: int


class _DamagedError(Exception):
    """What the store holds is not what was sent."""


class Performer:
    """Does actions against one store. `perform` never raises for what can happen to a file or a request."""

    def __init__(
        self, store: Store, source: Source, rules: Rules, *, pause: Optional[Callable[[int], None]] = None
    ) -> None:
        """`pause` is called with the size of each piece that is read from a large file, and may wait."""
        self._pause = pause
        self._store = store
        self._source = source
        self._rules = rules

    def perform(self, action: Action) -> Outcome:
        """Do one action, and say what came of it."""
        steps = {
            ActionKind.UPLOAD: self._upload,
            ActionKind.COMPARE: self._compare,
            ActionKind.VERIFY: self._verify,
            ActionKind.SEND_IF_MISSING: self._send_if_missing,
            ActionKind.SET_ACL: self._set_acl,
            ActionKind.WITHDRAW: self._withdraw,
        }
        try:
            return steps[action.kind](action)
        except S3Error as error:
            return failed(action, failure_of(error))
        except FileNotFoundError:
            # A key that was never sent is forgotten; one that was may be deleted by the next round.
            return Outcome(action, Result.SKIPPED, reason=Reason.VANISHED, forget=action.row is None)
        except NotRegularError:
            return Outcome(action, Result.SKIPPED, reason=Reason.SPECIAL_FILE, forget=action.row is None)
        except OSError as error:
            return failed(action, unreadable(error), forget=action.row is None)

    def delete(self, actions: list[Action]) -> list[Outcome]:
        """Delete a batch of objects, and say what came of each."""
        try:
            errors = self._store.delete([action.key for action in actions])
        except S3Error as error:
            return [failed(action, failure_of(error)) for action in actions]
        return [
            failed(action, failure_of(errors[action.key]))
            if action.key in errors
            else Outcome(action, Result.DELETED, forget=True)
            for action in actions
        ]

    def _upload(self, action: Action) -> Outcome:
        sent = False
        for attempt in range(_ATTEMPTS):
            time.sleep(_PAUSE_SECONDS * attempt)
            try:
                descriptor = self._source.open_file(action.key)
            except (FileNotFoundError, NotRegularError):
                if not sent:
                    raise
                return Outcome(action, Result.SKIPPED, reason=Reason.VANISHED)
            with os.fdopen(descriptor, "rb") as body:
                before = entry_of(action.key, os.fstat(descriptor))
                exposure = exposure_now(self._rules, action, before)
                if exposure is None:
                    return self._kept_home(action)
                try:
                    done = self._send(action, body, before, exposure)
                except _DamagedError:
                    sent = True
                    continue
                if done is None:
                    continue
                sent = True
                outcome = self._settle(action, os.fstat(descriptor), before, exposure, done)
            if outcome is not None:
                return outcome
        return failed(
            action, Failure(f"changed or was damaged on its way {_ATTEMPTS} times in a row, left to the next run")
        )

    def _kept_home(self, action: Action) -> Outcome:
        if action.row is not None and action.row.ours:
            return self._withdraw(action)
        return Outcome(action, Result.SKIPPED, reason=Reason.KEPT_HOME, forget=action.row is None)

    def _send(self, action: Action, body: BinaryIO, before: Entry, exposure: Exposure) -> Optional[_Sent]:
        """Send the opened file, None if it changed before anything was sent."""
        headers = sniffed(action.headers or self._rules.headers(action.key), body.fileno())
        if before.size > PART_BYTES:
            if action.row is not None and action.row.state == RowState.PENDING.value and not action.after_switch:
                self._store.drop_unfinished(action.key)
            return self._send_parts(action.key, body, before, headers, exposure)
        content = body.read(before.size + 1)
        after = entry_of(action.key, os.fstat(body.fileno()))
        if len(content) != before.size or content_of(after) != content_of(before):
            return None
        if self._rules.hides(after.mode) and exposure is Exposure.PUBLIC:
            return None
        md5 = hashlib.md5(content, usedforsecurity=False)
        try:
            stored = self._store.put(action.key, content, md5.digest(), headers, exposure)
        except S3Error as error:
            if error.code == "BadDigest":
                raise _DamagedError from error
            raise
        if stored.digest and stored.etag != md5.hexdigest():
            raise _DamagedError
        return _Sent(stored, md5.hexdigest(), len(content))

    def _send_parts(
        self, key: str, body: BinaryIO, before: Entry, headers: Headers, exposure: Exposure
    ) -> Optional[_Sent]:
        part_bytes = max(PART_BYTES, -(-before.size // _MAX_PARTS))
        reader = _PartReader(body, part_bytes, self._pause)
        stored = self._store.put_stream(key, reader, headers, exposure, part_bytes)
        if stored.size not in (None, reader.size) or (stored.digest and stored.etag != reader.etag()):
            raise _DamagedError
        return _Sent(stored, reader.md5.hexdigest(), reader.size)

    def _settle(
        self, action: Action, status: os.stat_result, before: Entry, exposure: Exposure, sent: _Sent
    ) -> Optional[Outcome]:
        """Look at the file again after it was sent; None to send it once more."""
        after = entry_of(action.key, status)
        if self._rules.hides(after.mode) and exposure is Exposure.PUBLIC:
            # Suspended while it was on its way.
            if self._rules.mode is not ExposureMode.ACL:
                return self._withdraw(action)
            self._store.set_acl(action.key, Exposure.PRIVATE)
            exposure = Exposure.PRIVATE
        if content_of(after) != content_of(before) or sent.size != before.size or status.st_nlink == 0:
            return None
        row = sent_row(self._rules, action, before, exposure, md5=sent.md5, etag=sent.stored.etag)
        return Outcome(action, Result.UPLOADED, row, sent_bytes=sent.size)

    def _compare(self, action: Action) -> Outcome:
        same = unchanged_row(self._source, action)
        if same is None:
            return self._upload(action)
        return self._converge(action, same)

    def _verify(self, action: Action) -> Outcome:
        stored = self._store.head(action.key)
        if action.row is None or stored is None or not stored.etag or stored.etag != action.row.etag:
            return self._upload(action)
        same = unchanged_row(self._source, action)
        return self._upload(action) if same is None else self._converge(action, same)

    def _converge(self, action: Action, row: Row) -> Outcome:
        """Bring an object with the right content to its exposure; `row` is its file as it is now."""
        now = Entry(*row[:5])
        exposure = exposure_now(self._rules, action, now)
        if exposure is None:
            return self._kept_home(action)
        word = applied_word(self._rules.mode, exposure)
        row = row._replace(applied=word, state=RowState.DONE.value)
        if self._rules.mode is not ExposureMode.ACL or (action.row and action.row.applied == word):
            return Outcome(action, Result.SAME, row)
        try:
            self._store.set_acl(action.key, exposure)
        except NotFoundError as error:
            if error.code == "NoSuchBucket":
                raise
            return self._upload(action)
        return Outcome(action, Result.ACL_SET, row)

    def _set_acl(self, action: Action) -> Outcome:
        if action.row is None or action.entry is None:
            return self._upload(action)
        entry = action.entry
        row = action.row._replace(
            ctime_ns=entry.ctime_ns,
            mode=entry.mode,
            state=RowState.DONE.value,
            applied=applied_word(self._rules.mode, action.exposure),
        )
        try:
            if action.exposure is Exposure.PUBLIC and self._became_private(action.key):
                # Left as it is: the row's exposure stays unknown, so the next round judges it again.
                return Outcome(action, Result.SKIPPED, reason=Reason.SETTLING)
            self._store.set_acl(action.key, action.exposure)
        except NotFoundError as error:
            if error.code == "NoSuchBucket":
                raise
            if action.after_switch:
                return Outcome(action, Result.SKIPPED, row, reason=Reason.GONE_IN_BUCKET)
            return self._upload(action)
        return Outcome(action, Result.ACL_SET, row)

    def _became_private(self, key: str) -> bool:
        descriptor = self._source.open_file(key)
        try:
            return self._rules.hides(os.fstat(descriptor).st_mode)
        finally:
            os.close(descriptor)

    def _send_if_missing(self, action: Action) -> Outcome:
        stored = self._store.head(action.key)
        if stored is None:
            return self._upload(action)
        if action.entry is None:
            return Outcome(action, Result.SKIPPED, reason=Reason.IN_BUCKET)
        applied = ""
        if action.tighten and self._rules.mode is ExposureMode.ACL:
            self._store.set_acl(action.key, Exposure.PRIVATE)
            applied = applied_word(self._rules.mode, Exposure.PRIVATE)
        ours = action.row is not None and action.row.ours
        row = Row(*action.entry, "", stored.etag, applied, "", RowState.DONE.value, ours)
        if applied:
            return Outcome(action, Result.ACL_SET, row)
        return Outcome(action, Result.SKIPPED, row, reason=Reason.IN_BUCKET)

    def _withdraw(self, action: Action) -> Outcome:
        errors = self._store.delete([action.key])
        if errors:
            raise errors[action.key]
        if action.after_switch and action.row is not None:
            row = action.row._replace(applied=WITHDRAWN, state=RowState.DONE.value)
            return Outcome(action, Result.WITHDRAWN, row)
        return Outcome(action, Result.WITHDRAWN, forget=True)


class _PartReader:
    """Reads a file forward and computes, on the way, its MD5 and the ETag that a multipart upload of it gets."""

    def __init__(self, body: BinaryIO, part_bytes: int, pause: Optional[Callable[[int], None]]) -> None:
        self._pause = pause
        self.md5 = hashlib.md5(usedforsecurity=False)
        self.size = 0
        self._body = body
        self._part_bytes = part_bytes
        self._digests = b""
        self._part = hashlib.md5(usedforsecurity=False)

    def read(self, amount: int = -1) -> bytes:
        data = self._body.read(amount)
        if self._pause is not None:
            self._pause(len(data))
        self.md5.update(data)
        view = memoryview(data)
        while view:
            piece = view[: self._part_bytes - self.size % self._part_bytes]
            self._part.update(piece)
            self.size += len(piece)
            if self.size % self._part_bytes == 0:
                self._end_part()
            view = view[len(piece) :]
        return data

    def etag(self) -> str:
        """Return the ETag once all is read: the MD5 of the parts' digests, and their number."""
        if self.size % self._part_bytes:
            self._end_part()
        whole = hashlib.md5(self._digests, usedforsecurity=False).hexdigest()
        return f"{whole}-{len(self._digests) // 16}"

    def _end_part(self) -> None:
        self._digests += self._part.digest()
        self._part = hashlib.md5(usedforsecurity=False)


def unchanged_row(source: Source, action: Action) -> Optional[Row]:
    """Return the action's row with the file's metadata of now if its content is what was sent, None if it is not.

    Raises:
        OSError: the file can't be read, or is gone.
    """
    if action.row is None or not action.row.digest:
        return None
    md5 = hashlib.md5(usedforsecurity=False)
    with os.fdopen(source.open_file(action.key), "rb", buffering=0) as body:
        before = entry_of(action.key, os.fstat(body.fileno()))
        for piece in iter(lambda: body.read(_READ_BYTES), b""):
            md5.update(piece)
        after = entry_of(action.key, os.fstat(body.fileno()))
    if after != before or md5.hexdigest() != action.row.digest:
        return None
    return action.row._replace(size=after.size, mtime_ns=after.mtime_ns, ctime_ns=after.ctime_ns, mode=after.mode)


def failed(action: Action, failure: Failure, *, forget: bool = False) -> Outcome:
    """Return the outcome of an action that failed."""
    return Outcome(action, Result.FAILED, forget=forget, failure=failure)


def unreadable(error: OSError) -> Failure:
    """Return the failure of a file that can't be read."""
    return Failure(f"can't be read: {error.strerror or error}", local=True)


def failure_of(error: S3Error) -> Failure:
    """Return what an error of the store means for the rest of the run."""
    fatal = error.code in _FATAL_CODES or isinstance(
        error, (BadCredentialsError, ClockSkewError, WrongRegionError, AclUnsupportedError, UnsupportedError)
    )
    systemic = isinstance(error, (PermissionDeniedError, ConnectionFailedError, ThrottledError))
    return Failure(
        str(error),
        code=error.code or type(error).__name__,
        fatal=fatal,
        systemic=systemic,
        throttled=isinstance(error, ThrottledError),
    )


def content_of(entry: Entry) -> tuple[int, int]:
    """Return what tells, without reading it, whether a file's content may have changed."""
    return entry.size, entry.mtime_ns


def exposure_now(rules: Rules, action: Action, now: Entry) -> Optional[Exposure]:
    """Return the exposure by the opened file's own mode: never more public than planned, None to leave it out."""
    wanted = rules.judge(now).exposure
    return Exposure.PRIVATE if wanted is not None and action.exposure is Exposure.PRIVATE else wanted


def sniffed(headers: Headers, descriptor: int) -> Headers:
    """Return the headers with a content type, found in the opened file where its name does not tell it."""
    if headers.content_type is not None:
        return headers
    return headers._replace(content_type=by_content(os.pread(descriptor, SNIFF_BYTES, 0)))


def sent_row(rules: Rules, action: Action, entry: Entry, exposure: Exposure, *, md5: str, etag: str) -> Row:
    """Return what the journal is to know of a file that was sent."""
    return Row(
        *entry,
        "" if md5 == etag else md5,
        etag,
        applied_word(rules.mode, exposure),
        (action.headers or rules.headers(action.key)).fingerprint,
        RowState.DONE.value,
        True,
    )
