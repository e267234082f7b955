#!/usr/bin/python
# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Module fediverse.mastodon_s3.minio_identity."""

from __future__ import annotations

DOCUMENTATION = r"""
module: minio_identity
short_description: Create a MinIO user with a policy and a key
description:
  - Creates a MinIO user and a policy that says what the user may do, and attaches the policy to the user. MinIO does
    not have the IAM users of AWS, so the IAM modules of amazon.aws do not work with it.
  - The name of a MinIO user is the access key, and the user has one secret key. A new secret key replaces the old one
    at once, and programs that use the old one lose access. The module does not change a key that works.
  - Uses MinIO's admin API with the credentials of an administrator. Run it on the controller, so that these stay there.
author: fediverse.mastodon_s3 contributors (@fediverse)
extends_documentation_fragment:
  - fediverse.mastodon_s3.connection
  - fediverse.mastodon_s3.attributes
  - fediverse.mastodon_s3.attributes.actiongroup_all
attributes:
  check_mode:
    support: full
    details:
      - Without the Python package C(minio), the user is assumed to be missing, and there is a warning.
  diff_mode:
    support: full
    details:
      - Shows the policy, whether the user is enabled, and what is attached to the user. A new secret key is not shown.
  idempotent:
    support: partial
    details:
      - Yes with O(user_secret_key) or O(state=absent).
      - Otherwise each run creates a new key, since MinIO does not reveal the current one.
options:
  name:
    description:
      - Name of the user, which is the instance's access key. 3 to 20 letters, digits, hyphens, underscores and dots.
      - If the user exists and has policies or groups other than O(policy_name), it is assumed to belong to somebody
        else. Then the task fails and changes nothing.
    type: str
    required: true
  user_secret_key:
    description:
      - The secret key that the user should have, 8 to 40 characters.
      - If it is not set, the user gets a new one, which is returned. The old one stops working at once.
      - It is better to generate the secret first, write it where it is needed, such as the env file, and then pass it
        here. If the play is interrupted between these steps, you can run it again, and no key is lost.
    type: str
  policy_name:
    description:
      - Name of the policy. MinIO's built-in policies, such as V(readwrite), are refused.
    type: str
    required: true
  policy:
    description:
      - What the user may do, as an IAM policy. Required with O(state=present).
      - An existing policy of this name is replaced if it differs, unless it is attached to other users or groups as
        well.
      - Statements that allow something in every bucket are refused.
    type: dict
  state:
    description:
      - Whether the user and the policy should exist.
      - With V(absent), the policy is kept if it is attached to other users or groups.
    type: str
    choices: [present, absent]
    default: present
requirements:
  - minio >= 7.2.20
  - boto3 >= 1.26.0, if neither O(access_key) nor O(credentials_file) is set
seealso:
  - module: amazon.aws.iam_user
  - module: fediverse.mastodon_s3.s3_storage_info
"""

EXAMPLES = r"""
- name: Give the instance its own key, which can do what Mastodon needs in its bucket
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

- name: Remove it
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
    - Whether the user existed before the task. V(none) if this is not known, in check mode without C(minio).
  returned: success
  type: bool
  sample: false
user_secret_key:
  description:
    - The secret key that the task created. It is not masked, so set C(no_log) on a task without O(user_secret_key).
  returned: when the task created one, so never with O(user_secret_key) and never in check mode
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
    ExistingIdentity,
    IdentityError,
    Wanted,
    after,
    check,
    more_rights,
    plan,
    refuse_administrator,
    shown,
)
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.connection.client import credentials
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.connection.errors import (
    Boto3MissingError,
    S3Error,
)
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.connection.options import (
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
        module.warn(f"{error}. The prediction assumes that the user and the policy do not exist.")
    found = admin.read(wanted) if admin else ExistingIdentity()
    steps = plan(wanted, found, absent=absent)
    for what in () if absent else more_rights(wanted, found):
        module.warn(f"User {wanted.name} also has rights from {what}.")
    if absent and found.policy is not None and found.policy_holders:
        module.warn(
            f"Policy {wanted.policy_name} is kept, because it is also attached to {', '.join(found.policy_holders)}."
        )
    result: dict[str, Any] = {
        "changed": steps.changed,
        "exists": found.exists if admin else None,
        "diff": {"before": shown(wanted, found), "after": shown(wanted, after(wanted, found, steps))},
    }
    if admin and not module.check_mode:
        secret_key = wanted.secret_key or new_secret()
        admin.execute(wanted, steps, secret_key)
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
