# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The interface of everything that sends a file's content: `Boto3Sender`, `FastSender` and `DryRunSender`.

A sender only reads and sends. `checked`, which wraps it, checks that the file may be sent, and that what was sent
matches the file on disk.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Callable, NamedTuple, Optional, Protocol, Union

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.model import (
    Action,
    Entry,
    Exposure,
    Headers,
    Outcome,
)

CHANGED = "changed"
CONNECTION = "connection"


class Content(NamedTuple):
    """What a sender has read from a file.

    Attributes:
        size: Bytes that were read.
        digests: The headers with the sums of the content.
        in_memory: The content itself, if it stays in memory until it is sent.
    """

    size: int
    digests: Mapping[str, str]
    in_memory: Optional[bytes]


_NOTHING_READ = Content(0, {}, None)


class OpenFile:
    """A file that is open, and may be sent with this exposure.

    Attributes:
        entry: What the journal may record about it.
        headers: Its headers, with the content type.
        content: What the sender has read; set by the check.
    """

    __slots__ = ("action", "content", "descriptor", "entry", "exposure", "headers")

    def __init__(self, action: Action, entry: Entry, exposure: Exposure, headers: Headers, descriptor: int) -> None:
        self.action = action
        self.entry = entry
        self.exposure = exposure
        self.headers = headers
        self.descriptor = descriptor
        self.content = _NOTHING_READ

    def close(self) -> None:
        """Close the file. A second call does nothing."""
        descriptor, self.descriptor = self.descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)


class Sent(NamedTuple):
    """What the store has, according to a response that proves it. digest: as in the journal's rows; etag: unquoted."""

    size: int
    digest: str
    etag: str


class Public(NamedTuple):
    """An object that is public although its file has become private. outcome: None if the content is wrong too."""

    outcome: Optional[Outcome]


class Unsent(NamedTuple):
    """Why it is not known that the bucket has the file as it is on disk.

    cause: A word for statistics, empty if nothing was tried. begun: Part of the file may be in the bucket.
    local_only: The file must stay out of the bucket. as_is: The same sender may succeed at once, with other digests.
    public: What was sent while the file became private, and so has to be made private.
    """

    cause: str = ""
    begun: bool = True
    local_only: bool = False
    as_is: bool = False
    public: Optional[Public] = None


Sending = Union[Sent, Unsent]


class Sender(Protocol):
    """One way to bring the content of a file into the bucket."""

    def read(self, file: OpenFile) -> Optional[Content]:
        """Read a file and compute the sums that are sent with its content; None if this sender does not handle it.

        Raises:
            OSError: It can't be read.
        """

    def send(self, file: OpenFile, done: Callable[[Sending], None]) -> None:
        """Send what was read, and call `done` once with the result: before this returns, or later.

        The file stays open until then.

        Raises:
            S3Error: The store refuses it.
            OSError: The file, or something the request needs, can't be read.
        """
