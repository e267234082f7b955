#!/usr/bin/python
# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The module mastodon_runner."""

from __future__ import annotations

DOCUMENTATION = r"""
module: mastodon_runner
short_description: Run Ruby code inside Mastodon, with other settings
description:
  - Runs Ruby code with C(rails runner), as a process like the web process, but with a changed copy of the dotenv file.
    So new settings can be tried with Mastodon's own code and libraries before the running Mastodon gets them.
  - >-
    The code runs as a unit of its own, with the user, the environment and the sandbox of the web unit. Only inside of
    this unit, the copy is mounted over the dotenv file. Variables that are removed are not set there.
  - The web process goes on running. The code gets the CPU after it, and is the first to be killed if memory is short.
  - The copy can be read only by the unit's user. It is removed at the end, even if the task is killed.
author:
  - fediverse.mastodon_s3 contributors (@fediverse)
extends_documentation_fragment:
  - fediverse.mastodon_s3.attributes
  - fediverse.mastodon_s3.attributes.actiongroup_all
attributes:
  check_mode:
    support: full
    details:
      - The code is not run, but RV(supported) and RV(command) are returned.
  diff_mode:
    support: N/A
    details:
      - What the code does is not known.
  idempotent:
    support: N/A
    details:
      - What the code does is not known.
  platform:
    platforms: linux
options:
  unit:
    description:
      - Full name of the web unit, such as C(mastodon-web.service).
    type: str
    required: true
  root:
    description:
      - The folder of the instance, with C(bin/rails).
    type: path
    required: true
  env_file:
    description:
      - The dotenv file. It is not changed.
    type: path
    required: true
  variables:
    description:
      - Variables to set in the copy of O(env_file), as in M(fediverse.mastodon_s3.env_file).
    type: dict
    default: {}
  absent:
    description:
      - Names of variables to remove from the copy.
    type: list
    elements: str
    default: []
  script:
    description:
      - The Ruby code. Mastodon is loaded when it begins.
      - If the last line that it writes to its standard output is a JSON object, this is returned as RV(result).
      - Rails deletes nothing and changes nothing by itself while it starts. What the code does is its own affair.
    type: str
    required: true
  timeout:
    description:
      - Seconds until the code is ended. Mastodon needs up to a minute to start.
    type: int
    default: 300
notes:
  - It needs root, and systemd 236 or newer.
  - The unit must run C(puma), either itself or as the last command in a shell's argument.
seealso:
  - module: fediverse.mastodon_s3.env_file
  - module: fediverse.mastodon_s3.mastodon_instance_info
"""

EXAMPLES = r"""
- name: Find out which storage Mastodon would use with other settings
  fediverse.mastodon_s3.mastodon_runner:
    unit: mastodon-web.service
    root: /home/mastodon/live
    env_file: /home/mastodon/live/.env.production
    variables:
      S3_ENABLED: "true"
      S3_BUCKET: social-media
    absent: [S3_ALIAS_HOST]
    script: |
      puts({ storage: Paperclip::Attachment.default_options[:storage] }.to_json)
  become: true
  register: storage
"""

RETURN = r"""
supported:
  description: Whether it is known how to run code as this unit does.
  returned: success
  type: bool
  sample: true
reason:
  description: Why not, or an empty string.
  returned: success
  type: str
  sample: this host does not run systemd
command:
  description: The command that is run, with the code as its standard input.
  returned: if RV(supported)
  type: str
  sample: /home/mastodon/.rbenv/shims/bundle exec rails runner -
ended:
  description:
    - How the process ended, in the words of systemd's property C(Result), such as V(success), V(exit-code), V(timeout)
      or V(oom-kill). If systemd did not start it, the reason.
  returned: if it was run
  type: str
  sample: success
result:
  description:
    - The object that the code wrote. Null if there is none.
    - Values of secret variables of the dotenv file are masked.
  returned: if it was run
  type: dict
  sample: {storage: s3}
stderr:
  description: The end of its standard error, with secrets masked.
  returned: if it was run
  type: str
  sample: ''
seconds:
  description: How long it took.
  returned: if it was run
  type: float
  sample: 21.5
"""

import os

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._dotenv.editor import edit
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._dotenv.errors import DotenvError
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._dotenv.request import request
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._dotenv.writer import open_target
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._files.errors import FileError
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._mastodon.runner import MastodonRunner
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._mastodon.runner_unit import RunnerUnsupportedError

# The options of env_file that this module does not have.
_AS_IN_ENV_FILE = {
    "secrets": {},
    "removal": "delete",
    "create": False,
    "backup": False,
    "validate": None,
    "owner": None,
    "group": None,
    "mode": None,
}


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "unit": {"type": "str", "required": True},
            "root": {"type": "path", "required": True},
            "env_file": {"type": "path", "required": True},
            "variables": {"type": "dict", "default": {}},
            "absent": {"type": "list", "elements": "str", "default": []},
            "script": {"type": "str", "required": True},
            "timeout": {"type": "int", "default": 300},
        },
        supports_check_mode=True,
    )
    module.run_command_environ_update = {"LANGUAGE": "C", "LC_ALL": "C.UTF-8"}
    if os.geteuid() != 0:
        module.fail_json(msg="only root can run code as the unit does; set become to true")
    if module.params["timeout"] < 1:
        module.fail_json(msg="timeout must be at least 1")
    try:
        requested = request({**_AS_IN_ENV_FILE, **module.params, "path": module.params["env_file"]})
        with open_target(requested.path, lock=False) as target:
            if target.file is None:
                raise DotenvError(f"{target.path} does not exist; check the path")
            path = target.path
            edited = edit(target.data, requested.values, requested.absent)
        runner = MastodonRunner(module.run_command, module.params["unit"], module.params["root"])
        command = runner.command(path)
        if module.check_mode:
            module.exit_json(changed=True, supported=True, reason="", command=command)
        ran = runner.run(module.params["script"], path, edited.after, module.params["timeout"])
    except RunnerUnsupportedError as error:
        module.exit_json(changed=False, supported=False, reason=str(error))
    except (DotenvError, FileError) as error:
        module.fail_json(msg=str(error))
    module.exit_json(
        changed=True,
        supported=True,
        reason="",
        command=command,
        ended=ran.ended,
        result=ran.result,
        stderr=ran.errors,
        seconds=ran.seconds,
    )


if __name__ == "__main__":
    main()
