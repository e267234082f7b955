#!/usr/bin/python
# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Module fediverse.mastodon_s3.s3_bucket_rules."""

from __future__ import annotations

DOCUMENTATION = r"""
module: s3_bucket_rules
short_description: Merge statements, CORS and lifecycle rules into what a bucket has
description:
  - Adds statements to the policy of a bucket, changes them, or takes them out again, each known by its own C(Sid). All
    other statements stay as they are, whoever made them. M(amazon.aws.s3_bucket) replaces the whole policy.
  - Does the same with CORS rules and with lifecycle rules that end unfinished multipart uploads, each known by its own
    C(ID).
  - Compares statements and rules by what they mean, so that a store that gives them back in another form causes no
    change.
  - Refuses to go on where the policy would open O(protected_prefixes) to everybody, also by somebody else's statement.
  - All that is wrong with the options, and all that stands in the way in the bucket, is found before anything is
    written.
  - Reads again what was written, since stores have no means against two writers at the same time, and fails if it was
    lost.
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
      - A bucket that does not exist counts as one without policy and rules, since an earlier task may only have
        predicted it. So does every bucket where boto3 is missing, with a warning.
      - Whether a store takes rules shows only when they are written. MinIO is known by its name; other stores that
        answer as if they had rules and then refuse them are predicted wrongly.
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
      - An empty list only looks at O(protected_prefixes). If it is left out, and O(protected_prefixes) is empty, the
        policy is not looked at.
    type: list
    elements: dict
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
  cors_rules:
    description:
      - CORS rules in the form of boto3. Each needs an C(ID) that begins with C(FediverseMastodonS3),
        C(AllowedOrigins) and C(AllowedMethods), and may have C(AllowedHeaders), C(ExposeHeaders) and
        C(MaxAgeSeconds).
      - A rule is not added where a rule of somebody else allows as much already.
      - With O(state=absent) only the C(ID) counts. If it is left out, CORS rules are not looked at.
      - Where the store has no CORS rules of a bucket, there is a warning and RV(unsupported), and no failure. MinIO is
        such a store; it answers every origin.
    type: list
    elements: dict
  lifecycle_rules:
    description:
      - Lifecycle rules in the form of boto3. Each needs an C(ID) that begins with C(FediverseMastodonS3), and
        C(AbortIncompleteMultipartUpload) with C(DaysAfterInitiation). C(Status) is C(Enabled) and C(Filter) the whole
        bucket if they are left out. C(Filter) can only name a C(Prefix).
      - Rules with any other action are refused, since they delete or move objects.
      - A rule is not added where a rule of somebody else ends the same uploads as soon or sooner.
      - With O(state=absent) only the C(ID) counts. If it is left out, lifecycle rules are not looked at.
      - Where the store has no such rules, there is a warning and RV(unsupported), and no failure. MinIO is such a
        store; it removes what unfinished uploads left after a day by itself.
    type: list
    elements: dict
  state:
    description:
      - Whether the statements and rules shall be there or not.
      - A policy without any statement left is deleted, and so is a configuration without any rule left.
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

- name: Take it all away again
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
  description: The policy of the bucket after the task, or in check mode as it would be; empty if there is none.
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
  description: The CORS rules of the bucket after the task, or in check mode as they would be, also those of others.
  returned: success, when O(cors_rules) is given
  type: list
  elements: dict
  sample:
    - ID: FediverseMastodonS3Cors
      AllowedOrigins: ["*"]
      AllowedMethods: [GET, HEAD]
      MaxAgeSeconds: 86400
lifecycle_rules:
  description: >-
    The lifecycle rules of the bucket after the task, or in check mode as they would be, also those of others.
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
    - What the store does not have, of V(cors) and V(lifecycle). A warning says for each what it means.
    - With O(state=absent) always empty, since there is nothing to remove.
  returned: success
  type: list
  elements: str
  sample: []
"""

import json
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.bucket_policy import BucketPolicy
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.bucket_rules import CORS, LIFECYCLE, BucketRules
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.client import s3_client
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.convergence import (
    Change,
    LostUpdateError,
    Part,
)
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.cors import check_cors_rules
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.errors import (
    Boto3MissingError,
    NotFoundError,
    S3Error,
)
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.lifecycle import check_lifecycle_rules
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.options import (
    ConnectionOptions,
    ConnectionOptionsError,
    connection_argument_spec,
    connection_options,
)
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.own_rules import RulesError
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.policy import (
    PolicyError,
    check_prefixes,
    check_statements,
)

# The names of the parts in the result.
_RESULTS = {"policy": "policy", CORS.name: "cors_rules", LIFECYCLE.name: "lifecycle_rules"}


def _wanted(params: dict[str, Any]) -> list[Part]:
    """Return the parts of the bucket that shall be looked at, their options checked."""
    bucket, absent, protected = params["bucket"], params["state"] == "absent", params["protected_prefixes"]
    statements, cors_rules, lifecycle_rules = (
        params["policy_statements"],
        params["cors_rules"],
        params["lifecycle_rules"],
    )
    parts: list[Part] = []
    if statements is not None or protected:
        if not statements and (absent or not protected):
            raise PolicyError(
                "policy_statements is empty; give at least one statement, or protected_prefixes to look at"
            )
        check_statements(statements or [], bucket, absent=absent)
        check_prefixes(protected)
        parts.append(BucketPolicy(bucket, statements or [], protected, absent=absent))
    if cors_rules is not None:
        check_cors_rules(cors_rules, absent=absent)
        parts.append(BucketRules(CORS, bucket, cors_rules, absent=absent))
    if lifecycle_rules is not None:
        check_lifecycle_rules(lifecycle_rules, absent=absent)
        parts.append(BucketRules(LIFECYCLE, bucket, lifecycle_rules, absent=absent))
    if not parts:
        raise RulesError(
            "there is nothing to do; give policy_statements, protected_prefixes, cors_rules or lifecycle_rules"
        )
    return parts


def _plans(module: AnsibleModule, client: Any, parts: list[Part]) -> list[Change]:
    if client is not None:
        try:
            return [part.plan(client) for part in parts]
        except NotFoundError as error:
            if not module.check_mode or error.code != "NoSuchBucket":
                raise
    return [part.predict() for part in parts]


def _client(module: AnsibleModule, options: ConnectionOptions) -> Any:
    """Return the client; in check mode None where boto3 is missing."""
    try:
        return s3_client(options)
    except Boto3MissingError as error:
        if not module.check_mode:
            raise
        module.warn(f"{error}. The prediction takes the bucket for one without policy and rules.")
        return None


def _shown(parts: list[Part], contents: list[Any]) -> str:
    shown = {_RESULTS[part.name]: content for part, content in zip(parts, contents)}
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
        parts = _wanted(module.params)
        client = _client(module, options)
        changes = _plans(module, client, parts)
        for number, part in enumerate(parts):
            if not changes[number].changed:
                continue
            if module.check_mode:
                changes[number] = part.foresee(changes[number])
            else:
                changes[number] = part.write(client, changes[number])
                written = written or changes[number].changed
    except (ConnectionOptionsError, Boto3MissingError, RulesError, LostUpdateError, S3Error) as error:
        module.fail_json(msg=str(error), changed=written)
    for change in changes:
        if change.unsupported:
            module.warn(change.unsupported)
    results = {_RESULTS[part.name]: change.after for part, change in zip(parts, changes)}
    module.exit_json(
        changed=any(change.changed for change in changes),
        unsupported=[part.name for part, change in zip(parts, changes) if change.unsupported],
        diff={
            "before": _shown(parts, [change.before for change in changes]),
            "after": _shown(parts, [change.after for change in changes]),
        },
        **json.loads(json.dumps(results, default=str)),
    )


if __name__ == "__main__":
    main()
