# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Does one action, and puts its failures into words. One object per worker."""

from __future__ import annotations

from typing import Callable, Optional

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.connection.errors import (
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
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.execution.repair import Repairer
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.execution.upload import (
    Uploader,
    failed,
    unreadable,
)
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.model import (
    Action,
    ActionKind,
    Exposure,
    ExposureMode,
    Failure,
    Outcome,
    Reason,
    Result,
    Row,
    RowState,
)
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.rules.rules import Rules, applied_word
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.senders.boto3_sender import Boto3Sender
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.senders.checked import is_suspended
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.senders.dry_run import DryRunSender
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.senders.sender import Sender
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.store.objects import (
    DryRunStore,
    ObjectStore,
)
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.store.store import NO_CLIENT, Store
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.tree.source import NotAFileError, Source

# What says more of the store, or of the way to it, than of the file.
_SYSTEMIC = (
    AclUnsupportedError,
    BadCredentialsError,
    ClockSkewError,
    ConnectionFailedError,
    PermissionDeniedError,
    ThrottledError,
    UnsupportedError,
    WrongRegionError,
)


class Executor:
    """Does actions with one store. `execute` never raises errors of files or requests."""

    def __init__(self, store: ObjectStore, source: Source, rules: Rules, sender: Sender) -> None:
        """`sender` sends files, and has finished when its `send` returns."""
        self._store = store
        self._source = source
        self._rules = rules
        self._uploader = Uploader(store, source, rules, sender)
        self._repairer = Repairer(store, source, rules, self._uploader)

    @classmethod
    def by_boto3(
        cls, store: Store, source: Source, rules: Rules, *, pause: Optional[Callable[[int], None]] = None
    ) -> Executor:
        """Return an executor that sends through boto3; for `pause` see `Boto3Sender`."""
        return cls(store, source, rules, Boto3Sender(store, pause=pause))

    @classmethod
    def dry_run(cls, store: Optional[Store], source: Source, rules: Rules) -> Executor:
        """Return an executor that only reports what actions would do. Without a store, the bucket counts as empty.

        What depends on a file's content is read from the file; what depends on the bucket is read there.
        """
        return cls(DryRunStore(store), source, rules, DryRunSender())

    def execute(self, action: Action) -> Outcome:
        """Do one action, and return its outcome."""
        steps = {
            ActionKind.UPLOAD: self._uploader.upload,
            ActionKind.COMPARE: self._repairer.compare,
            ActionKind.VERIFY: self._repairer.verify,
            ActionKind.REPAIR: self._repairer.repair,
            ActionKind.SEND_IF_MISSING: self._send_if_missing,
            ActionKind.SET_ACL: self._set_acl,
            ActionKind.DELETE_PRIVATE: self._uploader.delete_private,
        }
        try:
            return steps[action.kind](action)
        except (S3Error, *NO_CLIENT) as error:
            return failed(action, failure_of(error))
        except FileNotFoundError:
            # A key that was never sent is forgotten; one that was may be deleted by the next round.
            return Outcome(action, Result.SKIPPED, reason=Reason.VANISHED, forget=action.row is None)
        except NotAFileError:
            return Outcome(action, Result.SKIPPED, reason=Reason.SPECIAL_FILE, forget=action.row is None)
        except OSError as error:
            return failed(action, unreadable(error), forget=action.row is None)

    def delete(self, actions: list[Action]) -> list[Outcome]:
        """Delete a batch of objects, and return the outcome of each."""
        try:
            errors = self._store.delete([action.key for action in actions])
        except (S3Error, *NO_CLIENT) as error:
            return [failed(action, failure_of(error)) for action in actions]
        return [
            failed(action, failure_of(errors[action.key]))
            if action.key in errors
            else Outcome(action, Result.DELETED, forget=True)
            for action in actions
        ]

    def _set_acl(self, action: Action) -> Outcome:
        if action.row is None or action.entry is None:
            return self._uploader.upload(action)
        entry = action.entry
        row = action.row._replace(
            ctime_ns=entry.ctime_ns,
            mode=entry.mode,
            state=RowState.DONE.value,
            applied=applied_word(self._rules.mode, action.exposure),
        )
        try:
            if action.exposure is Exposure.PUBLIC and is_suspended(self._source, self._rules, action.key):
                # Unchanged: the row's exposure stays unknown, so the next round judges it again.
                return Outcome(action, Result.SKIPPED, reason=Reason.TOO_NEW)
            self._store.set_acl(action.key, action.exposure)
        except NotFoundError as error:
            if error.code == "NoSuchBucket":
                raise
            if action.after_switch:
                return Outcome(action, Result.SKIPPED, row, reason=Reason.GONE_IN_BUCKET)
            return self._uploader.upload(action)
        return Outcome(action, Result.ACL_SET, row)

    def _send_if_missing(self, action: Action) -> Outcome:
        stored = self._store.head(action.key)
        if stored is None:
            return self._uploader.upload(action)
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


def failure_of(error: Exception) -> Failure:
    """Return what an error of the store, or a missing client, means for the rest of the run."""
    if not isinstance(error, S3Error):
        return Failure(str(error), systemic=True)
    return Failure(
        str(error),
        code=error.code or type(error).__name__,
        systemic=error.code == "NoSuchBucket" or isinstance(error, _SYSTEMIC),
        throttled=isinstance(error, ThrottledError),
    )
