# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Decides which keys a run has to look at. Pure: listing and journal are read by others."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple, Optional

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._fetch.decision import is_as_sent, was_deleted
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._fetch.model import FetchError, FetchSettings
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.model import (
    ExposureMode,
    Listed,
    Reason,
    Row,
)
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.plan.merge import merge_known

# So many objects may be gone, or private, whatever their percentage.
GONE_ALLOWED = 1000
CLOSED_ALLOWED = 10


class Kind(Enum):
    """What has to be done for a key.

    FETCH: the object may be new, or replaced.
    MODE: the file stays, but may need another mode.
    SET_ASIDE: the object is gone.
    """

    FETCH = "fetch"
    MODE = "mode"
    SET_ASIDE = "set_aside"


class Task(NamedTuple):
    """One key. `found` is its object, `row` what the journal knows; at least one of them is there."""

    kind: Kind
    key: str
    found: Optional[Listed] = None
    row: Optional[Row] = None


@dataclass
class Seen:
    """What a look at listing and journal has shown: `objects` in the listing, and `sent` in the journal."""

    objects: int = 0
    sent: int = 0


def tasks(objects: Iterable[Listed], rows: Iterable[Row], settings: FetchSettings, seen: Seen) -> Iterator[Task]:
    """Yield what has to be done, and count in `seen` what was there."""
    rules = settings.rules
    for key, row, found in merge_known(rows, objects):
        seen.objects += found is not None
        in_journal = row is not None and was_deleted(row)
        scope = rules.scope(key)
        if scope.reason is Reason.FILTERED:
            continue
        seen.sent += in_journal
        if found is None:
            if in_journal and scope.exposure is not None:
                yield Task(Kind.SET_ASIDE, key, row=row)
        elif not is_as_sent(row, found) and (settings.newer_than is None or found.modified > settings.newer_than):
            yield Task(Kind.FETCH, key, found)
        elif settings.all_acls and has_acl(settings, key):
            yield Task(Kind.MODE, key, found)


def has_acl(settings: FetchSettings, key: str) -> bool:
    """Return whether the ACL of this object says who may read its file."""
    rules = settings.rules
    return rules.mode is ExposureMode.ACL and not key.startswith(rules.private_prefixes)


def check_gone(gone: int, seen: Seen, settings: FetchSettings) -> None:
    """Refuse to empty the folder because the bucket is empty, or is not the right one.

    Raises:
        FetchError: Too many objects are gone.
    """
    if not gone:
        return
    if not seen.objects:
        raise FetchError(
            f"the bucket is empty, although the journal knows {seen.sent} objects that were sent to it. Nothing was"
            " changed. Check bucket, endpoint_url and key_prefix. If the bucket was lost, use deleted=keep"
        )
    if gone > GONE_ALLOWED and gone * 100 > seen.sent * settings.max_change_percent:
        raise FetchError(
            f"{gone} of {seen.sent} objects that were sent are gone, so their files would be moved away. That is more"
            f" than max_change_percent={settings.max_change_percent} allows. Nothing was changed. If Mastodon has"
            " deleted them, such as old files in cache/, raise it"
        )


def check_closed(closed: int, looked_at: int, settings: FetchSettings) -> None:
    """Refuse to make most files private because a store does not know ACLs.

    Raises:
        FetchError: Too many objects can't be read by visitors.
    """
    if closed > CLOSED_ALLOWED and closed * 100 > looked_at * settings.max_change_percent:
        raise FetchError(
            f"visitors can't read {closed} of {looked_at} objects by their ACLs, so these files would get mode 0600."
            f" That is more than max_change_percent={settings.max_change_percent} allows, so no file was made private."
            " If the bucket has no ACLs any more, set exposure=policy; if these accounts are suspended, raise it"
        )
