# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The errors of the change feed; each message names the cause and what to do, or what happens instead."""

from __future__ import annotations


class FeedError(Exception):
    """Base of all errors of this package; `str()` is one sentence, fit for the user."""


class UnsupportedError(FeedError):
    """The kernel, a file system or missing rights do not allow a feed."""


class NoFeedError(FeedError):
    """No feed of this tree is running, or not the one that is meant."""
