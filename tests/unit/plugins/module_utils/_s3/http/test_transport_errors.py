# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.http.transport_errors import chain_of


def test_an_error_that_is_its_own_cause_ends():
    error = ValueError("a")
    error.__context__ = OSError("b", error)
    assert [type(found).__name__ for found in chain_of(error)] == ["ValueError", "OSError"]
