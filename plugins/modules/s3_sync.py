#!/usr/bin/python
# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Module fediverse.mastodon_s3.s3_sync."""

from __future__ import annotations

DOCUMENTATION = r"""
module: s3_sync
short_description: Push a tree of media files to an S3 bucket, each with the exposure it has on disk
author:
  - fediverse.mastodon_s3 contributors (@fediverse)
description:
  - Pushes the files below a folder to a bucket of an S3-compatible store, several at a time and in constant memory,
    with content type, cache header and access control list (ACL) as Mastodon sets them.
  - A file that neither its group nor others may read (C(mode & 0o044 == 0)) is private, so media of suspended accounts
    are never public in the bucket, not even for a moment. A mode that changes later is followed without sending the
    file again.
  - Remembers in a journal on the host what the bucket holds, so an unchanged tree costs no request at all, and a run
    that was killed is continued by the next one. A journal that is new lists the bucket once. What is there already,
    whoever put it there, is taken over without being sent again.
  - With O(exposure=policy) and O(exposure=bucket), private files that the bucket would show to everybody are kept at
    home and reported, and if they were sent earlier by this module, they are deleted from the bucket.
  - A symlink to a file is reported. One to a folder makes the task fail, since whatever that holds would be missing,
    and so does one that leads nowhere, as behind it may be a disk that is not mounted.
    Use a bind mount in its place, or O(exclude) it.
  - In check mode the bucket need not exist yet.
  - One file that can't be read or sent does not stop the others. The task then fails at its end, with counts and a
    list.
options:
  cache_control:
    description:
      - The C(Cache-Control) header of every object. The default is what Mastodon sends.
      - If it is changed, all objects get the new one by a copy inside the store, and no file is sent again.
    type: str
    default: public, max-age=315576000, immutable
  storage_class:
    description:
      - Storage class of the objects, as the store calls it. If left out, the bucket's default.
    type: str
  delete:
    description:
      - Which objects are deleted whose file is gone from O(src).
      - V(own) means only those that this module put there by this journal.
      - V(all) means every object below O(key_prefix) that is in the scope of prefixes and patterns. It needs a listing
        of the bucket.
      - Nothing is deleted where O(src) is missing, holds no file, or could not be read completely.
    type: str
    choices: [never, own, all]
    default: never
  max_delete:
    description:
      - Fail before the first deletion if more objects than this are to be deleted.
    type: int
  authority:
    description:
      - Which side is the truth.
      - V(tree) before Mastodon is switched to the bucket.
      - V(bucket) from the switch on. Nothing is deleted, overwritten or made public then. Sent are only files that are
        new since the last completed run with V(tree), and that the bucket does not have. Until the first run with
        V(bucket) is completed, a file that became private on disk since is made private in the bucket as well.
      - The journal remembers the switch, and V(tree) is refused after it.
    type: str
    choices: [tree, bucket]
    default: tree
  reopen:
    description:
      - Make the tree the truth again, after Mastodon was switched back to the disk. What the journal knows is then
        checked against the bucket.
      - Has no effect where no switch was made.
    type: bool
    default: false
  trust:
    description:
      - What is believed of the bucket.
      - With V(journal), what this module noted when it wrote to the bucket. A journal that is new, or of an older
        release, goes by a listing.
      - With V(listing), what a listing says today. An object of the same size that was written after its file last
        changed is taken for its copy, and one of unclear age is compared by its MD5. Exposure and headers of objects
        that the journal did not know are asked for, and set where they are wrong. Use it after somebody else wrote to
        the bucket.
      - With V(full), only what the contents say. Every file is read and held against the checksum that its object was
        sent with or, where the journal does not know the object, against its ETag, which is an MD5, also of parts where
        these have one of the usual sizes. What can't be compared is sent again.
      - Anything but V(journal) is refused with O(authority=bucket), and after the switch.
    type: str
    choices: [journal, listing, full]
    default: journal
  converge:
    description:
      - Ask the bucket for these aspects of every object, and set what is not as it should be, without sending a file
        again.
      - V(acl) needs O(exposure=acl). V(headers) are content type, cache header and, if O(storage_class) is given, the
        storage class.
      - Without it, the journal is believed, so that a change that somebody else made in the bucket is not seen.
      - Refused with O(authority=bucket), since files on disk no longer say then how things have to be.
    type: list
    elements: str
    choices: [acl, headers]
    default: []
  settle_seconds:
    description:
      - A file that looks private and whose metadata changed less than this many seconds ago may be still in the
        writing. It is left to the next run, and counted in RV(deferred).
      - Use V(0) when nothing writes to O(src) any more.
    type: int
    default: 60
  state_dir:
    description:
      - Folder for the journals on the host that runs the module, made with mode V(0700) where it is missing.
      - It holds no secret. About 170 bytes are needed for each file.
    type: path
    default: /var/lib/mastodon_s3
  concurrency:
    description:
      - How many files are sent at the same time, at most.
      - The number begins with 16 for each worker process, of which there are four at most. It grows while the
        throughput grows with it, and shrinks when the store asks to slow down or does not answer in time.
    type: int
    default: 128
  bandwidth_limit:
    description:
      - Bytes a second that are sent on average, with a unit as in V(20M).
      - If left out, there is no limit.
    type: bytes
  nice:
    description:
      - Lower the CPU priority by this much, from V(0) to V(19), so that the web server goes first.
      - If left out, it is not changed.
    type: int
  ionice:
    description:
      - I/O scheduling class. With V(idle), the disk is read only while nobody else wants it.
      - Needs C(ionice) of util-linux on the host, and an I/O scheduler that has priorities. If left out, it is not
        changed.
    type: str
    choices: [best-effort, idle]
  progress:
    description:
      - Show on the controller's standard error how far the run is, in whole lines and ever more seldom, from every ten
        seconds to once a minute.
      - The run is then a background job of the host. It goes on when the connection is lost or the play is interrupted,
        and the same task attaches to it when it is run again.
      - In check mode, where the task has an C(async) of its own, and where a secret is among the options (an async job
        would keep it on the host's disk), the module runs without all this.
    type: bool
    default: true
extends_documentation_fragment:
  - fediverse.mastodon_s3.attributes
  - fediverse.mastodon_s3.attributes.actiongroup_s3
  - fediverse.mastodon_s3.place
  - fediverse.mastodon_s3.connection
  - fediverse.mastodon_s3.connection.s3
attributes:
  check_mode:
    support: full
    details:
      - Counts are those of the real run. Nothing is written, neither in the bucket nor on the host.
      - Works without boto3, without the bucket and without its key. What can't be known then is taken to be missing.
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
    C(s3:GetObjectAcl) and C(s3:PutObjectAcl), and to delete C(s3:DeleteObject).
  - Has to run as root or as the owner of the files, since nobody else can read private ones.
seealso:
  - module: fediverse.mastodon_s3.s3_storage_info
  - module: fediverse.mastodon_s3.s3_bucket_rules
"""

EXAMPLES = r"""
- name: Copy the media while Mastodon runs, and mirror what it deletes
  fediverse.mastodon_s3.s3_sync:
    src: /home/mastodon/live/public/system
    bucket: example-media
    region: eu-central-1
    credentials_file: /home/mastodon/live/.env.production
    delete: own
    max_delete: 10000

- name: Take over a bucket that was filled with another tool, and mend what that left undone
  fediverse.mastodon_s3.s3_sync:
    src: /home/mastodon/live/public/system
    bucket: example-media
    region: eu-central-1
    credentials_file: /home/mastodon/live/.env.production
    trust: full
    converge: [acl, headers]

- name: Send what was written last, once Mastodon runs on the bucket
  fediverse.mastodon_s3.s3_sync:
    src: /home/mastodon/live/public/system
    bucket: example-media
    region: eu-central-1
    credentials_file: /home/mastodon/live/.env.production
    authority: bucket
    settle_seconds: 0

- name: Copy to a store without ACLs, whose bucket policy opens the public folders
  fediverse.mastodon_s3.s3_sync:
    src: /home/mastodon/live/public/system
    bucket: media
    endpoint_url: https://minio.example.com
    aws_ca_bundle: /etc/ssl/private-ca.pem
    credentials_file: /home/mastodon/live/.env.production
    exposure: policy
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
      description: Objects that only got another ACL.
      type: dict
      sample: {count: 3, bytes: 70123}
    set_headers:
      description: Objects that got other headers, and their exposure with them, by a copy inside the store.
      type: dict
      sample: {count: 0, bytes: 0}
    delete:
      description: Objects that were deleted since their file is gone.
      type: dict
      sample: {count: 0, bytes: 0}
    withdraw:
      description: Objects that were deleted since their file became private, with O(exposure=policy) or V(bucket).
      type: dict
      sample: {count: 0, bytes: 0}
unchanged:
  description: Files for which nothing had to be done.
  returned: always
  type: dict
  sample: {count: 99880, bytes: 39921004412}
left_out:
  description:
    - What was left out, by reason, with up to ten examples. Private names are masked.
    - The reasons are V(filtered) (O(include) and O(exclude)), V(unknown_folder), V(settling) (see RV(deferred)),
      V(kept_home) (private, without ACLs), V(symlink), V(special_file), V(bad_name)
      (not UTF-8), V(long_key) (over 1,024 bytes) and V(vanished) (gone before it was sent).
    - With O(authority=bucket) also V(in_bucket), V(gone_in_bucket), V(older_than_switch) and V(newer_on_disk) (changed
      on disk after it was sent).
  returned: always
  type: dict
  sample: {unknown_folder: {count: 2, bytes: 1042, examples: ['imports/***']}}
deferred:
  description: Number of files that look private but are so new that the next run has to judge them.
  returned: always
  type: int
  sample: 0
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
  description: Why nothing was deleted although files are gone, or null.
  returned: always
  type: str
  sample: null
complete:
  description: Whether every file in scope was dealt with.
  returned: always
  type: bool
  sample: true
source:
  description: What was found in O(src).
  returned: always
  type: dict
  contains:
    state:
      description: Is V(present), V(empty) or, with O(authority=bucket), V(missing).
      type: str
      sample: present
    files:
      description: Number of files, also of those that are left out.
      type: int
      sample: 100002
    bytes:
      description: Their size.
      type: int
      sample: 39969214756
    folders:
      description: Files and bytes of each folder in O(src), of thirty at most.
      type: dict
      sample: {accounts: {files: 2, bytes: 1042}, cache: {files: 100000, bytes: 39969213714}}
    exposure:
      description: Number of files in scope, by the exposure that they have to get.
      type: dict
      sample: {public: 99990, private: 10}
transferred_bytes:
  description: Bytes that were sent.
  returned: always
  type: int
  sample: 48210344
bytes_per_second:
  description: Bytes sent in a second, on average.
  returned: always
  type: int
  sample: 10450221
seconds:
  description: Duration of the stages. The walk is a part of the transfer.
  returned: always
  type: dict
  sample: {walk: 1.2, transfer: 4.61, delete: 0.0, total: 4.7}
uploads_by:
  description:
    - How the uploads went, V(lean) (signed and sent by this module's own connections) or V(boto3).
    - In the lean way a file counts as sent once the store repeats the checksum that went with it or, where it does not
      do that, once its ETag is the file's MD5. Where ETags are no MD5, as with some encryption, the store has checked
      the MD5 that went with the file.
    - Through V(boto3) go files over 8 MiB, whatever did not succeed at once, and everything where a proxy, a client
      certificate or O(checksums=when_supported) is in use.
  returned: always
  type: dict
  sample: {lean: 119, boto3: 1}
retries:
  description:
    - Uploads that did not succeed in the lean way and were given to boto3, by cause. The cause is an HTTP status,
      V(connection), or V(changed) for a file that was written to meanwhile or arrived damaged.
  returned: always
  type: dict
  sample: {"503": 2}
requests:
  description: Requests to the store, by operation and with repetitions.
  returned: always
  type: dict
  sample: {PutObject: 120, PutObjectAcl: 3}
trusted:
  description: What the run went by, V(journal), V(listing) or V(full), see O(trust).
  returned: always
  type: str
  sample: journal
busy:
  description: The run that works with the same journal.
  returned: when the task failed because of it
  type: dict
  contains:
    process:
      description: Its process number on the host, or null.
      type: int
      sample: 4711
    progress:
      description: A file that says, in a line of JSON, how far it is.
      type: str
      sample: /var/lib/mastodon_s3/sync-example-media-0123456789ab.progress
journal:
  description: Path of the journal.
  returned: always
  type: str
  sample: /var/lib/mastodon_s3/sync-example-media-0123456789ab.sqlite
"""

from contextlib import ExitStack, closing
from dataclasses import replace
from typing import Any, Optional

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.errors import Boto3MissingError, S3Error
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.options import (
    ConnectionOptionsError,
    connection_argument_spec,
    connection_options,
)
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3.stated import stated_address
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.engine import sync
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.journal.statefiles import BusyError
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.model import ExposureMode, SyncError
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.options import (
    settings_from,
    sync_argument_spec,
)
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.plan.walkers import Walkers
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.processes.priority import lower_priority
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.progress.census import Census
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.progress.progress import (
    Teller,
    introduce,
    known_totals,
    own_folder,
    progress_path,
)
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.report import Report
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.settings import Settings
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.store.store import Store
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.transfer.workers import Workers

# The action plugin itself waits for a run that is under way, and shows how far that is.
_BRIEFLY = 0.5
_NO_STORE = (Boto3MissingError, ConnectionOptionsError, S3Error)


def _store(module: AnsibleModule, settings: Settings) -> Optional[Store]:
    """Return the store; in check mode None where boto3, the key or something else of it is not there yet."""
    try:
        store = _own_store(module, settings)
        if module.check_mode:
            store.connect()  # whatever may be missing comes out here
        store.address()
    except _NO_STORE as error:
        if not module.check_mode:
            raise
        module.warn(f"the bucket can't be asked yet, what only it knows is taken to be missing: {error}")
        return None
    return store


def _run(module: AnsibleModule, settings: Settings) -> Report:
    if module.check_mode:
        return sync(settings, _store(module, settings))
    path, folder = progress_path(settings.journal_path), own_folder()
    totals, census = known_totals(path), None
    if folder:
        introduce(folder, path)
        settings = replace(settings, lock_seconds=_BRIEFLY)
    with ExitStack() as stack:
        # Processes come before there is a thread, a client or a journal.
        if folder and totals is None:
            census = stack.enter_context(closing(Census(settings.src)))
        workers = stack.enter_context(Workers.for_files(settings.concurrency, lambda: _own_store(module, settings)))
        walkers = stack.enter_context(Walkers.for_journal(settings.journal_path))
        progress = Teller(path, totals=totals, census=census) if module.params["progress"] else None
        # Where there are walkers, most likely nothing is to be sent: then boto3, which is large, need not be loaded.
        store = _own_store(module, settings) if walkers.mailboxes else _store(module, settings)
        return sync(settings, store, workers=workers, walkers=walkers, progress=progress)


def _own_store(module: AnsibleModule, settings: Settings) -> Store:
    options = connection_options(module.params)

    def make_client() -> Any:
        # Not before the processes were forked, so that boto3 is not in their memory, too.
        from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._s3 import client

        return client.s3_client(options, max_pool_connections=settings.concurrency)

    return Store(
        make_client,
        settings.bucket,
        settings.prefix,
        acl=settings.rules.mode is ExposureMode.ACL,
        address=stated_address(options, settings.bucket),
    )


def main() -> None:
    """Run the module."""
    arguments: dict[str, Any] = {**sync_argument_spec(), **connection_argument_spec()}
    module = AnsibleModule(argument_spec=arguments, supports_check_mode=True)
    try:
        settings = settings_from(module.params, check_mode=module.check_mode)
        for trouble in lower_priority(module.params["nice"], module.params["ionice"], module.run_command):
            module.warn(trouble)
        report = _run(module, settings)
    except BusyError as error:
        watch = {"process": error.process, "progress": progress_path(settings.journal_path)}
        module.fail_json(msg=str(error), busy=watch)
    except (SyncError, *_NO_STORE) as error:
        module.fail_json(msg=str(error))
    for warning in report.warnings:
        module.warn(warning)
    result = report.as_dict()
    if module._diff:  # noqa: SLF001 - Ansible has no public name for it
        result["diff"] = report.diff()
    if report.error is not None:
        module.fail_json(msg=report.error, **result)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
