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
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from multiprocessing.connection import Connection
from typing import Callable, NamedTuple, Optional, Union

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._fetch.destination import become_owner
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._fetch.download import Bucket
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._fetch.fetch import Fetch
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._fetch.model import (
    FetchError,
    FetchReport,
    FetchSettings,
)
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._files.locking import wait_for_lock
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._files.walk import open_folder
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.journal.journal import Journal
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.processes.child import tie_to

_READABLE = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


_IN_DEST = ".mastodon_s3-set-aside"
_LOCK_SECONDS = 120.0


class _Opened(NamedTuple):
    """The folders: `dest`, that for files that are moved away (in check mode, any), and its path."""

    dest: int
    set_aside: int
    path: str


def run(settings: FetchSettings, name: str, make_bucket: Callable[[], Bucket]) -> FetchReport:
    """Fetch as the owner of `dest`.

    Args:
        settings: What to do.
        name: The bucket's name, for the folder of files that are moved away.
        make_bucket: Returns the bucket. It is called in the process that fetches.

    Raises:
        FetchError: The run can't begin, or its process was killed.
        FileError: A folder can't be opened, or others can change the folder for files that are moved away.
        Exception: Whatever `make_bucket` and the run raise.
    """
    with _opened(settings, name) as folders:
        context = multiprocessing.get_context("fork")
        ours, theirs = context.Pipe()
        process = context.Process(target=_work, args=(settings, make_bucket, folders, (ours, theirs), os.getpid()))
        process.start()
        theirs.close()
        try:
            # Opened after the fork, since SQLite must not be used across one.
            with _journal(settings) as journal:
                ours.send(None)
                result = _result(ours, journal)
        finally:
            ours.close()
            process.join()
    if result is None:
        raise FetchError(f"the process that fetches ended with status {process.exitcode}; run the task again")
    if isinstance(result, Exception):
        raise result
    result.set_aside_dir = folders.path
    return result


def _result(process: Connection, journal: Optional[Journal]) -> Union[FetchReport, Exception, None]:
    """Record in the journal what the process says, and return its result; None if it was killed."""
    while True:
        try:
            said = process.recv()
        except EOFError:
            return None
        if not isinstance(said, list):
            return said if isinstance(said, (FetchReport, Exception)) else None
        if journal is not None:
            for news in said:
                if isinstance(news, str):
                    journal.forget(news)
                else:
                    journal.refresh(news)


@contextmanager
def _journal(settings: FetchSettings) -> Iterator[Optional[Journal]]:
    """Open the journal for this run alone, if it is needed. It must exist."""
    if settings.journal is None:
        yield None
        return
    with closing(Journal.peek(settings.journal)) as journal:
        if not journal.count():
            raise FetchError(
                f"deleted=set_aside needs the journal of s3_sync, and {settings.journal} is missing or empty."
                " Use the state_dir, endpoint_url, bucket and key_prefix of those runs, and their src as dest"
            )
    if settings.check_mode:
        yield None
        return
    with closing(Journal.open(settings.journal, {})) as journal:
        yield journal


def _work(
    settings: FetchSettings,
    make_bucket: Callable[[], Bucket],
    folders: _Opened,
    ends: tuple[Connection, Connection],
    parent_id: int,
) -> None:
    parents, parent = ends
    parents.close()  # or its end would not be noticed
    try:
        parent.recv()
        with ExitStack() as stack:
            journal = None
            if settings.journal is not None:
                # Only root can open it.
                journal = stack.enter_context(closing(Journal.peek(settings.journal)))
                journal.count()
            # The owner may not be able to read what a client needs, such as a virtual environment in the state folder.
            bucket = make_bucket()
            bucket.store.connect()
            become_owner(folders.dest, settings.dest)
            # Afterwards, since the kernel forgets it when a process changes its user.
            tie_to(parent_id)
            os.umask(0)
            stack.callback(bucket.store.close)
            fetch = Fetch(settings, bucket, folders.dest, folders.set_aside, journal, parent.send)
            parent.send(fetch.run())
    except EOFError:
        return  # the parent could not begin
    except Exception as error:  # noqa: BLE001 - the parent raises it
        parent.send(error)


@contextmanager
def readable_copy(path: Optional[str]) -> Iterator[Optional[str]]:
    """Copy a file that is no secret, so that the owner of `dest` can read it, and remove the copy after the block."""
    if path is None:
        yield None
        return
    with tempfile.NamedTemporaryFile(prefix="mastodon_s3-") as copy:
        with open(path, "rb") as file:
            shutil.copyfileobj(file, copy)
        copy.flush()
        os.fchmod(copy.fileno(), 0o444)
        yield copy.name


@contextmanager
def _opened(settings: FetchSettings, name: str) -> Iterator[_Opened]:
    with open_folder(settings.dest) as folder:
        real = f"{os.path.realpath(settings.set_aside_dir)}/"
        if real.startswith(f"{folder.path.rstrip('/')}/"):
            raise FetchError(
                f"set_aside_dir: {settings.set_aside_dir} is below dest, where visitors may read it. Choose"
                " another folder"
            )
        dest = os.open(".", _READABLE, dir_fd=folder.descriptor)
        try:
            if settings.check_mode:
                yield _Opened(dest, dest, settings.set_aside_dir)
                return
            set_aside, path = _set_aside_folder(settings, name, dest)
            try:
                _lock(set_aside, settings.dest)
                yield _Opened(dest, set_aside, path)
            finally:
                os.close(set_aside)
        finally:
            os.close(dest)


def _set_aside_folder(settings: FetchSettings, name: str, dest: int) -> tuple[int, str]:
    """Return a folder that belongs to the owner of `dest`, inside of one that only the calling user can enter.

    It has to be on the file system of `dest`, since files are moved there. If not, a folder in `dest` is used.
    """
    like = os.fstat(dest)
    path = settings.set_aside_dir
    with open_folder(path, private=True, create=True) as folder:
        if settings.journal is None or _is_one_file_system(folder.descriptor, dest):
            return _folder_of_owner(folder.descriptor, name, path, like), os.path.join(path, name)
    path = os.path.join(settings.dest, _IN_DEST)
    with suppress(FileExistsError):
        os.mkdir(_IN_DEST, 0o700, dir_fd=dest)
    inner = os.open(_IN_DEST, _READABLE, dir_fd=dest)
    try:
        status = os.fstat(inner)
        if status.st_uid != os.geteuid() or status.st_mode & 0o077:
            raise FetchError(
                f"{path} has to belong to the user id {os.geteuid()} and to have mode 0700. Find out who made it, and"
                " rename it, or set set_aside_dir to a folder on the file system of dest"
            )
        return _folder_of_owner(inner, name, path, like), os.path.join(path, name)
    finally:
        os.close(inner)


def _is_one_file_system(one: int, other: int) -> bool:
    return os.fstat(one).st_dev == os.fstat(other).st_dev


def _folder_of_owner(parent: int, name: str, path: str, like: os.stat_result) -> int:
    try:
        os.mkdir(name, 0o700, dir_fd=parent)
    except FileExistsError:
        pass
    except OSError as error:
        raise FetchError(f"set_aside_dir: {path} can't be written ({error.strerror})") from error
    descriptor = os.open(name, _READABLE, dir_fd=parent)
    if os.geteuid() == 0:
        os.fchown(descriptor, like.st_uid, like.st_gid)
    return descriptor


def _lock(folder: int, dest: str) -> None:
    """Wait for another run, such as one that goes on after its connection broke."""
    try:
        wait_for_lock(folder, _LOCK_SECONDS)
    except TimeoutError as error:
        raise FetchError(f"another run of s3_fetch still works on {dest}. Wait until it has ended") from error
