#!/usr/bin/python
# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Module fediverse.mastodon_s3.s3_sync_info."""

from __future__ import annotations

DOCUMENTATION = r"""
module: s3_sync_info
short_description: Compare a folder with a bucket, and look at its objects as visitors do and with the key
description:
  - Walks a folder and lists a bucket, and tells what is in both, what only one of them has, and what differs in size.
    Nothing is changed, and the memory that is needed does not depend on the number of files.
  - With O(public_url), asks without credentials for a sample of the objects that should be public, and of those that
    should be private, and for a listing of the bucket.
  - With O(inspect), looks with the key at what the store keeps of the objects, by ACL, headers and content. It
    finds what O(fediverse.mastodon_s3.s3_sync#module:converge) repairs.
  - An ACL says what was granted, a visitor what is granted in effect, by ACL, policy and the settings of the account
    together. A store that ignores ACLs may show the one and do the other. So ask for both.
  - O(public_url) and O(inspect) look at a sample, or with O(full) at everything.
  - Files and exposures follow from the same options as in M(fediverse.mastodon_s3.s3_sync). Once Mastodon uses the
    bucket, it deletes and suspends only there, so that files which only the disk has, and private objects whose files
    look public, are no mistakes any more.
  - Differences do not make the task fail. An object that is deleted while it is looked at is no difference.
author: fediverse.mastodon_s3 contributors (@fediverse)
extends_documentation_fragment:
  - fediverse.mastodon_s3.place
  - fediverse.mastodon_s3.connection
  - fediverse.mastodon_s3.connection.s3
  - fediverse.mastodon_s3.attributes
  - fediverse.mastodon_s3.attributes.actiongroup_s3
  - fediverse.mastodon_s3.attributes.info_module
options:
  cache_control:
    description:
      - The C(Cache-Control) header that public objects should have. If it is empty, none is compared.
    type: str
    default: public, max-age=315576000, immutable
  settle_seconds:
    description:
      - A file below O(public_prefixes) that looks private and has changed within so many seconds may be still in the
        writing. It is left out.
    type: int
    default: 60
  newer_than:
    description:
      - Time in seconds since the epoch. Only objects that were written later count as RV(counts.extra).
      - It is held against the store's clock, see RV(fediverse.mastodon_s3.s3_storage_info#module:clock_offset).
    type: float
  public_url:
    description:
      - Address below which visitors fetch the files, with O(key_prefix) if there is one, for example
        V(https://files.example.com) or V(https://s3.example.com/bucket/prefix). Keys are escaped as Mastodon does.
      - Without it, nothing is asked as a visitor, but for a listing of the bucket.
    type: str
  public_ca_bundle:
    description:
      - File with certificates in PEM format, on the host that runs the module, of authorities to trust at O(public_url)
        beside those of the system.
    type: path
  inspect:
    description:
      - What to look at with the key, for the objects that are in the sample, or for all of them with O(full).
      - With V(acl), who is granted what by the ACL. It takes a request for each object, and needs the permission
        C(s3:GetObjectAcl). Without O(exposure=acl), only the ACLs of private objects are looked at.
      - With V(headers), the content type and the cache header that the store keeps. It takes a request for each object.
      - With V(content), whether the file has the content that the object's ETag stands for. Each file is read from
        disk, and nothing is fetched from the bucket. Of objects that were sent in parts, this works for the usual sizes
        of parts.
    type: list
    elements: str
    choices: [acl, headers, content]
    default: []
  sample:
    description:
      - How many public and how many private objects are looked at. They are chosen evenly over the whole tree, the same
        ones each time for the same tree.
    type: int
    default: 100
  full:
    description:
      - Look at every object instead of O(sample) ones. Expect some hundreds of objects in a second.
    type: bool
    default: false
  limit:
    description:
      - How many names or examples each list of the result holds at most.
    type: int
    default: 20
seealso:
  - module: fediverse.mastodon_s3.s3_sync
  - module: fediverse.mastodon_s3.s3_storage_info
"""

EXAMPLES = r"""
- name: Compare the media on disk with the bucket, and ask for some as visitors do
  fediverse.mastodon_s3.s3_sync_info:
    src: /home/mastodon/live/public/system
    bucket: mastodon-media
    region: eu-central-1
    credentials_file: /home/mastodon/live/.env.production
    public_url: https://files.example.com
  register: comparison

- name: Look at every ACL and every header before the switch, and at the content of all files
  fediverse.mastodon_s3.s3_sync_info:
    src: /home/mastodon/live/public/system
    bucket: mastodon-media
    region: eu-central-1
    credentials_file: /home/mastodon/live/.env.production
    inspect: [acl, headers, content]
    full: true
  register: inspection

- name: Tell what a sync with converge would repair
  ansible.builtin.debug:
    msg: >-
      {{ inspection.inspected.acl.exposed }} objects are open that should be closed, and
      {{ inspection.inspected.acl.hidden }} the other way round, such as {{ inspection.inspected.acl.examples }}

- name: Stop if something is missing or exposed
  ansible.builtin.assert:
    that:
      - comparison.counts.missing == 0
      - comparison.counts.exposed == 0
      - comparison.sampled.public.unreadable == 0
      - comparison.sampled.private.readable == 0
      - not comparison.listable
"""

RETURN = r"""
counts:
  description: Numbers of files and objects.
  returned: always
  type: dict
  contains:
    files:
      description: Files that are expected in the bucket.
      type: int
      returned: always
    bytes:
      description: Their size.
      type: int
      returned: always
    present:
      description: Those that the bucket has.
      type: int
      returned: always
    missing:
      description: Those that it lacks.
      type: int
      returned: always
    size_differs:
      description: Those whose object has another size.
      type: int
      returned: always
    extra:
      description: Objects below the public and private prefixes without a file, and newer than O(newer_than).
      type: int
      returned: always
    exposed:
      description:
        - Without O(exposure=acl), private objects in a place that the policy, or the open bucket, shows to everybody.
          With O(exposure=bucket) these are all objects below O(private_prefixes), whatever their age.
      type: int
      returned: always
    out_of_scope:
      description: Objects below O(key_prefix) that the options leave out, and newer than O(newer_than).
      type: int
      returned: always
    vanished:
      description: Objects that were deleted after they had been listed and before they were looked at.
      type: int
      returned: always
  sample:
    files: 1200
    bytes: 734003200
    present: 1199
    missing: 1
    size_differs: 0
    extra: 0
    exposed: 0
    out_of_scope: 0
    vanished: 0
left_out:
  description:
    - Numbers of paths on disk that are not compared, by reason, such as V(filtered), V(unknown_folder), V(kept_home),
      V(settling), V(unreadable) or V(symlink).
  returned: always
  type: dict
  sample:
    filtered: 3
missing:
  description: Some of the missing files. Names below the private prefixes are masked.
  returned: always
  type: list
  elements: str
  sample: [accounts/avatars/000/000/001/original/0123456789abcdef.png]
extra:
  description: Some of the extra objects. Names below the private prefixes are masked.
  returned: always
  type: list
  elements: str
  sample: ["backups/***"]
size_differs:
  description: Some of the objects of another size. Names below the private prefixes are masked.
  returned: always
  type: list
  elements: str
  sample: []
sampled:
  description: What visitors got, of a sample or with O(full) of everything. All is 0 without O(public_url).
  returned: always
  type: dict
  contains:
    public:
      description: Of files that should be public.
      type: dict
      returned: always
      contains:
        asked:
          description: How many were asked for. Fewer than there are, or than O(sample), if nothing answers.
          type: int
          returned: always
        readable:
          description: How many visitors can read.
          type: int
          returned: always
        wrong_type:
          description: How many of them come with a wrong C(Content-Type).
          type: int
          returned: always
        wrong_cache_header:
          description: How many of them come with another C(Cache-Control), and are stored with another one, too.
          type: int
          returned: always
        unreadable:
          description: How many visitors can't read.
          type: int
          returned: always
        examples:
          description:
            - Some that are not as they should be. RV(ignore:reason) is the store's error code, V(NameNotResolved),
              V(ConnectionRefused), V(TimedOut), V(CertificateNotTrusted), V(CertificateOfOtherHost),
              V(CertificateExpired), C(HTTP) and the status, or what is wrong with a header.
          type: list
          elements: dict
          returned: always
          contains: &example
            key:
              description: The file, masked if its name is as good as a password.
              type: str
              returned: always
            status:
              description: Status of the answer, V(none) where none came.
              type: int
              returned: always
            reason:
              description: What is wrong.
              type: str
              returned: always
    private:
      description: Of files that should be private, and of objects below O(private_prefixes) without a file.
      type: dict
      returned: always
      contains:
        asked:
          description: How many were asked for.
          type: int
          returned: always
        denied:
          description: How many were denied to visitors.
          type: int
          returned: always
        readable:
          description: How many visitors can read.
          type: int
          returned: always
        unanswered:
          description: How many got no answer, or one that shows neither.
          type: int
          returned: always
        examples:
          description: Some that are readable or unanswered.
          type: list
          elements: dict
          returned: always
          contains: *example
  sample:
    public: {asked: 100, readable: 100, wrong_type: 0, wrong_cache_header: 0, unreadable: 0, examples: []}
    private: {asked: 2, denied: 2, readable: 0, unanswered: 0, examples: []}
inspected:
  description: What the store keeps, as far as O(inspect) asks for it, of a sample or with O(full) of everything.
  returned: always
  type: dict
  contains:
    acl:
      description: What the ACLs say. V(none) without V(acl) in O(inspect).
      type: dict
      returned: always
      contains:
        objects:
          description: How many were looked at. The other numbers add up to it.
          type: int
          returned: always
        public_as_wanted:
          description: How many everybody can read, and shall.
          type: int
          returned: always
        private_as_wanted:
          description: How many grant nothing to everybody or to every account of the provider, and shall not.
          type: int
          returned: always
        exposed:
          description: How many grant more than they should, to everybody or to every account of the provider.
          type: int
          returned: always
        hidden:
          description: How many should be public, and are not.
          type: int
          returned: always
        unknown:
          description: How many the store did not tell the ACL of, such as by a missing permission.
          type: int
          returned: always
        examples: &reasons
          description: Some that are not as they should be, and of those that are unknown one for each reason.
          type: list
          elements: dict
          returned: always
          contains:
            key:
              description: The file, masked if its name is as good as a password.
              type: str
              returned: always
            reason:
              description: What is wrong, or the store's error code.
              type: str
              returned: always
    headers:
      description: What the headers are like. V(none) without V(headers) in O(inspect).
      type: dict
      returned: always
      contains:
        objects:
          description: How many were looked at.
          type: int
          returned: always
        as_wanted:
          description: How many have both headers as they should be.
          type: int
          returned: always
        wrong_type:
          description: How many have another C(Content-Type) than they should.
          type: int
          returned: always
        wrong_cache_header:
          description: How many have another C(Cache-Control) than O(cache_control).
          type: int
          returned: always
        unknown:
          description: How many the store did not tell the headers of.
          type: int
          returned: always
        examples: *reasons
    content:
      description: What the contents are like. V(none) without V(content) in O(inspect).
      type: dict
      returned: always
      contains:
        objects:
          description:
            - How many were looked at. Those in RV(counts.size_differs) are not among them. The other numbers add up to
              it.
          type: int
          returned: always
        same:
          description: How many have the content of their files.
          type: int
          returned: always
        differs:
          description: How many have another content of the same size.
          type: int
          returned: always
        unknown:
          description:
            - How many can't be told. Their ETag is no digest of the content, or they were sent in parts of a size that
              is not usual, or the file can't be read or has changed meanwhile.
          type: int
          returned: always
        examples: *reasons
  sample:
    acl:
      objects: 102
      public_as_wanted: 99
      private_as_wanted: 1
      exposed: 1
      hidden: 1
      unknown: 0
      examples:
        - key: "backups/***"
          reason: readable by everybody
        - key: media_attachments/files/000/000/001/original/0123456789abcdef.png
          reason: private, but should be public
    headers:
      objects: 101
      as_wanted: 100
      wrong_type: 1
      wrong_cache_header: 0
      unknown: 0
      examples:
        - key: accounts/avatars/000/000/001/original/0123456789abcdef.webp
          reason: content type binary/octet-stream instead of image/webp
    content: {objects: 101, same: 101, differs: 0, unknown: 0, examples: []}
listable:
  description:
    - Whether everybody can list the bucket, at the store or at O(public_url). V(none) where no answer shows it.
  returned: always
  type: bool
  sample: false
"""

from dataclasses import replace
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.access import (
    is_listable_by_everybody,
)
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.anonymous import AddressError, check_base
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.client import s3_client
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.errors import Boto3MissingError, S3Error
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.options import (
    ConnectionOptionsError,
    connection_argument_spec,
    connection_options,
)
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.audit.audit import THREADS, Question, audit
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.audit.inspector import Inspection
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.model import SyncError
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.options import (
    CACHE_CONTROL,
    key_prefix_from,
    place_argument_spec,
    rules_from,
)
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.store.store import Store
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.tree.source import Source

# A store that hangs shall cost a minute or two.
_PATIENCE = {"connect_timeout": 5, "read_timeout": 30, "retries": {"mode": "standard", "total_max_attempts": 3}}


def _question(params: dict[str, Any]) -> Question:
    for name in ("sample", "limit"):
        if params[name] < 0:
            raise SyncError(f"{name}: {params[name]} is too small: use 0 or more")
    return Question(
        rules=rules_from(params),
        public_url=check_base("public_url", params["public_url"]) if params["public_url"] else None,
        public_ca_bundle=params["public_ca_bundle"] or None,
        aspects=tuple(Inspection(name) for name in dict.fromkeys(params["inspect"])),
        sample=None if params["full"] else params["sample"],
        limit=params["limit"],
        newer_than=params["newer_than"],
    )


def _run(params: dict[str, Any]) -> dict[str, Any]:
    question = _question(params)
    options = connection_options(params)
    client = s3_client(replace(options, aws_config={**_PATIENCE, **options.aws_config}), max_pool_connections=THREADS)
    store = Store(lambda: client, params["bucket"], key_prefix_from(params["key_prefix"]), acl=False)
    source = Source(params["src"])
    try:
        result = audit(question, source, store)
    finally:
        store.close()
        source.close()
    listable = is_listable_by_everybody(options, params["bucket"])
    seen = [answer for answer in (result["listable"], listable) if answer is not None]
    return {**result, "listable": any(seen) if seen else None}


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            **place_argument_spec(),
            "cache_control": {"type": "str", "default": CACHE_CONTROL},
            "settle_seconds": {"type": "int", "default": 60},
            "newer_than": {"type": "float"},
            "public_url": {"type": "str"},
            "public_ca_bundle": {"type": "path"},
            "inspect": {
                "type": "list",
                "elements": "str",
                "choices": [aspect.value for aspect in Inspection],
                "default": [],
            },
            "sample": {"type": "int", "default": 100},
            "full": {"type": "bool", "default": False},
            "limit": {"type": "int", "default": 20},
            **connection_argument_spec(),
        },
        supports_check_mode=True,
    )
    try:
        result = _run(module.params)
    except (AddressError, ConnectionOptionsError, Boto3MissingError, S3Error, SyncError) as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=False, **result)


if __name__ == "__main__":
    main()
