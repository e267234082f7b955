#!/usr/bin/python
# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Module fediverse.mastodon_s3.migration_state."""

from __future__ import annotations

DOCUMENTATION = r"""
module: migration_state
short_description: Read or write the state of a host's migration to object storage
description:
  - Reads the record of a migration in the state folder, says where the migration stands, and records what happens to
    it. Creates that folder for root only.
  - The record is written atomically and flushed to disk. After a crash, either the old or the new record is there.
  - A damaged record (empty, truncated, of a wrong type) is rebuilt if the env file and the journal of the copy show
    what it said. C(restart_pending) of RV(record) is then set. Otherwise the task fails and nothing is changed.
  - A folder that users other than root can change is refused.
  - While M(fediverse.mastodon_s3.mastodon_switch) is switching the instance, it waits for its end, for up to 15
    minutes.
author: fediverse.mastodon_s3 contributors (@fediverse)
extends_documentation_fragment:
  - fediverse.mastodon_s3.attributes
  - fediverse.mastodon_s3.attributes.actiongroup_all
attributes:
  check_mode:
    support: full
  diff_mode:
    support: none
  idempotent:
    support: full
options:
  state_dir:
    description:
      - The state folder.
    type: path
    required: true
  bucket:
    description:
      - Name of the bucket for the media.
    type: str
    required: true
  key_prefix:
    description:
      - Prefix of the keys in the bucket.
    type: str
    default: ""
  uses_bucket:
    description:
      - Whether the env file tells Mastodon to use this bucket. It is needed to rebuild a damaged record.
    type: bool
    default: false
  permission:
    description:
      - Value of C(S3_PERMISSION) in the env file. It is needed to rebuild a damaged record.
    type: str
  create_state_dir:
    description:
      - Create O(state_dir) if it does not exist. Writing a record always creates it.
    type: bool
    default: false
  event:
    description:
      - What happens to the migration. The record is written accordingly. Without it, the record is only read.
      - V(copy) means that the copy begins.
      - V(quiet) and V(change_key) announce that Sidekiq takes no new jobs, and that the key in the env file changes.
      - V(begin_switch) announces the edit of the env file. V(finish_switch) means that all services use the bucket
        and the final sync is complete.
      - V(undo) means that a failed switch was undone.
      - V(begin_roll_back) announces that Sidekiq stops and the env file is restored. V(roll_back) means that all
        services use the disk again.
      - V(fetched) means that after a rollback, what changed in the bucket is on disk, too.
      - The task fails if the event is not possible in the current state.
    type: str
    choices: [copy, quiet, change_key, begin_switch, finish_switch, undo, begin_roll_back, roll_back, fetched]
  exposure:
    description:
      - How objects are made readable for everybody, from O(event) on. Without it, the record keeps its exposure.
    type: str
    choices: [acl, policy, open_bucket]
  units:
    description:
      - The systemd units that may be stopped or may still have to be restarted, from O(event) on. They are recorded
        only while a restart is due.
    type: dict
    suboptions:
      web:
        description:
          - Units of the web process.
        type: list
        elements: str
        default: []
      sidekiq:
        description:
          - Units of Sidekiq.
        type: list
        elements: str
        default: []
  env_file_edited:
    description:
      - When the env file was edited, as RV(fediverse.mastodon_s3.mastodon_processes_info#module:moment). Without it,
        the record keeps its time.
    type: dict
    suboptions:
      boot_id:
        description:
          - Boot ID of the host.
        type: str
        required: true
      ticks:
        description:
          - Clock ticks since the boot.
        type: int
        required: true
      programs:
        description:
          - The programs that were running.
        type: list
        elements: str
        default: []
seealso:
  - module: fediverse.mastodon_s3.mastodon_processes_info
  - module: fediverse.mastodon_s3.mastodon_switch
"""

EXAMPLES = r"""
- name: Read the state of the migration
  fediverse.mastodon_s3.migration_state:
    state_dir: /var/lib/mastodon_s3
    bucket: mastodon-media
  register: migration

- name: Record that the switch is done
  fediverse.mastodon_s3.migration_state:
    state_dir: /var/lib/mastodon_s3
    bucket: mastodon-media
    uses_bucket: true
    event: finish_switch
"""

RETURN = r"""
record:
  description: The record, V(none) if there is none yet.
  returned: success
  type: dict
  sample:
    bucket: mastodon-media
    key_prefix: ""
    state: switched
    since: "2026-11-29T10:00:00Z"
    exposure: acl
    restart_pending: false
    units: {web: [], sidekiq: []}
    env_file_edited: null
    fetch_due: false
  contains:
    bucket:
      description: Name of the bucket.
      type: str
    key_prefix:
      description: Prefix of the keys in the bucket.
      type: str
    state:
      description:
        - V(copying) while Mastodon writes to the disk, V(configuring) while a switch is not finished, V(switched) when
          Mastodon writes to the bucket, and V(rolled back) when it writes to the disk again.
      type: str
    since:
      description: When this state was reached, as ISO 8601 in UTC. Empty in a record that was rebuilt.
      type: str
    exposure:
      description: How objects are made readable for everybody, as in O(exposure). Empty if this is not known.
      type: str
    restart_pending:
      description: Whether services may be running that have not read the env file since its last edit.
      type: bool
    units:
      description: The systemd units concerned, as in O(units).
      type: dict
    env_file_edited:
      description: When the env file was last edited, as in O(env_file_edited). V(none) if this is not known.
      type: dict
    fetch_due:
      description: Whether the bucket may have changes that are not on disk.
      type: bool
source_of_truth:
  description:
    - V(disk) if Mastodon writes to the disk, and V(bucket) if it writes to the bucket.
    - V(switching) if the env file names the bucket, but a switch was not finished.
  returned: success
  type: str
  sample: bucket
restart_due:
  description: Whether services may be stopped or quiet, or may run with settings from before the last edit.
  returned: success
  type: bool
reopen:
  description: Whether a sync has to make the tree the source of truth again, because a switch was undone.
  returned: success
  type: bool
rollback_due:
  description: Whether a rollback still has to restart services, or to be recorded, once the env file is restored.
  returned: success
  type: bool
fetch_due:
  description:
    - Whether the bucket may have changes that have not come home yet. Before a rollback, this is the case after each
      switch. After it, until V(fetched) is recorded.
  returned: success
  type: bool
contradiction:
  description:
    - V(not_recorded) if the env file names the bucket, but no switch was recorded.
    - V(not_enabled) if the record says that the bucket is in use, but the env file does not name it.
    - V(none) if they agree.
  returned: success
  type: str
switch_settings:
  description: The settings with which the switch began. They must not change after it. V(none) before a switch.
  returned: success
  type: dict
  contains:
    exposure:
      description: The exposure. Empty if this is not known.
      type: str
    key_prefix:
      description: The prefix of the keys.
      type: str
damage:
  description: What was wrong with the record's file, if the record was rebuilt. Otherwise an empty string.
  returned: success
  type: str
  sample: is empty
path:
  description: Path of the record's file.
  returned: success
  type: str
  sample: /var/lib/mastodon_s3/mastodon-media.switch.json
waited:
  description:
    - Whether a switch was in progress, so that this task had to wait for its end. What was read before that may be
      outdated.
  returned: success
  type: bool
unseen_outcome:
  description:
    - How M(fediverse.mastodon_s3.mastodon_switch) ended, if no control node has seen it, V(none) otherwise. With
      C(finished), C(undone), C(error) and C(at).
  returned: success
  type: dict
  sample: {finished: false, undone: true, error: "Start Sidekiq: it did not stay up", at: "2026-12-01T10:00:00Z"}
"""

import typing as t

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._mastodon.moment import OPTIONS, Moment
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._migration import lock, machine, outcome, store
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._migration.record import Units
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._migration.recording import record_event

_SWITCH_SECONDS = 900.0


def _result(position: machine.Position) -> dict[str, t.Any]:
    settings = position.switch_settings
    return {
        "record": None if position.record is None else position.record.as_dict(),
        "source_of_truth": position.source_of_truth.value,
        "restart_due": position.restart_due,
        "reopen": position.reopen,
        "rollback_due": position.rollback_due,
        "fetch_due": position.fetch_due,
        "contradiction": None if position.contradiction is None else position.contradiction.value,
        "switch_settings": None if settings is None else {"exposure": settings[0], "key_prefix": settings[1]},
    }


def _run(params: dict[str, t.Any], *, check_mode: bool) -> dict[str, t.Any]:
    location = store.RecordLocation(
        params["state_dir"], params["bucket"], params["key_prefix"], params["uses_bucket"], params["permission"]
    )
    waited = lock.wait_for_switch(location.state_dir, location.bucket, _SWITCH_SECONDS)
    unseen = outcome.read_outcome(location.state_dir, location.bucket)
    found = store.read(location)
    position, changed = machine.Position(found.record, location.uses_bucket), False
    if params["create_state_dir"] and store.folder_is_missing(location.state_dir):
        changed = True
        if not check_mode:
            store.create_folder(location.state_dir)
    if params["event"] is not None:
        units, edited = params["units"], params["env_file_edited"]
        record, differs = record_event(
            location,
            machine.Event(params["event"]),
            exposure=params["exposure"],
            units=units and Units(tuple(units["web"]), tuple(units["sidekiq"])),
            edited=edited and Moment.from_options(edited),
            dry_run=check_mode,
        )
        if differs:
            changed, position = True, machine.Position(record, location.uses_bucket)
    return {
        "changed": changed,
        **_result(position),
        "damage": found.damage,
        "path": location.path,
        "waited": waited,
        "unseen_outcome": unseen and unseen.as_dict(),
    }


def main() -> None:
    """Run the module."""
    names = {"type": "list", "elements": "str", "default": []}
    module = AnsibleModule(
        argument_spec={
            "state_dir": {"type": "path", "required": True},
            "bucket": {"type": "str", "required": True},
            "key_prefix": {"type": "str", "default": "", "no_log": False},
            "uses_bucket": {"type": "bool", "default": False},
            "permission": {"type": "str"},
            "create_state_dir": {"type": "bool", "default": False},
            "event": {"type": "str", "choices": [event.value for event in machine.Event]},
            "exposure": {"type": "str", "choices": ["acl", "policy", "open_bucket"]},
            "units": {"type": "dict", "options": {"web": names, "sidekiq": names}},
            "env_file_edited": {"type": "dict", "options": OPTIONS},
        },
        supports_check_mode=True,
    )
    try:
        result = _run(module.params, check_mode=module.check_mode)
    except (store.StateError, machine.TransitionError) as error:
        module.fail_json(msg=str(error))
    module.exit_json(**result)


if __name__ == "__main__":
    main()
