# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Runs a module as usual. If it fails in a task of the role, its message names the role's variables.

`meta/runtime.yml` lists the modules that run this way. `s3_sync`, which has its own action, does the same.
"""

from __future__ import annotations

from typing import Any, Optional

from ansible.plugins.action.normal import ActionModule as NormalActionModule

from ansible_collections.fediverse.mastodon_s3.plugins.plugin_utils._variable_names import with_variable_names


class ActionModule(NormalActionModule):
    """The action for tasks that call a module of this collection."""

    def run(self, tmp: Optional[str] = None, task_vars: Optional[dict[str, Any]] = None) -> dict[str, Any]:
        """Run the module."""
        return with_variable_names(super().run(tmp, task_vars), task_vars or {}, self._templar)
