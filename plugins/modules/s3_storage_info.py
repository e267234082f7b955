#!/usr/bin/python
# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Module fediverse.mastodon_s3.s3_storage_info."""

from __future__ import annotations

DOCUMENTATION = r"""
module: s3_storage_info
short_description: Find out whether a bucket can be used with given credentials, and what the store does with it
description:
  - Asks a store with the given credentials, by reading requests only, whether it answers, whether its certificate is
    trusted, whether the credentials are accepted, whether the bucket exists and may be listed, in which region it is,
    and how far the host's clock is from the store's.
  - Whatever is found out, the task does not fail. RV(usable) tells whether the bucket can be used, and RV(problem)
    what is in the way and what to do. Only options that can't be used, and a missing boto3, make the task fail.
  - Needs the permission C(s3:ListBucket) on the bucket, as M(fediverse.mastodon_s3.s3_sync) does.
  - With O(probe), does what Mastodon does on throw-away objects that it removes again, looks at them as a visitor
    would, and recommends how to use the bucket, see RV(probe). A store's answer proves nothing; several take an ACL
    and do not heed it.
author: fediverse.mastodon_s3 contributors (@fediverse)
extends_documentation_fragment:
  - fediverse.mastodon_s3.connection
  - fediverse.mastodon_s3.connection.s3
  - fediverse.mastodon_s3.attributes
  - fediverse.mastodon_s3.attributes.actiongroup_s3
  - fediverse.mastodon_s3.attributes.info_module
attributes:
  check_mode:
    details:
      - This action does not modify state. What O(probe) writes is removed again, also in check mode.
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
  probe:
    description:
      - Also find out by doing what the store does, see RV(probe). This takes some seconds, and four minutes at most
        where the store stops answering.
      - Some tiny objects are written to a folder C(.fediverse-mastodon-s3-probe/) below O(public_prefix) and below
        O(private_prefix), with names that can't be guessed. They are removed in the end, also after a failure; what
        a task that was killed left behind is removed by the next one on the same host, or an hour later by any.
        A bucket with versions keeps them as old versions.
      - Which ACLs have an effect is only found out with a key that may set them (C(s3:PutObject), C(s3:PutObjectAcl)).
    type: bool
    default: false
  public_prefix:
    description:
      - Folder in the bucket that visitors shall be able to read. It follows O(key_prefix).
    type: str
    default: accounts/
  private_prefix:
    description:
      - Folder in the bucket that nobody may read without the key. It follows O(key_prefix).
    type: str
    default: backups/
  public_url:
    description:
      - Address below which visitors fetch the files, with O(key_prefix) if there is one, for example
        V(https://files.example.com). It is looked at beside the store itself.
      - Authorities in O(aws_ca_bundle) are trusted there, too.
    type: str
  cors_origin:
    description:
      - Origin of the web pages that fetch media, such as V(https://mastodon.example.com), for a store that lets in
        only some.
      - If left out, an origin that no rule names, so that only rules for all origins let it in.
    type: str
seealso:
  - module: fediverse.mastodon_s3.s3_sync_info
"""

EXAMPLES = r"""
- name: Find out how Mastodon should use the bucket
  fediverse.mastodon_s3.s3_storage_info:
    bucket: mastodon-media
    region: eu-central-1
    credentials_file: /home/mastodon/live/.env.production
    probe: true
    cors_origin: https://mastodon.example.com
  register: storage

- name: Show what came of it
  ansible.builtin.debug:
    var: storage.probe.recommendation

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
bucket_state:
  description:
    - The bucket's settings, in the words of the S3 API. Each is V(none) where the store has no such setting, and where
      these credentials may not ask for it.
    - V(none) where RV(usable) is not V(true).
  returned: always
  type: dict
  contains:
    encryption:
      description: How new objects are encrypted by default; the text V("none") where they are not.
      type: str
      returned: always
    versioning:
      description: V(Enabled), V(Suspended), or the text V("none") where old versions never were kept.
      type: str
      returned: always
    object_lock:
      description: Whether objects can be locked against deletion.
      type: bool
      returned: always
    ownership:
      description: Who owns objects and whether there are ACLs; the text V("none") where that was never set.
      type: str
      returned: always
    public_access_block:
      description: The four switches of the bucket's own block of public access. Those of the account are not seen.
      type: dict
      returned: always
    refusal:
      description: Why media can't be served from such a bucket, with the remedy, such as an encryption by KMS.
      type: str
      returned: always
    warnings:
      description: What to know of such a bucket, such as that it keeps what is deleted, each with the remedy.
      type: list
      elements: str
      returned: always
  sample:
    encryption: AES256
    versioning: none
    object_lock: false
    ownership: BucketOwnerPreferred
    public_access_block:
      BlockPublicAcls: false
      IgnorePublicAcls: false
      BlockPublicPolicy: true
      RestrictPublicBuckets: true
    refusal: null
    warnings: []
clock_offset:
  description:
    - By how many seconds the host's clock is ahead of the store's, negative where it is behind.
    - Stores refuse signatures that are 900 seconds off.
  returned: always
  type: int
  sample: 0
probe:
  description:
    - What was found out by doing. In all of it, V(none) stands for unknown.
    - V(none) without O(probe), and where RV(problem) is that the store or the bucket can't be reached with these
      credentials.
  returned: always
  type: dict
  contains:
    operations:
      description:
        - What came of the operations that Mastodon and this collection use, by their names.
        - These are C(put_object), C(get_object), C(head_object), C(list_objects), C(presigned_get), C(delete_object),
          C(delete_objects), C(multipart_upload), C(abort_multipart_upload) and C(put_object_acl). Those that could not
          be tried after another had failed are left out.
        - Each has RV(ignore:ok), whether it did what it should, and RV(ignore:code), the store's error code,
          V(OtherContent), V(StillThere) or V(NotListed) where the store said one thing and did another, and an empty
          string otherwise.
      type: dict
      returned: success
      sample:
        put_object:
          code: ""
          ok: true
    acl:
      description: What canned ACLs of objects do.
      type: dict
      returned: success
      contains:
        verdict:
          description:
            - V(honoured) if everybody can read an object with C(public-read) and not one with C(private).
            - V(ignored) if both are accepted without that effect, be it that the store does not heed them or that a
              policy opens both.
            - V(refused) if one is not allowed in this bucket or for this key, V(unsupported) if the store or the bucket
              has no ACLs.
          type: str
          returned: success
        canned:
          description:
            - What came of storing an object with each of V(public-read), V(private), V(authenticated-read) and
              V(bucket-owner-full-control), as in RV(probe.operations).
          type: dict
          returned: success
        refused_for:
          description: The canned ACLs that were not accepted.
          type: list
          elements: str
          returned: success
        repair:
          description: Whether changing the ACL of an object opens it to everybody, and closes it again.
          type: bool
          returned: success
    open_to_everybody:
      description: What is open without credentials.
      type: dict
      returned: success
      contains:
        public_prefix:
          description: Whether everybody can read an object without an ACL below O(public_prefix).
          type: bool
          returned: success
        private_prefix:
          description: Whether everybody can read an object without an ACL below O(private_prefix).
          type: bool
          returned: success
        list:
          description: Whether everybody can list the bucket.
          type: bool
          returned: success
    cors:
      description: What web pages of O(cors_origin) may do.
      type: dict
      returned: success
      contains:
        allowed:
          description: Whether they may fetch objects.
          type: bool
          returned: success
        preflight:
          description: Whether the answer to a preflight request says so, too.
          type: bool
          returned: success
    addressing:
      description: Whether the bucket is reached by its name in the path, and in the host.
      type: dict
      returned: success
      contains:
        path:
          description: The name in the path.
          type: bool
          returned: success
        virtual:
          description: The name in the host. V(none) where O(endpoint_url) has an IP address.
          type: bool
          returned: success
    checksums:
      description: Which forms of checksums the store takes.
      type: dict
      returned: success
      contains:
        header_crc32:
          description: A CRC32 in a header.
          type: bool
          returned: success
        trailer_crc32:
          description: A CRC32 behind the body, as newer SDKs send it over TLS. V(none) over plain HTTP.
          type: bool
          returned: success
        batch_delete_md5:
          description: Deleting several objects at once with Content-MD5, as older SDKs do.
          type: bool
          returned: success
        batch_delete_crc32:
          description: Deleting several objects at once with CRC32, as newer SDKs do.
          type: bool
          returned: success
        response_mode:
          description: Reading an object with its checksum, as newer SDKs do.
          type: bool
          returned: success
    rights:
      description: What the key can do beyond its bucket.
      type: dict
      returned: success
      contains:
        list_buckets:
          description: Whether it can list the account's buckets.
          type: bool
          returned: success
        other_buckets:
          description: Whether it can list another bucket's objects; three are tried at most.
          type: bool
          returned: success
        other_bucket:
          description: Which one that is.
          type: str
          returned: success
    ownership:
      description: The bucket's setting for the ownership of objects, where the store has one and the key may read it.
      type: str
      returned: success
      sample: BucketOwnerEnforced
    public_access_block:
      description: The bucket's public access block, where the store has one and the key may read it.
      type: dict
      returned: success
      sample:
        BlockPublicAcls: false
        BlockPublicPolicy: false
        IgnorePublicAcls: false
        RestrictPublicBuckets: false
    bucket_policies:
      description: Whether the store has bucket policies. V(none) where the key may not read the bucket's.
      type: bool
      returned: success
    versioned:
      description: Whether the bucket keeps old versions of objects.
      type: bool
      returned: success
    complete:
      description: Whether everything could be tried; V(false) where the store stopped answering.
      type: bool
      returned: success
    leftovers:
      description: Keys of throw-away objects that could not be removed.
      type: list
      elements: str
      returned: success
    recommendation:
      description: What follows from it.
      type: dict
      returned: success
      contains:
        exposure:
          description:
            - How public and private are to be told apart, as in O(fediverse.mastodon_s3.s3_sync#module:exposure).
            - V(acl) by the ACL of each object, V(policy) by a policy of the bucket for the public prefixes, V(bucket)
              where the bucket is open as a whole or not at all.
          type: str
          returned: success
          sample: acl
        reason:
          description: Why.
          type: str
          returned: success
        variables:
          description:
            - What E(S3_PERMISSION), E(S3_OVERRIDE_PATH_STYLE), E(S3_MULTIPART_THRESHOLD),
              E(AWS_REQUEST_CHECKSUM_CALCULATION) and E(AWS_RESPONSE_CHECKSUM_VALIDATION) of Mastodon should be.
            - Each has RV(ignore:value), V(none) where the variable should be absent, and RV(ignore:reason).
          type: dict
          returned: success
          sample:
            S3_PERMISSION:
              reason: Mastodon's own default, and what the store honours
              value: public-read
        warnings:
          description: What else has to be known or done, each a sentence or two.
          type: list
          elements: str
          returned: success
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

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.access import Access, look, with_patience
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.anonymous import AddressError
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.bucket_state import (
    look_at,
    refusal_of,
    warnings_of,
)
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.client import boto_versions, s3_client
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.errors import Boto3MissingError
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.options import (
    ConnectionOptions,
    ConnectionOptionsError,
    connection_argument_spec,
    connection_options,
)
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.probe.probe import (
    Places,
    PlacesError,
    places_from,
    probe,
)
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.probe.recommendation import recommend


def _find_out(options: ConnectionOptions, places: Places, params: dict[str, Any]) -> dict[str, Any]:
    access = look(options, params["bucket"], key_prefix=params["key_prefix"], wait=params["wait"])
    found = None
    if params["probe"] and _can_be_probed(access):
        facts = probe(options, params["bucket"], places)
        found = {**asdict(facts), "recommendation": asdict(recommend(facts))}
    return {**_result(access), "bucket_state": _state(options, params["bucket"], access), "probe": found}


def _state(options: ConnectionOptions, bucket: str, access: Access) -> dict[str, Any] | None:
    if not access.usable:
        return None
    state = look_at(s3_client(with_patience(options)), bucket)
    return {**asdict(state), "refusal": refusal_of(state), "warnings": warnings_of(state)}


def _can_be_probed(access: Access) -> bool:
    """Return whether there is something to find out, if only what a key can't do that may not list the bucket."""
    return access.problem is None or (access.problem.code == "AccessDenied" and access.bucket_exists is not False)


def _result(access: Access) -> dict[str, Any]:
    return {"boto3_version": None, "botocore_version": None, **boto_versions(), **asdict(access)}


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "bucket": {"type": "str", "required": True},
            "key_prefix": {"type": "str", "default": "", "no_log": False},
            "wait": {"type": "int", "default": 0},
            "probe": {"type": "bool", "default": False},
            "public_prefix": {"type": "str", "default": "accounts/"},
            "private_prefix": {"type": "str", "default": "backups/"},
            "public_url": {"type": "str"},
            "cors_origin": {"type": "str"},
            **connection_argument_spec(),
        },
        supports_check_mode=True,
    )
    params = module.params
    if params["wait"] < 0:
        module.fail_json(msg=f"wait is {params['wait']}; give a number of seconds, 0 for a single look")
    try:
        found = _find_out(connection_options(params), places_from(params), params)
    except (ConnectionOptionsError, PlacesError, AddressError) as error:
        module.fail_json(msg=str(error))
    except Boto3MissingError as error:
        if not module.check_mode:
            module.fail_json(msg=str(error))
        found = {**_result(Access(usable=None)), "bucket_state": None, "probe": None}
    module.exit_json(changed=False, **found)


if __name__ == "__main__":
    main()
