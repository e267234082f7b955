# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Detects files that a user who can't read them may have moved into their folder.

The owner of two folders can move a file from one to the other, even a file of root's that this user can't read. If root
then copied it to a readable place, or changed its owner, that user would get the content. A sticky folder such as /tmp
does not prevent this: there a file can be moved in by anybody, only not out again.
"""

from __future__ import annotations

import os
import pwd
import stat

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._files.errors import UnsafePathError
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._files.folder import trusted
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._files.regular import RegularFile


def check_not_moved_in(file: RegularFile) -> None:
    """Refuse a file of root (or the caller) if those who can change its folder can't read it themselves.

    So is any other user's file that the owner of its folder can't read. Call this before a file or its content is given
    to another user.

    Raises:
        UnsafePathError: Names the file and the folder.
    """
    status = os.fstat(file.descriptor)
    last = file.folder.steps[-1]
    for step in file.folder.steps if status.st_uid in trusted() else [last]:
        folder = step.status
        weakness = step.weakness(last=step is last)
        if weakness is None or (folder.st_uid == status.st_uid and status.st_uid not in trusted()):
            continue
        if status.st_uid not in trusted() and folder.st_uid in trusted():
            # Its owner may be one of those who can change the folder.
            continue
        if folder.st_uid not in trusted():
            readable = _can_read(status, folder.st_uid, folder.st_gid)
        else:
            readable = bool(status.st_mode & stat.S_IROTH) or (
                not folder.st_mode & stat.S_IWOTH and _is_groups(status, {folder.st_gid})
            )
        if not readable:
            raise UnsafePathError(
                f"{file.path} belongs to the user id {status.st_uid} and lies below {step.path}, which others can "
                f"change ({weakness}) who can't read the file, so it may have been moved there; give the file to the "
                f"owner of that folder (chown), or the folder to root"
            )


def _can_read(status: os.stat_result, uid: int, folder_gid: int) -> bool:
    if status.st_mode & stat.S_IROTH:
        return True
    try:
        user = pwd.getpwuid(uid)
        groups = {user.pw_gid, *os.getgrouplist(user.pw_name, user.pw_gid)}
    except (KeyError, OSError):
        groups = {folder_gid}
    return _is_groups(status, groups)


def _is_groups(status: os.stat_result, groups: set[int]) -> bool:
    return bool(status.st_mode & stat.S_IRGRP) and status.st_gid in groups
