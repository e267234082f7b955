# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from collections import Counter

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.report import Traffic


def test_what_others_counted_is_added():
    total = Traffic(Counter(PutObject=1), Counter(fast=2), Counter(SlowDown=3))
    total.add(Traffic(Counter(PutObject=10, HeadObject=20), Counter(boto3=30), Counter(SlowDown=40)))
    total.add(Traffic())
    assert total.requests == {"PutObject": 11, "HeadObject": 20}
    assert total.uploads == {"fast": 2, "boto3": 30}
    assert total.retries == {"SlowDown": 43}
