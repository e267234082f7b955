#!/usr/bin/python
# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Module fediverse.mastodon_s3.s3_bucket."""

from __future__ import annotations

DOCUMENTATION = r"""
module: s3_bucket
short_description: Create a bucket on a store that is not AWS
description:
  - Creates a bucket, if it does not exist, with two calls that every store supports, C(HeadBucket) and
    C(CreateBucket). M(amazon.aws.s3_bucket) reads a dozen settings and fails if a store answers one of these requests
    in an unusual way.
  - Changes only the settings that are given, and returns those that the store reports.
  - Never deletes a bucket and never changes its policy. For the policy, see M(fediverse.mastodon_s3.s3_bucket_rules).
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
      - Without boto3 the bucket is assumed to be missing, and there is a warning.
  diff_mode:
    support: full
  idempotent:
    support: partial
    details:
      - A setting that the store does not report is written on every run.
options:
  bucket:
    description:
      - Name of the bucket.
      - A new bucket is created in O(region), which is sent as its location unless it is V(us-east-1).
    type: str
    required: true
  ownership:
    description:
      - Object ownership, which also decides whether objects can have ACLs.
      - If this or another setting is not given, it is not changed.
    type: str
    choices: [BucketOwnerEnforced, BucketOwnerPreferred, ObjectWriter]
  public_access:
    description:
      - The bucket's public access block. A part that is not given stays as it is, or becomes V(false) if its current
        value is not known.
    type: dict
    suboptions:
      block_public_acls:
        description: Whether public ACLs are refused.
        type: bool
      ignore_public_acls:
        description: Whether public ACLs have no effect.
        type: bool
      block_public_policy:
        description: Whether public policies are refused.
        type: bool
      restrict_public_buckets:
        description: Whether a public policy has no effect on visitors.
        type: bool
  encryption:
    description:
      - Default encryption of new objects.
    type: str
    choices: [AES256]
  tags:
    description:
      - Tags to set on the bucket. Its other tags are kept.
    type: dict
seealso:
  - module: amazon.aws.s3_bucket
  - module: fediverse.mastodon_s3.s3_bucket_rules
  - module: fediverse.mastodon_s3.s3_storage_info
"""

EXAMPLES = r"""
- name: Create the bucket
  fediverse.mastodon_s3.s3_bucket:
    bucket: mastodon-media
    endpoint_url: https://fsn1.your-objectstorage.com
    region: fsn1
    profile: administrator
  delegate_to: localhost
  become: false
  vars:
    # The profile is that of the user who runs Ansible, and boto3 is installed for the Python that runs it
    ansible_python_interpreter: "{{ ansible_playbook_python }}"
"""

RETURN = r"""
created:
  description: Whether the task created the bucket, or would create it in check mode.
  returned: success
  type: bool
  sample: true
settings:
  description:
    - The bucket's settings after the task, with the values of the S3 API. A setting that the store does not report is
      V(none).
    - In check mode, the settings that the bucket would have. For a bucket that would be created, only the given ones.
  returned: success
  type: dict
  contains:
    encryption:
      description: Default encryption of new objects; the string V("none") if there is none.
      type: str
      returned: success
    versioning:
      description: V(Enabled), V(Suspended), or the string V("none") if versioning was never enabled.
      type: str
      returned: success
    object_lock:
      description: Whether objects can be locked against deletion.
      type: bool
      returned: success
    ownership:
      description: Object ownership; the string V("none") if it was never set.
      type: str
      returned: success
    public_access_block:
      description: The four parts of the bucket's own public access block.
      type: dict
      returned: success
  sample:
    encryption: null
    versioning: none
    object_lock: false
    ownership: null
    public_access_block: null
"""

import json
from dataclasses import asdict, replace
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.bucket import bucket as buckets
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.bucket.setting import LostUpdateError
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.bucket.state import BucketState, read_state
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.connection.client import s3_client
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.connection.errors import (
    Boto3MissingError,
    S3Error,
)
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.connection.options import (
    ConnectionOptionsError,
    connection_argument_spec,
    connection_options,
)
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.probe.access import with_short_timeouts

# The parts of the public access block, by option.
_BLOCKS = {
    "block_public_acls": "BlockPublicAcls",
    "ignore_public_acls": "IgnorePublicAcls",
    "block_public_policy": "BlockPublicPolicy",
    "restrict_public_buckets": "RestrictPublicBuckets",
}


def _wanted(params: dict[str, Any], now: BucketState) -> dict[str, Any]:
    """Return the settings that are wanted, by their names in BucketState, and the tags."""
    block = None
    if params["public_access"]:
        given = {_BLOCKS[name]: value for name, value in params["public_access"].items() if value is not None}
        block = {**dict.fromkeys(_BLOCKS.values(), False), **(now.public_access_block or {}), **given}
    return {
        "ownership": params["ownership"],
        "public_access_block": block,
        "encryption": params["encryption"],
        "tags": {str(name): str(value) for name, value in (params["tags"] or {}).items()},
    }


def _shown(exists: bool, state: BucketState, tags: dict[str, str]) -> str:
    content = {"bucket": {**asdict(state), "tags": tags}} if exists else {}
    return json.dumps(content, indent=2, sort_keys=True) + "\n"


def _run(module: AnsibleModule) -> dict[str, Any]:
    params, bucket = module.params, module.params["bucket"]
    client, quick = None, None
    options = connection_options(params)
    try:
        client, quick = s3_client(options), s3_client(with_short_timeouts(options))
    except Boto3MissingError as error:
        if not module.check_mode:
            raise
        module.warn(f"{error}. Check mode assumes that the bucket does not exist.")
    exists = client is not None and buckets.exists(client, bucket)
    before = read_state(quick, bucket) if exists else BucketState()
    tags = buckets.read_tags(client, bucket) if exists and params["tags"] else {}
    created = not exists
    if created and not module.check_mode:
        created = buckets.create(client, bucket)
        # A new bucket may have settings of the store's choice.
        before = read_state(quick, bucket)
    settings = buckets.differences(before, tags, _wanted(params, before))
    after = replace(before, **{name: value for name, value in settings.items() if name != "tags"})
    if settings and not module.check_mode:
        buckets.write(client, bucket, settings)
        told = {name: value for name, value in asdict(read_state(quick, bucket)).items() if value is not None}
        after = replace(after, **told)
    return {
        "changed": created or bool(settings),
        "created": created,
        "settings": asdict(after),
        "diff": {
            "before": _shown(not created, before, tags),
            "after": _shown(True, after, settings.get("tags", tags)),
        },
    }


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "bucket": {"type": "str", "required": True},
            "ownership": {"type": "str", "choices": ["BucketOwnerEnforced", "BucketOwnerPreferred", "ObjectWriter"]},
            "public_access": {"type": "dict", "options": {name: {"type": "bool"} for name in _BLOCKS}},
            "encryption": {"type": "str", "choices": ["AES256"]},
            "tags": {"type": "dict"},
            **connection_argument_spec(),
        },
        supports_check_mode=True,
    )
    try:
        result = _run(module)
    except (ConnectionOptionsError, Boto3MissingError, LostUpdateError, S3Error) as error:
        module.fail_json(msg=str(error))
    module.exit_json(**result)


if __name__ == "__main__":
    main()
