#!/usr/bin/python
# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Module fediverse.mastodon_s3.mastodon_switch."""

from __future__ import annotations

DOCUMENTATION = r"""
module: mastodon_switch
short_description: Switch Mastodon from the disk to object storage
description:
  - Lets Sidekiq finish, edits the env file, restarts the services, and sends the last files in between. It does all of
    this on the host, in one task, so the site is without Sidekiq for as short as possible.
  - If a step fails, it restores the env file and the services, and then fails with the reason.
  - Use C(async) with this module. The switch is then finished or undone even if the connection or the control node is
    lost meanwhile. The next task that uses M(fediverse.mastodon_s3.migration_state) waits for its end and says how it
    ended.
  - The record of M(fediverse.mastodon_s3.migration_state) says what is still to be done. A phase that is done already
    changes nothing.
options:
  phases:
    description:
      - What to do, in this order.
      - V(quiesce) tells Sidekiq to take no new jobs, waits for the running ones, and sends what they wrote.
      - V(configure) keeps copies of O(env_file) in the state folder, stops Sidekiq, and edits O(env_file).
      - V(restart) stops Sidekiq if it still runs, and restarts web. When the old web processes have ended, it sends the
        last files. If M(fediverse.mastodon_s3.s3_sync_feed) has followed the changes, it sends them while web starts,
        otherwise after web has answered. Then it starts Sidekiq.
      - V(undo) restores O(env_file) and the services after an earlier task of this module.
    type: list
    elements: str
    choices: [quiesce, configure, restart, undo]
    required: true
  root:
    description:
      - The folder of the instance.
    type: path
    required: true
  env_file:
    description:
      - The env file of the instance.
    type: path
    required: true
  domain:
    description:
      - C(LOCAL_DOMAIN) of the instance, to recognise its processes in containers.
    type: str
    default: ""
  variables:
    description:
      - Variables to write into O(env_file), as in M(fediverse.mastodon_s3.env_file). Secrets do not belong here.
    type: dict
    default: {}
  absent:
    description:
      - Variables to remove from O(env_file).
    type: list
    elements: str
    default: []
  web_units:
    description:
      - The systemd units of web. Required unless O(restart_command) is set.
    type: list
    elements: str
    default: []
  sidekiq_units:
    description:
      - The systemd units of Sidekiq. Required unless O(restart_command) is set.
    type: list
    elements: str
    default: []
  restart_command:
    description:
      - A command that restarts everything in place of the units. Sidekiq is then neither told to finish nor stopped.
    type: str
    default: ""
  web_url:
    description:
      - The address at which web answers on this host.
    type: str
    required: true
  web_socket:
    description:
      - The Unix socket on which web listens, if it does not listen on a port.
    type: path
    default: ""
  quiesce_timeout:
    description:
      - How many seconds the running jobs of Sidekiq may take. Jobs that take longer are stopped and start again later.
    type: int
    default: 60
  health_timeout:
    description:
      - How many seconds web may take until C(/health) answers with the status 200.
    type: int
    default: 120
  fallback_file:
    description:
      - A file that is removed once the last files are sent, and if the switch fails. While it exists, the media host of
        the role P(fediverse.mastodon_s3.media_server#role) serves from disk what the bucket does not have yet.
    type: path
    default: ""
  sync:
    description:
      - Options of M(fediverse.mastodon_s3.s3_sync), for the files that are sent. They also name the bucket and the
        state folder.
      - O(ignore:source_of_truth), O(ignore:delete), O(ignore:reopen), and the limits for time, bandwidth and priority
        are set by this module. Credentials have to come from a file.
    type: dict
    required: true
  restore:
    description:
      - Which copy of the env file V(undo) restores. V(before) is the one from before the switch, V(last) the one from
        before the last edit. Use the value of RV(restore) of the earlier task. Without this option, V(undo) only
        restarts Sidekiq.
    type: str
    choices: [before, last]
  before_edit:
    description:
      - The moment before the edit that V(undo) takes back, see RV(before_edit).
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
author: fediverse.mastodon_s3 contributors (@fediverse)
extends_documentation_fragment:
  - fediverse.mastodon_s3.attributes
  - fediverse.mastodon_s3.attributes.actiongroup_all
attributes:
  check_mode:
    support: full
    details:
      - C(async) and check mode exclude each other, so set C(async) to 0 in check mode.
  diff_mode:
    support: full
  idempotent:
    support: full
    details:
      - V(undo) always restarts Sidekiq.
seealso:
  - module: fediverse.mastodon_s3.migration_state
  - module: fediverse.mastodon_s3.s3_sync
"""

EXAMPLES = r"""
- name: Switch Mastodon to the bucket
  fediverse.mastodon_s3.mastodon_switch:
    phases: [quiesce, configure, restart]
    root: /home/mastodon/live
    env_file: /home/mastodon/live/.env.production
    variables:
      S3_ENABLED: true
      S3_BUCKET: mastodon-media
      S3_REGION: eu-central-1
    web_units: [mastodon-web.service]
    sidekiq_units: [mastodon-sidekiq.service]
    web_url: http://127.0.0.1:3000
    sync:
      src: /home/mastodon/live/public/system
      bucket: mastodon-media
      region: eu-central-1
      credentials_file: /home/mastodon/live/.env.production
  async: 86400
  poll: 1
"""

RETURN = r"""
phases:
  description: The phases that were completed.
  returned: always
  type: list
  elements: str
  sample: [quiesce, configure, restart]
steps:
  description: Each step, and how many seconds it took.
  returned: always
  type: list
  elements: dict
  sample: [{step: Stop Sidekiq, seconds: 1.204}]
rounds:
  description: Results of M(fediverse.mastodon_s3.s3_sync), by phase.
  returned: always
  type: dict
edited:
  description: Names of the variables in the env file that were added, changed or removed.
  returned: always
  type: list
  elements: str
  sample: [S3_BUCKET, S3_ENABLED]
restore:
  description: Which copy of the env file O(phases=undo) has to restore, see O(restore). V(none) if nothing was edited.
  returned: always
  type: str
  sample: before
before_edit:
  description: The moment before the edit of the env file.
  returned: always
  type: dict
settings_from:
  description: The moment from which on all processes have the new settings.
  returned: always
  type: dict
quieted:
  description: Whether Sidekiq was told to finish, or stopped.
  returned: always
  type: bool
restarted:
  description: Whether the services were restarted.
  returned: always
  type: bool
seconds_without_sidekiq:
  description: From the stop of Sidekiq to its start.
  returned: always
  type: float
  sample: 21.5
seconds_to_last_file:
  description: From the end of the last old web process to the end of the last sync.
  returned: always
  type: float
  sample: 0.62
undone:
  description: Whether the previous state was restored.
  returned: failure
  type: bool
interfered:
  description: Whether anything was changed before it failed.
  returned: failure
  type: bool
"""

import signal
import typing as t
from functools import partial

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._dotenv.errors import DotenvError
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._dotenv.request import Request, request
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._files.errors import FileError
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._mastodon.moment import OPTIONS, Moment
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._migration import lock, machine, outcome, store
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.connection.errors import (
    Boto3MissingError,
    S3Error,
)
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.connection.masking import unexpected
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.connection.options import (
    ConnectionOptionsError,
    connection_argument_spec,
    secret_options,
)
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._switch import scope
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._switch.model import (
    Copy,
    Phase,
    Settings,
    SwitchError,
    SwitchFailedError,
)
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._switch.services import Services
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._switch.switch import Switch
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.connect import store_from
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.engine import run
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.model import SyncError
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.options import (
    settings_from,
    sync_argument_spec,
)

_LOCK_SECONDS = 60.0
# The site waits for these syncs, so nothing slows them down.
_SET_HERE: dict[str, t.Any] = {
    "nice": None,
    "ionice": None,
    "bandwidth_limit": None,
    "time_limit": None,
    "repeat_until": None,
}
_EXPECTED = (
    SwitchError,
    SyncError,
    S3Error,
    Boto3MissingError,
    ConnectionOptionsError,
    DotenvError,
    FileError,
    store.StateError,
    machine.TransitionError,
)


def _sync_options(module: AnsibleModule) -> dict[str, t.Any]:
    """Return the options for the syncs, with their defaults."""
    given = module.params["sync"]
    spec = {**sync_argument_spec(), **connection_argument_spec()}
    found = secret_options(given)
    if found:
        module.no_log_values.update(str(given[name]) for name in found)
        module.fail_json(msg=f"sync: {', '.join(found)} can't be given here; use credentials_file")
    validator = ArgumentSpecValidator(spec)
    checked = validator.validate(given)
    if checked.error_messages:
        module.fail_json(msg=f"sync: {'; '.join(checked.error_messages)}")
    options: dict[str, t.Any] = checked.validated_parameters
    return {**options, **_SET_HERE}


def _settings(params: dict[str, t.Any], sync: dict[str, t.Any]) -> Settings:
    edit = params["before_edit"]
    return Settings(
        state_dir=sync["state_dir"],
        bucket=sync["bucket"],
        key_prefix=sync["key_prefix"],
        exposure=sync["exposure"],
        root=params["root"],
        env_file=params["env_file"],
        domain=params["domain"],
        web_units=tuple(params["web_units"]),
        sidekiq_units=tuple(params["sidekiq_units"]),
        restart_command=params["restart_command"],
        web_url=params["web_url"],
        web_socket=params["web_socket"],
        quiesce_timeout=params["quiesce_timeout"],
        health_timeout=params["health_timeout"],
        fallback_file=params["fallback_file"],
        restore=Copy(params["restore"]) if params["restore"] else None,
        before_edit=Moment.from_options(edit) if edit else None,
    )


def _edit_request(params: dict[str, t.Any]) -> Request:
    edit = {"path": params["env_file"], "variables": params["variables"], "absent": params["absent"]}
    unused: dict[str, t.Any] = {
        "secrets": {},
        "owner": None,
        "group": None,
        "mode": None,
        "validate": None,
        "removal": "delete",
    }
    return request({**edit, **unused, "create": False, "backup": False})


def _run_sync(params: t.Mapping[str, t.Any]) -> tuple[dict[str, t.Any], list[str]]:
    settings = settings_from(params, check_mode=False)
    report = run(settings, lambda: store_from(params, settings), progress=params["progress"])
    if report.error is not None:
        raise SwitchError(report.error)
    if report.stopped is not None:
        raise SwitchError("the sync was asked to stop before it was complete")
    return report.as_dict(), report.warnings


def _result(switch: Switch, *, changed: bool) -> dict[str, t.Any]:
    done = switch.progress
    return {
        "changed": changed,
        "phases": done.phases,
        "steps": done.steps,
        "rounds": done.rounds,
        "edited": done.edited,
        "restore": done.restore and done.restore.value,
        "before_edit": done.before_edit and done.before_edit.as_dict(),
        "settings_from": done.settings_from and done.settings_from.as_dict(),
        "quieted": done.quieted,
        "restarted": done.restarted,
        "seconds_without_sidekiq": done.seconds_without_sidekiq,
        "seconds_to_last_file": done.seconds_to_last_file,
        "diff": done.diff,
    }


def _carry_on(_signal: int, _frame: object) -> None:
    """Ignore a signal. Unlike SIG_IGN, programs that are started do not inherit this."""


def _keep(module: AnsibleModule, settings: Settings, ended: outcome.Outcome) -> None:
    """Keep the outcome on the host. What counts is the record, so a full disk is no reason to fail."""
    try:
        outcome.write_outcome(settings.state_dir, settings.bucket, ended)
    except store.StateError as error:
        module.warn(str(error))


def _switch(module: AnsibleModule, switch: Switch, settings: Settings, phases: list[Phase]) -> None:
    """Run the phases, keep the outcome on the host, and end the module if that fails."""
    # From here on only a kill or a power failure ends this before the services are back.
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _carry_on)
    scope.leave_session(partial(module.run_command, handle_exceptions=False), settings.bucket)
    with lock.switch_lock(settings.state_dir, settings.bucket, _LOCK_SECONDS):
        outcome.remove_outcome(settings.state_dir, settings.bucket)
        try:
            switch.run(phases)
        except SwitchFailedError as error:
            _keep(module, settings, outcome.Outcome(False, error.undone, str(error), outcome.now()))
            result = _result(switch, changed=error.interfered)
            module.fail_json(msg=str(error), undone=error.undone, interfered=error.interfered, **result)
        _keep(module, settings, outcome.Outcome(True, False, "", outcome.now()))


def main() -> None:
    """Run the module."""
    names = {"type": "list", "elements": "str", "default": []}
    module = AnsibleModule(
        argument_spec={
            "phases": {
                "type": "list",
                "elements": "str",
                "choices": [phase.value for phase in Phase],
                "required": True,
            },
            "root": {"type": "path", "required": True},
            "env_file": {"type": "path", "required": True},
            "domain": {"type": "str", "default": ""},
            "variables": {"type": "dict", "default": {}},
            "absent": names,
            "web_units": names,
            "sidekiq_units": names,
            "restart_command": {"type": "str", "default": ""},
            "web_url": {"type": "str", "required": True},
            "web_socket": {"type": "path", "default": ""},
            "quiesce_timeout": {"type": "int", "default": 60},
            "health_timeout": {"type": "int", "default": 120},
            "fallback_file": {"type": "path", "default": ""},
            "sync": {"type": "dict", "required": True},
            "restore": {"type": "str", "choices": [copy.value for copy in Copy]},
            "before_edit": {"type": "dict", "options": OPTIONS},
        },
        supports_check_mode=True,
        # Otherwise syslog would get what is in sync before a secret there can be refused.
        no_log=True,
    )
    module.run_command_environ_update = {"LANGUAGE": "C", "LC_ALL": "C.UTF-8"}
    sync = _sync_options(module)
    units = module.params["web_units"] and module.params["sidekiq_units"]
    if not units and not module.params["restart_command"]:
        module.fail_json(msg="web_units and sidekiq_units are needed; set both, or set restart_command")

    def describe(error: Exception) -> str:
        if isinstance(error, _EXPECTED):
            return str(error)
        return unexpected(error, sync["private_prefixes"])["msg"]

    try:
        settings_from(sync, check_mode=True)
        settings = _settings(module.params, sync)
        phases = [Phase(name) for name in module.params["phases"]]
        switch = Switch(
            settings,
            _edit_request(module.params),
            Services(settings, partial(module.run_command, handle_exceptions=False)),
            lambda options: _run_sync({**sync, **options}),
            describe,
        )
        changed = switch.predict(phases)
        if changed and not module.check_mode:
            _switch(module, switch, settings, phases)
    except Exception as error:  # noqa: BLE001 - any error's text may contain names that must not be shown
        module.fail_json(msg=describe(error))
    for warning in switch.progress.warnings:
        module.warn(warning)
    module.exit_json(**_result(switch, changed=changed))


if __name__ == "__main__":
    main()
