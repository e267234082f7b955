#!/usr/bin/python
# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Module fediverse.mastodon_s3.s3_sync_info."""

from __future__ import annotations

DOCUMENTATION = r"""
module: s3_sync_info
short_description: Compare a folder with a bucket, as visitors see it and with the key
description:
  - Walks a folder, lists a bucket, and reports what is in both, what is in only one of them, and what differs in size.
    Nothing is changed. The memory it needs does not depend on the number of files.
  - With O(public_url), requests a sample of the public objects, a sample of the private ones and a listing of the
    bucket without credentials.
  - With O(inspect), uses the key to check the ACL, headers or content that the store has for the objects. It finds what
    O(fediverse.mastodon_s3.s3_sync#module:repair) corrects.
  - An ACL shows what was granted. Only a request without credentials shows the combined effect of ACL, policy and the
    settings of the account, because a store may return ACLs that it ignores. So use both.
  - O(public_url) and O(inspect) check a sample, or everything with O(full).
  - The options for files and exposure are those of M(fediverse.mastodon_s3.s3_sync). Once Mastodon uses the bucket, it
    deletes and suspends only there. Then it is normal that some files exist only on disk, and that some private objects
    have files that look public.
  - Differences do not make the task fail. An object that is deleted during the check is not a difference.
  - The journal of M(fediverse.mastodon_s3.s3_sync) in O(state_dir) knows what was sent and when. With O(settled), files
    that Mastodon is writing right now are no differences. With O(sent_after), only what was sent last is checked.
author: fediverse.mastodon_s3 contributors (@fediverse)
extends_documentation_fragment:
  - fediverse.mastodon_s3.place
  - fediverse.mastodon_s3.place.source
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
  minimum_age:
    description:
      - A file below O(public_prefixes) that looks private and changed less than this many seconds ago may still be
        being written. It is left out.
    type: int
    default: 60
  newer_than:
    description:
      - Time in seconds since the epoch. Only objects that were written later count as RV(counts.extra).
      - It is compared with the store's clock, see RV(fediverse.mastodon_s3.s3_storage_info#module:clock_offset).
    type: float
  settled:
    description:
      - Compare only files that have not changed since before the last complete run of
        M(fediverse.mastodon_s3.s3_sync). Use it while Mastodon writes to O(src), when there is always a file that was
        not sent yet. What still differs then will not be corrected by an ordinary run.
      - This needs the journal of that run, with the same O(src), O(bucket), O(key_prefix), O(endpoint_url) and
        O(state_dir).
    type: bool
    default: false
  sent_after:
    description:
      - Check only the objects of files that were sent, or whose exposure was set, after the run with this number
        (RV(last_run)), and check all of them, at their public address with GET. There is no walk and no listing, so
        the time it needs depends on the number of these files, and hardly on that of all files.
      - V(0) means the last but one complete run before the switch.
      - This needs the journal, as O(settled) does. RV(counts.missing) are objects that were sent and do not exist.
    type: int
  state_dir:
    description:
      - Folder with the journals, as in M(fediverse.mastodon_s3.s3_sync). It is only used with O(settled) or
        O(sent_after), and only read.
    type: path
    default: /var/lib/mastodon_s3
  extra_file:
    description:
      - File on the host for a list of all objects that count as RV(counts.extra). Each line is a JSON object with
        C(key), C(size) and C(modified) (seconds since the epoch).
      - The keys are not masked, so the file has mode 0600, and other users must not be able to change its folder. The
        file is replaced atomically when the list is complete. In check mode it is not written.
    type: path
  public_url:
    description:
      - Address below which visitors fetch the files, with O(key_prefix) if there is one, for example
        V(https://files.example.com) or V(https://s3.example.com/bucket/prefix). Keys are escaped as Mastodon does.
      - Without it, the only request without credentials is for a listing of the bucket.
    type: str
  public_ca_bundle:
    description:
      - File with certificates in PEM format, on the host that runs the module. These authorities are trusted for
        O(public_url) in addition to the system's.
    type: path
  inspect:
    description:
      - What to check with the key, for the objects in the sample, or for all objects with O(full).
      - V(acl) checks what the ACL grants to whom. It needs one request per object and the permission
        C(s3:GetObjectAcl). Without O(exposure=acl), only the ACLs of private objects are checked.
      - V(headers) checks the content type and the cache header. It needs one request per object.
      - V(content) checks whether the file's content matches the object's ETag. Each file is read from disk, and nothing
        is downloaded. For objects that were sent in parts, this works with common part sizes.
    type: list
    elements: str
    choices: [acl, headers, content]
    default: []
  sample:
    description:
      - How many public and how many private objects to check. They are chosen evenly from the whole tree. For the same
        tree, they are always the same.
    type: int
    default: 100
  full:
    description:
      - Check every object instead of O(sample) ones. Expect a few hundred objects per second.
    type: bool
    default: false
  limit:
    description:
      - Maximum number of names or examples in each list of the result.
    type: int
    default: 20
seealso:
  - module: fediverse.mastodon_s3.s3_sync
  - module: fediverse.mastodon_s3.s3_storage_info
"""

EXAMPLES = r"""
- name: Compare the media on disk with the bucket, and request some as visitors do
  fediverse.mastodon_s3.s3_sync_info:
    src: /home/mastodon/live/public/system
    bucket: mastodon-media
    region: eu-central-1
    credentials_file: /home/mastodon/live/.env.production
    public_url: https://files.example.com
  register: comparison

- name: Compare what should be in the bucket by now, while Mastodon writes to the disk
  fediverse.mastodon_s3.s3_sync_info:
    src: /home/mastodon/live/public/system
    bucket: mastodon-media
    region: eu-central-1
    credentials_file: /home/mastodon/live/.env.production
    public_url: https://files.example.com
    settled: true
  register: before

- name: Check what was sent since then, after Mastodon was switched to the bucket
  fediverse.mastodon_s3.s3_sync_info:
    src: /home/mastodon/live/public/system
    bucket: mastodon-media
    region: eu-central-1
    credentials_file: /home/mastodon/live/.env.production
    public_url: https://files.example.com
    inspect: [acl, headers]
    sent_after: "{{ before.last_run }}"

- name: Check every ACL, every header and the content of all files before the switch
  fediverse.mastodon_s3.s3_sync_info:
    src: /home/mastodon/live/public/system
    bucket: mastodon-media
    region: eu-central-1
    credentials_file: /home/mastodon/live/.env.production
    inspect: [acl, headers, content]
    full: true
  register: inspection

- name: Show what a sync with repair would correct
  ansible.builtin.debug:
    msg: >-
      {{ inspection.inspected.acl.exposed }} objects are public but should be private, and
      {{ inspection.inspected.acl.hidden }} are private but should be public, such as
      {{ inspection.inspected.acl.examples }}

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
      description: Those that are in the bucket.
      type: int
      returned: always
    missing:
      description: Those that are not in the bucket.
      type: int
      returned: always
    size_differs:
      description: Those whose object has a different size.
      type: int
      returned: always
    extra:
      description: Objects below the public and private prefixes that have no file and are newer than O(newer_than).
      type: int
      returned: always
    exposed:
      description:
        - Without O(exposure=acl), private objects that the policy, or the open bucket, makes public. With
          O(exposure=open_bucket) these are all objects below O(private_prefixes), whatever their age.
      type: int
      returned: always
    out_of_scope:
      description: Objects below O(key_prefix) that the options leave out and that are newer than O(newer_than).
      type: int
      returned: always
    vanished:
      description: Objects that were deleted after they were listed and before they were checked.
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
folders:
  description:
    - The files in RV(counts.files) by their first two folders, or by the first one below the private prefixes, with
      their number, their size, and how many of them should be private. Files that are in no folder have an empty name.
    - At most sixty folders. What is in others is counted as C((others\)).
  returned: always
  type: dict
  sample:
    accounts/avatars: {files: 200, bytes: 24003200, private: 3}
    backups: {files: 2, bytes: 90000000, private: 2}
    cache/media_attachments: {files: 998, bytes: 620000000, private: 0}
left_out:
  description:
    - Number of paths on disk that are not compared, by reason, such as V(filtered), V(unknown_folder), V(local_only),
      V(too_new), V(unreadable), V(symlink), or V(changed) with O(settled).
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
  description: Some of the objects with a different size. Names below the private prefixes are masked.
  returned: always
  type: list
  elements: str
  sample: []
sampled:
  description: What visitors get, for a sample or for everything with O(full). All 0 without O(public_url).
  returned: always
  type: dict
  contains:
    public:
      description: Files that should be public.
      type: dict
      returned: always
      contains:
        requested:
          description: How many were requested. Fewer than O(sample) if there are not as many, or if nothing answers.
          type: int
          returned: always
        readable:
          description: How many visitors can read.
          type: int
          returned: always
        wrong_type:
          description: How many of them have a wrong C(Content-Type).
          type: int
          returned: always
        wrong_cache_header:
          description: How many of them have a different C(Cache-Control), in the response and in the store.
          type: int
          returned: always
        unreadable:
          description: How many visitors can't read.
          type: int
          returned: always
        examples:
          description:
            - Some that are wrong. RV(ignore:reason) is the store's error code, V(NameNotResolved),
              V(ConnectionRefused), V(TimedOut), V(TlsFailed), V(CertificateNotTrusted), V(CertificateOfOtherHost),
              V(CertificateExpired), C(HTTP) and the status, or what is wrong with a header.
          type: list
          elements: dict
          returned: always
          contains: &example
            key:
              description: The file, masked if its name must stay secret.
              type: str
              returned: always
            status:
              description: HTTP status of the response, V(none) if there was none.
              type: int
              returned: always
            reason:
              description: What is wrong.
              type: str
              returned: always
    private:
      description: Files that should be private, and objects below O(private_prefixes) without a file.
      type: dict
      returned: always
      contains:
        requested:
          description: How many were requested.
          type: int
          returned: always
        denied:
          description: How many visitors can't read.
          type: int
          returned: always
        readable:
          description: How many visitors can read.
          type: int
          returned: always
        unanswered:
          description: How many requests got no response, or one that is unclear.
          type: int
          returned: always
        examples:
          description: Some that are readable or unanswered.
          type: list
          elements: dict
          returned: always
          contains: *example
  sample:
    public: {requested: 100, readable: 100, wrong_type: 0, wrong_cache_header: 0, unreadable: 0, examples: []}
    private: {requested: 2, denied: 2, readable: 0, unanswered: 0, examples: []}
inspected:
  description: What the store has, as requested with O(inspect), for a sample or for everything with O(full).
  returned: always
  type: dict
  contains:
    acl:
      description: The ACLs. V(none) without V(acl) in O(inspect).
      type: dict
      returned: always
      contains:
        objects:
          description: How many were checked. This is the sum of the other numbers.
          type: int
          returned: always
        public_as_wanted:
          description: How many are public, as they should be.
          type: int
          returned: always
        private_as_wanted:
          description: How many are private, as they should be, also for other accounts of the provider.
          type: int
          returned: always
        exposed:
          description: How many grant more than they should, to everybody or to every account of the provider.
          type: int
          returned: always
        hidden:
          description: How many are private but should be public.
          type: int
          returned: always
        unknown:
          description: How many have an ACL that could not be read, for example because a permission is missing.
          type: int
          returned: always
        examples: &reasons
          description: Some that are wrong, and for the unknown ones an example of each reason.
          type: list
          elements: dict
          returned: always
          contains:
            key:
              description: The file, masked if its name must stay secret.
              type: str
              returned: always
            reason:
              description: What is wrong, or the store's error code.
              type: str
              returned: always
    headers:
      description: The headers. V(none) without V(headers) in O(inspect).
      type: dict
      returned: always
      contains:
        objects:
          description: How many were checked.
          type: int
          returned: always
        as_wanted:
          description: How many have the right headers.
          type: int
          returned: always
        wrong_type:
          description: How many have a wrong C(Content-Type).
          type: int
          returned: always
        wrong_cache_header:
          description: How many have a C(Cache-Control) that differs from O(cache_control).
          type: int
          returned: always
        unknown:
          description: How many have headers that could not be read.
          type: int
          returned: always
        examples: *reasons
    content:
      description: The contents. V(none) without V(content) in O(inspect).
      type: dict
      returned: always
      contains:
        objects:
          description:
            - How many were checked, without those in RV(counts.size_differs). This is the sum of the other numbers.
          type: int
          returned: always
        same:
          description: How many have the same content as their files.
          type: int
          returned: always
        differs:
          description: How many have the same size but different content.
          type: int
          returned: always
        unknown:
          description:
            - How many can't be compared. Their ETag is not a digest of the content, or they were sent in parts of an
              uncommon size, or the file can't be read or has changed.
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
last_run:
  description: Number of the last complete run of M(fediverse.mastodon_s3.s3_sync). V(none) without O(settled).
  returned: always
  type: int
  sample: 7
listable:
  description:
    - Whether everybody can list the bucket, at the store or at O(public_url). V(none) if no response shows it.
  returned: always
  type: bool
  sample: false
"""

from contextlib import ExitStack
from dataclasses import replace
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.connection.client import s3_client
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.connection.errors import (
    Boto3MissingError,
    S3Error,
)
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.connection.masking import (
    masking_below,
    unexpected,
)
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.connection.options import (
    ConnectionOptionsError,
    connection_argument_spec,
    connection_options,
)
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.http.anonymous_client import (
    AddressError,
    check_base,
)
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.probe.access import is_listable_by_everybody
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.audit.audit import (
    THREADS,
    Question,
    audit,
    audit_sent,
)
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.audit.inspector import Inspection
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.audit.past_runs import last_run, sent_after
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.audit.tree_walker import TreeWalker
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.model import SyncError
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.options import (
    CACHE_CONTROL,
    STATE_DIR,
    at_least,
    journal_path_from,
    key_prefix_from,
    rules_from,
    source_argument_spec,
)
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.store.store import Store
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.tree.source import Source

# A store that hangs must cost only a minute or two.
_PATIENCE = {"connect_timeout": 5, "read_timeout": 30, "retries": {"mode": "standard", "total_max_attempts": 3}}


def _question(params: dict[str, Any], *, check_mode: bool) -> Question:
    for name in ("sample", "limit"):
        at_least(name, params[name], 0)
    if params["sent_after"] is not None:
        at_least("sent_after", params["sent_after"], 0)
    return Question(
        rules=rules_from(params),
        public_url=check_base("public_url", params["public_url"]) if params["public_url"] else None,
        public_ca_bundle=params["public_ca_bundle"] or None,
        aspects=tuple(Inspection(name) for name in dict.fromkeys(params["inspect"])),
        sample=None if params["full"] else params["sample"],
        limit=params["limit"],
        newer_than=params["newer_than"],
        extra_file=None if check_mode else params["extra_file"],
    )


def _run(params: dict[str, Any], *, check_mode: bool) -> dict[str, Any]:
    question = _question(params, check_mode=check_mode)
    with ExitStack() as stack:
        # First, while this process has no threads, no client and no journal.
        walker = stack.enter_context(TreeWalker()) if params["sent_after"] is None else None
        last = last_run(journal_path_from(params)) if params["settled"] else None
        if last is not None:
            question = replace(question, settled_before_ns=last.watermark_ns)
        options = connection_options(params)
        aws_config = {**_PATIENCE, **options.aws_config}
        client = s3_client(replace(options, aws_config=aws_config), max_pool_connections=THREADS)
        store = Store(lambda: client, params["bucket"], key_prefix_from(params["key_prefix"]), acl=False)
        stack.callback(store.close)
        source = Source(params["src"])
        stack.callback(source.close)
        if walker is not None:
            result = audit(question, source, store, walker)
        else:
            with sent_after(journal_path_from(params), params["sent_after"], question.rules) as rows:
                result = audit_sent(question, rows, source, store)
    listable = is_listable_by_everybody(options, params["bucket"])
    seen = [answer for answer in (result["listable"], listable) if answer is not None]
    return {**result, "last_run": last.number if last else None, "listable": any(seen) if seen else None}


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            **source_argument_spec(),
            "cache_control": {"type": "str", "default": CACHE_CONTROL},
            "minimum_age": {"type": "int", "default": 60},
            "newer_than": {"type": "float"},
            "settled": {"type": "bool", "default": False},
            "sent_after": {"type": "int"},
            "state_dir": {"type": "path", "default": STATE_DIR},
            "extra_file": {"type": "path"},
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
        mutually_exclusive=[("sent_after", other) for other in ("settled", "newer_than", "extra_file", "full")],
        supports_check_mode=True,
    )
    try:
        result = _run(module.params, check_mode=module.check_mode)
    except S3Error as error:
        module.fail_json(msg=masking_below(module.params["private_prefixes"]).text(str(error)))
    except (AddressError, ConnectionOptionsError, Boto3MissingError, SyncError) as error:
        module.fail_json(msg=str(error))
    except Exception as error:  # noqa: BLE001 - any error's text may contain names that must not be shown
        module.fail_json(**unexpected(error, module.params["private_prefixes"]))
    module.exit_json(changed=False, **result)


if __name__ == "__main__":
    main()
