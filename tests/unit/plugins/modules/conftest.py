# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Where modules run."""

from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def on_a_managed_node(monkeypatch):
    """Take back what ansible-core concludes where a test of an action plugin was imported: that this is a controller.

    There the warnings of modules are shown at once, and are not in their results.
    """
    monkeypatch.setattr("ansible.module_utils._internal.is_controller", False)
