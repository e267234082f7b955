#!/usr/bin/python
# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Module fediverse.mastodon_s3.s3_sync_feed."""

from __future__ import annotations

DOCUMENTATION = r"""
module: s3_sync_feed
short_description: Follow changes in a tree of media files, so that s3_sync does not have to walk it
description:
  - Starts a small background process that follows, with Linux fanotify, all file systems that are mounted at and below
    O(src). It remembers the names of files and folders that change.
  - From then on, M(fediverse.mastodon_s3.s3_sync) with the same O(src) and O(state_dir) uses this process by itself.
    Its first complete run still walks the tree. Later runs look only at what has changed, so they take the same time
    for a small and for a large tree. RV(fediverse.mastodon_s3.s3_sync#module:entries) says what a run did, and why.
  - Whenever the process may have missed a change, the next run walks the tree. This is so after it was killed or
    started again, after a reboot, if the kernel dropped changes, if too many files have changed (about two million), or
    if something was mounted or unmounted at or below O(src).
  - The process is a transient systemd unit, or a daemon on hosts without systemd. It writes no file except, if very
    many files change, an unnamed temporary one of up to 256 MiB in O(state_dir).
options:
  src:
    description:
      - The folder with the media, as in M(fediverse.mastodon_s3.s3_sync).
    type: path
    required: true
  state:
    description:
      - V(started) makes sure that the process is running. If it is, its O(time_limit) begins again.
      - V(stopped) ends it.
    type: str
    choices: [started, stopped]
    default: started
  time_limit:
    description:
      - After this many seconds, the process ends by itself. The default is a week.
    type: int
    default: 604800
  state_dir:
    description:
      - Folder for the socket of the process, with the same value as in M(fediverse.mastodon_s3.s3_sync). If it is
        missing, it is created with mode V(0700).
    type: path
    default: /var/lib/mastodon_s3
extends_documentation_fragment:
  - fediverse.mastodon_s3.attributes
  - fediverse.mastodon_s3.attributes.actiongroup_all
attributes:
  check_mode:
    support: full
    details:
      - With O(state=started), it tries to follow the tree for a moment, so it fails if that is not possible.
  diff_mode:
    support: none
  idempotent:
    support: full
  platform:
    platforms: linux
notes:
  - Needs root and Linux 5.9 or later. In a container, it needs the capabilities C(SYS_ADMIN) and C(DAC_READ_SEARCH).
  - It follows ext2, ext3, ext4, xfs, tmpfs, and btrfs, except for subvolumes. With other file systems the task fails,
    and M(fediverse.mastodon_s3.s3_sync) walks the tree. Changes that another host makes on a network file system
    can't be seen. The same may be true for changes that are made through an overlay file system or an NFS server of
    this host on top of O(src), instead of in O(src) itself.
  - If the tree contains files with several names (hard links), the tree is walked, since changes are reported only for
    the name that was used. A link from outside of the tree that is made and used while the process runs is not noticed.
  - While it runs, the file systems below O(src) can't be unmounted.
seealso:
  - module: fediverse.mastodon_s3.s3_sync
author:
  - fediverse.mastodon_s3 contributors (@fediverse)
"""

EXAMPLES = r"""
- name: Follow changes from before the first copy
  fediverse.mastodon_s3.s3_sync_feed:
    src: /home/mastodon/live/public/system

- name: Find out whether this is possible on a host
  fediverse.mastodon_s3.s3_sync_feed:
    src: /home/mastodon/live/public/system
  check_mode: true

- name: End it after the switch
  fediverse.mastodon_s3.s3_sync_feed:
    src: /home/mastodon/live/public/system
    state: stopped
"""

RETURN = r"""
running:
  description: Whether the process is running now.
  returned: always
  type: bool
  sample: true
process:
  description: Its PID.
  returned: if it is running
  type: int
  sample: 4711
unit:
  description: Its systemd unit, or null on hosts without systemd.
  returned: if it is running
  type: str
  sample: mastodon-s3-feed-0123456789ab.service
seconds_left:
  description: After this many seconds, it ends by itself.
  returned: if it is running
  type: int
  sample: 604800
changes:
  description: How many names have changed that no run of M(fediverse.mastodon_s3.s3_sync) has dealt with yet.
  returned: if it is running
  type: int
  sample: 120
gap:
  description:
    - Why it has missed changes, or null if it has not. The first run of M(fediverse.mastodon_s3.s3_sync) after that
      walks the tree.
  returned: if it is running
  type: str
  sample: null
file_systems:
  description: The file systems that it follows, or would follow in check mode.
  returned: with O(state=started)
  type: list
  elements: dict
  contains:
    path:
      description: Where it is mounted.
      type: str
      sample: /home
    type:
      description: Its type.
      type: str
      sample: ext4
"""

from typing import Any, Optional

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._feed.client import Client, Status
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._feed.errors import FeedError, NoFeedError
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._feed.start import start, stop, try_out, unit_of
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._files.errors import FileError
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.model import SyncError
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.options import STATE_DIR, absolute, at_least


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "src": {"type": "path", "required": True},
            "state": {"type": "str", "choices": ["started", "stopped"], "default": "started"},
            "time_limit": {"type": "int", "default": 7 * 24 * 3600},
            "state_dir": {"type": "path", "default": STATE_DIR},
        },
        supports_check_mode=True,
    )
    try:
        at_least("time_limit", module.params["time_limit"], 1)
        for option in ("src", "state_dir"):
            absolute(option, module.params[option])
        result = _started(module) if module.params["state"] == "started" else _stopped(module)
    except (FeedError, FileError, SyncError) as error:
        module.fail_json(msg=str(error))
    module.exit_json(**result)


def _started(module: AnsibleModule) -> dict[str, Any]:
    src, state_dir, seconds = (module.params[option] for option in ("src", "state_dir", "time_limit"))
    status = _status(src, state_dir)
    if status is not None:
        if not module.check_mode:
            status = Client(src, state_dir).renew(seconds)
        return _result(src, status, changed=False)
    file_systems = try_out(src)
    if module.check_mode:
        return {"changed": True, "running": False, "file_systems": _shown(file_systems)}
    return _result(src, start(src, state_dir, seconds, module.run_command), changed=True)


def _stopped(module: AnsibleModule) -> dict[str, Any]:
    src, state_dir = module.params["src"], module.params["state_dir"]
    if module.check_mode:
        return {"changed": _status(src, state_dir) is not None, "running": False}
    return {"changed": stop(src, state_dir), "running": False}


def _status(src: str, state_dir: str) -> Optional[Status]:
    try:
        return Client(src, state_dir).status()
    except NoFeedError:
        return None


def _result(src: str, status: Status, *, changed: bool) -> dict[str, Any]:
    return {
        **status._asdict(),
        "changed": changed,
        "running": True,
        "unit": unit_of(src) or None,
        "gap": status.gap or None,
        "file_systems": _shown(status.file_systems),
    }


def _shown(file_systems: list[list[str]]) -> list[dict[str, str]]:
    return [{"path": path, "type": kind} for path, kind in file_systems]


if __name__ == "__main__":
    main()
