#!/usr/bin/python
# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Module fediverse.mastodon_s3.s3_bucket_rules."""

from __future__ import annotations

DOCUMENTATION = r"""
module: s3_bucket_rules
short_description: Merge policy statements, CORS and lifecycle rules into those of a bucket
description:
  - Adds, changes or removes statements in the policy of a bucket. Each is identified by its C(Sid). All other
    statements stay as they are. M(amazon.aws.s3_bucket) replaces the whole policy.
  - Does the same with CORS rules, and with lifecycle rules that abort unfinished multipart uploads. Each is identified
    by its C(ID).
  - Compares the meaning of statements and rules, so a store that returns them in a different form does not cause a
    change.
  - Fails if the policy would make O(protected_prefixes) public, even through a statement of somebody else.
  - Finds all problems with the options and in the bucket before it writes anything.
  - Reads back what it wrote and fails if the change was lost, since stores do not prevent two programs from writing at
    the same time.
author: fediverse.mastodon_s3 contributors (@fediverse)
extends_documentation_fragment:
  - fediverse.mastodon_s3.connection
  - fediverse.mastodon_s3.connection.s3
  - fediverse.mastodon_s3.attributes
  - fediverse.mastodon_s3.attributes.actiongroup_s3
attributes:
  check_mode:
    support: full
    details:
      - A bucket that does not exist is assumed to have no policy and no rules, since an earlier task would have created
        it. The same applies to every bucket if boto3 is missing, with a warning.
      - Only writing shows whether a store accepts rules. MinIO is recognised by its name. For other stores that accept
        rules when they are read and refuse them when they are written, the prediction is wrong.
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
      - Statements of a bucket policy. Each needs a C(Sid) that begins with C(FediverseMastodonS3), and
        C(Effect), C(Principal), C(Action) and C(Resource).
      - A statement is not added if the policy already has the same one under another C(Sid).
      - With O(state=absent), only the C(Sid) matters.
      - With an empty list, only O(protected_prefixes) are checked. If it is not set and O(protected_prefixes) is empty,
        the policy is not read.
    type: list
    elements: dict
  protected_prefixes:
    description:
      - Prefixes of keys that must stay private, such as V(backups/). They are compared as text, so end folders with a
        slash.
      - The task fails and changes nothing if, afterwards, any statement would let everybody read, write or list there.
        A C(Deny) and most conditions are ignored. A condition counts only if it names the callers, for example with
        C(aws:PrincipalAccount).
      - This applies to both values of O(state). Do not set it to remove statements whatever else the policy allows.
    type: list
    elements: str
    default: []
  cors_rules:
    description:
      - CORS rules in the form of boto3. Each needs an C(ID) that begins with C(FediverseMastodonS3),
        C(AllowedOrigins) and C(AllowedMethods), and may have C(AllowedHeaders), C(ExposeHeaders) and
        C(MaxAgeSeconds).
      - A rule is not added if another rule already allows as much.
      - With O(state=absent), only the C(ID) matters. If it is not set, CORS rules are not read.
      - If the store does not support CORS rules, the task does not fail. There is a warning, and RV(unsupported) says
        so. MinIO is such a store; it allows every origin.
    type: list
    elements: dict
  lifecycle_rules:
    description:
      - Lifecycle rules in the form of boto3. Each needs an C(ID) that begins with C(FediverseMastodonS3), and
        C(AbortIncompleteMultipartUpload) with C(DaysAfterInitiation). By default, C(Status) is
        C(Enabled) and C(Filter) matches the whole bucket. C(Filter) can contain only a C(Prefix).
      - Rules with any other action are refused, since they delete or move objects.
      - A rule is not added if another rule aborts the same uploads as soon or sooner.
      - With O(state=absent), only the C(ID) matters. If it is not set, lifecycle rules are not read.
      - If the store does not support such rules, the task does not fail. There is a warning, and RV(unsupported) says
        so. MinIO is such a store; it removes unfinished uploads by itself after a day.
    type: list
    elements: dict
  state:
    description:
      - Whether the statements and rules should exist.
      - A policy without statements is deleted, and so is a configuration without rules.
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

- name: Let the web interface load the media, and clean up after interrupted uploads
  fediverse.mastodon_s3.s3_bucket_rules:
    bucket: mastodon-media
    region: eu-central-1
    cors_rules:
      - ID: FediverseMastodonS3Cors
        AllowedOrigins: ["*"]
        AllowedMethods: [GET, HEAD]
        MaxAgeSeconds: 86400
    lifecycle_rules:
      - ID: FediverseMastodonS3AbortUploads
        AbortIncompleteMultipartUpload:
          DaysAfterInitiation: 7

- name: Remove all of it again
  fediverse.mastodon_s3.s3_bucket_rules:
    bucket: mastodon-media
    region: eu-central-1
    policy_statements:
      - Sid: FediverseMastodonS3PublicRead
    cors_rules:
      - ID: FediverseMastodonS3Cors
    lifecycle_rules:
      - ID: FediverseMastodonS3AbortUploads
    state: absent
"""

RETURN = r"""
policy:
  description: The policy of the bucket after the task, or as it would be in check mode. Empty if there is none.
  returned: success, when O(policy_statements) or O(protected_prefixes) is given
  type: dict
  sample:
    Version: "2012-10-17"
    Statement:
      - Sid: FediverseMastodonS3PublicRead
        Effect: Allow
        Principal: "*"
        Action: s3:GetObject
        Resource: arn:aws:s3:::mastodon-media/accounts/*
cors_rules:
  description: All CORS rules of the bucket after the task, or as they would be in check mode.
  returned: success, when O(cors_rules) is given
  type: list
  elements: dict
  sample:
    - ID: FediverseMastodonS3Cors
      AllowedOrigins: ["*"]
      AllowedMethods: [GET, HEAD]
      MaxAgeSeconds: 86400
lifecycle_rules:
  description: All lifecycle rules of the bucket after the task, or as they would be in check mode.
  returned: success, when O(lifecycle_rules) is given
  type: list
  elements: dict
  sample:
    - ID: FediverseMastodonS3AbortUploads
      Status: Enabled
      Filter: {Prefix: ""}
      AbortIncompleteMultipartUpload: {DaysAfterInitiation: 7}
unsupported:
  description:
    - What the store does not support, V(cors), V(lifecycle) or both. A warning explains the consequences.
    - Always empty with O(state=absent), since there is nothing to remove.
  returned: success
  type: list
  elements: str
  sample: []
"""

import json
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.bucket.cors import CORS
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.bucket.lifecycle import LIFECYCLE
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.bucket.policy import (
    PolicyError,
    check_prefixes,
    check_statements,
)
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.bucket.policy_setting import BucketPolicy
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.bucket.rules import RulesError, check_rules
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.bucket.rules_setting import BucketRules
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.bucket.setting import (
    Change,
    LostUpdateError,
    Setting,
)
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.connection.client import s3_client
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.connection.errors import (
    Boto3MissingError,
    NotFoundError,
    S3Error,
)
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.connection.options import (
    ConnectionOptions,
    ConnectionOptionsError,
    connection_argument_spec,
    connection_options,
)

# The names of the settings in the result.
_RESULTS = {"policy": "policy", CORS.name: "cors_rules", LIFECYCLE.name: "lifecycle_rules"}


def _wanted(params: dict[str, Any]) -> list[Setting]:
    """Return the settings of the bucket to check, their options validated."""
    bucket, absent, protected = params["bucket"], params["state"] == "absent", params["protected_prefixes"]
    statements, cors_rules, lifecycle_rules = (
        params["policy_statements"],
        params["cors_rules"],
        params["lifecycle_rules"],
    )
    settings: list[Setting] = []
    if statements is not None or protected:
        if not statements and (absent or not protected):
            raise PolicyError("policy_statements is empty; give at least one statement, or protected_prefixes to check")
        check_statements(statements or [], bucket, absent=absent)
        check_prefixes(protected)
        settings.append(BucketPolicy(bucket, statements or [], protected, absent=absent))
    if cors_rules is not None:
        check_rules(CORS, cors_rules, absent=absent)
        settings.append(BucketRules(CORS, bucket, cors_rules, absent=absent))
    if lifecycle_rules is not None:
        check_rules(LIFECYCLE, lifecycle_rules, absent=absent)
        settings.append(BucketRules(LIFECYCLE, bucket, lifecycle_rules, absent=absent))
    if not settings:
        raise RulesError(
            "there is nothing to do; give policy_statements, protected_prefixes, cors_rules or lifecycle_rules"
        )
    return settings


def _plans(module: AnsibleModule, client: Any, settings: list[Setting]) -> list[Change]:
    if client is not None:
        try:
            return [setting.plan(client) for setting in settings]
        except NotFoundError as error:
            if not module.check_mode or error.code != "NoSuchBucket":
                raise
    return [setting.predict() for setting in settings]


def _client(module: AnsibleModule, options: ConnectionOptions) -> Any:
    """Return the client; in check mode None where boto3 is missing."""
    try:
        return s3_client(options)
    except Boto3MissingError as error:
        if not module.check_mode:
            raise
        module.warn(f"{error}. The prediction assumes that the bucket has no policy and no rules.")
        return None


def _shown(settings: list[Setting], contents: list[Any]) -> str:
    shown = {_RESULTS[setting.name]: content for setting, content in zip(settings, contents)}
    return json.dumps(shown, indent=2, sort_keys=True, default=str) + "\n"


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "bucket": {"type": "str", "required": True},
            "policy_statements": {"type": "list", "elements": "dict"},
            "protected_prefixes": {"type": "list", "elements": "str", "default": []},
            "cors_rules": {"type": "list", "elements": "dict"},
            "lifecycle_rules": {"type": "list", "elements": "dict"},
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            **connection_argument_spec(),
        },
        supports_check_mode=True,
    )
    written = False
    try:
        options = connection_options(module.params)
        settings = _wanted(module.params)
        client = _client(module, options)
        changes = _plans(module, client, settings)
        for number, setting in enumerate(settings):
            if not changes[number].changed:
                continue
            if module.check_mode:
                changes[number] = setting.forecast(changes[number])
            else:
                changes[number] = setting.write(client, changes[number])
                written = written or changes[number].changed
    except (ConnectionOptionsError, Boto3MissingError, RulesError, LostUpdateError, S3Error) as error:
        module.fail_json(msg=str(error), changed=written)
    for change in changes:
        if change.unsupported:
            module.warn(change.unsupported)
    results = {_RESULTS[setting.name]: change.after for setting, change in zip(settings, changes)}
    module.exit_json(
        changed=any(change.changed for change in changes),
        unsupported=[setting.name for setting, change in zip(settings, changes) if change.unsupported],
        diff={
            "before": _shown(settings, [change.before for change in changes]),
            "after": _shown(settings, [change.after for change in changes]),
        },
        **json.loads(json.dumps(results, default=str)),
    )


if __name__ == "__main__":
    main()
