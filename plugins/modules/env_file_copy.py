#!/usr/bin/python
# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Ansible module that copies a dotenv file on the host, safely in folders of other users."""

from __future__ import annotations

DOCUMENTATION = r"""
module: env_file_copy
short_description: Back up and restore a dotenv file on the host
description:
  - Copies one file on the managed host to another path there, byte by byte. It is meant for root, to keep a copy of a
    service's dotenv file in a folder that only root can read, and to restore it later.
  - It is safe to use even if the owner of either folder is hostile. That user can't redirect the copy to another file,
    and ownership is never restored from an earlier record.
  - An existing O(dest) is replaced atomically and keeps its owner, group, mode, ACLs and SELinux context. A new one
    gets mode C(0600) and the owner and group of its folder. If the task does not run as root, it belongs to the user
    that the task runs as.
  - A symbolic link anywhere in O(src) or O(dest) is followed only if its owner also owns the target, or if root (or the
    user that the task runs as) owns the link and only root (or this user) can write to the folder that contains it.
extends_documentation_fragment:
  - fediverse.mastodon_s3.attributes
  - fediverse.mastodon_s3.attributes.actiongroup_all
attributes:
  check_mode:
    support: full
  diff_mode:
    support: none
    details:
      - The content is secret, so no diff is shown.
  idempotent:
    support: full
options:
  src:
    description:
      - The file to copy, of at most 1 MiB. It must be a regular file with a single hard link.
      - If root owns the file, but another user owns its folder and can't read the file, it is refused. That user may
        have moved the file there to get a copy of it.
    type: path
    required: true
  dest:
    description:
      - The copy. Its folder must exist.
    type: path
    required: true
  force:
    description:
      - Whether an existing O(dest) with different content is replaced. If not, it is left as it is.
    type: bool
    default: true
author:
  - fediverse.mastodon_s3 contributors (@fediverse)
seealso:
  - module: fediverse.mastodon_s3.env_file
  - module: ansible.builtin.copy
    description: With O(ansible.builtin.copy#module:remote_src=true) it copies files that no other user can change.
"""

EXAMPLES = r"""
- name: Keep a copy of the original env file
  fediverse.mastodon_s3.env_file_copy:
    src: /home/mastodon/live/.env.production
    dest: /var/lib/mastodon_s3/env.first
    force: false

- name: Restore the env file; the existing file's owner and mode are kept
  fediverse.mastodon_s3.env_file_copy:
    src: /var/lib/mastodon_s3/env.first
    dest: /home/mastodon/live/.env.production
"""

RETURN = r"""
src:
  description: The file that was copied, with symbolic links resolved.
  type: str
  returned: success
  sample: /home/mastodon/live/.env.production
dest:
  description: The copy, with symbolic links resolved.
  type: str
  returned: success
  sample: /var/lib/mastodon_s3/env.first
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._dotenv.reader import MAX_BYTES
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._files.copy import copy_file
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._files.errors import FileError


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "src": {"type": "path", "required": True},
            "dest": {"type": "path", "required": True},
            "force": {"type": "bool", "default": True},
        },
        supports_check_mode=True,
    )
    try:
        copied = copy_file(
            module.params["src"],
            module.params["dest"],
            MAX_BYTES,
            overwrite=module.params["force"],
            dry_run=module.check_mode,
        )
    except FileError as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=copied.changed, src=copied.source, dest=copied.target)


if __name__ == "__main__":
    main()
