# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Decides whether a run looks at all files, or only at those that have changed, and what it may say at its end."""

from __future__ import annotations

from typing import Optional

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._feed.client import Client, is_same_tree
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._feed.errors import FeedError
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._feed.reader import State
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.feed.changed import (
    ChangedEntries,
    ChangedKeys,
)
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.feed.position import (
    Position,
    wanted_by,
    why_all,
)
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.journal.journal import Journal
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.report import Tally
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.settings import Settings
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.tree.counts import WalkCounts
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.tree.source import Source

WALK, FEED = "walk", "feed"
_LINKED = "there are files with several names (hard links), whose changes the feed does not see under all of them"
_USED = "every change since the last complete run is known"


class FeedUse:
    """One run and the feed of its tree.

    Attributes:
        origin: What gives the entries, `WALK` or `FEED`.
        why: The reason for that.
        changed: The entries that have changed; None with a walk.
        known: What the last walk counted, if this run does not walk.
    """

    def __init__(self, settings: Settings, source: Source, journal: Journal) -> None:
        self._settings = settings
        self._source = source
        self._journal = journal
        self._client = Client(settings.src, settings.state_dir)
        self._state: Optional[State] = None
        self._linked = False
        self.origin = WALK
        self.changed: Optional[ChangedEntries] = None
        self.why = "check mode counts all files"
        self.known: Optional[WalkCounts] = None

    def begin(self) -> None:
        """Have the feed drained, and decide. This comes before anything of the tree is read.

        Raises:
            SyncError: The journal can't be used.
        """
        position = Position.parsed(self._journal.feed_position.get() or "")
        try:
            self.why = self._decide(position)
        except (FeedError, OSError) as error:
            self.why = str(error)
        if self.why:
            self._give_up()
        elif position is not None:
            self.origin, self.why, self.known = FEED, _USED, position.known

    def _decide(self, position: Optional[Position]) -> str:
        """Return why all files have to be looked at; if it is empty, `changed` is set."""
        state = self._client.drain()
        if not self._source.present or not is_same_tree(state, self._source.descriptor, self._settings.src):
            return "the feed follows another tree"
        self._state = state
        why = why_all(self._settings, position, state, needs_listing=self._journal.needs_listing)
        if why or position is None:
            return why
        # All at once: what the feed forgets or loses later does not matter any more.
        keys = ChangedKeys(self._client.names(state.feed, position.time), self._settings.state_dir)
        self.changed = ChangedEntries(self._source, keys, prefix_bytes=len(self._settings.prefix.encode()))
        for _item in self.changed:
            if self.changed.linked:
                return _LINKED
        return _LINKED if self.changed.linked else ""

    def _give_up(self) -> None:
        self.close()
        self._journal.feed_position.remove()

    def finish(self, tally: Tally) -> None:
        """Record that a complete run has dealt with all changes, so that the next one can continue from here.

        Raises:
            SyncError: The journal can't be written.
        """
        state = self._state
        if state is None:
            return
        if self._linked or tally.counts.linked or tally.left_keys is None:
            self._give_up()
            return
        position = Position(
            state.feed,
            state.time,
            wanted_by(self._settings),
            self._settings.source_of_truth,
            self._settings.delete,
            self.known or tally.counts,
        )
        try:
            # In this order: whenever this process ends, no change is forgotten that was not dealt with.
            self._client.again(state.feed, [key.encode() for key in tally.left_keys])
            self._journal.feed_position.set(position.as_text())
            self._client.forget(state.feed, state.time)
        except FeedError:
            self._give_up()

    def close(self) -> None:
        """Remove temporary files."""
        if self.changed is not None:
            self._linked = self.changed.linked
            self.changed.close()
            self.changed = None
