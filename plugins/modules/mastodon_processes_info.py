#!/usr/bin/python
# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The module mastodon_processes_info."""

from __future__ import annotations

DOCUMENTATION = r"""
module: mastodon_processes_info
short_description: Check that the running Mastodon processes use the current env file
description:
  - Finds the web and Sidekiq processes of an instance, including those in containers on the host, and checks whether
    they use the settings of the env file.
  - A process must have been started after the file was edited. A reload of Puma counts as a start, but a new worker
    that an old Puma forks does not. Changes of the host's clock do not matter.
  - A variable in a process's environment overrides the env file. It is a fault if its value differs from the file.
  - Also finds processes of the instance that belong to none of its services, such as C(tootctl) or a Rails console, see
    RV(other_writers).
  - A container gets the variables of the file when it is created. They must be in its environment, unless the
    container contains the file itself.
  - Values of secret variables are never returned.
author:
  - fediverse.mastodon_s3 contributors (@fediverse)
extends_documentation_fragment:
  - fediverse.mastodon_s3.attributes
  - fediverse.mastodon_s3.attributes.actiongroup_all
  - fediverse.mastodon_s3.attributes.info_module
attributes:
  platform:
    support: full
    platforms: linux
options:
  root:
    description:
      - The folder of the instance. Processes outside containers belong to the instance if this is their working folder.
    type: path
    required: true
  env_file:
    description:
      - The env file of the instance. By default C(.env.production) in O(root).
    type: path
  domain:
    description:
      - The instance's C(LOCAL_DOMAIN). Processes in containers belong to the instance if this is in their environment,
        or if their container contains the env file.
    type: str
  pids:
    description:
      - PIDs of processes that are known to belong to the instance, such as those of its systemd units.
    type: list
    elements: int
    default: []
  units:
    description:
      - Names of the instance's systemd units of web, Sidekiq and streaming. Processes in their control groups are no
        RV(other_writers).
      - Without any, all web and Sidekiq processes count as the instance's services. Those in containers always do, and
        so do those in O(pids).
    type: list
    elements: str
    default: []
  schedules:
    description:
      - Whether to look for timers and crontabs that run C(tootctl), see RV(schedules).
    type: bool
    default: false
  variables:
    description:
      - Names of the variables to compare with the env file.
    type: list
    elements: str
    default: []
  since:
    description:
      - RV(moment) of an earlier run of this module, right after the edit of the env file.
      - Without it, RV(verdict) is never V(proven).
    type: dict
    suboptions: &moment
      boot_id:
        description: Boot ID of the host.
        type: str
        required: true
      ticks:
        description: Clock ticks since the boot.
        type: int
        required: true
      programs:
        description: The programs that were running.
        type: list
        elements: str
        default: []
  before_reverted_edit:
    description:
      - RV(moment) of a run right before an edit that was undone since then.
      - A process that was already running then, and was not restarted, has the current settings even though it is older
        than O(since).
    type: dict
    suboptions: *moment
  wait:
    description:
      - How many seconds to keep checking while RV(verdict) is V(disproven). Old processes may take a while to end.
    type: int
    default: 0
notes:
  - Run it as root, since other users can't read the environment of Mastodon's processes. In a container, root needs the
    capability C(SYS_PTRACE) for that.
  - Processes on other hosts are not seen, and neither are settings that are changed in Mastodon's code.
seealso:
  - module: fediverse.mastodon_s3.mastodon_instance_info
"""

EXAMPLES = r"""
- name: Note the moment right after the edit of the env file
  fediverse.mastodon_s3.mastodon_processes_info:
    root: /home/mastodon/live
  register: edited

- name: Restart Mastodon
  ansible.builtin.systemd_service:
    name: "{{ item }}"
    state: restarted
  loop: [mastodon-web, mastodon-sidekiq]

- name: Check that it uses the new settings
  fediverse.mastodon_s3.mastodon_processes_info:
    root: /home/mastodon/live
    variables: [S3_ENABLED, S3_BUCKET]
    since: "{{ edited.moment }}"
  register: processes
  failed_when: processes.verdict == 'disproven'
"""

RETURN = r"""
verdict:
  description:
    - V(disproven) if a process uses other settings, see RV(faults).
    - V(not proven) if this can't be determined, see RV(doubts).
    - V(proven) if all processes use the settings of the file, and there is at least one of web and one of Sidekiq.
  returned: success
  type: str
  sample: disproven
faults:
  description: Evidence that a process uses other settings, and what to do about it.
  returned: success
  type: list
  elements: str
  sample:
    - >-
      web (process 812) still running with the settings from before /home/mastodon/live/.env.production was edited.
      Restart these processes
doubts:
  description: What could not be determined, and what to do about it.
  returned: success
  type: list
  elements: str
  sample: []
overrides:
  description:
    - Those of the RV(faults) that name a variable in the environment of a process that overrides the env file.
  returned: success
  type: list
  elements: str
  sample: []
processes:
  description: The web and Sidekiq processes of the instance.
  returned: success
  type: list
  elements: dict
  contains:
    pid:
      description: PID of the process.
      type: int
      sample: 812
    kind:
      description: V(web) or V(sidekiq).
      type: str
    title:
      description: Its command line, or the title that it gave itself, with secrets masked.
      type: str
      sample: puma 6.4.2 (tcp://127.0.0.1:3000) [live]
    restarted:
      description: Whether it was started or reloaded after O(since). Null if this is not known.
      type: bool
    in_container:
      description: Whether it runs in a container.
      type: bool
    environment_read:
      description: Whether its environment could be read.
      type: bool
other_processes:
  description: Number of web and Sidekiq processes on the host that are not known to belong to the instance.
  returned: success
  type: int
  sample: 0
other_writers:
  description:
    - Ruby processes that run the instance's code, but belong to none of its services. They may write and delete media
      with the settings with which they were started, until they end.
    - Programs around them, such as a shell or C(sudo), are left out.
  returned: success
  type: list
  elements: dict
  contains:
    pid:
      description: PID of the process.
      type: int
      sample: 4711
    command:
      description: Its command line, with secrets masked.
      type: str
      sample: ruby bin/tootctl media remove --days 7
    user:
      description: Its user.
      type: str
      sample: mastodon
    since:
      description: When it was started, in UTC.
      type: str
      sample: "2026-11-30T03:00:01Z"
    in_container:
      description: Whether it runs in a container.
      type: bool
    message:
      description: All of this in one line.
      type: str
      sample: "ruby bin/tootctl media remove --days 7 (process 4711 of mastodon, since 2026-11-30T03:00:01Z)"
schedules:
  description:
    - Active systemd timers, and lines of crontabs, that run C(tootctl). Crontabs are C(/etc/crontab), those in
      C(/etc/cron.d), and those of root and of the owner of O(root).
    - Empty without O(schedules).
  returned: success
  type: list
  elements: dict
  contains:
    source:
      description: Name of the timer, or path of the crontab.
      type: str
      sample: /var/spool/cron/crontabs/mastodon
    command:
      description: What it runs, or the line of the crontab, with secrets masked.
      type: str
      sample: "@daily RAILS_ENV=production /home/mastodon/live/bin/tootctl media remove"
moment:
  description: The current point in time, for O(since) of a later run.
  returned: success
  type: dict
  contains:
    boot_id:
      description: Boot ID of the host.
      type: str
    ticks:
      description: Clock ticks since the boot.
      type: int
    programs:
      description: Hashes that identify the running web and Sidekiq programs of all instances.
      type: list
      elements: str
"""

import os
import typing as t
from dataclasses import asdict
from datetime import datetime, timedelta, timezone

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._dotenv.errors import DotenvReadError
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._mastodon import processes
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._mastodon.moment import OPTIONS, Moment
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._mastodon.other_writers import other_writers
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._mastodon.processes_check import (
    ProcessesToCheck,
    check_processes,
)
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._mastodon.schedules import schedules
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._mastodon.variables import masked_command

# Exists only where systemd is the init system, see sd_booted(3)
_BOOTED = "/run/systemd/system"


def _moment(given: dict[str, t.Any] | None) -> Moment | None:
    return Moment.from_options(given) if given else None


def _find_out(params: dict[str, t.Any]) -> dict[str, t.Any]:
    env_file = params["env_file"] or os.path.join(params["root"], ".env.production")
    instance = processes.Instance(params["root"], env_file, params["domain"] or "", frozenset(params["pids"]))
    wanted = ProcessesToCheck(
        instance,
        params["variables"],
        since=_moment(params["since"]),
        before_reverted_edit=_moment(params["before_reverted_edit"]),
    )
    found = check_processes(wanted, seconds=params["wait"])
    return {
        "verdict": found.judgement.verdict,
        "faults": list(found.judgement.faults),
        "doubts": list(found.judgement.doubts),
        "overrides": list(found.judgement.overrides),
        "processes": [
            {
                "pid": process.pid,
                "kind": process.kind,
                "title": masked_command(process.title),
                "restarted": restarted,
                "in_container": process.in_container,
                "environment_read": process.environment is not None,
            }
            for process, restarted in found.processes
        ],
        "other_processes": found.others,
        "other_writers": _other_writers(instance, params["units"]),
        "moment": found.moment.as_dict(),
    }


def _other_writers(instance: processes.Instance, units: list[str]) -> list[dict[str, t.Any]]:
    names = frozenset(name if name.endswith(".service") else f"{name}.service" for name in units)
    now = datetime.now(timezone.utc)
    found = []
    for each in other_writers(instance, names):
        since = (now - timedelta(seconds=each.seconds)).strftime("%Y-%m-%dT%H:%M:%SZ")
        place = " in a container" if each.in_container else ""
        message = f"{each.command} (process {each.pid} of {each.user}{place}, since {since})"
        fields = {"pid": each.pid, "command": each.command, "user": each.user, "in_container": each.in_container}
        found.append({**fields, "since": since, "message": message})
    return found


def _schedules(module: AnsibleModule) -> list[dict[str, str]]:
    has_systemd = os.path.isdir(_BOOTED) and module.get_bin_path("systemctl")
    return [asdict(each) for each in schedules(module.params["root"], module.run_command if has_systemd else None)]


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "root": {"type": "path", "required": True},
            "env_file": {"type": "path"},
            "domain": {"type": "str"},
            "pids": {"type": "list", "elements": "int", "default": []},
            "units": {"type": "list", "elements": "str", "default": []},
            "schedules": {"type": "bool", "default": False},
            "variables": {"type": "list", "elements": "str", "default": []},
            "since": {"type": "dict", "options": OPTIONS},
            "before_reverted_edit": {"type": "dict", "options": OPTIONS},
            "wait": {"type": "int", "default": 0},
        },
        supports_check_mode=True,
    )
    module.run_command_environ_update = {"LANGUAGE": "C", "LC_ALL": "C.UTF-8"}
    try:
        result = _find_out(module.params)
        result["schedules"] = _schedules(module) if module.params["schedules"] else []
    except DotenvReadError as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=False, **result)


if __name__ == "__main__":
    main()
