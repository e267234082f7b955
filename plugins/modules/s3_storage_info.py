#!/usr/bin/python
# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Module fediverse.mastodon_s3.s3_storage_info."""

from __future__ import annotations

DOCUMENTATION = r"""
module: s3_storage_info
short_description: Find out whether a bucket can be used with given credentials
description:
  - Asks a store with the given credentials, by reading requests only, whether it answers, whether its certificate is
    trusted, whether the credentials are accepted, whether the bucket exists and may be listed, in which region it is,
    and how far the host's clock is from the store's.
  - Whatever is found out, the task does not fail. RV(usable) tells whether the bucket can be used, and RV(problem)
    what is in the way and what to do. Only options that can't be used, and a missing boto3, make the task fail.
  - Needs the permission C(s3:ListBucket) on the bucket, as M(fediverse.mastodon_s3.s3_sync) does.
author: fediverse.mastodon_s3 contributors (@fediverse)
extends_documentation_fragment:
  - fediverse.mastodon_s3.connection
  - fediverse.mastodon_s3.attributes
  - fediverse.mastodon_s3.attributes.actiongroup_s3
  - fediverse.mastodon_s3.attributes.info_module
attributes:
  check_mode:
    details:
      - This action does not modify state.
      - Without boto3 the task does not fail in check mode, but returns RV(usable=none), since a role that would have
        installed it must be able to go on.
options:
  bucket:
    description:
      - Name of the bucket.
    type: str
    required: true
  key_prefix:
    description:
      - Prefix of the keys to list, for credentials that may list only there.
    type: str
    default: ""
  wait:
    description:
      - For how many seconds an answer is not taken as final that a new access key or policy may get until the store
        knows it everywhere. These are C(InvalidAccessKeyId), C(SignatureDoesNotMatch) and C(AccessDenied).
    type: int
    default: 0
seealso:
  - module: fediverse.mastodon_s3.s3_sync_info
"""

EXAMPLES = r"""
- name: Look whether the key in the env file works
  fediverse.mastodon_s3.s3_storage_info:
    bucket: mastodon-media
    region: eu-central-1
    credentials_file: /home/mastodon/live/.env.production
    wait: 60
  register: storage

- name: Stop where it does not
  ansible.builtin.assert:
    that: storage.usable
    fail_msg: "{{ storage.problem.message }} {{ storage.problem.remedy }}"
"""

RETURN = r"""
usable:
  description:
    - Whether the bucket exists and can be listed with these credentials and in this region.
    - V(none) in check mode where boto3 is missing.
  returned: always
  type: bool
  sample: false
problem:
  description: What is in the way, V(none) where nothing is.
  returned: always
  type: dict
  contains:
    code:
      description:
        - The store's error code, such as V(InvalidAccessKeyId), V(SignatureDoesNotMatch), V(ExpiredToken),
          V(AccessDenied), V(NoSuchBucket) or V(RequestTimeTooSkewed); V(WrongRegion) for a bucket that is elsewhere.
        - Where no answer came, V(NameNotResolved), V(ConnectionRefused), V(ConnectionFailed), V(TimedOut), V(NotTls),
          V(CertificateNotTrusted), V(CertificateOfOtherHost), V(CertificateExpired), or the name of botocore's error,
          such as V(NoCredentialsError).
        - V(NotS3) for an answer that is none of an S3 store.
      type: str
      returned: always
    message:
      description: What was tried and what came of it.
      type: str
      returned: always
    remedy:
      description: What to do.
      type: str
      returned: always
  sample:
    code: WrongRegion
    message: The bucket is in region eu-central-1, not in us-east-1.
    remedy: "Set region: eu-central-1"
answers:
  description: Whether a server answers at the endpoint, be it a store or not. V(none) where that is not known.
  returned: always
  type: bool
  sample: true
certificate_trusted:
  description: Whether the store's certificate is trusted. V(none) where that is not known or was not checked.
  returned: always
  type: bool
  sample: true
credentials_accepted:
  description: Whether the store knows the access key and accepts the signature. V(none) where that is not known.
  returned: always
  type: bool
  sample: true
bucket_exists:
  description: Whether the bucket exists. V(none) where that is not known.
  returned: always
  type: bool
  sample: true
bucket_listable:
  description: Whether these credentials may list the bucket. V(none) where that is not known.
  returned: always
  type: bool
  sample: true
bucket_region:
  description: Region of the bucket in the store's own words. V(none) where the store does not say.
  returned: always
  type: str
  sample: eu-central-1
clock_offset:
  description:
    - By how many seconds the host's clock is ahead of the store's, negative where it is behind.
    - Stores refuse signatures that are 900 seconds off.
  returned: always
  type: int
  sample: 0
boto3_version:
  description: Version of boto3 on the host, V(none) in check mode where it is missing.
  returned: always
  type: str
  sample: 1.26.27
botocore_version:
  description: Version of botocore on the host, V(none) in check mode where it is missing.
  returned: always
  type: str
  sample: 1.29.27
"""

from dataclasses import asdict
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.access import Access, look
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.client import Boto3MissingError, boto_versions
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.options import (
    ConnectionOptionsError,
    connection_argument_spec,
    connection_options,
)


def _result(access: Access) -> dict[str, Any]:
    return {"boto3_version": None, "botocore_version": None, **boto_versions(), **asdict(access)}


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "bucket": {"type": "str", "required": True},
            "key_prefix": {"type": "str", "default": "", "no_log": False},
            "wait": {"type": "int", "default": 0},
            **connection_argument_spec(),
        },
        supports_check_mode=True,
    )
    params = module.params
    if params["wait"] < 0:
        module.fail_json(msg=f"wait is {params['wait']}; give a number of seconds, 0 for a single look")
    try:
        access = look(
            connection_options(params), params["bucket"], key_prefix=params["key_prefix"], wait=params["wait"]
        )
    except ConnectionOptionsError as error:
        module.fail_json(msg=str(error))
    except Boto3MissingError as error:
        if not module.check_mode:
            module.fail_json(msg=str(error))
        access = Access(usable=None)
    module.exit_json(changed=False, **_result(access))


if __name__ == "__main__":
    main()
