#!/usr/bin/python
# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The module mastodon_instance_info."""

from __future__ import annotations

DOCUMENTATION = r"""
module: mastodon_instance_info
short_description: Find the folders, env files and systemd units of a host's Mastodon instance
description:
  - >-
    Finds the folder of a Mastodon instance, its version, its dotenv files, its media folder, its address and its
    systemd units. Units are found by the programs they run, not by their names.
  - >-
    Returns, for every variable that concerns storage, the value that Mastodon uses and where it comes from. Also
    returns the variables that an edit of C(.env.production) can't change, because a unit's C(Environment=),
    C(EnvironmentFile=) or drop-in, or another dotenv file, overrides it.
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
      - The folder of the instance. It contains C(.env.production) and, unless Mastodon runs in containers,
        C(lib/mastodon/version.rb).
      - >-
        By default the module takes it from the systemd units that run Puma or Sidekiq, or else looks in common places
        such as C(/home/mastodon/live). If there are several instances, the module fails and names them.
    type: path
  media_root:
    description:
      - Absolute path of the media folder on the host. Set it if Mastodon runs in containers, since Mastodon's own
        settings then name a folder inside the container.
      - By default it is derived from C(PAPERCLIP_ROOT_PATH).
    type: path
  scope:
    description:
      - The service manager that runs the units. V(user) is the one of the user who runs the task.
      - Without systemd, no units are found.
    type: str
    choices: [system, user]
    default: system
notes:
  - Run it as root or as Mastodon's user. Others can't read the dotenv files.
  - The module does not see variables that a unit's wrapper script sets, but it sees those on the command line of
    C(ExecStart=).
  - >-
    Commands in dotenv files are not run, and references to other variables are not expanded. Such variables are
    returned with C(dynamic) and without a value.
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
  description:
    - The version in C(lib/mastodon/version.rb). For containers, the version in the image tag in the Compose file.
    - All fields are null if neither is found.
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
      description: The part after the hyphen, or an empty string.
      type: str
    metadata:
      description: What a fork adds after the plus sign, or an empty string.
      type: str
managed_by:
  description:
    - V(nixos), V(yunohost) or V(docker) if one of these manages the instance and may overwrite its settings.
    - Null for an ordinary installation.
  returned: success
  type: str
  sample: null
env_file:
  description: The dotenv file to write to, even if it does not exist.
  returned: success
  type: str
  sample: /home/mastodon/live/.env.production
env_file_exists:
  description: Whether RV(env_file) exists.
  returned: success
  type: bool
  sample: true
env_files:
  description: All dotenv files that Mastodon would read, in order of precedence.
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
      description: Whether it exists. If not, the following are null.
      type: bool
    owner:
      description: Name of the owner, or the number if it has no name.
      type: str
    group:
      description: Name of the group, or the number if it has no name.
      type: str
    mode:
      description: Four octal digits.
      type: str
media_root:
  description: The folder of the media, from O(media_root) or C(PAPERCLIP_ROOT_PATH).
  returned: success
  type: str
  sample: /home/mastodon/live/public/system
media_root_state:
  description: Whether RV(media_root) exists, who owns it, and which file system it is on.
  returned: success
  type: dict
  contains:
    <<: *file
    empty:
      description: Whether it is empty. Null if this is not known.
      type: bool
    file_system:
      description: Type of the file system, such as V(ext4) or V(nfs4).
      type: str
    mount_point:
      description: Where that file system is mounted.
      type: str
media_mounts:
  description:
    - The folders and volumes that a Compose file next to the env file mounts as C(public/system), which is the media
      folder in Mastodon's containers.
  returned: success
  type: list
  elements: dict
  sample: [{source: ./public/system, path: /home/mastodon/live/public/system}]
  contains:
    source:
      description: The source as written in the Compose file.
      type: str
    path:
      description: Its absolute path on the host. Null for a named volume, or if the source contains variables.
      type: str
media_url_path:
  description: Path of the media below the web domain, or their full address, from C(PAPERCLIP_ROOT_URL).
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
  description: Address of the web process on its own host. If it uses a socket, the host name in it has no meaning.
  returned: success
  type: str
  sample: http://127.0.0.1:3000
web_socket:
  description: The UNIX socket on which the web process listens instead of a port, or null.
  returned: success
  type: str
  sample: null
web_units:
  description:
    - Names of the web process's units that are in use. These are the running ones or, if none is running, the enabled
      ones.
  returned: success
  type: list
  elements: str
  sample: [mastodon-web.service]
sidekiq_units:
  description: Names of the Sidekiq units that are in use, in the same sense.
  returned: success
  type: list
  elements: str
  sample: [mastodon-sidekiq@default.service, mastodon-sidekiq@pull.service]
units:
  description:
    - All systemd services that run from RV(root), in use or not. Empty without systemd.
    - Sorted by RV(units[].kind), with the active ones first.
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
      description: Its command line, with secrets masked.
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
      description: Seconds that its stop may take. Null means no limit.
      type: float
    needs_daemon_reload:
      description: Whether its files have changed since systemd read them.
      type: bool
variables:
  description:
    - >-
      The variables that concern storage and addresses (C(S3_*), C(AWS_*), C(SWIFT_*), C(AZURE_*),
      C(PAPERCLIP_*), C(CACHE_BUSTER_*), C(CDN_HOST), C(LOCAL_DOMAIN) and similar) and are set, by name, with the values
      of the first web unit. For other values in other units, see RV(differences).
    - >-
      C(value) is null if C(secret) or C(dynamic) is true. C(empty) shows whether the value is empty, even for secrets.
    - >-
      C(source) is V(command) for the command line of a unit, V(environment_file), V(drop_in) or V(unit) for
      C(Environment=) in these files, V(compose) for C(environment:) in a Compose file, or V(dotenv).
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
      with what overrides it.
    - C(RAILS_ENV), C(PORT), C(BIND) and C(SOCKET) are not included, because units set them for themselves.
  returned: success
  type: list
  elements: dict
  contains:
    name:
      description: The variable.
      type: str
      sample: S3_BUCKET
    message:
      description: The variable and the place that overrides it, in words.
      type: str
      sample: S3_BUCKET (EnvironmentFile= /etc/default/mastodon line 3 of mastodon-web.service)
    units:
      description: The units concerned. Empty if there are no units.
      type: list
      elements: str
      sample: [mastodon-web.service]
    place:
      description: What overrides it, with the same keys as in RV(variables) except C(unit).
      type: dict
differences:
  description:
    - The variables whose values differ between units in RV(web_units) and RV(sidekiq_units).
  returned: success
  type: list
  elements: dict
  contains:
    name:
      description: The variable.
      type: str
      sample: S3_BUCKET
    units:
      description: What each unit has, by its name, with the same keys as in RV(variables). Null if it is not set.
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
            "media_root": {"type": "path"},
            "scope": {"type": "str", "choices": ["system", "user"], "default": "system"},
        },
        supports_check_mode=True,
    )
    module.run_command_environ_update = {"LANGUAGE": "C", "LC_ALL": "C.UTF-8"}
    systemctl = module.get_bin_path("systemctl") if os.path.isdir(_BOOTED) else None
    try:
        units = read_units(module.run_command, [systemctl, f"--{module.params['scope']}"]) if systemctl else []
        result = discover(module.params["root"], units, media_root=module.params["media_root"])
    except DiscoveryError as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=False, **result)


if __name__ == "__main__":
    main()
