#!/usr/bin/python
# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Module fediverse.mastodon_s3.s3_sync_stop."""

from __future__ import annotations

DOCUMENTATION = r"""
module: s3_sync_stop
short_description: Stop running s3_sync tasks on a host
description:
  - Asks every run of M(fediverse.mastodon_s3.s3_sync) whose journal is in O(state_dir) to stop, and waits until it has
    stopped.
  - The task of such a run ends without a failure and reports this in its result. Files that were sent are not sent
    again.
  - Only a process that holds the lock of a journal gets a signal. An unrelated process that reuses the PID of an ended
    run is left alone.
options:
  state_dir:
    description:
      - Folder with the journals, with the same value as in the task to stop.
    type: path
    default: /var/lib/mastodon_s3
  timeout:
    description:
      - Fail if a run has not stopped after this many seconds. It will still stop later.
      - Uploads in progress get 20 seconds to finish.
    type: int
    default: 60
extends_documentation_fragment:
  - fediverse.mastodon_s3.attributes
  - fediverse.mastodon_s3.attributes.actiongroup_all
attributes:
  check_mode:
    support: full
    details:
      - Returns the runs that would be stopped.
  diff_mode:
    support: none
  idempotent:
    support: full
  platform:
    platforms: linux
notes:
  - Needs Linux 5.3 or later.
seealso:
  - module: fediverse.mastodon_s3.s3_sync
author:
  - fediverse.mastodon_s3 contributors (@fediverse)
"""

EXAMPLES = r"""
- name: Stop the copy, to continue it tomorrow
  fediverse.mastodon_s3.s3_sync_stop:
"""

RETURN = r"""
runs:
  description: The runs that were found.
  returned: always
  type: list
  elements: dict
  contains:
    journal:
      description: Path of the journal.
      type: str
      sample: /var/lib/mastodon_s3/sync-example-media-0123456789ab.sqlite
    process:
      description: Its PID.
      type: int
      sample: 4711
    ended:
      description: Whether it has stopped, null in check mode.
      type: bool
      sample: true
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.model import SyncError
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.options import STATE_DIR, at_least
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.processes.stop_runs import stop_runs


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "state_dir": {"type": "path", "default": STATE_DIR},
            "timeout": {"type": "int", "default": 60},
        },
        supports_check_mode=True,
    )
    try:
        at_least("timeout", module.params["timeout"], 0)
        runs = stop_runs(module.params["state_dir"], module.params["timeout"], check=module.check_mode)
    except SyncError as error:
        module.fail_json(msg=str(error))
    result: dict[str, Any] = {"changed": bool(runs), "runs": [run._asdict() for run in runs]}
    late = [str(run.process) for run in runs if run.ended is False]
    if late:
        module.fail_json(
            msg=f"process {', '.join(late)} was asked to stop, but is still running after"
            f" {module.params['timeout']} s: it will stop when its uploads have ended. Wait, or use a larger timeout",
            **result,
        )
    module.exit_json(**result)


if __name__ == "__main__":
    main()
