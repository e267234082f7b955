# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The only safety check around each transfer: prepare, send, settle.

A file may be suspended, rewritten or removed at any moment, and a private file must not be public for a moment. So the
file is opened and judged by its own mode, read, and checked again before anything is sent (prepare). After it is sent
(`Sender`), it is checked a last time (settle).
"""

from __future__ import annotations

import os
import time
from functools import partial
from typing import Callable, Optional, Union

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.content.content import (
    is_rewritten,
    sniffed,
)
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.model import (
    Action,
    Entry,
    Exposure,
    Outcome,
    Result,
    Row,
    RowState,
)
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.rules.rules import Rules, applied_word
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.senders.sender import (
    CHANGED,
    OpenFile,
    Public,
    Sender,
    Sending,
    Sent,
    Unsent,
)
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.tree.source import Source
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.tree.walk import entry_of

_NOT_SENT = Unsent(begun=False)
_LOCAL_ONLY = Unsent(begun=False, local_only=True)


class CheckedSender:
    """Sends files with a sender, with all checks before and after."""

    def __init__(self, source: Source, rules: Rules, sender: Sender) -> None:
        self._source = source
        self._rules = rules
        self._sender = sender

    def send(self, action: Action, done: Callable[[Union[Outcome, Unsent]], None]) -> None:
        """Send the file of an action, and call `done` once with the outcome: before this returns, or later.

        Raises:
            OSError: The file is gone, is not a file or can't be read; nothing was sent.
            S3Error: See `Sender`.
        """
        file = self._prepare(action)
        if isinstance(file, Unsent):
            done(file)
            return
        try:
            self._sender.send(file, partial(self._settle, file, done))
        except BaseException:
            file.close()
            raise

    def _prepare(self, action: Action) -> Union[OpenFile, Unsent]:
        """Open, judge and read a file. When this returns, the file is still the same and may be sent."""
        since_ns = time.time_ns()
        descriptor, status = self._source.opened(action.key)
        ready = False
        try:
            entry = self._source.as_read(entry_of(action.key, status), since_ns)
            exposure = exposure_now(self._rules, action, entry)
            if exposure is None:
                return _LOCAL_ONLY
            headers = sniffed(action.headers or self._rules.headers(action.key), descriptor)
            file = OpenFile(action, entry, exposure, headers, descriptor)
            content = self._sender.read(file)
            if content is None:
                return _NOT_SENT
            now = os.fstat(descriptor)
            if content.size != entry.size or is_rewritten(entry, now) or must_be_closed(self._rules, exposure, now):
                return _NOT_SENT
            file.content = content
            ready = True
        finally:
            if not ready:
                os.close(descriptor)
        return file

    def _settle(self, file: OpenFile, done: Callable[[Union[Outcome, Unsent]], None], sending: Sending) -> None:
        try:
            result = self._settled(file, sending) if isinstance(sending, Sent) else sending
        finally:
            file.close()
        done(result)

    def _settled(self, file: OpenFile, sent: Sent) -> Union[Outcome, Unsent]:
        """Check whether what was sent still matches the file on disk, and may be where it is."""
        entry, now = file.entry, os.fstat(file.descriptor)
        outcome = None
        if sent.size == entry.size and not is_rewritten(entry, now) and now.st_nlink:
            outcome = Outcome(file.action, Result.UPLOADED, self._row(file, sent), sent_bytes=sent.size)
        if must_be_closed(self._rules, file.exposure, now):
            return Unsent(CHANGED, public=Public(outcome))
        return outcome or Unsent(CHANGED)

    def _row(self, file: OpenFile, sent: Sent) -> Row:
        """Return what the journal should record about a file that was sent."""
        return Row(
            *file.entry,
            "" if sent.digest == sent.etag else sent.digest,
            sent.etag,
            applied_word(self._rules.mode, file.exposure),
            file.headers.fingerprint,
            RowState.DONE.value,
            True,
        )


def must_be_closed(rules: Rules, exposure: Exposure, now: os.stat_result) -> bool:
    """Return whether a file that is or will be public has become private, because its account was suspended."""
    return exposure is Exposure.PUBLIC and rules.hides(now.st_mode)


def is_suspended(source: Source, rules: Rules, key: str) -> bool:
    """Return whether a public file has become private.

    Raises:
        OSError: It is gone, or can't be opened.
    """
    descriptor, status = source.opened(key)
    os.close(descriptor)
    return must_be_closed(rules, Exposure.PUBLIC, status)


def exposure_now(rules: Rules, action: Action, now: Entry) -> Optional[Exposure]:
    """Return the exposure by the opened file's own mode: never more public than planned; None to leave it out."""
    wanted = rules.judge(now).exposure
    return Exposure.PRIVATE if wanted is not None and action.exposure is Exposure.PRIVATE else wanted
