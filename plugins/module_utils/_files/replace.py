# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Replaces files atomically, without giving access to anybody else.

The new content is written to a file with a random name in the same folder, which only the caller can read. It gets
owner, group, mode, ACL and SELinux context of the file that it replaces, all read from and set on open descriptors.
Right before the rename the names of both files are compared with those descriptors.

A user who can write to the folder can still swap either name between that comparison and the rename. This gains that
user nothing new:

- If he puts another file in the place of the old one, that one is lost. He could have removed it himself.
- If he puts something in the place of the new one, his own thing gets the name. This is noticed, and is an error.

No owner, mode or content of any file but our own is changed, whatever he does, since those are set by descriptor.
"""

from __future__ import annotations

import os
from contextlib import suppress

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._files.errors import ChangedError, refused
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._files.folder import Folder
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._files.regular import RegularFile, same_file
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._files.temporary import (
    KEEP,
    Access,
    Temporary,
    overwrite,
    remove_stale,
    set_owner_and_mode,
)


def replace(file: RegularFile, old: bytes, new: bytes, access: Access = KEEP) -> None:
    """Replace an open file with a new one that contains `new`. It keeps everything that `access` does not specify.

    Args:
        file: The file to replace.
        old: Its content; nothing is replaced if it has changed.
        new: The content of the new file.
        access: Owner, group and mode of the new file, if different.

    Raises:
        ChangedError: Another program changed or replaced the file in the meantime. Nothing was written, or the message
            says that it has to be checked.
        AccessError: The system refuses, or the file attribute i or a is set.
    """
    folder = file.folder
    file.check_changeable()
    folder.check_changeable()
    remove_stale(folder, file.status.st_uid)
    with Temporary(folder, file.path) as temporary:
        temporary.write(new)
        temporary.set_access(access, file)
        if not file.is_still(old):
            raise ChangedError(
                f"{file.path} was changed by another program in the meantime; nothing was written, run it again"
            )
        temporary.rename(file.name)
    folder.sync()


def create(
    folder: Folder,
    name: str,
    data: bytes,
    access: Access = KEEP,
    *,
    like: RegularFile | None = None,
    mtime: bool = False,
) -> None:
    """Create a file; never replace another one.

    Args:
        folder: Its folder.
        name: Its name there.
        data: Its content.
        access: Its owner, group and mode.
        like: A file from which missing parts of `access`, the ACL and the SELinux context are copied.
        mtime: Also copy the modification time from `like`.

    Raises:
        ChangedError: The name already exists.
        AccessError: The system refuses.
    """
    folder.check_changeable()
    remove_stale(folder, os.geteuid())
    with Temporary(folder, folder.join(name)) as temporary:
        temporary.write(data)
        temporary.set_access(access, like)
        if like and mtime:
            os.utime(temporary.descriptor, ns=(like.status.st_atime_ns, like.status.st_mtime_ns))
        temporary.link(name)
    folder.sync()


def write_in_place(file: RegularFile, old: bytes, new: bytes, access: Access = KEEP) -> None:
    """Write to the file itself. Only for files that can't be replaced, since a reader may see a part of the content.

    Args:
        file: The file, open for reading.
        old: Its content; nothing is written if it has changed.
        new: Its new content.
        access: Its new owner, group and mode.

    Raises:
        ChangedError: Another program changed or replaced the file in the meantime.
        AccessError: The system refuses.
    """
    file.check_changeable()
    with RegularFile(file.folder, file.name, writable=True) as target:
        if not same_file(target.status, file.status) or not target.is_still(old):
            raise ChangedError(
                f"{file.path} was changed by another program in the meantime; nothing was written, run it again"
            )
        try:
            # Before the new content is written: whoever the new mode excludes must not read it.
            set_owner_and_mode(target.descriptor, target.path, target.status, access)
            overwrite(target.descriptor, new)
        except OSError as error:
            with suppress(OSError):
                overwrite(target.descriptor, old)
            raise refused(file.path, "can't be written", error) from error
