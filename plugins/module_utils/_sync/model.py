# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The types that all parts of the engine share: what is on disk, what is wanted, what is done, and the results."""

from __future__ import annotations

from collections.abc import Iterator
from enum import Enum
from typing import NamedTuple, Optional, Protocol, Union


class Exposure(str, Enum):
    """Who may read an object without a signature: everybody or nobody."""

    PUBLIC = "public"
    PRIVATE = "private"

    __hash__ = str.__hash__  # not Enum's, which is slow: files are counted by exposure


class ExposureMode(str, Enum):
    """How objects become public or private.

    `acl`: by an ACL on each object; `policy`: by a bucket policy for whole prefixes; `open_bucket`: the whole bucket is
    public, so nothing private may be in it.
    """

    ACL = "acl"
    POLICY = "policy"
    OPEN_BUCKET = "open_bucket"


class DeleteMode(str, Enum):
    """Which objects may be deleted if their files are gone: none, those of this journal, or all in scope."""

    NEVER = "never"
    OWN = "own"
    ALL = "all"


class CompareWith(str, Enum):
    """What to compare files with: the journal, a current listing, or the checksums of the objects."""

    JOURNAL = "journal"
    LISTING = "listing"
    CHECKSUM = "checksum"


class Aspect(str, Enum):
    """What can be wrong with an object whose content is right."""

    ACL = "acl"
    HEADERS = "headers"


class SourceOfTruth(str, Enum):
    """Which side is the source of truth: the disk (before the switch) or the bucket (after it)."""

    DISK = "disk"
    BUCKET = "bucket"


class Reason(str, Enum):
    """Why a path is left out of a run without being a failure."""

    FILTERED = "filtered"  # by include or exclude
    UNKNOWN_FOLDER = "unknown_folder"  # outside the public and private prefixes
    TOO_NEW = "too_new"  # looks private, but is so new that it may still be being written
    LOCAL_ONLY = "local_only"  # private in a location that the policy, or the open bucket, makes public
    SYMLINK = "symlink"
    SPECIAL_FILE = "special_file"  # socket, fifo or device
    BAD_NAME = "bad_name"  # not UTF-8
    LONG_KEY = "long_key"  # over 1,024 bytes
    VANISHED = "vanished"  # gone between the walk and the sending
    GONE_IN_BUCKET = "gone_in_bucket"  # after the switch: deleted there, stays deleted
    IN_BUCKET = "in_bucket"  # after the switch: new on disk, yet the bucket has the key already
    OLDER_THAN_SWITCH = "older_than_switch"  # after the switch: unknown to the journal, but there before the last round
    NEWER_ON_DISK = "newer_on_disk"  # after the switch: changed on disk since it was sent


class PathProblemKind(str, Enum):
    """What the walk found but could not offer as an entry."""

    UNREADABLE = "unreadable"
    SYMLINK = "symlink"
    SYMLINKED_FOLDER = "symlinked_folder"
    BROKEN_SYMLINK = "broken_symlink"
    SPECIAL_FILE = "special_file"
    BAD_NAME = "bad_name"
    LONG_KEY = "long_key"


# Any user can give a file a time that neither SQLite nor this year's clocks can hold.
MOST_NS = 2**63 - 1


def storable_ns(time_ns: int) -> int:
    """Return a time in nanoseconds, or the nearest one that the journal can hold."""
    return min(max(time_ns, -MOST_NS), MOST_NS)


class Entry(NamedTuple):
    """A regular file as the walk found it. Times are nanoseconds since the epoch (`storable_ns`), size is in bytes."""

    key: str
    size: int
    mtime_ns: int
    ctime_ns: int
    mode: int


class PathProblem(NamedTuple):
    """A path that the walk can't offer as an entry. `folder`: it hides everything below it."""

    key: str
    kind: PathProblemKind
    detail: str
    folder: bool


Item = Union[Entry, PathProblem]


class Entries(Protocol):
    """A source of items in the byte order of their keys: the walk, or what has changed according to a feed.

    `complete` says whether a missing key proves that there is no such file, so that its object may be deleted.
    """

    complete: bool

    def __iter__(self) -> Iterator[Item]: ...


class Headers(NamedTuple):
    """The headers of an object. If `content_type` is None, it is found from the first bytes."""

    content_type: Optional[str]
    cache_control: Optional[str]
    storage_class: Optional[str]
    fingerprint: str


class Verdict(NamedTuple):
    """What the rules want for an entry: an exposure, or a reason to leave it out."""

    exposure: Optional[Exposure]
    reason: Optional[Reason] = None


class RowState(str, Enum):
    """How far a row can be trusted.

    `done`: the bucket has what the row says. `pending`: something was about to happen when the row was written.
    `doubted`: the bucket has changed without the journal. `listed`: only a listing is known, so the times are those of
    the object and not of a file.
    """

    DONE = "done"
    PENDING = "pending"
    DOUBTED = "doubted"
    LISTED = "listed"


class Row(NamedTuple):
    """What the journal knows about a key.

    `digest` identifies the content, by an MD5 or by a checksum with its name, and is empty if the ETag does. `applied`
    is the exposure and how it was applied, `headers` is the fingerprint of the headers that were sent. Both are empty
    if they are not known.
    """

    key: str
    size: int
    mtime_ns: int
    ctime_ns: int
    mode: int
    digest: str
    etag: str
    applied: str
    headers: str
    state: str
    ours: bool

    @property
    def known_digest(self) -> str:
        """The digest of the content; for objects of others, what the ETag has in its place."""
        return self.digest or self.etag


class Listed(NamedTuple):
    """An object in a listing, its key relative to the key prefix. `modified` is in seconds since the epoch."""

    key: str
    size: int
    etag: str
    modified: float = 0.0


class ActionKind(str, Enum):
    """What to do with a key."""

    UPLOAD = "upload"
    COMPARE = "compare"  # only the ctime differs: hash the file, upload if its content has changed
    REPAIR = "repair"  # the content is right: correct exposure and headers if they are unknown or wrong
    VERIFY = "verify"  # the journal is in doubt: check the bucket, upload if it differs
    SEND_IF_MISSING = "send_if_missing"
    SET_ACL = "set_acl"
    DELETE_PRIVATE = "delete_private"
    DELETE = "delete"


class Action(NamedTuple):
    """One thing to do. `row` is what the journal knew before, `why` is a word for reports.

    With `after_switch`, an object that is gone stays gone. `tighten` allows a SEND_IF_MISSING that finds the object to
    make it private.
    """

    kind: ActionKind
    key: str
    why: str
    exposure: Exposure
    entry: Optional[Entry] = None
    headers: Optional[Headers] = None
    row: Optional[Row] = None
    after_switch: bool = False
    tighten: bool = False

    @property
    def size(self) -> int:
        """The size of the file in bytes or, if it is gone, of the object, if known."""
        if self.entry is not None:
            return self.entry.size
        return self.row.size if self.row is not None else 0


class Note(NamedTuple):
    """A path that is left out, and why."""

    reason: Reason
    key: str
    size: int
    ctime_ns: int = 0


class Result(str, Enum):
    """The result of an action."""

    UPLOADED = "uploaded"
    ACL_SET = "acl_set"
    HEADERS_SET = "headers_set"  # and with them the exposure
    SAME = "same"  # the object was right, only the journal is updated
    DELETED_PRIVATE = "deleted_private"
    DELETED = "deleted"
    SKIPPED = "skipped"
    FAILED = "failed"


class Failure(NamedTuple):
    """Why an action failed. `local`: the file could not be read; `code` is the store's code.

    `systemic` failures are likely to affect the next file too (bad credentials, permission denied, no connection):
    several in a row stop a run. `throttled`: there were too many requests.
    """

    message: str
    code: str = ""
    local: bool = False
    systemic: bool = False
    throttled: bool = False


class Outcome(NamedTuple):
    """The outcome of one action. `row` is the journal's new knowledge; None keeps the old; `forget` removes it."""

    action: Action
    result: Result
    row: Optional[Row] = None
    forget: bool = False
    reason: Optional[Reason] = None
    failure: Optional[Failure] = None
    sent_bytes: int = 0


class SyncError(Exception):
    """A run can't begin or continue. The message names the cause and the remedy, and contains no secret."""
