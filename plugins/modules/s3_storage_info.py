#!/usr/bin/python
# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Module fediverse.mastodon_s3.s3_storage_info."""

from __future__ import annotations

DOCUMENTATION = r"""
module: s3_storage_info
short_description: Check whether a bucket can be used with given credentials, and how the store behaves
description:
  - Checks, with read requests only, whether the store answers, whether its certificate is trusted, whether it accepts
    the credentials, whether the bucket exists and can be listed, in which region it is, and how far the host's clock is
    from the store's.
  - Problems with the store do not make the task fail. RV(usable) says whether the bucket can be used, and RV(problem)
    says what prevents it and what to do. The task fails only if options are invalid or boto3 is missing.
  - Needs the permission C(s3:ListBucket) on the bucket, as M(fediverse.mastodon_s3.s3_sync) does.
  - With O(probe), does what Mastodon does, with temporary objects that it removes again. It reads them as a visitor
    would and recommends how to use the bucket, see RV(probe). A successful response is not enough, because several
    stores accept ACLs and ignore them.
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
      - This action does not modify state. Whatever O(probe) writes is removed again, also in check mode.
      - Without boto3, the task does not fail in check mode and returns RV(usable=none), since an earlier task may be
        about to install it.
options:
  bucket:
    description:
      - Name of the bucket.
    type: str
    required: true
  key_prefix:
    description:
      - Prefix of the keys to list, for credentials that can list only there.
    type: str
    default: ""
  wait:
    description:
      - For how many seconds to retry after an error that a new access key or policy can cause until all of the store's
        servers know it. These are C(InvalidAccessKeyId), C(SignatureDoesNotMatch) and C(AccessDenied).
    type: int
    default: 0
  probe:
    description:
      - Also test how the store behaves, see RV(probe). This takes some seconds, or up to four minutes if the store
        stops answering.
      - Tiny objects are written to a folder C(.fediverse-mastodon-s3-probe/) below O(public_prefix) and below
        O(private_prefix), with names that can't be guessed. They are removed at the end, also after a failure. If a
        task was killed, the next one on the same host removes its objects, or any other task an hour later. A bucket
        with versioning keeps them as old versions.
      - The effect of ACLs can be tested only with a key that may set them (C(s3:PutObject), C(s3:PutObjectAcl)).
    type: bool
    default: false
  public_prefix:
    description:
      - Folder in the bucket that visitors should be able to read, relative to O(key_prefix).
    type: str
    default: accounts/
  private_prefix:
    description:
      - Folder in the bucket that nobody should be able to read without the key, relative to O(key_prefix).
    type: str
    default: backups/
  public_url:
    description:
      - Address below which visitors fetch the files, with O(key_prefix) if there is one, for example
        V(https://files.example.com). It is checked in addition to the store itself.
      - With O(probe), an object is fetched from this address, see RV(probe.media_address).
      - Authorities in O(aws_ca_bundle) are trusted there too.
    type: str
  cors_origin:
    description:
      - Origin of the web pages that fetch media, such as V(https://mastodon.example.com), for a store that allows only
        some origins.
      - By default an origin that no rule names, so that only rules for all origins allow it.
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

- name: Show the result
  ansible.builtin.debug:
    var: storage.probe.recommendation

- name: Check whether the key in the env file works
  fediverse.mastodon_s3.s3_storage_info:
    bucket: mastodon-media
    region: eu-central-1
    credentials_file: /home/mastodon/live/.env.production
    wait: 60
  register: storage

- name: Stop if it does not
  ansible.builtin.assert:
    that: storage.usable
    fail_msg: "{{ storage.problem.message }} {{ storage.problem.remedy }}"
"""

RETURN = r"""
usable:
  description:
    - Whether the bucket exists and can be listed with these credentials and in this region.
    - V(none) in check mode if boto3 is missing.
  returned: always
  type: bool
  sample: false
problem:
  description: What prevents the use of the bucket, V(none) if nothing does.
  returned: always
  type: dict
  contains:
    code:
      description:
        - The store's error code, such as V(InvalidAccessKeyId), V(SignatureDoesNotMatch), V(ExpiredToken),
          V(AccessDenied), V(NoSuchBucket) or V(RequestTimeTooSkewed); V(WrongRegion) for a bucket that is elsewhere.
        - Without a response, V(NameNotResolved), V(ConnectionRefused), V(ConnectionFailed), V(TimedOut), V(TlsFailed),
          V(NotTls), V(CertificateNotTrusted), V(CertificateOfOtherHost), V(CertificateExpired), or the name of
          botocore's error, such as V(NoCredentialsError).
        - V(NotS3) for a response that does not come from an S3 store.
      type: str
      returned: always
    message:
      description: What was tried and what happened.
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
  description: Whether a server answers at the endpoint, even if it is not a store. V(none) if this is not known.
  returned: always
  type: bool
  sample: true
certificate_trusted:
  description: Whether the store's certificate is trusted. V(none) if this is not known or was not checked.
  returned: always
  type: bool
  sample: true
credentials_accepted:
  description: Whether the store knows the access key and accepts the signature. V(none) if this is not known.
  returned: always
  type: bool
  sample: true
bucket_exists:
  description: Whether the bucket exists. V(none) if this is not known.
  returned: always
  type: bool
  sample: true
bucket_allowed:
  description:
    - Whether these credentials may use the bucket at all. V(false) for a bucket that belongs to another account.
    - V(none) if this is not known. It can also be V(false) for a bucket that does not exist, since some stores then
      refuse credentials that have no rights on it.
  returned: always
  type: bool
  sample: true
bucket_listable:
  description: Whether these credentials may list the bucket. V(none) if this is not known.
  returned: always
  type: bool
  sample: true
bucket_region:
  description: Region of the bucket as the store calls it. V(none) if the store does not tell it.
  returned: always
  type: str
  sample: eu-central-1
objects:
  description:
    - Objects in the bucket below O(key_prefix), on the first page of the listing.
    - V(none) if RV(usable) is not V(true).
  returned: always
  type: dict
  sample: {count: 12, more: false}
  contains:
    count:
      description: Number of objects, at most 1,000.
      type: int
      returned: always
    more:
      description: Whether there are more.
      type: bool
      returned: always
bucket_state:
  description:
    - The bucket's settings, with the values of the S3 API. A setting is V(none) if the store does not have it or these
      credentials may not read it.
    - V(none) if RV(usable) is not V(true).
  returned: always
  type: dict
  contains:
    encryption:
      description: Default encryption of new objects; the string V("none") if there is none.
      type: str
      returned: always
    versioning:
      description: V(Enabled), V(Suspended), or the string V("none") if versioning was never enabled.
      type: str
      returned: always
    object_lock:
      description: Whether objects can be locked against deletion.
      type: bool
      returned: always
    ownership:
      description: Object ownership; the string V("none") if it was never set.
      type: str
      returned: always
    public_access_block:
      description: The four parts of the bucket's own public access block. That of the account is not known.
      type: dict
      returned: always
    refusal:
      description: Why media can't be served from this bucket, such as encryption with KMS, with the remedy.
      type: str
      returned: always
    warnings:
      description: What to know about this bucket, such as that it keeps deleted objects, each with the remedy.
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
    - By how many seconds the host's clock is ahead of the store's. Negative if it is behind.
    - Stores refuse signatures that are off by 900 seconds.
  returned: always
  type: int
  sample: 0
probe:
  description:
    - The results of the tests. V(none) always means unknown.
    - V(none) without O(probe), and if these credentials can't reach the store or the bucket (see RV(problem)).
  returned: always
  type: dict
  contains:
    operations:
      description:
        - The results of the operations that Mastodon and this collection use, by name.
        - These are C(put_object), C(get_object), C(head_object), C(list_objects), C(presigned_get), C(delete_object),
          C(delete_objects), C(multipart_upload), C(abort_multipart_upload) and C(put_object_acl). Operations
          that could not be tried because another one had failed are left out.
        - Each has RV(ignore:ok), whether it worked, and RV(ignore:code). That is the store's error code, or
          V(OtherContent), V(StillThere) or V(NotListed) if the store reported success but did something else, or
          otherwise an empty string.
      type: dict
      returned: success
      sample:
        put_object:
          code: ""
          ok: true
    acl:
      description: The effect of canned ACLs of objects.
      type: dict
      returned: success
      contains:
        verdict:
          description:
            - V(honoured) if everybody can read an object with C(public-read) but not one with C(private).
            - V(ignored) if both are accepted without that effect, because the store ignores them or because a policy
              makes both public.
            - V(refused) if one of them is not allowed in this bucket or for this key. V(unsupported) if the store or
              the bucket has no ACLs.
          type: str
          returned: success
        canned:
          description:
            - The results of storing an object with each of V(public-read), V(private), V(authenticated-read) and
              V(bucket-owner-full-control), as in RV(probe.operations).
          type: dict
          returned: success
        refused_for:
          description: The canned ACLs that were not accepted.
          type: list
          elements: str
          returned: success
        repair:
          description: Whether changing the ACL of an object makes it public, and private again.
          type: bool
          returned: success
    open_to_everybody:
      description: What everybody can read without credentials.
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
          description: Whether the response to a preflight request says so too.
          type: bool
          returned: success
    media_address:
      description:
        - Result of fetching a public object from O(public_url). The object has the ACL C(public-read) if
          RV(probe.acl.verdict) is V(honoured). V(none) without O(public_url), or if this could not be tried.
      type: dict
      returned: success
      contains:
        url:
          description: Base URL of the public objects.
          type: str
          returned: success
        readable:
          description: Whether a visitor can read the object.
          type: bool
          returned: success
        problem:
          description: Why not, with C(code), C(message) and C(remedy) as in RV(problem). V(none) if it is readable.
          type: dict
          returned: success
        cors:
          description: Whether CORS lets web pages of O(cors_origin) use it. V(none) if it is not readable.
          type: bool
          returned: success
    addressing:
      description: Which ways to name the bucket work.
      type: dict
      returned: success
      contains:
        path:
          description: The name in the path of the URL.
          type: bool
          returned: success
        virtual:
          description: The name in the host of the URL. V(none) if O(endpoint_url) has an IP address.
          type: bool
          returned: success
    checksums:
      description: Which forms of checksums the store supports.
      type: dict
      returned: success
      contains:
        header_crc32:
          description: A CRC32 in a header.
          type: bool
          returned: success
        trailer_crc32:
          description: A CRC32 after the body, as newer SDKs send it over TLS. V(none) over plain HTTP.
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
          description: Reading an object with its checksum (C(x-amz-checksum-mode=ENABLED)), as newer SDKs do.
          type: bool
          returned: success
        response_mode_disabled:
          description: Reading an object with C(x-amz-checksum-mode=DISABLED), as Mastodon 4.2 and newer do by default.
          type: bool
          returned: success
    latency:
      description:
        - How long the store took to answer small requests, with the time to connect, but without those that had to be
          repeated. V(none) if it answered none.
      type: dict
      returned: success
      contains:
        requests:
          description: Number of answers.
          type: int
          returned: success
        median_seconds:
          description: Median of the seconds until an answer.
          type: float
          returned: success
        slowest_seconds:
          description: Most seconds until an answer.
          type: float
          returned: success
        slowest_operation:
          description: Which operation this was.
          type: str
          returned: success
      sample:
        requests: 40
        median_seconds: 0.034
        slowest_seconds: 0.212
        slowest_operation: put_object
    rights:
      description: What the key can do outside its bucket.
      type: dict
      returned: success
      contains:
        list_buckets:
          description: Whether it can list the account's buckets.
          type: bool
          returned: success
        other_buckets:
          description: Whether it can list another bucket's objects; at most three buckets are tried.
          type: bool
          returned: success
        other_bucket:
          description: Name of that bucket.
          type: str
          returned: success
    ownership:
      description: The bucket's object ownership, if the store has it and the key may read it.
      type: str
      returned: success
      sample: BucketOwnerEnforced
    public_access_block:
      description: The bucket's public access block, if the store has it and the key may read it.
      type: dict
      returned: success
      sample:
        BlockPublicAcls: false
        BlockPublicPolicy: false
        IgnorePublicAcls: false
        RestrictPublicBuckets: false
    bucket_policies:
      description: Whether the store has bucket policies. V(none) if the key may not read the bucket's policy.
      type: bool
      returned: success
    versioned:
      description: Whether the bucket keeps old versions of objects.
      type: bool
      returned: success
    complete:
      description: Whether everything could be tried. V(false) if the store stopped answering.
      type: bool
      returned: success
    leftovers:
      description: Keys of temporary objects that could not be removed.
      type: list
      elements: str
      returned: success
    recommendation:
      description: The recommendation that follows from the results.
      type: dict
      returned: success
      contains:
        exposure:
          description:
            - How public and private files should be kept apart, as in O(fediverse.mastodon_s3.s3_sync#module:exposure).
            - V(acl) with the ACL of each object, V(policy) with a bucket policy for the public prefixes,
              V(open_bucket) if the store can only make a whole bucket public.
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
              E(AWS_REQUEST_CHECKSUM_CALCULATION), E(AWS_RESPONSE_CHECKSUM_VALIDATION), E(S3_ENABLE_CHECKSUM_MODE) and
              E(S3_READ_TIMEOUT) of Mastodon should be.
            - Each has RV(ignore:value), which is V(none) if the variable should be absent, and RV(ignore:reason).
          type: dict
          returned: success
          sample:
            S3_PERMISSION:
              reason: Mastodon's own default, and what the store honours
              value: public-read
        warnings:
          description: What else you should know or do, each in one or two sentences.
          type: list
          elements: str
          returned: success
boto3_version:
  description: Version of boto3 on the host. V(none) in check mode if it is missing.
  returned: always
  type: str
  sample: 1.26.27
botocore_version:
  description: Version of botocore on the host. V(none) in check mode if it is missing.
  returned: always
  type: str
  sample: 1.29.27
"""

from dataclasses import asdict
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.bucket.state import (
    read_state,
    refusal_of,
    warnings_of,
)
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.connection.client import (
    boto_versions,
    s3_client,
)
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.connection.errors import Boto3MissingError
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.connection.options import (
    ConnectionOptions,
    ConnectionOptionsError,
    connection_argument_spec,
    connection_options,
)
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.http.anonymous_client import AddressError
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.probe.access import (
    BucketAccess,
    check_access,
    with_short_timeouts,
)
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.probe.probe import (
    Places,
    PlacesError,
    places_from,
    probe,
)
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.probe.recommendation import recommend


def _find_out(options: ConnectionOptions, places: Places, params: dict[str, Any]) -> dict[str, Any]:
    access = check_access(options, params["bucket"], key_prefix=params["key_prefix"], wait=params["wait"])
    found = None
    if params["probe"] and _can_be_probed(access):
        facts = probe(options, params["bucket"], places)
        found = {**asdict(facts), "recommendation": asdict(recommend(facts))}
    return {**_result(access), "bucket_state": _state(options, params["bucket"], access), "probe": found}


def _state(options: ConnectionOptions, bucket: str, access: BucketAccess) -> dict[str, Any] | None:
    if not access.usable:
        return None
    state = read_state(s3_client(with_short_timeouts(options)), bucket)
    return {**asdict(state), "refusal": refusal_of(state), "warnings": warnings_of(state)}


def _can_be_probed(access: BucketAccess) -> bool:
    """Return whether there is something to find out, if only what a key can't do that may not list the bucket."""
    return access.problem is None or (access.problem.code == "AccessDenied" and access.bucket_exists is not False)


def _result(access: BucketAccess) -> dict[str, Any]:
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
        module.fail_json(msg=f"wait is {params['wait']}; give a number of seconds, 0 to check once")
    try:
        found = _find_out(connection_options(params), places_from(params), params)
    except (ConnectionOptionsError, PlacesError, AddressError) as error:
        module.fail_json(msg=str(error))
    except Boto3MissingError as error:
        if not module.check_mode:
            module.fail_json(msg=str(error))
        found = {**_result(BucketAccess(usable=None)), "bucket_state": None, "probe": None}
    module.exit_json(changed=False, **found)


if __name__ == "__main__":
    main()
