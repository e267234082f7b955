# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Sends the file of an action, repeatedly if it changes in the meantime, and deletes objects that became private."""

from __future__ import annotations

import errno
import time
from typing import Optional, Union

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.model import (
    Action,
    Exposure,
    ExposureMode,
    Failure,
    Outcome,
    Reason,
    Result,
    RowState,
)
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.plan.plan import DELETED_PRIVATE
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.rules.rules import Rules, applied_word
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.senders.checked import CheckedSender
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.senders.flow_control import jittered
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.senders.sender import Public, Sender, Unsent
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.store.objects import ObjectStore
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.tree.source import NotAFileError, Source

_ATTEMPTS = 3
_PAUSE_SECONDS = 0.3


class Uploader:
    """Sends files with a sender that has finished when it returns. All methods raise S3Error and OSError."""

    def __init__(self, store: ObjectStore, source: Source, rules: Rules, sender: Sender) -> None:
        self._store = store
        self._rules = rules
        self._sender = CheckedSender(source, rules, sender)

    def upload(self, action: Action) -> Outcome:
        """Send the file of an action, with the exposure that its mode allows at that moment."""
        sent = False
        for attempt in range(_ATTEMPTS):
            time.sleep(jittered(_PAUSE_SECONDS * attempt))
            try:
                result = self._attempt(action)
                if isinstance(result, Outcome):
                    return result
                if result.local_only:
                    return self.delete_private(action) if sent else self.keep_local(action)
                sent = sent or result.begun
                outcome = self._close(action, result.public) if result.public is not None else None
                if outcome is not None:
                    return outcome
            except (FileNotFoundError, NotAFileError):
                if not sent:
                    raise
                return Outcome(action, Result.SKIPPED, reason=Reason.VANISHED)
            except OSError as error:
                if not sent:
                    raise
                return failed(action, unreadable(error))  # and not forgotten: the bucket may have a part of it
        return failed(
            action, Failure(f"changed or was damaged on its way {_ATTEMPTS} times in a row, left to the next run")
        )

    def _attempt(self, action: Action) -> Union[Outcome, Unsent]:
        results: list[Union[Outcome, Unsent]] = []
        self._sender.send(action, results.append)
        (result,) = results
        return result

    def _close(self, action: Action, public: Public) -> Optional[Outcome]:
        """Make an object private whose file was suspended during the transfer; None to send it once more."""
        if self._rules.mode is not ExposureMode.ACL:
            return self.delete_private(action)
        self._store.set_acl(action.key, Exposure.PRIVATE)
        outcome = public.outcome
        if outcome is None or outcome.row is None:
            return None
        return outcome._replace(row=outcome.row._replace(applied=applied_word(self._rules.mode, Exposure.PRIVATE)))

    def keep_local(self, action: Action) -> Outcome:
        """Keep a private file local, and delete its object if it was sent earlier."""
        if action.row is not None and action.row.ours:
            return self.delete_private(action)
        return Outcome(action, Result.SKIPPED, reason=Reason.LOCAL_ONLY, forget=action.row is None)

    def delete_private(self, action: Action) -> Outcome:
        """Delete the object of a private file."""
        errors = self._store.delete([action.key])
        if errors:
            raise errors[action.key]
        if action.after_switch and action.row is not None:
            row = action.row._replace(applied=DELETED_PRIVATE, state=RowState.DONE.value)
            return Outcome(action, Result.DELETED_PRIVATE, row)
        return Outcome(action, Result.DELETED_PRIVATE, forget=True)


def unreadable(error: OSError) -> Failure:
    """Return the failure of a file that can't be read, or is too large."""
    what = "sent" if error.errno == errno.EFBIG else "read"
    return Failure(f"can't be {what}: {error.strerror or error}", local=True)


def failed(action: Action, failure: Failure, *, forget: bool = False) -> Outcome:
    """Return the outcome of an action that failed."""
    return Outcome(action, Result.FAILED, forget=forget, failure=failure)
