#!/usr/bin/python
# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The module mastodon_instance_info."""

from __future__ import annotations

DOCUMENTATION = r"""
module: mastodon_instance_info
short_description: Find out where a host's Mastodon instance keeps its things
description:
  - >-
    Finds the folder of a Mastodon instance, its version, its dotenv files, the folder of its media, its address and its
    systemd units by what they run, whatever their names are.
  - >-
    Says for every variable that has to do with storage which value counts and where it comes from, and which variables
    an edit of C(.env.production) could not change, because a unit's C(Environment=), C(EnvironmentFile=) or drop-in, or
    another dotenv file wins over it.
  - Values of secret variables are never returned.
author:
  - fediverse.mastodon_s3 contributors (@fediverse)
extends_documentation_fragment:
  - fediverse.mastodon_s3.attributes
  - fediverse.mastodon_s3.attributes.actiongroup_all
  - fediverse.mastodon_s3.attributes.info_module
options:
  root:
    description:
      - The folder of the instance, which holds C(.env.production) and C(lib/mastodon/version.rb).
      - >-
        By default it is found by the systemd units that run puma or Sidekiq, and otherwise looked for in well-known
        places such as C(/home/mastodon/live). If there are several instances, the module fails and names them.
    type: path
  scope:
    description:
      - The service manager that runs the units; V(user) is that of the user who runs the task.
      - Where systemd does not run, there are no units.
    type: str
    choices: [system, user]
    default: system
notes:
  - Run it as root or as Mastodon's user. Others can't read the dotenv files.
  - Variables that a wrapper script of a unit sets are not seen. Those on the command line of C(ExecStart=) are.
  - >-
    Commands and references to other variables in dotenv files are neither run nor expanded. Such variables are returned
    with C(dynamic) and without a value.
seealso:
  - module: fediverse.mastodon_s3.env_file
  - module: fediverse.mastodon_s3.env_file_info
"""

EXAMPLES = r"""
- name: Find the instance
  fediverse.mastodon_s3.mastodon_instance_info:
  register: instance
  become: true

- name: Restart everything that uses the storage
  ansible.builtin.systemd_service:
    name: "{{ item }}"
    state: restarted
  loop: "{{ instance.web_units + instance.sidekiq_units }}"
  become: true

- name: Stop where an edit of the env file would have no effect
  ansible.builtin.assert:
    that: instance.shadowed | length == 0
    fail_msg: "{{ instance.shadowed | map(attribute='message') | list }}"
"""

RETURN = r"""
root:
  description: The folder of the instance.
  returned: success
  type: str
  sample: /home/mastodon/live
version:
  description: The version as C(lib/mastodon/version.rb) states it. All are null where it states none.
  returned: success
  type: dict
  sample: {full: 4.3.0-rc.1+glitch, string: 4.3.0, major: 4, minor: 3, patch: 0, prerelease: rc.1, metadata: glitch}
  contains:
    full:
      description: The version as Mastodon writes it.
      type: str
    string:
      description: The three numbers.
      type: str
    major:
      description: First number.
      type: int
    minor:
      description: Second number.
      type: int
    patch:
      description: Third number.
      type: int
    prerelease:
      description: The part behind the hyphen, or an empty string.
      type: str
    metadata:
      description: What a fork adds behind the plus sign, or an empty string.
      type: str
managed_by:
  description:
    - V(nixos), V(yunohost) or V(docker), where these look after the instance and may write its settings anew.
    - Null for an ordinary installation.
  returned: success
  type: str
  sample: null
env_file:
  description: The dotenv file to write to, whether it exists or not.
  returned: success
  type: str
  sample: /home/mastodon/live/.env.production
env_file_exists:
  description: Whether RV(env_file) exists.
  returned: success
  type: bool
  sample: true
env_files:
  description: All dotenv files that Mastodon would read, from the one that wins to the one that loses.
  returned: success
  type: list
  elements: dict
  sample:
    - path: /home/mastodon/live/.env.production
      real_path: /srv/mastodon/env.production
      exists: true
      owner: mastodon
      group: mastodon
      mode: '0640'
  contains: &file
    path:
      description: Path of the file or folder.
      type: str
    real_path:
      description: The path with symbolic links resolved.
      type: str
    exists:
      description: Whether it is there. If not, the following are null.
      type: bool
    owner:
      description: Name of the owner, or the number where it has no name.
      type: str
    group:
      description: Likewise the group.
      type: str
    mode:
      description: Four octal digits.
      type: str
media_root:
  description: The folder of the media, from C(PAPERCLIP_ROOT_PATH).
  returned: success
  type: str
  sample: /home/mastodon/live/public/system
media_root_state:
  description: Whether RV(media_root) is there, whose it is, and what it lies on.
  returned: success
  type: dict
  contains:
    <<: *file
    empty:
      description: Whether nothing is in it. Null where that can't be told.
      type: bool
    file_system:
      description: Type of the file system, such as V(ext4) or V(nfs4).
      type: str
    mount_point:
      description: Where that file system is mounted.
      type: str
media_url_path:
  description: Where the media are below the web domain, or their whole address, from C(PAPERCLIP_ROOT_URL).
  returned: success
  type: str
  sample: /system
domain:
  description: C(LOCAL_DOMAIN), or null.
  returned: success
  type: str
  sample: social.example
web_domain:
  description: C(WEB_DOMAIN), or RV(domain).
  returned: success
  type: str
  sample: social.example
web_url:
  description: Address of the web process on its own host. With a socket, the host name in it has no meaning.
  returned: success
  type: str
  sample: http://127.0.0.1:3000
web_socket:
  description: The UNIX socket on which the web process listens in place of a port, or null.
  returned: success
  type: str
  sample: null
web_units:
  description:
    - Names of the units of the web process that are in use, which are the running ones or, where none runs, the
      enabled ones.
  returned: success
  type: list
  elements: str
  sample: [mastodon-web.service]
sidekiq_units:
  description: Names of the units of Sidekiq that are in use, in the same sense.
  returned: success
  type: list
  elements: str
  sample: [mastodon-sidekiq@default.service, mastodon-sidekiq@pull.service]
units:
  description:
    - All systemd services that run from RV(root), in use or not. Empty where systemd does not run.
    - Sorted by RV(units[].kind), the active ones first.
  returned: success
  type: list
  elements: dict
  sample:
    - name: mastodon-sidekiq@pull.service
      kind: sidekiq
      active: true
      enabled: true
      command: /home/mastodon/.rbenv/shims/bundle exec sidekiq -c 25 -q pull
      user: mastodon
      umask: '0022'
      environment: [DB_POOL, MALLOC_ARENA_MAX, RAILS_ENV]
      environment_files: [{path: /etc/default/mastodon, optional: true, exists: false, is_env_file: false}]
      main_pid: 812
      pids: [812, 840]
      fragment_path: /etc/systemd/system/mastodon-sidekiq@.service
      drop_ins: []
      timeout_stop: 15.0
      needs_daemon_reload: false
  contains:
    name:
      description: Full name of the unit.
      type: str
    kind:
      description: V(web), V(sidekiq), V(streaming), or V(other).
      type: str
    active:
      description: Whether it runs or is being started.
      type: bool
    enabled:
      description: Whether it is started at boot.
      type: bool
    command:
      description: Its command line, secrets masked.
      type: str
    user:
      description: C(User=), or null.
      type: str
    umask:
      description: C(UMask=) in four octal digits.
      type: str
    environment:
      description: Names of the variables in C(Environment=).
      type: list
      elements: str
    environment_files:
      description:
        - The files of C(EnvironmentFile=), in their order. The last one wins.
        - C(is_env_file) means that it is RV(env_file), so that changes there need a restart. A reload is not enough.
      type: list
      elements: dict
    main_pid:
      description: Process id of its main process, or null.
      type: int
    pids:
      description: Process ids of all its processes.
      type: list
      elements: int
    fragment_path:
      description: The unit file, or null.
      type: str
    drop_ins:
      description: Its drop-in files, in the order in which they apply.
      type: list
      elements: str
    timeout_stop:
      description: Seconds that its stop may take. Null is no limit.
      type: float
    needs_daemon_reload:
      description: Its files changed since systemd read them.
      type: bool
variables:
  description:
    - >-
      The variables that have to do with storage and addresses (C(S3_*), C(AWS_*), C(SWIFT_*), C(AZURE_*),
      C(PAPERCLIP_*), C(CACHE_BUSTER_*), C(CDN_HOST), C(LOCAL_DOMAIN) and the like) and are set, by name, as the first
      web unit has them. Where another unit has something else, see RV(differences).
    - >-
      C(value) is null where C(secret) or C(dynamic). C(empty) tells an empty value from an unset variable, also for
      secrets.
    - >-
      C(source) is V(command) for the command line of a unit, V(environment_file), V(drop_in) or V(unit) for
      C(Environment=) there, or V(dotenv).
  returned: success
  type: dict
  sample:
    AWS_SECRET_ACCESS_KEY:
      value: null
      secret: true
      empty: false
      dynamic: false
      source: environment_file
      path: /etc/default/mastodon
      line: 3
      unit: mastodon-web.service
shadowed:
  description:
    - >-
      The variables for which writing RV(env_file) has no effect on a unit of RV(web_units) or RV(sidekiq_units), each
      with what hides it.
    - C(RAILS_ENV), C(PORT), C(BIND) and C(SOCKET), which units set for themselves, are not among them.
  returned: success
  type: list
  elements: dict
  contains:
    name:
      description: The variable.
      type: str
      sample: S3_BUCKET
    message:
      description: The variable and the place that wins, in words.
      type: str
      sample: S3_BUCKET (EnvironmentFile= /etc/default/mastodon line 3 of mastodon-web.service)
    units:
      description: The units that it is hidden from. Empty where there are no units.
      type: list
      elements: str
      sample: [mastodon-web.service]
    place:
      description: What wins, with the same keys as in RV(variables), but for C(unit).
      type: dict
differences:
  description:
    - Those variables that RV(web_units) and RV(sidekiq_units) do not all have the same value of.
  returned: success
  type: list
  elements: dict
  contains:
    name:
      description: The variable.
      type: str
      sample: S3_BUCKET
    units:
      description: What each unit has, by its name, with the same keys as in RV(variables). Null where it is not set.
      type: dict
"""

import os

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._mastodon.host import DiscoveryError, read_units
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._mastodon.instance import discover

# Only there where systemd is the init system, see the manual page sd_booted(3).
_BOOTED = "/run/systemd/system"


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "root": {"type": "path"},
            "scope": {"type": "str", "choices": ["system", "user"], "default": "system"},
        },
        supports_check_mode=True,
    )
    module.run_command_environ_update = {"LANGUAGE": "C", "LC_ALL": "C.UTF-8"}
    systemctl = module.get_bin_path("systemctl") if os.path.isdir(_BOOTED) else None
    try:
        units = read_units(module.run_command, [systemctl, f"--{module.params['scope']}"]) if systemctl else []
        result = discover(module.params["root"], units)
    except DiscoveryError as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=False, **result)


if __name__ == "__main__":
    main()
