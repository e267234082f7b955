# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Opens the folders, and runs in a process with the rights of the folder's owner.

Root opens both folders. The owner of `dest` can replace anything below it at any time, so a process that gave up the
rights of root does everything else: what it is tricked into, its owner could have done without it.
"""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from typing import Callable, Union

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._fetch.destination import become_owner
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._fetch.download import Bucket
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._fetch.fetch import Fetch
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._fetch.model import (
    FetchError,
    FetchReport,
    FetchSettings,
)
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._files.walk import open_folder
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.processes.child import tie_to

_READABLE = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def run(settings: FetchSettings, name: str, make_bucket: Callable[[], Bucket]) -> FetchReport:
    """Fetch as the owner of `dest`.

    Args:
        settings: What to do.
        name: The bucket's name, for the folder of replaced files.
        make_bucket: Returns the bucket. It is called in the process that fetches.

    Raises:
        FetchError: The run can't begin, or its process was killed.
        FileError: A folder can't be opened, or others can change the folder for replaced files.
        Exception: Whatever `make_bucket` and the run raise.
    """
    with _opened(settings, name) as (dest, replaced):
        context = multiprocessing.get_context("fork")
        ours, theirs = context.Pipe(duplex=False)
        process = context.Process(target=_work, args=(settings, make_bucket, dest, replaced, theirs, os.getpid()))
        process.start()
        theirs.close()
        result: Union[FetchReport, Exception, None]
        try:
            result = ours.recv()
        except EOFError:
            result = None
        process.join()
    if result is None:
        raise FetchError(f"the process that fetches ended with status {process.exitcode}; run the task again")
    if isinstance(result, Exception):
        raise result
    return result


def _work(
    settings: FetchSettings,
    make_bucket: Callable[[], Bucket],
    dest: int,
    replaced: int,
    result: Connection,
    parent: int,
) -> None:
    try:
        become_owner(dest, settings.dest)
        # Afterwards, since the kernel forgets it when a process changes its user.
        tie_to(parent)
        os.umask(0)
        bucket = make_bucket()
        try:
            result.send(Fetch(settings, bucket, dest, replaced).run())
        finally:
            bucket.store.close()
    except Exception as error:  # noqa: BLE001 - the parent raises it
        result.send(error)


@contextmanager
def _opened(settings: FetchSettings, name: str) -> Iterator[tuple[int, int]]:
    with open_folder(settings.dest) as folder:
        real = f"{os.path.realpath(settings.replaced_dir)}/"
        if real.startswith(f"{folder.path.rstrip('/')}/"):
            raise FetchError(
                f"replaced_dir: {settings.replaced_dir} is below dest, where visitors may read it. Choose"
                " another folder"
            )
        dest = os.open(".", _READABLE, dir_fd=folder.descriptor)
        try:
            if settings.check_mode:
                yield dest, dest
                return
            replaced = _replaced_folder(settings.replaced_dir, name, os.fstat(dest))
            try:
                yield dest, replaced
            finally:
                os.close(replaced)
        finally:
            os.close(dest)


def _replaced_folder(path: str, name: str, like: os.stat_result) -> int:
    """Return a folder that belongs to the owner of `dest`, inside of one that only the calling user can enter."""
    with open_folder(path, private=True, create=True) as folder:
        try:
            os.mkdir(name, 0o700, dir_fd=folder.descriptor)
        except FileExistsError:
            pass
        except OSError as error:
            raise FetchError(f"replaced_dir: {path} can't be written ({error.strerror})") from error
        descriptor = os.open(name, _READABLE, dir_fd=folder.descriptor)
        if os.geteuid() == 0:
            os.fchown(descriptor, like.st_uid, like.st_gid)
        return descriptor
