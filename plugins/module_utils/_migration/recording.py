# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Records what happens to a migration."""

from __future__ import annotations

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._mastodon.moment import Moment
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._migration import machine, store
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._migration.record import (
    Record,
    Units,
    same_except_time,
)


def record_event(
    location: store.RecordLocation,
    event: machine.Event,
    *,
    exposure: str | None = None,
    units: Units | None = None,
    edited: Moment | None = None,
    used_bucket: bool = False,
    dry_run: bool = False,
) -> tuple[Record, bool]:
    """Write the record after an event, unless it says the same. Return it, and whether it differs or was damaged.

    Args:
        location: Whose record it is.
        event: What happens.
        exposure: See `machine.after`.
        units: See there.
        edited: See there.
        used_bucket: The env file named the bucket before the event, although it does not any more.
        dry_run: Write nothing.

    Raises:
        StateError: The record can't be read or written.
        TransitionError: The event can't happen now.
    """
    found = store.read(location)
    position = machine.Position(found.record, location.uses_bucket or used_bucket)
    record = machine.after(
        position,
        event,
        bucket=location.bucket,
        key_prefix=location.key_prefix,
        exposure=exposure,
        units=units,
        edited=edited,
    )
    if not found.damage and same_except_time(found.record, record):
        return record, False
    return (record if dry_run else store.write(location, record)), True
