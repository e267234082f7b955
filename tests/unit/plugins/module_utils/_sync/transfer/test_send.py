# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from contextlib import closing

import pytest

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.errors import Boto3MissingError
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.options import ConnectionOptionsError
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.model import (
    Action,
    ActionKind,
    Exposure,
    ExposureMode,
    Result,
)
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.rules.rules import Rules
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.store.store import Store
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.transfer.send import Performer
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.tree.source import Source


@pytest.mark.parametrize(
    "error", [Boto3MissingError("no module named botocore"), ConnectionOptionsError("aws_config: no option a")]
)
def test_without_a_client_each_action_fails_with_the_cause(tmp_path, error):
    """A run may begin without boto3, and a worker must outlive that it can't be had."""

    def no_client():
        raise error

    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / "a").write_bytes(b"x")
    rules = Rules(ExposureMode.ACL, ("cache/",), ())
    actions = [
        Action(kind, "cache/a", "why", Exposure.PUBLIC) for kind in (ActionKind.UPLOAD, ActionKind.SEND_IF_MISSING)
    ]
    with closing(Source(str(tmp_path))) as source:
        performer = Performer(Store(no_client, "media", "", acl=True), source, rules)
        outcomes = [performer.perform(action) for action in actions]
        outcomes += performer.delete([Action(ActionKind.DELETE, "cache/a", "gone", Exposure.PRIVATE)])
    assert len(outcomes) == 3
    for outcome in outcomes:
        assert outcome.result is Result.FAILED
        assert outcome.failure.systemic
        assert outcome.failure.message == str(error)
