# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The words the rooms of the engine share: what lies on disk, what is wanted, what is done and what came of it."""

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
    """How exposure is brought about.

    `acl`: by an ACL on each object; `policy`: by a bucket policy that opens whole prefixes; `bucket`: the bucket is
    open as a whole, so that nothing private may be in it.
    """

    ACL = "acl"
    POLICY = "policy"
    BUCKET = "bucket"


class DeleteMode(str, Enum):
    """Which objects whose file is gone may be deleted: none, those this journal put there, or all in scope."""

    NEVER = "never"
    OWN = "own"
    ALL = "all"


class Trust(str, Enum):
    """What is believed of the bucket: the journal, a listing of today, or only what the contents say."""

    JOURNAL = "journal"
    LISTING = "listing"
    FULL = "full"


class Aspect(str, Enum):
    """What can be wrong with an object whose content is right."""

    ACL = "acl"
    HEADERS = "headers"


class Authority(str, Enum):
    """Which side is the truth: the tree on disk (before the switch) or the bucket (after it)."""

    TREE = "tree"
    BUCKET = "bucket"


class Reason(str, Enum):
    """Why a path is left out of a run without being a failure."""

    FILTERED = "filtered"  # by include or exclude
    UNKNOWN_FOLDER = "unknown_folder"  # below none of the public or private prefixes
    SETTLING = "settling"  # looks private, but so fresh that it may be still in the writing
    KEPT_HOME = "kept_home"  # private in a place that the policy, or the open bucket, shows to everybody
    SYMLINK = "symlink"
    SPECIAL_FILE = "special_file"  # socket, fifo or device
    BAD_NAME = "bad_name"  # not UTF-8
    LONG_KEY = "long_key"  # over 1,024 bytes
    VANISHED = "vanished"  # gone between the walk and the sending
    GONE_IN_BUCKET = "gone_in_bucket"  # authority bucket: deleted there, stays deleted
    IN_BUCKET = "in_bucket"  # authority bucket: new on disk, yet the bucket has the key already
    OLDER_THAN_SWITCH = "older_than_switch"  # authority bucket: unknown to the journal, but there before the last round
    NEWER_ON_DISK = "newer_on_disk"  # authority bucket: changed on disk since it was sent


class ProblemKind(str, Enum):
    """What the walk met and could not offer as an entry."""

    UNREADABLE = "unreadable"
    SYMLINK = "symlink"
    SYMLINKED_FOLDER = "symlinked_folder"
    BROKEN_SYMLINK = "broken_symlink"
    SPECIAL_FILE = "special_file"
    BAD_NAME = "bad_name"
    LONG_KEY = "long_key"


class Entry(NamedTuple):
    """A regular file as the walk saw it. Times are nanoseconds since the epoch, size is in bytes."""

    key: str
    size: int
    mtime_ns: int
    ctime_ns: int
    mode: int


class Problem(NamedTuple):
    """A path the walk can't offer as an entry. `folder` is true where it hides everything below it."""

    key: str
    kind: ProblemKind
    detail: str
    folder: bool


Item = Union[Entry, Problem]


class Entries(Protocol):
    """A source of items in the byte order of their keys: the walk today, a change feed tomorrow.

    `complete` says whether a key that did not come up is proof that there is no such file, so that deletions may be
    derived from its absence.
    """

    complete: bool

    def __iter__(self) -> Iterator[Item]: ...


class Headers(NamedTuple):
    """What is sent beside the body. A `content_type` of None is to be sniffed from the first bytes."""

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

    `done`: the bucket holds what the row says. `pending`: something was about to be done when the row was written.
    `doubted`: the bucket lived on without the journal since. `listed`: only a listing is known, so that the times are
    those of the object and not of a file.
    """

    DONE = "done"
    PENDING = "pending"
    DOUBTED = "doubted"
    LISTED = "listed"


class Row(NamedTuple):
    """What the journal knows of a key.

    `digest` tells the content from others, by an MD5 or by a checksum with its name, and is empty where the ETag says
    the same; `applied` is the exposure and the way it was applied, `headers` the fingerprint of what was sent beside
    the body; both are empty when unknown.
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
        """The digest of the content; for an object that others put there, what takes its place in the ETag."""
        return self.digest or self.etag


class Listed(NamedTuple):
    """One object of a listing, its key relative to the key prefix. `modified` is in seconds since the epoch."""

    key: str
    size: int
    etag: str
    modified: float = 0.0


class ActionKind(str, Enum):
    """What is to be done with a key."""

    UPLOAD = "upload"
    COMPARE = "compare"  # only the ctime differs: hash the file, upload if its content did change
    CONVERGE = "converge"  # the content is right: see to exposure and headers, as far as they are unknown or wrong
    VERIFY = "verify"  # the journal's word is in doubt: ask the bucket, upload if it differs
    SEND_IF_MISSING = "send_if_missing"
    SET_ACL = "set_acl"
    WITHDRAW = "withdraw"
    DELETE = "delete"


class Action(NamedTuple):
    """One thing to do. `row` is the journal's knowledge before it, `why` a word for reports.

    With `after_switch` an object that is gone stays gone. `tighten` allows a SEND_IF_MISSING that finds the object to
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
        """Bytes of the file or, where it is gone, of the object as far as it is known."""
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
    """What came of an action."""

    UPLOADED = "uploaded"
    ACL_SET = "acl_set"
    HEADERS_SET = "headers_set"  # and the exposure with them
    SAME = "same"  # nothing was wrong with the object, only the journal is brought up to date
    WITHDRAWN = "withdrawn"
    DELETED = "deleted"
    SKIPPED = "skipped"
    FAILED = "failed"


class Failure(NamedTuple):
    """Why an action failed. `local` means that the file could not be read; `code` is the store's word.

    `systemic` failures may not get better with the next file (bad credentials, permission denied, no connection):
    several in a row stop a run. `throttled`: one request too many.
    """

    message: str
    code: str = ""
    local: bool = False
    systemic: bool = False
    throttled: bool = False


class Outcome(NamedTuple):
    """What came of one action. `row` is the journal's new knowledge, None leaves it, `forget` drops it."""

    action: Action
    result: Result
    row: Optional[Row] = None
    forget: bool = False
    reason: Optional[Reason] = None
    failure: Optional[Failure] = None
    sent_bytes: int = 0


class SyncError(Exception):
    """A run that can't begin or go on; the message names the cause and the remedy, and no secret."""
