# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Copies a file, byte by byte, safely even if the owner of either folder is hostile."""

from __future__ import annotations

import os
from contextlib import nullcontext
from typing import NamedTuple

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._files.errors import MissingError
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._files.folder import Folder
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._files.moved_in import check_not_moved_in
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._files.regular import RegularFile, same_file
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._files.replace import create, replace
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._files.temporary import KEEP, Access
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._files.walk import Place, locate


class Copied(NamedTuple):
    """The result of a copy: whether the target was changed (or would be), and the real paths of both."""

    changed: bool
    source: str
    target: str


def copy_file(source: str, target: str, limit: int, *, overwrite: bool = True, dry_run: bool = False) -> Copied:
    """Copy the content of `source` to `target`.

    An existing target keeps its owner, group, mode, ACL and SELinux context. A new one has mode 0600 and belongs to the
    owner and the group of its folder.

    Args:
        source: The file to copy.
        target: The copy.
        limit: Maximum number of bytes to copy.
        overwrite: Replace an existing target with different content.
        dry_run: Only return what would happen. A missing folder of the target counts as one that will be created.

    Raises:
        FileError: See `locate`, `RegularFile`, `check_not_moved_in`, `replace` and `create`.
    """
    with locate(source) as source_place, source_place.open() as file:
        check_not_moved_in(file)
        data = file.read(limit)
        try:
            place = locate(target)
        except MissingError:
            if not dry_run:
                raise
            return Copied(True, file.path, os.path.abspath(target))
        with place:
            with nullcontext() if dry_run else place.folder.lock():
                place.refresh()
                changed = _copy(file, data, place, limit, overwrite=overwrite, dry_run=dry_run)
            return Copied(changed, file.path, place.path)


def _copy(source: RegularFile, data: bytes, place: Place, limit: int, *, overwrite: bool, dry_run: bool) -> bool:
    if place.status is None:
        if not dry_run:
            create(place.folder, place.name, data, _of_folder(place.folder))
        return True
    with place.open() as old:
        if not overwrite or same_file(source.status, old.status):
            return False
        present = old.read(limit)
        if present != data and not dry_run:
            replace(old, present, data)
        return present != data


def _of_folder(folder: Folder) -> Access:
    if os.geteuid() != 0:
        return KEEP
    status = folder.steps[-1].status
    return Access(uid=status.st_uid, gid=status.st_gid, mode=0o600)
