# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Where modules run."""

from __future__ import annotations

import json

import pytest
from ansible.module_utils.basic import PASS_VARS
from ansible.module_utils.testing import patch_module_args


@pytest.fixture(autouse=True)
def on_a_managed_node(monkeypatch):
    """Take back what ansible-core concludes where a test of an action plugin was imported: that this is a controller.

    There the warnings of modules are shown at once, and are not in their results.
    """
    monkeypatch.setattr("ansible.module_utils._internal.is_controller", False)


@pytest.fixture(autouse=True)
def no_warnings_of_other_tests(monkeypatch):
    """Remove the warnings of earlier modules in this process. Ansible runs each module in its own process."""
    monkeypatch.setattr("ansible.module_utils.common.warnings._global_warnings", {})


@pytest.fixture
def run(tmp_path, capsys):
    """Runs a module and returns its result, and all that it printed."""
    temporary = tmp_path / "remote_tmp"
    temporary.mkdir()

    def call(module, check_mode=False, **params):
        settings = {
            "_ansible_check_mode": check_mode,
            "_ansible_diff": True,
            "_ansible_remote_tmp": str(temporary),
        }
        if "inject_invocation" in PASS_VARS:
            settings["_ansible_inject_invocation"] = True
        with patch_module_args({**params, **settings}), pytest.raises(SystemExit):
            module.main()
        printed = capsys.readouterr()
        result = json.loads(printed.out)
        # Since 2.22 a module reports separately what the controller has to mask.
        result.pop("_ansible_new_secrets", None)
        return result, json.dumps(result) + printed.err

    return call
