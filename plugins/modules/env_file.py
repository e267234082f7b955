#!/usr/bin/python
# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Ansible module that edits a dotenv file."""

from __future__ import annotations

DOCUMENTATION = r"""
module: env_file
short_description: Set and remove variables in a dotenv file
description:
  - Sets and removes any number of variables in one dotenv file, like Mastodon's C(.env.production).
  - The file is understood as the Ruby gem dotenv (2.7 to 3.2) reads it, with C(export), a colon instead of the equals
    sign, quoted values of several lines, Windows line ends and a byte order mark. Every byte outside of the edited
    lines stays as it is.
  - A value is written so that Ruby dotenv, Node's dotenv, systemd's C(EnvironmentFile=) and Docker Compose all read
    the same. Where that is not possible the task fails, before anything is changed.
  - A variable is set where it is assigned last, which is the assignment that counts. Where there is none, it takes
    the place of a commented sample line like C(# S3_BUCKET=), else it is added at the end.
  - An edited line has the form C(NAME=value), which all of these readers take. C(export) is dropped, and an inline
    comment gets a line of its own above.
  - The file is replaced atomically. Owner, group, mode, ACLs and SELinux context are kept, and symbolic links are
    followed. A file that somebody else changes in between is noticed, and left as it is.
extends_documentation_fragment:
  - fediverse.mastodon_s3.attributes
  - fediverse.mastodon_s3.attributes.actiongroup_all
  - fediverse.mastodon_s3.attributes.files
  - ansible.builtin.files
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
    details:
      - All values are masked, also those of variables that are not touched. So are comments, since one may hold a
        secret.
  idempotent:
    support: full
  safe_file_operations:
    support: full
options:
  path:
    description:
      - The dotenv file.
    type: path
    required: true
    aliases: [dest]
  variables:
    description:
      - Variables to set, each with its value.
      - An empty string sets the variable to an empty value. That is not the same as O(absent); Mastodon, for one,
        takes an empty C(S3_ALIAS_HOST) for a host name.
      - V(true) and V(false) are written in lower case, and whole numbers as they are. A null, a number with a
        fraction, a list or a dictionary is refused.
    type: dict
    default: {}
  secrets:
    description:
      - Like O(variables), for values that must not be seen. They are in no output, log or diff.
    type: dict
    default: {}
  absent:
    description:
      - Names of variables that are to have no value. All their assignments are removed.
    type: list
    elements: str
    default: []
  removal:
    description:
      - How the variables in O(absent) are removed.
      - With V(comment) the line stays as a comment, with the value that it holds.
    type: str
    choices:
      delete: The line is gone.
      comment: The line is commented out.
    default: delete
  create:
    description:
      - Make the file where it is missing. It gets mode C(0600) unless O(mode) says otherwise.
      - Without this, a missing file makes the task fail, unless there is nothing to set.
    type: bool
    default: false
  backup:
    description:
      - Keep a copy of the old file next to it, with its owner, group and mode, but without permissions for others.
      - Such a copy holds secrets. Remove it when it is not needed any more.
    type: bool
    default: false
  validate:
    description:
      - A command that is run on the new file before it takes the place of the old one. It has to hold C(%s) where the
        path goes.
      - If it fails, nothing is changed. Its output is not shown, since it may hold values.
      - It is not run in check mode.
    type: str
author:
  - fediverse.mastodon_s3 contributors (@fediverse)
notes:
  - Values with a line break, with a control character other than tab, with a backslash at the end, or with both a
    single quote and one of double quote, backslash or dollar sign are refused, since no form exists in which all
    readers read them alike.
  - Without pipelining, and with C(async), Ansible itself keeps the task's parameters in a file on the host while the
    task runs. Only the user that it runs as can read that file, but it stays behind if the host fails meanwhile.
  - A line that all readers already take for the right value is left alone, also where it has quotes that it does not
    need.
seealso:
  - module: fediverse.mastodon_s3.env_file_info
  - name: Ruby dotenv
    description: The gem with which Mastodon reads these files.
    link: https://github.com/bkeepers/dotenv
"""

EXAMPLES = r"""
- name: Point Mastodon to its bucket
  fediverse.mastodon_s3.env_file:
    path: /home/mastodon/live/.env.production
    variables:
      S3_ENABLED: true
      S3_BUCKET: media-example-social
      S3_REGION: eu-central-1
      S3_PERMISSION: ""
    secrets:
      AWS_ACCESS_KEY_ID: "{{ vault_access_key_id }}"
      AWS_SECRET_ACCESS_KEY: "{{ vault_secret_access_key }}"
    absent:
      - S3_ALIAS_HOST
    backup: true

- name: Go back to the local disk, and keep the settings as comments
  fediverse.mastodon_s3.env_file:
    path: /home/mastodon/live/.env.production
    absent:
      - S3_ENABLED
      - S3_BUCKET
    removal: comment

- name: Make an environment file for a service of its own
  fediverse.mastodon_s3.env_file:
    path: /etc/mastodon/media.env
    create: true
    owner: root
    group: mastodon
    mode: "0640"
    variables:
      MEDIA_ROOT: /srv/media
"""

RETURN = r"""
added:
  description: Names of the variables that had no assignment before.
  type: list
  elements: str
  returned: success
  sample: [S3_ENABLED, S3_BUCKET]
updated:
  description:
    - Names of the variables that were assigned before and whose line was changed, be it that their value is another,
      or that not all readers would have read it.
  type: list
  elements: str
  returned: success
  sample: [S3_REGION]
removed:
  description: Names of the variables whose assignments were removed.
  type: list
  elements: str
  returned: success
  sample: [S3_ALIAS_HOST]
duplicates:
  description:
    - Line numbers, in the new file, of earlier assignments of the variables that were asked for. The last one
      overrides them. They are left as they are.
  type: dict
  returned: success
  sample: {S3_BUCKET: [12]}
path:
  description: The file that was edited, symbolic links resolved.
  type: str
  returned: success
  sample: /home/mastodon/live/.env.production
backup_file:
  description: The copy of the old file.
  type: str
  returned: O(backup=true) and changed content, not in check mode
  sample: /home/mastodon/live/.env.production.4711.2026-11-23@10:20:30~
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._dotenv.editor import Edit, edit
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._dotenv.errors import DotenvError
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._dotenv.masking import masked_diff
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._dotenv.problems import find_problems
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._dotenv.request import Request, request
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._dotenv.writer import (
    Target,
    read_target,
    write_target,
)


def _apply(module: AnsibleModule, asked: Request, target: Target, edited: Edit) -> dict[str, Any]:
    """Bring file and attributes to the asked state; return the parts of the result that come from that."""
    arguments = module.load_file_common_arguments(module.params, path=target.path)
    exists = target.status is not None
    attribute_diff: dict[str, Any] = {}
    result: dict[str, Any] = {"changed": False}
    if exists:
        # Before the new content is there: nobody whom the new mode shuts out may read it. A flag could forbid to write.
        early = {**arguments, "attributes": None}
        result["changed"] = module.set_fs_attributes_if_different(early, False, attribute_diff)
    if edited.after.data != target.data or (not exists and asked.create):
        result["changed"] = True
        if not module.check_mode:
            backup_file = write_target(
                module, target, edited.after.data, arguments, backup=asked.backup, validate=asked.validate
            )
            exists = True
            if backup_file:
                result["backup_file"] = backup_file
    if exists:
        result["changed"] = module.set_fs_attributes_if_different(arguments, result["changed"], attribute_diff)
    result["diff"] = [masked_diff(edited, target.path)] + ([attribute_diff] if attribute_diff else [])
    return result


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "path": {"type": "path", "required": True, "aliases": ["dest"]},
            "variables": {"type": "dict", "default": {}},
            "secrets": {"type": "dict", "default": {}, "no_log": True},
            "absent": {"type": "list", "elements": "str", "default": []},
            "removal": {"type": "str", "choices": ["delete", "comment"], "default": "delete"},
            "create": {"type": "bool", "default": False},
            "backup": {"type": "bool", "default": False},
            "validate": {"type": "str"},
        },
        add_file_common_args=True,
        supports_check_mode=True,
    )
    # Nothing that is returned below holds a value. Were the secrets masked in it, as no_log does, a short one would
    # mangle paths and names (a secret "mastodon" in "/home/mastodon").
    shown = {**module.params, "secrets": dict.fromkeys(module.params["secrets"], "VALUE_SPECIFIED_IN_NO_LOG_PARAMETER")}
    invocation = {"module_args": shown}
    try:
        asked = request(module.params)
        target = read_target(asked.path)
        if target.status is None and asked.values and not asked.create:
            raise DotenvError(f"{target.path} does not exist; check the path, or set create to true")
        edited = edit(target.data, asked.values, asked.absent, comment_out=asked.comment_out)
        for problem in find_problems(edited.after):
            module.warn(f"{target.path}, line {problem.line}: {problem.message}")
        result = _apply(module, asked, target, edited)
    except DotenvError as error:
        module.no_log_values = set()
        module.fail_json(msg=str(error), invocation=invocation)
    module.no_log_values = set()
    module.exit_json(
        path=target.path,
        added=list(edited.added),
        updated=list(edited.updated),
        removed=list(edited.removed),
        duplicates={name: list(lines) for name, lines in edited.duplicates.items()},
        invocation=invocation,
        **result,
    )


if __name__ == "__main__":
    main()
