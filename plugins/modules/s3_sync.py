#!/usr/bin/python
# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Module fediverse.mastodon_s3.s3_sync."""

from __future__ import annotations

DOCUMENTATION = r"""
module: s3_sync
short_description: Copy a tree of media files to an S3 bucket, each with the exposure it has on disk
author:
  - fediverse.mastodon_s3 contributors (@fediverse)
description:
  - Uploads the files below a folder to a bucket of an S3-compatible store, several at a time and in constant memory.
    The content type, cache header and access control list (ACL) are those that Mastodon sets.
  - A file that neither its group nor others may read (C(mode & 0o044 == 0)) is private. So media of suspended accounts
    are never public in the bucket, not even for a moment. If the mode changes later, the object's exposure is changed
    without sending the file again.
  - A journal on the host records what the bucket contains. So an unchanged tree needs no request at all, and the next
    run continues a run that was killed. A new journal needs one listing of the bucket. Objects that are already there
    are not sent again, no matter who uploaded them.
  - While M(fediverse.mastodon_s3.s3_sync_feed) follows changes in O(src), a run looks only at what has changed since
    the last complete run, if all of these changes are known for sure. Otherwise it walks the tree. See RV(entries).
  - With O(exposure=policy) and O(exposure=open_bucket), private files that would be public in the bucket stay on the
    disk and are reported. If this module sent them earlier, they are deleted from the bucket.
  - A symlink to a file is reported. A symlink to a folder makes the task fail, since the contents of the folder would
    be missing. So does a broken symlink, because its target may be on a disk that is not mounted. Use a bind mount
    instead, or O(exclude) it.
  - Check mode works even if the bucket, boto3 or the key do not exist yet, see RV(bucket_checked).
  - If a file can't be read or sent, the others are still sent. The task then fails at the end, with counts and a list.
options:
  cache_control:
    description:
      - The C(Cache-Control) header of every object. The default is what Mastodon sends.
      - If you change it, all objects get the new header by a copy inside the store, and no file is sent again.
    type: str
    default: public, max-age=315576000, immutable
  storage_class:
    description:
      - Storage class of the objects, as the store calls it. By default the bucket's default.
    type: str
  delete:
    description:
      - Which objects to delete if their files are gone from O(src).
      - V(own) means only objects that this module uploaded with this journal.
      - V(all) means every object below O(key_prefix) that matches the prefixes and patterns. It needs a listing of the
        bucket.
      - Nothing is deleted if O(src) is missing, contains no file, or could not be read completely. The same is true if
        a folder in the first two levels looks like a mount point without its disk, that is, it is empty and more than
        ten of its objects would be deleted.
    type: str
    choices: [never, own, all]
    default: never
  max_delete_percent:
    description:
      - Fail before the first deletion if more than this percentage of the objects would be deleted.
      - Up to 1000 objects are always allowed, so that small servers can clean up. With V(0) no deletion is allowed.
    type: int
    default: 50
  max_private_percent:
    description:
      - Fail if more than this percentage of the files inside O(public_prefixes) looks private, in O(src) as a whole or
        in one folder of its first two levels. Most likely a backup, a copy or a umask has then changed the modes.
      - A file looks private if its mode lets neither its group nor others read it (C(mode & 0o044 == 0)), such as
        V(0600) or V(0700). V(0640), V(0660) and V(0604) are public, since many web servers read files as a member of
        the group.
      - Files that look private are sent, made private or deleted only after the whole tree has been checked. If the
        task fails because of this limit, none of this is done.
      - Up to ten such files are always allowed, so that small servers can have a few suspended accounts.
      - Use V(100) if all these files really should be private. Once the switch is complete (see O(source_of_truth)),
        modes are ignored.
    type: int
    default: 30
  allow_empty:
    description:
      - Let the task succeed if O(src) is missing, or contains no file for the bucket. Set it for a new server without
        media. On any other server, O(src) is then the wrong folder, or its disk is not mounted.
      - The task still fails if the journal contains files that were sent from O(src).
      - Not needed once the switch is complete (see O(source_of_truth)), when local copies may have been removed.
    type: bool
    default: false
  source_of_truth:
    description:
      - Which side is the source of truth.
      - V(disk) before Mastodon is switched to the bucket.
      - V(bucket) from the switch on. Then nothing is deleted, overwritten or made public. Only files that are new since
        the last completed run with V(disk), and that the bucket does not have, are sent. Until the first run with
        V(bucket) is completed, files that have become private on disk since then are made private in the bucket too.
      - The journal remembers the switch, and V(disk) is refused after it.
    type: str
    choices: [disk, bucket]
    default: disk
  reopen:
    description:
      - Make the disk the source of truth again, after Mastodon was switched back to the disk. The journal is then
        checked against the bucket.
      - It has no effect if there was no switch.
    type: bool
    default: false
  compare_with:
    description:
      - What to compare the files with.
      - With V(journal), what this module recorded when it wrote to the bucket. If the journal is new, or from an older
        release, the module uses a listing.
      - With V(listing), the current listing of the bucket. An object of the same size that is newer than the last
        change of its file is accepted as its copy. If its age is unclear, its MD5 is compared. For objects that the
        journal does not know, exposure and headers are checked and corrected. Use this after another program wrote to
        the bucket.
      - With V(checksum), the contents. Every file is read and compared with the checksum with which its object was
        sent. If the journal does not know the object, it is compared with the ETag, which is an MD5. This also works
        for objects that were sent in parts of a common size. Files that can't be compared are sent again.
      - V(listing) and V(checksum) are refused with O(source_of_truth=bucket), and after the switch.
    type: str
    choices: [journal, listing, checksum]
    default: journal
  repair:
    description:
      - Check these properties of every object in the bucket, and correct them without sending the file again.
      - V(acl) needs O(exposure=acl). V(headers) are the content type, the cache header and, if O(storage_class) is set,
        the storage class.
      - By default the module relies on its journal, so it does not notice changes that another program made in the
        bucket.
      - Refused with O(source_of_truth=bucket), since the files on disk are no longer the reference.
    type: list
    elements: str
    choices: [acl, headers]
    default: []
  minimum_age:
    description:
      - A file that looks private and whose metadata changed less than this many seconds ago may still be being written.
        It is left to the next run and counted as V(too_new) in RV(left_out).
      - Use V(0) when nothing writes to O(src) any more.
    type: int
    default: 60
  state_dir:
    description:
      - Folder for the journals on the host that runs the module. If it is missing, it is created with mode V(0700).
      - The journals contain no secrets. They need about 170 bytes per file.
    type: path
    default: /var/lib/mastodon_s3
  concurrency:
    description:
      - Maximum number of files that are sent at the same time.
      - There are up to four worker processes, each of which starts with 16 files. The number grows as long as this
        increases the throughput, and shrinks when the store asks to slow down or does not answer in time.
    type: int
    default: 256
  bandwidth_limit:
    description:
      - Average number of bytes to send per second, with a unit as in V(20M).
      - By default there is no limit.
    type: bytes
  nice:
    description:
      - Lower the CPU priority by this much, from V(0) to V(19), so that the web server takes precedence.
      - By default it is not changed.
    type: int
  ionice:
    description:
      - I/O scheduling class. With V(idle), the disk is read only while no other process uses it.
      - With V(best-effort), it is read with the lowest priority of the best-effort class, which always gets some disk
        time.
      - Needs C(ionice) of util-linux on the host, and an I/O scheduler with priorities. By default the class is not
        changed.
    type: str
    choices: [best-effort, idle]
  time_limit:
    description:
      - Stop after this many seconds. The next run continues from there. Uploads in progress get up to 20 seconds to
        finish, and nothing is deleted.
      - The task does not fail because of this. RV(stopped) and RV(complete) show what happened.
    type: int
  progress:
    description:
      - Show the progress on the controller's standard error, with one line every ten seconds at first and once a minute
        later.
      - The run is then a background job on the host. It continues if the connection is lost or the play is interrupted,
        and the same task attaches to it when it is run again.
      - This does not apply in check mode, if the task has its own C(async), or if the options contain a secret, since
        an async job would keep the secret on the host's disk.
    type: bool
    default: true
  repeat_until:
    description:
      - Repeat the run every five minutes, or less often if it takes minutes, until this has happened, and then once
        more. So the bucket is up to date at that moment. A run that fails in the meantime is only reported.
      - A time such as V(03:30) means when it is that time next on the host, on the host's clock.
      - An absolute path means when there is a file (or folder) with this name on the host. It may be there already. Use
        a folder in which only root can create files.
      - V(confirmed) means when a question on Ansible's terminal is answered with yes. The task fails if there is no
        terminal. If the answer is no, the task does not fail, and RV(stopped) is V(declined).
      - Waiting changes nothing on the host, so it can be interrupted at any time. It has no effect in check mode, and
        can't be combined with C(async).
    type: str
extends_documentation_fragment:
  - fediverse.mastodon_s3.attributes
  - fediverse.mastodon_s3.attributes.actiongroup_s3
  - fediverse.mastodon_s3.place
  - fediverse.mastodon_s3.place.source
  - fediverse.mastodon_s3.connection
  - fediverse.mastodon_s3.connection.s3
attributes:
  check_mode:
    support: full
    details:
      - The counts are the same as in a real run that walks the tree. Nothing is written to the bucket or the host.
      - It works without boto3, the bucket or its key. Then the bucket is assumed to be empty.
  diff_mode:
    support: full
    details:
      - Shows the first hundred changes, with private names masked.
  idempotent:
    support: full
  platform:
    platforms: linux
notes:
  - Needs the permissions C(s3:PutObject), C(s3:GetObject) and C(s3:ListBucket); for O(exposure=acl) also
    C(s3:GetObjectAcl) and C(s3:PutObjectAcl); and for deletions C(s3:DeleteObject).
  - It must run as root or as the owner of the files, since nobody else can read private files.
seealso:
  - module: fediverse.mastodon_s3.s3_sync_feed
  - module: fediverse.mastodon_s3.s3_storage_info
  - module: fediverse.mastodon_s3.s3_bucket_rules
"""

EXAMPLES = r"""
- name: Copy the media while Mastodon is running, and mirror deletions
  fediverse.mastodon_s3.s3_sync:
    src: /home/mastodon/live/public/system
    bucket: example-media
    region: eu-central-1
    credentials_file: /home/mastodon/live/.env.production
    delete: own

- name: Take over a bucket that was filled with another tool, and repair its ACLs and headers
  fediverse.mastodon_s3.s3_sync:
    src: /home/mastodon/live/public/system
    bucket: example-media
    region: eu-central-1
    credentials_file: /home/mastodon/live/.env.production
    compare_with: checksum
    repair: [acl, headers]

- name: Send the last files, once Mastodon uses the bucket
  fediverse.mastodon_s3.s3_sync:
    src: /home/mastodon/live/public/system
    bucket: example-media
    region: eu-central-1
    credentials_file: /home/mastodon/live/.env.production
    source_of_truth: bucket
    minimum_age: 0

- name: Copy to a store without ACLs, whose bucket policy makes the public folders readable
  fediverse.mastodon_s3.s3_sync:
    src: /home/mastodon/live/public/system
    bucket: media
    endpoint_url: https://minio.example.com
    aws_ca_bundle: /etc/ssl/private-ca.pem
    credentials_file: /home/mastodon/live/.env.production
    exposure: policy

- name: Keep the bucket up to date until half past three at night
  fediverse.mastodon_s3.s3_sync:
    src: /home/mastodon/live/public/system
    bucket: example-media
    region: eu-central-1
    credentials_file: /home/mastodon/live/.env.production
    repeat_until: "03:30"
"""

RETURN = r"""
actions:
  description: What was done, or would be done in check mode, with the number of objects and their bytes.
  returned: always
  type: dict
  contains:
    upload:
      description: Files that were sent.
      type: dict
      sample: {count: 120, bytes: 48210344}
    set_acl:
      description: Objects whose ACL was changed.
      type: dict
      sample: {count: 3, bytes: 70123}
    set_headers:
      description: Objects whose headers, and with them the exposure, were changed by a copy inside the store.
      type: dict
      sample: {count: 0, bytes: 0}
    delete:
      description: Objects that were deleted because their files are gone.
      type: dict
      sample: {count: 0, bytes: 0}
    delete_private:
      description: Objects deleted because their files became private, with O(exposure=policy) or V(open_bucket).
      type: dict
      sample: {count: 0, bytes: 0}
unchanged:
  description: Files for which nothing had to be done. If RV(entries.from=feed), only among those that were looked at.
  returned: always
  type: dict
  sample: {count: 99880, bytes: 39921004412}
left_out:
  description:
    - What was left out, by reason, with up to ten examples. Private names are masked.
    - The reasons are V(filtered) (O(include) and O(exclude)), V(unknown_folder), V(too_new) (O(minimum_age)),
      V(local_only) (private, without ACLs), V(symlink), V(special_file), V(bad_name)
      (not UTF-8), V(long_key) (over 1,024 bytes) and V(vanished) (gone before it was sent).
    - With O(source_of_truth=bucket) also V(in_bucket), V(gone_in_bucket), V(older_than_switch) and V(newer_on_disk)
      (changed on disk after it was sent).
  returned: always
  type: dict
  sample: {unknown_folder: {count: 2, bytes: 1042, examples: ['imports/***']}}
bucket_checked:
  description:
    - Whether the content of the bucket was checked. If not, the bucket is assumed to be empty.
    - V(false) only in check mode, if boto3, the key or the CA certificate is not on the host yet.
  returned: always
  type: bool
  sample: true
failed_count:
  description: Number of files that could not be read or sent, and of folders that could not be read.
  returned: always
  type: int
  sample: 0
failures:
  description: The first twenty of them.
  returned: always
  type: list
  elements: dict
  sample: [{key: accounts/avatars/000/000/001/original/0123456789abcdef.png, error: "can't be read: Permission denied"}]
deletions_skipped:
  description: Why nothing was deleted even though files are gone, or null.
  returned: always
  type: str
  sample: null
complete:
  description: Whether every file in scope was handled.
  returned: always
  type: bool
  sample: true
stopped:
  description:
    - Why the run stopped early without a failure, V(time_limit), V(request) (it got SIGTERM) or V(declined) (the
      question of O(repeat_until) was answered with no). Null if it did not. Run the task again to continue.
  returned: always
  type: str
  sample: null
source:
  description: What O(src) contains. If RV(entries.from=feed), only files that were looked at are counted.
  returned: always
  type: dict
  contains:
    state:
      description: V(present), V(empty) or V(missing).
      type: str
      sample: present
    files:
      description: Number of files, including those that are left out.
      type: int
      sample: 100002
    bytes:
      description: Their size.
      type: int
      sample: 39969214756
    folders:
      description: Files and bytes of each folder in O(src), for at most thirty folders.
      type: dict
      sample: {accounts: {files: 2, bytes: 1042}, cache: {files: 100000, bytes: 39969213714}}
    exposure:
      description: Number of files in scope, by the exposure that they should have.
      type: dict
      sample: {public: 99990, private: 10}
transferred_bytes:
  description: Bytes that were sent.
  returned: always
  type: int
  sample: 48210344
bytes_per_second:
  description: Average number of bytes sent per second.
  returned: always
  type: int
  sample: 10450221
seconds:
  description: Duration of each stage. The walk is part of the transfer.
  returned: always
  type: dict
  sample: {walk: 1.2, transfer: 4.61, delete: 0.0, total: 4.7}
uploads_by:
  description:
    - How the files were uploaded, V(fast) (signed and sent by this module itself) or V(boto3).
    - With V(fast), a file counts as sent when the store returns the checksum that was sent with it or, if it does not
      do that, when the ETag is the file's MD5. If ETags are not MD5s, as with some encryption, the store has checked
      the MD5 that was sent with the file.
    - V(boto3) sends files over 8 MiB, and files whose first attempt did not succeed. It sends all files if a proxy, a
      client certificate or O(checksums=when_supported) is used.
  returned: always
  type: dict
  sample: {fast: 119, boto3: 1}
retries:
  description:
    - Uploads that failed with V(fast) and were repeated with boto3, by cause. The cause is an HTTP status,
      V(connection), or V(changed) for a file that was modified while it was sent, or arrived damaged.
  returned: always
  type: dict
  sample: {"503": 2}
requests:
  description: Number of requests to the store, including repetitions, by operation.
  returned: always
  type: dict
  sample: {PutObject: 120, PutObjectAcl: 3}
entries:
  description: Which files were looked at.
  returned: always
  type: dict
  contains:
    from:
      description:
        - V(walk) for all files, V(feed) only for those that have changed according to
          M(fediverse.mastodon_s3.s3_sync_feed). In check mode always V(walk).
      type: str
      sample: feed
    because:
      description: Why.
      type: str
      sample: every change since the last complete run is known
compared_with:
  description: What the files were compared with, V(journal), V(listing) or V(checksum), see O(compare_with).
  returned: always
  type: str
  sample: journal
busy:
  description: The run that is using the same journal.
  returned: when the task failed because of it
  type: dict
  contains:
    process:
      description: Its PID on the host, or null.
      type: int
      sample: 4711
    progress:
      description: A file with its progress as one line of JSON.
      type: str
      sample: /var/lib/mastodon_s3/sync-example-media-0123456789ab.progress
history:
  description:
    - What the runs with this journal have sent, from old to new. This run is the last one if it has sent anything.
    - At most ten runs, those that have sent most. In check mode, only earlier runs.
  returned: always
  type: list
  elements: dict
  contains:
    began:
      description: When the run began, in seconds since the epoch.
      type: int
      returned: always
    seconds:
      description: How long it took.
      type: float
      returned: always
    files:
      description: Number of files that were sent.
      type: int
      returned: always
    bytes:
      description: Bytes that were sent.
      type: int
      returned: always
    points:
      description: Up to forty lists of seconds since the beginning, files sent by then, and bytes sent by then.
      type: list
      elements: list
      returned: always
  sample:
    - began: 1796083200
      seconds: 8.2
      files: 120
      bytes: 48210344
      points: [[1.0, 2, 803505], [5.1, 62, 24908677], [8.2, 120, 48210344]]
journal:
  description: Path of the journal.
  returned: always
  type: str
  sample: /var/lib/mastodon_s3/sync-example-media-0123456789ab.sqlite
"""

from functools import partial
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.connection.errors import (
    Boto3MissingError,
    S3Error,
)
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.connection.masking import unexpected
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.connection.options import (
    ConnectionOptionsError,
    connection_argument_spec,
)
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.connect import store_from
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.engine import run
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.journal.statefiles import (
    BusyError,
    progress_path,
)
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.model import SyncError
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.options import (
    settings_from,
    sync_argument_spec,
)
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.processes.priority import lower_priority
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.processes.stop import StopReason

_STOPPED = {
    StopReason.REQUEST: "the run was asked to stop before it was complete: run it again to continue",
    StopReason.TIME_LIMIT: "the run stopped after time_limit, before it was complete: run it again to continue",
}


def main() -> None:
    """Run the module."""
    arguments: dict[str, Any] = {**sync_argument_spec(), **connection_argument_spec()}
    module = AnsibleModule(argument_spec=arguments, supports_check_mode=True)
    if module.params["repeat_until"]:
        module.fail_json(msg="repeat_until needs the action plugin s3_sync of this collection, which did not run")
    try:
        settings = settings_from(module.params, check_mode=module.check_mode)
        for trouble in lower_priority(module.params["nice"], module.params["ionice"], module.run_command):
            module.warn(trouble)
        report = run(
            settings,
            partial(store_from, module.params, settings),
            time_limit=module.params["time_limit"],
            progress=module.params["progress"],
        )
    except BusyError as error:
        watch = {"process": error.process, "progress": progress_path(settings.journal_path)}
        module.fail_json(msg=str(error), busy=watch)
    except (SyncError, Boto3MissingError, ConnectionOptionsError, S3Error) as error:
        module.fail_json(msg=str(error))
    except Exception as error:  # noqa: BLE001 - any error's text may contain names that must not be shown
        module.fail_json(**unexpected(error, module.params["private_prefixes"]))
    for warning in report.warnings:
        module.warn(warning)
    result = report.as_dict()
    if module._diff:  # noqa: SLF001 - Ansible has no public name for it
        result["diff"] = report.diff()
    if report.error is not None:
        module.fail_json(msg=report.error, **result)
    if report.stopped is not None:
        result["msg"] = _STOPPED[report.stopped]
    module.exit_json(**result)


if __name__ == "__main__":
    main()
