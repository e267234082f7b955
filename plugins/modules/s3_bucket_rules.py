#!/usr/bin/python
# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Module fediverse.mastodon_s3.s3_bucket_rules."""

from __future__ import annotations

DOCUMENTATION = r"""
module: s3_bucket_rules
short_description: Merge statements into the policy of a bucket
description:
  - Adds statements to the policy of a bucket, changes them, or takes them out again, each known by its own C(Sid). All
    other statements stay as they are, whoever made them. M(amazon.aws.s3_bucket) replaces the whole policy.
  - Compares statements by what they mean, so that a store that gives them back in another form causes no change.
  - Refuses to go on where the policy would open O(protected_prefixes) to everybody, also by somebody else's statement.
  - Reads the policy again after it was written, since stores have no means against two writers at the same time, and
    fails if the statements were lost.
author: fediverse.mastodon_s3 contributors (@fediverse)
extends_documentation_fragment:
  - fediverse.mastodon_s3.connection
  - fediverse.mastodon_s3.attributes
  - fediverse.mastodon_s3.attributes.actiongroup_s3
attributes:
  check_mode:
    support: full
    details:
      - A bucket that does not exist counts as one without a policy, since an earlier task may only have predicted it.
        So does every bucket where boto3 is missing, with a warning.
  diff_mode:
    support: full
  idempotent:
    support: full
options:
  bucket:
    description:
      - Name of the bucket. It must exist.
    type: str
    required: true
  policy_statements:
    description:
      - Statements in the language of bucket policies. Each needs a C(Sid) that begins with C(FediverseMastodonS3), and
        C(Effect), C(Principal), C(Action) and C(Resource).
      - A statement that the policy already makes under another C(Sid) is not added.
      - With O(state=absent) only the C(Sid) counts.
      - An empty list only looks at O(protected_prefixes).
    type: list
    elements: dict
    required: true
  protected_prefixes:
    description:
      - Prefixes of keys that must stay private, such as V(backups/). Compared as text, so end folders with a slash.
      - The task fails and changes nothing if afterwards any statement would let everybody read, write or list there.
        A C(Deny) and most conditions are not counted on; a condition counts if it names the callers, for example by
        C(aws:PrincipalAccount).
      - Holds for both values of O(state). Leave it out to remove statements whatever else the policy opens.
    type: list
    elements: str
    default: []
  state:
    description:
      - Whether the statements shall be in the policy or not.
      - A policy without any statement left is deleted.
    type: str
    choices: [present, absent]
    default: present
seealso:
  - module: amazon.aws.s3_bucket
"""

EXAMPLES = r"""
- name: Let everybody read the public media
  fediverse.mastodon_s3.s3_bucket_rules:
    bucket: mastodon-media
    region: eu-central-1
    policy_statements:
      - Sid: FediverseMastodonS3PublicRead
        Effect: Allow
        Principal: "*"
        Action: s3:GetObject
        Resource:
          - arn:aws:s3:::mastodon-media/accounts/*
          - arn:aws:s3:::mastodon-media/media_attachments/*
    protected_prefixes:
      - backups/
      - imports/

- name: Close them again
  fediverse.mastodon_s3.s3_bucket_rules:
    bucket: mastodon-media
    region: eu-central-1
    policy_statements:
      - Sid: FediverseMastodonS3PublicRead
    state: absent
"""

RETURN = r"""
policy:
  description: The policy of the bucket after the task, or in check mode as it would be; empty if there is none.
  returned: success
  type: dict
  sample:
    Version: "2012-10-17"
    Statement:
      - Sid: FediverseMastodonS3PublicRead
        Effect: Allow
        Principal: "*"
        Action: s3:GetObject
        Resource: arn:aws:s3:::mastodon-media/accounts/*
"""

import json
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.bucket_policy import (
    LostUpdateError,
    PolicyChange,
    converge_policy,
    plan,
)
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.client import Boto3MissingError, s3_client
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.errors import NotFoundError, S3Error
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.options import (
    ConnectionOptionsError,
    connection_argument_spec,
    connection_options,
)
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.policy import (
    PolicyError,
    check_prefixes,
    check_statements,
)


def _policy(module: AnsibleModule) -> PolicyChange:
    params = module.params
    bucket, wanted, protected = params["bucket"], params["policy_statements"], params["protected_prefixes"]
    absent = params["state"] == "absent"
    if not wanted and (absent or not protected):
        raise PolicyError("policy_statements is empty; give at least one statement, or protected_prefixes to look at")
    options = connection_options(params)
    check_statements(wanted, bucket, absent=absent)
    check_prefixes(protected)
    try:
        client = s3_client(options)
        return converge_policy(client, bucket, wanted, protected, absent=absent, check_mode=module.check_mode)
    except Boto3MissingError as error:
        if not module.check_mode:
            raise
        module.warn(f"{error}. The prediction takes the bucket for one without a policy.")
    except NotFoundError as error:
        if not module.check_mode or error.code != "NoSuchBucket":
            raise
    return plan({}, wanted, bucket, protected, absent=absent)


def _shown(policy: dict[str, Any]) -> str:
    return json.dumps({"policy": policy}, indent=2, sort_keys=True) + "\n"


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "bucket": {"type": "str", "required": True},
            "policy_statements": {"type": "list", "elements": "dict", "required": True},
            "protected_prefixes": {"type": "list", "elements": "str", "default": []},
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            **connection_argument_spec(),
        },
        supports_check_mode=True,
    )
    try:
        change = _policy(module)
    except (ConnectionOptionsError, Boto3MissingError, PolicyError, LostUpdateError, S3Error) as error:
        module.fail_json(msg=str(error))
    diff = {"before": _shown(change.before), "after": _shown(change.after)}
    module.exit_json(changed=change.changed, policy=change.after, diff=diff)


if __name__ == "__main__":
    main()
