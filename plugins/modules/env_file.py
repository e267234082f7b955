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
  - The file is parsed as the Ruby gem dotenv (2.7 to 3.2) does, including C(export), a colon instead of the equals
    sign, quoted values of several lines, Windows line endings and a byte order mark. Every byte outside the edited
    lines stays as it is.
  - Values are written so that Ruby dotenv, Node's dotenv, systemd's C(EnvironmentFile=) and Docker Compose all read the
    same value, and each of them reads all other variables as before. If something else in the file prevents this, such
    as an unclosed quote, the task fails before anything is changed, and names the line.
  - If a variable is assigned more than once, the last assignment is changed, since it is the one that counts. If it is
    not assigned at all, it replaces a commented sample line such as C(# S3_BUCKET=), or is added at the end.
  - An edited line has the form C(NAME=value), which all of these readers accept. C(export) is dropped, and an inline
    comment is moved to its own line above.
  - The file is replaced atomically. Owner, group, mode, ACLs and SELinux context are kept. If another program changes
    the file in the meantime, the task fails and keeps that change. Tasks that edit files in the same folder at the
    same time wait for each other.
  - It is safe to run as root in a folder whose owner may be hostile. Only a regular file with a single hard link is
    edited. A symbolic link anywhere in the path is followed only if its owner also owns the target, or if root (or the
    user that the task runs as) owns the link and only root (or this user) can write to the folder that contains it.
extends_documentation_fragment:
  - fediverse.mastodon_s3.attributes
  - fediverse.mastodon_s3.attributes.actiongroup_all
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
    details:
      - Only the lines of the requested variables are shown.
      - Values of O(secrets) are masked, and so are values that look like a secret or whose variable has a name like
        that of a secret. The previous value of a variable is masked too, unless its name begins with C(S3_) or is
        another name that Mastodon uses for S3.
  idempotent:
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
        treats an empty C(S3_ALIAS_HOST) as a host name.
      - V(true) and V(false) are written in lower case, and whole numbers as they are. A null, a number with a
        fraction, a list or a dictionary is refused.
    type: dict
    default: {}
  secrets:
    description:
      - Like O(variables), for values that must stay secret. They do not appear in any output, log or diff.
    type: dict
    default: {}
  absent:
    description:
      - Names of variables to remove. All their assignments are removed.
    type: list
    elements: str
    default: []
  removal:
    description:
      - How the variables in O(absent) are removed.
      - With V(comment) the line stays as a comment, including its value.
    type: str
    choices:
      delete: The line is gone.
      comment: The line is commented out.
    default: delete
  create:
    description:
      - Create the file if it does not exist. It gets mode C(0600) unless O(mode) says otherwise.
      - Without this, a missing file makes the task fail, unless there is nothing to set.
    type: bool
    default: false
  backup:
    description:
      - Keep a copy of the old file next to it, with its owner, group and mode, but without permissions for others.
      - Such a copy contains secrets. Remove it when you no longer need it.
    type: bool
    default: false
  validate:
    description:
      - A command that checks a copy of the new file before it replaces the old one. It must contain C(%s) in place of
        the path. Only the user that the task runs as can read the copy.
      - If the command fails, nothing is changed. Its output is not shown, since it may contain values.
      - It is not run in check mode.
    type: str
  owner:
    description:
      - Name or ID of the user that should own the file. By default an existing file keeps its owner.
    type: str
  group:
    description:
      - Name or ID of the group that should own the file. By default an existing file keeps its group.
    type: str
  mode:
    description:
      - Permissions as an octal number in quotes, like V("0640"). By default an existing file keeps its mode.
    type: raw
  unsafe_writes:
    description:
      - If the file can't be replaced, write into the existing file. This is needed for a single file that is mounted
        into a container. A program that reads the file at that moment may see only a part of it.
      - The environment variable E(ANSIBLE_UNSAFE_WRITES) sets the default.
    type: bool
    default: false
author:
  - fediverse.mastodon_s3 contributors (@fediverse)
notes:
  - Values with a line break, with a control character other than tab, with a backslash at the end, or with both a
    single quote and one of double quote, backslash or dollar sign are refused, since there is no way to write them that
    all readers understand in the same way.
  - Without pipelining, and with C(async), Ansible itself keeps the task's parameters in a file on the host while the
    task runs. Only the user that it runs as can read that file, but it is left behind if the host crashes meanwhile.
  - A line from which all readers already get the right value is left alone, even if it has unnecessary quotes.
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

- name: Create an environment file for another service
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
    - Names of the variables that were assigned before and whose line was changed, because the value is different or
      because not all readers would have read it.
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
    - Line numbers, in the new file, of earlier assignments of the requested variables. The last assignment overrides
      them. They are not changed.
  type: dict
  returned: success
  sample: {S3_BUCKET: [12]}
path:
  description: The file that was edited, with symbolic links resolved.
  type: str
  returned: success
  sample: /home/mastodon/live/.env.production
backup_file:
  description: The copy of the old file.
  type: str
  returned: O(backup=true) and changed content, not in check mode
  sample: /home/mastodon/live/.env.production.4711.2026-11-23@10:20:30~
"""

import os
import stat
from typing import Any

from ansible.module_utils.basic import AnsibleModule, env_fallback

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._dotenv.editor import Edit, edit
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._dotenv.errors import DotenvError
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._dotenv.masking import masked_diff
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._dotenv.problems import find_problems
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._dotenv.request import Request, request
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._dotenv.writer import (
    Target,
    Writing,
    open_target,
    validate_with,
    write_target,
)
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._files.errors import FileError
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._files.temporary import Access


def _apply(module: AnsibleModule, requested: Request, target: Target, edited: Edit) -> dict[str, Any]:
    """Bring file, owner, group and mode to the requested state; return the parts of the result that come from that."""
    status = os.fstat(target.file.descriptor) if target.file else None
    changed = edited.after.data != target.data or (status is None and requested.create)
    diff: list[dict[str, Any]] = [masked_diff(edited, target.path, requested.plain, requested.secrets)]
    if status is not None and requested.access.differs(status):
        changed = True
        diff.append(_access_diff(target.path, status, requested.access))
    result: dict[str, Any] = {"changed": changed, "diff": diff}
    if changed and not module.check_mode:
        how = Writing(requested.access, backup=requested.backup, in_place=module.params["unsafe_writes"])
        if requested.validate:
            copy = os.path.join(module.tmpdir, os.path.basename(target.path))
            how = how.with_validation(validate_with(lambda command: _run(module, command), requested.validate, copy))
        backup_file = write_target(target, edited.after.data, how)
        if backup_file:
            result["backup_file"] = backup_file
    return result


def _run(module: AnsibleModule, command: str) -> int:
    return int(module.run_command(command)[0])


def _access_diff(path: str, status: os.stat_result, access: Access) -> dict[str, Any]:
    before: dict[str, Any] = {"path": path}
    after: dict[str, Any] = {"path": path}
    for key, old, new in (
        ("owner", status.st_uid, access.uid),
        ("group", status.st_gid, access.gid),
        ("mode", stat.S_IMODE(status.st_mode), access.mode),
    ):
        if new is not None and new != old:
            before[key], after[key] = (f"{old:04o}", f"{new:04o}") if key == "mode" else (old, new)
    return {"before": before, "after": after}


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
            "owner": {"type": "str"},
            "group": {"type": "str"},
            "mode": {"type": "raw"},
            "unsafe_writes": {"type": "bool", "default": False, "fallback": (env_fallback, ["ANSIBLE_UNSAFE_WRITES"])},
        },
        supports_check_mode=True,
    )
    # Nothing that is returned below contains a secret. If secrets were masked in it, as no_log does, a short one would
    # mangle paths and names (a secret "mastodon" in "/home/mastodon").
    shown = {**module.params, "secrets": dict.fromkeys(module.params["secrets"], "VALUE_SPECIFIED_IN_NO_LOG_PARAMETER")}
    invocation = {"module_args": shown}
    try:
        requested = request(module.params)
        with open_target(requested.path, lock=not module.check_mode) as target:
            if target.file is None and requested.values and not requested.create:
                raise DotenvError(f"{target.path} does not exist; check the path, or set create to true")
            edited = edit(target.data, requested.values, requested.absent, comment_out=requested.comment_out)
            for problem in find_problems(edited.after):
                module.warn(f"{target.path}, line {problem.line}: {problem.message}")
            result = _apply(module, requested, target, edited)
            path = target.path
    except (DotenvError, FileError) as error:
        module.no_log_values = set()
        module.fail_json(msg=str(error), invocation=invocation)
    module.no_log_values = set()
    module.exit_json(
        path=path,
        added=list(edited.added),
        updated=list(edited.updated),
        removed=list(edited.removed),
        duplicates={name: list(lines) for name, lines in edited.duplicates.items()},
        invocation=invocation,
        **result,
    )


if __name__ == "__main__":
    main()
