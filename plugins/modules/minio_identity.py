#!/usr/bin/python
# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Module fediverse.mastodon_s3.minio_identity."""

from __future__ import annotations

DOCUMENTATION = r"""
module: minio_identity
short_description: Make a user of MinIO with a policy and a key
description:
  - Makes a user on MinIO, the policy that says what it may do, and attaches the one to the other. MinIO's users are
    not those of AWS, so the modules of amazon.aws for IAM have no effect there.
  - A user of MinIO has one secret key, and its name is the access key. A new secret takes the place of the old one at
    once, so that whoever uses the old one is locked out. The module leaves a key that works alone.
  - Uses MinIO's admin API, with the credentials of an administrator. Run it on the controller, so that they stay there.
author: fediverse.mastodon_s3 contributors (@fediverse)
extends_documentation_fragment:
  - fediverse.mastodon_s3.connection
  - fediverse.mastodon_s3.attributes
  - fediverse.mastodon_s3.attributes.actiongroup_all
attributes:
  check_mode:
    support: full
    details:
      - Where the Python package C(minio) is missing, nothing is taken to be there yet, with a warning.
  diff_mode:
    support: full
    details:
      - Shows the policy, and whether the user may sign in and what is attached to it. A new secret key does not show.
  idempotent:
    support: partial
    details:
      - With O(user_secret_key), or O(state=absent).
      - Without it each run makes a new key, since MinIO tells nobody what the present one is.
options:
  name:
    description:
      - Name of the user, which is the instance's access key. 3 to 20 letters, digits, hyphens, underscores and dots.
      - A user that exists, and has policies or groups but not O(policy_name), is taken for somebody else's. Then the
        task fails and changes nothing.
    type: str
    required: true
  user_secret_key:
    description:
      - The secret key that the user shall have, 8 to 40 characters. If it is the user's already, it stays.
      - If left out, the user gets a new one, which is in the result. An old one stops working at once.
      - Better make the secret first, write it to where it is needed, such as the env file, and then give it here. A
        play that is interrupted between these steps is mended when it is run again, and no key is ever lost.
    type: str
  policy_name:
    description:
      - Name of the policy. MinIO's own, such as V(readwrite), are refused.
    type: str
    required: true
  policy:
    description:
      - What the user may do, in the language of IAM policies. Needed with O(state=present).
      - A policy of this name that says something else is replaced, unless it is attached to others as well.
      - Statements that allow something in every bucket are refused.
    type: dict
  state:
    description:
      - Whether user and policy shall exist.
      - With V(absent) the policy stays if it is attached to others.
    type: str
    choices: [present, absent]
    default: present
requirements:
  - minio >= 7.2.20
  - boto3 >= 1.26.0, where O(access_key) and O(credentials_file) are left out
seealso:
  - module: amazon.aws.iam_user
  - module: fediverse.mastodon_s3.s3_storage_info
"""

EXAMPLES = r"""
- name: Give the instance a key of its own that can do what Mastodon does in its bucket
  fediverse.mastodon_s3.minio_identity:
    endpoint_url: https://minio.example.com:9000
    profile: minio-admin
    name: mastodon
    # Written to the env file by a task before this one.
    user_secret_key: "{{ mastodon_secret_key }}"
    policy_name: mastodon-media
    policy:
      Version: "2012-10-17"
      Statement:
        - Effect: Allow
          Action: [s3:ListBucket, s3:GetBucketLocation, s3:ListBucketMultipartUploads]
          Resource: arn:aws:s3:::mastodon-media
        - Effect: Allow
          Action: [s3:GetObject, s3:PutObject, s3:DeleteObject, s3:AbortMultipartUpload, s3:ListMultipartUploadParts]
          Resource: arn:aws:s3:::mastodon-media/*
  delegate_to: localhost
  become: false

- name: Take it away
  fediverse.mastodon_s3.minio_identity:
    endpoint_url: https://minio.example.com:9000
    profile: minio-admin
    name: mastodon
    policy_name: mastodon-media
    state: absent
  delegate_to: localhost
  become: false
"""

RETURN = r"""
exists:
  description:
    - Whether the user existed before the task. V(none) where that is not known, in check mode without C(minio).
  returned: success
  type: bool
  sample: false
user_secret_key:
  description:
    - The secret key that the task made. Set C(no_log) on a task that does without O(user_secret_key), since nothing
      masks it.
  returned: when the task made one, so never with O(user_secret_key) and never in check mode
  type: str
  sample: VALUE_OF_40_LETTERS_AND_DIGITS
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._minio.admin import (
    Admin,
    MinioMissingError,
    new_secret,
)
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._minio.identity import (
    Found,
    IdentityError,
    Wanted,
    after,
    check,
    more_rights,
    plan,
    refuse_administrator,
    shown,
)
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.client import credentials
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.errors import Boto3MissingError, S3Error
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.options import (
    ConnectionOptionsError,
    account_argument_spec,
    connection_options,
)


def _run(module: AnsibleModule) -> dict[str, Any]:
    params = module.params
    absent = params["state"] == "absent"
    wanted = Wanted(params["name"], params["policy_name"], params["policy"], params["user_secret_key"])
    options = connection_options(params)
    check(wanted, absent=absent)
    admin = None
    try:
        keys = credentials(options)
        refuse_administrator(wanted, keys[0])
        admin = Admin(options, keys)
    except (MinioMissingError, Boto3MissingError) as error:
        if not module.check_mode:
            raise
        module.warn(f"{error}. The prediction takes MinIO for one without the user and the policy.")
    found = admin.look(wanted) if admin else Found()
    steps = plan(wanted, found, absent=absent)
    for what in () if absent else more_rights(wanted, found):
        module.warn(f"User {wanted.name} has rights by {what}, too.")
    if absent and found.policy is not None and found.policy_holders:
        module.warn(f"Policy {wanted.policy_name} stays, since {', '.join(found.policy_holders)} has it, too.")
    result: dict[str, Any] = {
        "changed": steps.changed,
        "exists": found.exists if admin else None,
        "diff": {"before": shown(wanted, found), "after": shown(wanted, after(wanted, found, steps))},
    }
    if admin and not module.check_mode:
        secret_key = wanted.secret_key or new_secret()
        admin.obey(wanted, steps, secret_key)
        if steps.put_user and wanted.secret_key is None:
            result["user_secret_key"] = secret_key
    return result


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "name": {"type": "str", "required": True},
            "user_secret_key": {"type": "str", "no_log": True},
            "policy_name": {"type": "str", "required": True},
            "policy": {"type": "dict"},
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            **account_argument_spec(),
        },
        required_if=[("state", "present", ["policy"])],
        supports_check_mode=True,
    )
    try:
        result = _run(module)
    except (ConnectionOptionsError, IdentityError, MinioMissingError, Boto3MissingError, S3Error) as error:
        module.fail_json(msg=str(error))
    module.exit_json(**result)


if __name__ == "__main__":
    main()
