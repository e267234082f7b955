"""Computes from the instance's ledger what the bucket must contain. Pure."""

from __future__ import annotations

import dataclasses
import enum
import typing as t

# Mastodon's layout. It is repeated here, because the code under test may be wrong.
PUBLIC = (
    "accounts",
    "cache",
    "custom_emojis",
    "media_attachments",
    "preview_card_providers",
    "preview_cards",
    "site_uploads",
)
PRIVATE = ("backups",)
CACHE_CONTROL = "public, max-age=315576000, immutable"


class Wanted(enum.Enum):
    """The expected state of an object."""

    PUBLIC = "public"
    PRIVATE = "private"
    ABSENT = "absent"
    EITHER = "either"


@dataclasses.dataclass
class Key:
    """The latest state of a key, in each of the two storages.

    disk, bucket: "present", "hidden", "deleted", "unsure", or "" if it never existed there.
    """

    name: str
    disk: str = ""
    bucket: str = ""
    sha256: str = ""
    size: int = 0
    content_type: str = ""
    _before: str = ""

    def record(self, event: dict[str, t.Any]) -> None:
        """Apply one event of the ledger."""
        where = event["where"]
        before = getattr(self, where)
        if event["event"] == "stored":
            setattr(self, where, "present")
            self.sha256, self.size, self.content_type = event["sha256"], event["size"], event["type"]
        elif event["event"] in ("deleting", "hiding"):
            # After a kill, the line for its end may be missing.
            setattr(self, where, "unsure")
            self._before = before
        elif event["event"] == "deleted":
            setattr(self, where, "deleted")
        elif event["event"] == "hidden":
            setattr(self, where, "hidden" if event["effective"] else self._before)

    def wanted(self, *, stale_disk: bool) -> Wanted:
        """Return the expected object while the bucket is the source of truth and ACLs are not used.

        stale_disk: The disk was the source of truth again after a rollback, so it has files that were deleted in the
            bucket.
        """
        folder = self.name.partition("/")[0]
        if folder not in PUBLIC + PRIVATE:
            return Wanted.ABSENT
        if "unsure" in (self.disk, self.bucket):
            return Wanted.EITHER
        if stale_disk and self.bucket and self.disk:
            return Wanted.EITHER
        state = self.bucket or self.disk
        if state == "present":
            return Wanted.PRIVATE if folder in PRIVATE else Wanted.PUBLIC
        # Without ACLs, a private file in a public folder must stay on disk only.
        return Wanted.ABSENT


def replay(lines: t.Iterable[dict[str, t.Any]]) -> dict[str, Key]:
    """Return the keys after all events of a ledger."""
    keys: dict[str, Key] = {}
    for line in lines:
        if line["event"] in ("stored", "deleting", "deleted", "hiding", "hidden"):
            keys.setdefault(line["key"], Key(line["key"])).record(line)
    return keys


def job_faults(lines: t.Iterable[dict[str, t.Any]]) -> list[str]:
    """Return the lost uploads: refused, never finished, or finished without their original."""
    faults = []
    begun: dict[str, bool] = {}
    for line in lines:
        if line["event"] == "processing":
            begun.setdefault(line["key"], False)
        elif line["event"] == "processed":
            begun[line["key"]] = True
        elif line["event"] == "failed":
            begun[line["key"]] = True
            faults.append(f"{line['key']}: a worker on {line['where']} did not find the original")
        elif line["event"] in ("refused", "error"):
            faults.append(f"{line['key']}: {line['where']} answered {line['error']}")
    return faults + [f"{key}: its job was cut short and is lost" for key, done in begun.items() if not done]
