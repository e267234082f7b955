#!/usr/bin/python
# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Ansible module that reads dotenv files."""

from __future__ import annotations

DOCUMENTATION = r"""
module: env_file_info
short_description: Read dotenv files as Mastodon does
description:
  - Reads a list of dotenv files as the Ruby gem dotenv (2.7 to 3.2) does. The first file that assigns a variable wins,
    and within a file the last assignment wins.
  - Commands in a file are never run, and references to other variables are not expanded.
  - Only the values of the variables in O(reveal) are returned.
extends_documentation_fragment:
  - fediverse.mastodon_s3.attributes
  - fediverse.mastodon_s3.attributes.actiongroup_all
  - fediverse.mastodon_s3.attributes.info_module
options:
  paths:
    description:
      - The files, in order of precedence. Rails reads C(.env.production.local), C(.env.local), C(.env.production)
        and C(.env).
      - A missing file is not an error; see RV(files).
    type: list
    elements: path
    required: true
  reveal:
    description:
      - Names of the variables whose values are returned.
      - If one of them is a secret, set C(no_log) on the task.
    type: list
    elements: str
    default: []
author:
  - fediverse.mastodon_s3 contributors (@fediverse)
notes:
  - Variables that are already in the environment of a process, such as those from a systemd unit, override these
    files. The module does not know them.
seealso:
  - module: fediverse.mastodon_s3.env_file
"""

EXAMPLES = r"""
- name: Read the bucket that an instance uses
  fediverse.mastodon_s3.env_file_info:
    paths:
      - /home/mastodon/live/.env.production.local
      - /home/mastodon/live/.env.production
    reveal:
      - S3_BUCKET
  register: env

- name: Show it
  ansible.builtin.debug:
    msg: "{{ env.variables.S3_BUCKET.value }} (from {{ env.variables.S3_BUCKET.path }})"
  when: "'S3_BUCKET' in env.variables"
"""

RETURN = r"""
variables:
  description:
    - All variables by name.
    - A name in mixed case is left out unless it is in O(reveal), because it may be a part of a key that got there by
      mistake.
  type: dict
  returned: success
  contains:
    path:
      description: The file whose assignment is used, as given in O(paths).
      type: str
    line:
      description: The number of the line in that file.
      type: int
    value:
      description: The value, or null if RV(variables.dynamic) is V(true).
      type: str
      returned: if the name is in O(reveal)
    masked:
      description: Whether the value was left out.
      type: bool
    empty:
      description: Whether the value is empty.
      type: bool
    dynamic:
      description:
        - Whether the file alone does not determine the value, because it refers to other variables, runs a command, or
          is missing (a name alone, which is an empty value in dotenv 3.2 and ignored by older versions).
      type: bool
    shadowed:
      description: Other assignments of this variable, which have no effect.
      type: list
      elements: dict
      contains:
        path:
          description: The file.
          type: str
        line:
          description: The number of the line.
          type: int
  sample:
    S3_BUCKET:
      path: /home/mastodon/live/.env.production
      line: 31
      value: media-example-social
      masked: false
      empty: false
      dynamic: false
      shadowed: []
files:
  description: The files in O(paths), in the same order.
  type: list
  elements: dict
  returned: success
  contains:
    path:
      description: The file.
      type: str
    exists:
      description: Whether it exists.
      type: bool
    problems:
      description: Lines that some readers refuse, or that readers understand differently.
      type: list
      elements: dict
      contains:
        line:
          description: The number of the line.
          type: int
        message:
          description: What is wrong.
          type: str
        fatal:
          description: Whether the reader that the message names refuses the whole file.
          type: bool
"""

import os

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._dotenv.errors import DotenvError
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._dotenv.lookup import combine, listed
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._dotenv.problems import find_problems
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._dotenv.reader import read_document


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "paths": {"type": "list", "elements": "path", "required": True},
            "reveal": {"type": "list", "elements": "str", "default": []},
        },
        supports_check_mode=True,
    )
    documents = []
    files = []
    try:
        for path in module.params["paths"]:
            # For dotenv, a broken link is a missing file too.
            exists = os.path.exists(path)
            problems = []
            if exists:
                document = read_document(path)
                documents.append((path, document))
                problems = [vars(problem) for problem in find_problems(document)]
            files.append({"path": path, "exists": exists, "problems": problems})
    except DotenvError as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=False, variables=listed(combine(documents), module.params["reveal"]), files=files)


if __name__ == "__main__":
    main()
