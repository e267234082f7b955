# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One run: listing -> decision -> download -> report, many objects at once, in memory that does not grow with them."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Sequence
from typing import Optional

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._fetch.decision import (
    Decision,
    UnusableKeyError,
    decide,
    decide_by_age,
    parts_of,
)
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._fetch.destination import (
    Destination,
    PathError,
    copy,
    free_bytes,
    same_content,
)
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._fetch.download import (
    Bucket,
    DamagedError,
    download,
)
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._fetch.model import (
    Fate,
    FetchError,
    FetchOutcome,
    FetchReport,
    FetchSettings,
)
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._files.errors import FileError
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.connection.errors import NotFoundError, S3Error
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.connection.masking import Masking
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.audit.pool import in_order
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.content.content import (
    ContentUnknownError,
    is_same,
)
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.model import ExposureMode, Listed, Reason
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.tree.source import Source
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.tree.walk import entry_of

_PRIVATE_MODE = 0o600
# After so many failures in a row, the others would fail too.
_MOST_FAILURES = 50


class Fetch:
    """A run for one bucket and one folder."""

    def __init__(self, settings: FetchSettings, bucket: Bucket, dest: int, replaced: int) -> None:
        """Work on open folders: `dest` for the files, `replaced` for those that are replaced (in check mode, any)."""
        self._settings = settings
        self._store, self._contents = bucket
        self._dest = dest
        self._source = Source.inherited(settings.dest, dest)
        self._files = Destination(dest, settings.directory_mode)
        self._replaced = Destination(replaced, 0o700)
        self._masking = Masking(settings.rules.masked, settings.rules.private_prefixes)

    def run(self) -> FetchReport:
        """Fetch all objects that are wanted.

        Raises:
            FetchError: There is not enough room.
            S3Error: The bucket can't be listed.
            SyncError: The store's listing is in no order.
        """
        self._check_room()
        report = FetchReport()
        first, failures = "", 0
        for outcome in in_order(self._handle, self._wanted(), self._settings.concurrency):
            report.add(outcome, self._settings)
            failures = failures + 1 if outcome.fate is Fate.FAILED else 0
            if failures and not first:
                first = f"{self._settings.rules.masked(outcome.key)}: {outcome.reason}"
            if failures == _MOST_FAILURES:
                report.error = f"stopped after {failures} failures in a row. The last one: {outcome.reason}"
                break
        failed = report.counts[Fate.FAILED.value]
        if report.error is None and failed:
            report.error = (
                f"{failed} objects could not be fetched, all others are done. The first one: {first}."
                " Fix the cause and run the task again"
            )
        return report

    def _wanted(self) -> Iterator[Listed]:
        settings = self._settings
        for found in self._store.listing():
            if settings.newer_than is not None and found.modified <= settings.newer_than:
                continue
            if settings.rules.scope(found.key).reason is not Reason.FILTERED:
                yield found

    def _is_in_scope(self, key: str) -> bool:
        return self._settings.rules.scope(key).exposure is not None

    def _check_room(self) -> None:
        needed = 0
        for found in self._wanted():
            if not self._is_in_scope(found.key):
                continue
            try:
                if decide(found, self._files.status(parts_of(found.key))) in (Decision.FETCH, Decision.REPLACE):
                    needed += found.size
            except (UnusableKeyError, PathError, OSError):
                continue  # reported when its turn comes
        free = free_bytes(self._dest)
        if needed > free:
            raise FetchError(
                f"the objects need {needed} bytes, but the file system of {self._settings.dest} has only {free} bytes"
                " left for its owner. Free some space, or fetch fewer objects with newer_than, include or exclude."
                " Nothing was written"
            )

    def _handle(self, found: Listed) -> FetchOutcome:
        """Return what happened to an object. Errors concern only this one."""
        if not self._is_in_scope(found.key):
            return FetchOutcome(found.key, Fate.OUT_OF_SCOPE, found.size)
        try:
            return self._fetch(found, parts_of(found.key))
        except UnusableKeyError as error:
            return FetchOutcome(found.key, Fate.REFUSED, found.size, f"the key has {error}")
        except PathError as error:
            return FetchOutcome(found.key, Fate.REFUSED, found.size, str(error))
        except NotFoundError:
            return FetchOutcome(found.key, Fate.VANISHED, found.size)
        except (S3Error, DamagedError, FileError, OSError) as error:
            text = error.strerror or str(error) if isinstance(error, OSError) else str(error)
            return FetchOutcome(found.key, Fate.FAILED, found.size, self._masking.text(text, found.key))

    def _fetch(self, found: Listed, parts: Sequence[str]) -> FetchOutcome:
        status = self._files.status(parts)
        decision = decide(found, status)
        if decision is Decision.REFUSE:
            return FetchOutcome(found.key, Fate.REFUSED, found.size, "something that is no regular file has its name")
        if decision is Decision.NOTHING:
            return FetchOutcome(found.key, Fate.SAME, found.size)
        if decision is Decision.COMPARE and status is not None:
            if self._has_content(found, status):
                return FetchOutcome(found.key, Fate.SAME, found.size)
            decision = decide_by_age(found, status)
        if decision is Decision.LEAVE:
            return FetchOutcome(found.key, Fate.NEWER_ON_DISK, found.size)
        before = status if decision is Decision.REPLACE else None
        if self._settings.check_mode:
            return FetchOutcome(found.key, Fate.FETCHED if before is None else Fate.REPLACED, found.size)
        return self._download(found, parts, before)

    def _has_content(self, found: Listed, status: os.stat_result) -> bool:
        """Return whether the object's ETag shows that the file has its content."""
        try:
            return is_same(self._source, entry_of(found.key, status), found.etag)
        except ContentUnknownError:
            return False

    def _download(self, found: Listed, parts: Sequence[str], before: Optional[os.stat_result]) -> FetchOutcome:
        """Download an object. `before` is the status of the file that it replaces."""
        with self._files.new_file(parts) as new:
            done = download(self._contents, found.key, found.size, new.descriptor)
            if before is not None:
                with open(self._source.open_file(found.key), "rb", buffering=0) as old:
                    if same_content(old.fileno(), new.descriptor):
                        return FetchOutcome(found.key, Fate.SAME, found.size)
                    self._keep(parts, old.fileno())
                if not _is_unchanged(before, self._files.status(parts)):
                    raise PathError("another program has changed the file in the meantime")
            mode = self._mode_for(found.key)
            new.take_name(mode, int(found.modified), replace=before is not None)
        return FetchOutcome(
            found.key, Fate.FETCHED if before is None else Fate.REPLACED, done.size, verified=done.verified
        )

    def _mode_for(self, key: str) -> int:
        """Return a file's mode: that of a suspended account's media where the object's ACL is private."""
        rules = self._settings.rules
        if rules.mode is not ExposureMode.ACL or key.startswith(rules.private_prefixes):
            return self._settings.mode
        acl = self._store.acl(key)
        return self._settings.mode if acl is not None and acl.readable else _PRIVATE_MODE

    def _keep(self, parts: Sequence[str], old: int) -> None:
        """Copy a file that will be replaced, once: a copy that a killed run left is complete."""
        status = os.fstat(old)
        digest = hashlib.sha256(f"{status.st_mtime_ns} {status.st_size}".encode()).hexdigest()[:12]
        name = f"{parts[-1][:200]}.{digest}"
        path = [*parts[:-1], name]
        if self._replaced.status(path) is not None:
            return
        with self._replaced.new_file(path) as kept:
            copy(old, kept.descriptor)
            kept.take_name(_PRIVATE_MODE, status.st_mtime_ns / 10**9, replace=False)


def _is_unchanged(before: os.stat_result, after: Optional[os.stat_result]) -> bool:
    return after is not None and (before.st_ino, before.st_size, before.st_mtime_ns) == (
        after.st_ino,
        after.st_size,
        after.st_mtime_ns,
    )
