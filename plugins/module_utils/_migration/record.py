# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The record of a host's migration, with typed fields, read from and written as JSON. Pure."""

from __future__ import annotations

import enum
import json
import typing as t
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime, timezone

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._mastodon.moment import Moment

VERSION = 1
EXPOSURES = ("", "acl", "policy", "open_bucket")


class State(enum.Enum):
    """Where a migration stands.

    COPYING: the media are being copied, and Mastodon writes to the disk.
    CONFIGURING: the env file names the bucket, or is about to, and a switch was not finished.
    SWITCHED: Mastodon writes to the bucket.
    ROLLED_BACK: Mastodon writes to the disk again.
    """

    COPYING = "copying"
    CONFIGURING = "configuring"
    SWITCHED = "switched"
    ROLLED_BACK = "rolled back"


class RecordError(Exception):
    """A record is invalid. The text says why, and continues a sentence that begins with the file's name."""


class NewerRecordError(RecordError):
    """A newer release of the collection wrote the record."""


@dataclass(frozen=True)
class Units:
    """Systemd units that may be stopped, or may not have read the env file yet."""

    web: tuple[str, ...] = ()
    sidekiq: tuple[str, ...] = ()


@dataclass(frozen=True)
class Record:
    """The record of one migration.

    Attributes:
        bucket: The bucket's name.
        state: Where the migration stands.
        key_prefix: What all keys begin with.
        exposure: How objects become readable, one of EXPOSURES; an empty string if this is not known.
        since: When `state` was reached, as ISO 8601 in UTC.
        restart_pending: Running services may not have read the env file yet.
        units: Which units these are, while a restart is due.
        env_file_edited: When the env file was last edited; None if this is not known.
        fetch_due: The bucket may have changes that are not on disk.
    """

    bucket: str
    state: State
    key_prefix: str = ""
    exposure: str = ""
    since: str = ""
    restart_pending: bool = False
    units: Units = field(default_factory=Units)
    env_file_edited: Moment | None = None
    fetch_due: bool = False

    def as_dict(self) -> dict[str, t.Any]:
        """Return the record as JSON types."""
        found = asdict(self)
        found["state"] = self.state.value
        found["units"] = {kind: list(names) for kind, names in found["units"].items()}
        if self.env_file_edited is not None:
            found["env_file_edited"] = self.env_file_edited.as_dict()
        return found

    def serialized(self) -> bytes:
        """Return the content of the record's file."""
        return (json.dumps({"version": VERSION, **self.as_dict()}, indent=2, sort_keys=True) + "\n").encode()


def parse(data: bytes) -> Record:
    """Return the record in a file's content.

    Raises:
        RecordError: It is empty, truncated, not JSON, lacks a field, or a field has a wrong type or value.
        NewerRecordError: A newer release wrote it.
    """
    if not data.strip():
        raise RecordError("is empty")
    try:
        found = json.loads(data.decode("utf-8"))
    except (ValueError, RecursionError):
        raise RecordError("is not valid JSON, or is truncated") from None
    if not isinstance(found, dict):
        raise RecordError("does not contain a JSON object")
    version = _typed(found, "version", int, VERSION)
    if version > VERSION:
        raise NewerRecordError(
            f"has version {version}: a newer release of the collection wrote it, so use that release"
        )
    return from_dict(found)


def from_dict(found: t.Mapping[str, t.Any]) -> Record:
    """Return the record with these fields, in JSON types. Unknown fields are ignored.

    Raises:
        RecordError: A field is missing, or has a wrong type or value.
    """
    state = _typed(found, "state", str)
    if state not in {one.value for one in State}:
        raise RecordError(f"has the state {state!r}, which does not exist")
    exposure = _typed(found, "exposure", str, "")
    if exposure not in EXPOSURES:
        raise RecordError(f"has the exposure {exposure!r}, which does not exist")
    units = _typed(found, "units", dict, {})
    edited = found.get("env_file_edited")
    return Record(
        bucket=_typed(found, "bucket", str),
        state=State(state),
        key_prefix=_typed(found, "key_prefix", str, ""),
        exposure=exposure,
        since=_typed(found, "since", str, ""),
        restart_pending=_typed(found, "restart_pending", bool, False),
        units=Units(_words(units, "web"), _words(units, "sidekiq")),
        env_file_edited=None if edited is None else _moment(_typed(found, "env_file_edited", dict)),
        fetch_due=_typed(found, "fetch_due", bool, False),
    )


def successor(before: Record | None, after: Record, now: datetime) -> Record:
    """Return `after` with the time of its state: that of `before` if the state is the same."""
    if before is not None and before.state is after.state and before.since:
        return replace(after, since=before.since)
    return replace(after, since=now.astimezone(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ"))


def same_except_time(one: Record | None, other: Record) -> bool:
    """Return whether two records differ at most in the time of their state."""
    return one is not None and replace(one, since=other.since) == other


def rebuilt(
    bucket: str, key_prefix: str, *, uses_bucket: bool, switched: bool | None, permission: str | None
) -> Record | None:
    """Return the minimal content of a damaged record; None if it can't be determined.

    To be on the safe side, a restart is pending, so that the services will use the settings of the env file.

    Args:
        bucket: The bucket's name.
        key_prefix: What all keys begin with.
        uses_bucket: The env file has Mastodon use this bucket.
        switched: By the journal of the copy, the bucket became the source of truth; None where there is no journal.
        permission: S3_PERMISSION of the env file; None where it is not set.
    """
    exposure = "acl" if uses_bucket and permission == "public-read" else ""
    if uses_bucket and switched:
        return Record(bucket, State.SWITCHED, key_prefix, exposure, restart_pending=True)
    if uses_bucket:
        return None
    state = State.ROLLED_BACK if switched else State.COPYING
    return Record(bucket, state, key_prefix, restart_pending=bool(switched))


_Plain = t.TypeVar("_Plain")


def _typed(found: t.Mapping[str, t.Any], name: str, kind: type[_Plain], default: _Plain | None = None) -> _Plain:
    value = found.get(name, default)
    if value is None:
        raise RecordError(f"lacks the field {name}")
    # In Python, True is a number too.
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise RecordError(f"has a wrong type in the field {name}")
    return value


def _words(found: t.Mapping[str, t.Any], name: str) -> tuple[str, ...]:
    words = _typed(found, name, list, [])
    if not all(isinstance(word, str) for word in words):
        raise RecordError(f"has a wrong type in the field {name}")
    return tuple(words)


def _moment(found: t.Mapping[str, t.Any]) -> Moment:
    return Moment(_typed(found, "boot_id", str), _typed(found, "ticks", int), _words(found, "programs"))
