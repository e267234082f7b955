"""What must be in the bucket in the end, told from the instance's own ledger. Pure: knows neither store nor host."""

from __future__ import annotations

import dataclasses
import enum
import typing as t

# Mastodon's layout, stated here on its own and not taken from the code under test.
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
    """What an object must be."""

    PUBLIC = "public"
    PRIVATE = "private"
    ABSENT = "absent"
    EITHER = "either"


@dataclasses.dataclass
class Key:
    """The last that is known of a key, in each of the two storages.

    disk, bucket: "present", "hidden", "deleted", "unsure", or "" where nothing was ever done there.
    """

    name: str
    disk: str = ""
    bucket: str = ""
    sha256: str = ""
    size: int = 0
    content_type: str = ""
    _before: str = ""

    def record(self, deed: dict[str, t.Any]) -> None:
        """Takes one line of the ledger."""
        where = deed["where"]
        before = getattr(self, where)
        if deed["deed"] == "stored":
            setattr(self, where, "present")
            self.sha256, self.size, self.content_type = deed["sha256"], deed["size"], deed["type"]
        elif deed["deed"] in ("deleting", "hiding"):
            # The line that says it is done may be missing after a kill.
            setattr(self, where, "unsure")
            self._before = before
        elif deed["deed"] == "deleted":
            setattr(self, where, "deleted")
        elif deed["deed"] == "hidden":
            setattr(self, where, "hidden" if deed["effective"] else self._before)

    def wanted(self, *, stale_disk: bool) -> Wanted:
        """What the object must be while the bucket is the truth and no ACLs are in use.

        stale_disk: the disk was the truth again after the bucket had been, so that it has what was deleted there.
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
        # Without ACLs a private file below a public folder has to stay at home.
        return Wanted.ABSENT


def replay(lines: t.Iterable[dict[str, t.Any]]) -> dict[str, Key]:
    """The keys after all deeds of a ledger."""
    keys: dict[str, Key] = {}
    for line in lines:
        if line["deed"] in ("stored", "deleting", "deleted", "hiding", "hidden"):
            keys.setdefault(line["key"], Key(line["key"])).record(line)
    return keys


def job_faults(lines: t.Iterable[dict[str, t.Any]]) -> list[str]:
    """Uploads that were lost on their way: refused, never finished, or finished without their original."""
    faults = []
    begun: dict[str, bool] = {}
    for line in lines:
        if line["deed"] == "processing":
            begun.setdefault(line["key"], False)
        elif line["deed"] == "processed":
            begun[line["key"]] = True
        elif line["deed"] == "failed":
            begun[line["key"]] = True
            faults.append(f"{line['key']}: a worker on {line['where']} did not find the original")
        elif line["deed"] in ("refused", "error"):
            faults.append(f"{line['key']}: {line['where']} answered {line['error']}")
    return faults + [f"{key}: its job was cut short and is lost" for key, done in begun.items() if not done]
