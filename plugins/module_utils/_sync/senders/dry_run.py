# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Sends nothing; reports what would be sent outside check mode."""

from __future__ import annotations

from typing import Callable

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.senders.sender import (
    Content,
    OpenFile,
    Sending,
    Sent,
)


class DryRunSender:
    """A `Sender` that treats each file as sent. It does not read the content, which may take long."""

    def read(self, file: OpenFile) -> Content:
        """Read nothing."""
        return Content(file.entry.size, {}, None)

    def send(self, file: OpenFile, done: Callable[[Sending], None]) -> None:
        """Send nothing."""
        done(Sent(file.entry.size, "", ""))
