#!/usr/bin/python
# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Module fediverse.mastodon_s3.s3_fetch."""

from __future__ import annotations

DOCUMENTATION = r"""
module: s3_fetch
short_description: Bring home from a bucket what has changed there
version_added: 0.1.0
description:
  - Downloads the objects of a bucket that are missing in a folder, or that were replaced in the bucket since. On
    request, it also applies deletions and suspensions. This is the way back from the bucket to the disk.
  - Each file appears whole or not at all. It is downloaded to a temporary file, checked against the object's checksum,
    written to the disk, and renamed. A run that was stopped continues with the next one.
  - A file with other content is replaced only if the object is newer than the file. The old file is kept below
    O(set_aside_dir). Nothing is deleted.
  - Run as root, the module works with the rights of the owner of O(dest), who also owns all new files and folders. So
    this owner can't make root change other files.
  - Keys with C(..), empty names, control characters, or names that are too long for the file system are refused and
    reported. Symlinks below O(dest) are never followed.
  - The memory it needs does not depend on the number of objects. The bucket is listed once. If there is more to do
    than fits into memory, it is listed twice.
author: fediverse.mastodon_s3 contributors (@fediverse)
extends_documentation_fragment:
  - fediverse.mastodon_s3.place
  - fediverse.mastodon_s3.connection
  - fediverse.mastodon_s3.connection.s3
  - fediverse.mastodon_s3.attributes
  - fediverse.mastodon_s3.attributes.actiongroup_s3
attributes:
  check_mode:
    support: full
    details:
      - Nothing is downloaded. If the ETag of an object is not a checksum of its content, the object may turn out to
        have the same content as the file.
  diff_mode:
    support: partial
    details:
      - Up to 100 keys are listed. Names outside O(public_prefixes) are masked.
  idempotent:
    support: full
options:
  dest:
    description:
      - Folder for the files, such as Mastodon's C(public/system). It must exist. New files and folders belong to its
        owner.
    type: path
    required: true
  newer_than:
    description:
      - Time in seconds since the epoch. Only objects that were written later are downloaded. By default all are.
      - It is compared with the store's clock. Choose a time that is a few minutes too early. Objects that are already
        there as files are not downloaded again.
    type: float
  deleted:
    description:
      - What to do with a file that M(fediverse.mastodon_s3.s3_sync) has sent, if its object has been deleted in the
        bucket since.
      - V(keep) leaves it where it is.
      - V(set_aside) moves it to O(set_aside_dir), unless the file has changed since it was sent. This needs the journal
        of C(s3_sync), so use the same O(state_dir), O(endpoint_url), O(bucket) and O(key_prefix), and its C(src) as
        O(dest). With the journal, objects that have not changed since they were sent need no look at their files.
    type: str
    choices: [keep, set_aside]
    default: keep
  max_change_percent:
    description:
      - The run stops if a larger share of the objects in the journal was deleted, and there are more than 1000 of them,
        or if a larger share of all objects can't be read by visitors (see O(acls)). Then the bucket may be the wrong
        one, or have no ACLs.
      - An empty bucket always stops the run with O(deleted=set_aside).
    type: int
    default: 50
  acls:
    description:
      - With O(exposure=acl), for which objects in O(public_prefixes) the ACL is read. A file whose object visitors
        can't read gets mode V("0600"), like the media of suspended accounts.
      - V(new) stands for those that are downloaded.
      - V(all) stands for all of them, with one request for each. Files that have mode V("0600") although visitors can
        read the object get O(mode) again.
    type: str
    choices: [new, all]
    default: new
  modes_until:
    description:
      - Time in seconds since the epoch, by the host's clock. With O(acls=all), files whose status has changed later
        keep their mode. This is for a time when Mastodon uses the disk again, and sets modes itself.
    type: float
  mode:
    description:
      - Permissions of new files, as an octal number in quotes. With O(exposure=acl), a file in O(public_prefixes) whose
        object visitors can't read gets V("0600"), like the media of suspended accounts. Use the exposure that the store
        really has, since one that ignores ACLs reports all objects as private.
    type: raw
    default: "0644"
  directory_mode:
    description:
      - Permissions of new folders, as an octal number in quotes.
    type: raw
    default: "0755"
  set_aside_dir:
    description:
      - Folder for files that are replaced or moved away, in a folder with the bucket's name. A suffix makes the names
        unique. It must not be below O(dest), and other users must not be able to change it.
      - If it is on another file system than O(dest), O(deleted=set_aside) uses the folder C(.mastodon_s3-set-aside) in
        O(dest) instead, which only root can enter, so that nothing has to be copied.
    type: path
    default: /var/lib/mastodon_s3/set_aside
  state_dir:
    description:
      - Folder with the journal of M(fediverse.mastodon_s3.s3_sync).
    type: path
    default: /var/lib/mastodon_s3
  concurrency:
    description:
      - How many objects are downloaded at the same time.
    type: int
    default: 16
  limit:
    description:
      - Maximum number of examples in each list of the result.
    type: int
    default: 20
seealso:
  - module: fediverse.mastodon_s3.s3_sync
  - module: fediverse.mastodon_s3.s3_sync_info
"""

EXAMPLES = r"""
- name: Bring home what Mastodon has written since the switch
  fediverse.mastodon_s3.s3_fetch:
    dest: /home/mastodon/live/public/system
    bucket: mastodon-media
    region: eu-central-1
    credentials_file: /home/mastodon/live/.env.production
    newer_than: 1795910400

- name: Bring home everything that has changed, including deletions and suspensions
  fediverse.mastodon_s3.s3_fetch:
    dest: /home/mastodon/live/public/system
    bucket: mastodon-media
    region: eu-central-1
    credentials_file: /home/mastodon/live/.env.production
    newer_than: 1795910400
    deleted: set_aside
    acls: all

- name: Show what is missing on disk
  fediverse.mastodon_s3.s3_fetch:
    dest: /home/mastodon/live/public/system
    bucket: mastodon-media
    region: eu-central-1
    credentials_file: /home/mastodon/live/.env.production
  check_mode: true
  register: missing

- name: Bring home custom emojis only
  fediverse.mastodon_s3.s3_fetch:
    dest: /home/mastodon/live/public/system
    bucket: mastodon-media
    endpoint_url: https://s3.example.com
    region: us-east-1
    credentials_file: /home/mastodon/live/.env.production
    include: [custom_emojis/**]
"""

RETURN = r"""
counts:
  description: What happened to the objects. In check mode, what would happen.
  returned: always, unless the run could not begin
  type: dict
  contains:
    fetched:
      description: There was no file.
      type: int
      returned: always
    replaced:
      description: An older file with other content was replaced.
      type: int
      returned: always
    same:
      description: The file already has the object's content.
      type: int
      returned: always
    newer_on_disk:
      description: The file has other content and is newer than the object, so it was left alone.
      type: int
      returned: always
    set_aside:
      description: The object was deleted, so the file was moved away.
      type: int
      returned: always
    closed:
      description: Visitors can't read the object, so the file got mode C(0600).
      type: int
      returned: always
    opened:
      description: Visitors can read the object, so the file got O(mode) again.
      type: int
      returned: always
    vanished:
      description: The object was deleted before it could be downloaded.
      type: int
      returned: always
    out_of_scope:
      description: The object is outside O(public_prefixes) and O(private_prefixes).
      type: int
      returned: always
    refused:
      description: The key can't be the path of a file here, or something that is no regular file has its name.
      type: int
      returned: always
    failed:
      description: The object could not be downloaded, or the file could not be written.
      type: int
      returned: always
  sample:
    fetched: 12
    replaced: 1
    same: 3
    newer_on_disk: 0
    set_aside: 2
    closed: 1
    opened: 0
    vanished: 0
    out_of_scope: 0
    refused: 0
    failed: 0
bytes:
  description: Size of the objects that were downloaded.
  returned: always, unless the run could not begin
  type: int
  sample: 7340032
unverified:
  description:
    - How many of the downloaded objects have no checksum that could prove their content, such as those that were sent
      in parts of an unusual size. Their size was checked. An object whose ETag only looks like a checksum is downloaded
      twice, and both downloads have to be the same.
  returned: always, unless the run could not begin
  type: int
  sample: 0
set_aside_dir:
  description: Folder with the files that were replaced or moved away.
  returned: always, unless the run could not begin
  type: str
  sample: /var/lib/mastodon_s3/set_aside/mastodon-media
listing_seconds:
  description: How long it took to list the bucket and to find out what there is to do.
  returned: always, unless the run could not begin
  type: float
  sample: 1.204
examples:
  description: Some objects for each of the RV(counts), except those with the same content.
  returned: always, unless the run could not begin
  type: dict
  sample:
    refused:
      - key: accounts/../../../etc/passwd
        reason: the key has '.' or '..' as a name
"""

from dataclasses import replace
from functools import partial
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._fetch.download import Bucket, Contents
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._fetch.model import FetchError, FetchSettings
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._fetch.options import (
    fetch_argument_spec,
    settings_from,
)
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._fetch.process import readable_copy, run
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._files.errors import FileError
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
    ConnectionOptions,
    ConnectionOptionsError,
    connection_argument_spec,
    connection_options,
)
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.model import SyncError
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.options import key_prefix_from
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.store.store import Store


def _bucket(params: dict[str, Any], options: ConnectionOptions, settings: FetchSettings) -> Bucket:
    name, prefix = params["bucket"], key_prefix_from(params["key_prefix"])
    store = Store(partial(s3_client, options, max_pool_connections=settings.concurrency), name, prefix, acl=False)
    return Bucket(store, Contents(store.connect, name, prefix))


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={**fetch_argument_spec(), **connection_argument_spec()}, supports_check_mode=True
    )
    params = module.params
    try:
        settings = settings_from(params, check_mode=module.check_mode)
        options = connection_options(params)
        key_prefix_from(params["key_prefix"])
        with readable_copy(options.ca_bundle) as ca_bundle:
            options = replace(options, ca_bundle=ca_bundle)
            report = run(settings, params["bucket"], partial(_bucket, params, options, settings))
    except S3Error as error:
        module.fail_json(msg=masking_below(params["private_prefixes"]).text(str(error)))
    except (FetchError, FileError, SyncError, Boto3MissingError, ConnectionOptionsError) as error:
        module.fail_json(msg=str(error))
    except Exception as error:  # noqa: BLE001 - any error's text may contain names that must not be shown
        module.fail_json(**unexpected(error, params["private_prefixes"]))
    result = report.as_dict()
    if module._diff:  # noqa: SLF001 - Ansible has no public name for it
        result["diff"] = report.diff()
    if report.error is not None:
        module.fail_json(msg=report.error, **result)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
