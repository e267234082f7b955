# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Follows a path part by part on open descriptors, so that no user can lead root to where that user could not go.

The rule for symlinks: a link is followed if its owner also owns its target, or if root (or the calling user) owns the
link and only root and the calling user can write to its folder. Link, folder and target are checked through their
descriptors, so what is checked is what is used.
"""

from __future__ import annotations

import errno
import os
import stat
from collections import deque
from types import TracebackType
from typing import Union, final

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._files.errors import (
    ChangedError,
    FileError,
    MissingError,
    NotRegularError,
    UnsafePathError,
    refused,
)
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._files.folder import (
    Folder,
    Step,
    only_trusted_write,
    trusted,
)
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._files.regular import RegularFile, same_file

_MOST_LINKS = 40  # as the kernel: linux/namei.h, MAXSYMLINKS
_FOLDER = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_ANYTHING = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC
_OPEN_ATTEMPTS = 10


class _LinkEnd:
    """Marks the end of a link's parts in the list, to check where it has led."""

    def __init__(self, path: str, owner: int) -> None:
        self.path = path
        self.owner = owner

    def check(self, path: str, status: os.stat_result) -> None:
        if status.st_uid != self.owner:
            raise UnsafePathError(
                f"{self.path} is a symlink of the user id {self.owner} to {path}, which belongs to the user id "
                f"{status.st_uid}, so it may be a trap; use {path} itself, or give both the same owner (chown -h)"
            )


_Part = Union[str, _LinkEnd]


@final
class Place:
    """The location of a file that may or may not exist: an open folder, and a name in it that is not a symlink.

    Attributes:
        folder: The folder, with symlinks resolved. It is closed together with the place.
        name: The file's name there.
        status: What is there, of any kind; None if there is nothing.
    """

    def __init__(self, folder: Folder, name: str, status: os.stat_result | None) -> None:
        self.folder = folder
        self.name = name
        self.status = status

    @property
    def path(self) -> str:
        """The file's real path, for messages."""
        return self.folder.join(self.name)

    def __enter__(self) -> Place:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.folder.close()

    def refresh(self) -> None:
        """Check again what is there, for example after waiting for a lock. A new symlink is not followed.

        Raises:
            FileError: The system refuses.
        """
        self.status = self.folder.status_of(self.name)

    def open(self) -> RegularFile:
        """Open the file that was found here.

        Raises:
            ChangedError: It has been replaced.
            FileError: It is not a regular file with one name, or can't be read.
        """
        if self.status is None:
            raise MissingError(f"{self.path} does not exist; check the path")
        file = RegularFile(self.folder, self.name)
        if not same_file(file.status, self.status):
            file.close()
            raise ChangedError(f"{self.path} was replaced by another program in the meantime; run it again")
        return file


def open_folder(path: str, *, private: bool = False, create: bool = False) -> Folder:
    """Open a folder.

    Args:
        path: The folder; a relative path starts at the current folder.
        private: Refuse it if users other than root and the caller could change or replace it, or any folder on its
            path. This is needed if what is found later must be what was put there, as for state.
        create: Create missing parts of the path, with mode 0700.

    Raises:
        MissingError: The folder, or a part of its path, does not exist.
        UnsafePathError: A symlink on the path is unsafe, or see `private`.
        FileError: It is not a folder, or can't be opened.
    """
    walk = _Walk(path, create=create)
    try:
        walk.go(None)
        folder = walk.folder()
    except BaseException:
        walk.close()
        raise
    if private:
        try:
            folder.check_private()
        except BaseException:
            folder.close()
            raise
    return folder


def locate(path: str) -> Place:
    """Find the location of the file at `path`, following safe symlinks. The file may be missing.

    Raises:
        MissingError: Its folder does not exist.
        UnsafePathError: A symlink on the path is unsafe or broken.
        NotRegularError: The path is that of a folder.
        FileError: A part of it can't be opened.
    """
    walk = _Walk(path)
    try:
        found = walk.go(path)
        if found is None:
            raise NotRegularError(f"{path} is a folder, not a regular file; name the file itself")
        return Place(walk.folder(), *found)
    except BaseException:
        walk.close()
        raise


def read_file(path: str, limit: int) -> tuple[bytes, os.stat_result]:
    """Return the content of a regular file, and its status. It is not an error if it is replaced while it is opened.

    Args:
        path: The file.
        limit: Maximum number of bytes.

    Raises:
        MissingError: There is none.
        UnsafePathError: A symlink on the path is unsafe.
        NotRegularError: It is not a regular file, or has several names.
        TooLargeError: It is longer than `limit` bytes.
        FileError: It can't be read.
    """
    attempt = 1
    while True:
        try:
            with locate(path) as place, place.open() as file:
                return file.read(limit), file.status
        except ChangedError:
            if attempt == _OPEN_ATTEMPTS:
                raise
            attempt += 1


class _Walk:
    """The state of the walk: the open folder, and the folders above it."""

    def __init__(self, path: str, *, create: bool = False) -> None:
        if not path:
            raise FileError("the path is empty; name a file or folder")
        try:
            if b"\0" in os.fsencode(path):
                raise FileError(f"{path!r} is not a valid path, since it contains a NUL byte")
            start = "/" if path.startswith("/") else os.getcwd()
        except UnicodeEncodeError:
            raise FileError(f"{path!r} is not a valid path, since file names can't contain such characters") from None
        except OSError as error:
            raise refused("the current folder", "can't be found", error) from error
        self._create = create
        self._links = 0
        self._above: list[tuple[str, os.stat_result]] = []
        self._steps: list[Step] = []
        self._parts: deque[_Part] = deque(_parts(os.path.join(start, path)))
        self._current = os.open("/", _FOLDER)
        self._arrived("/")

    def close(self) -> None:
        os.close(self._current)

    def folder(self) -> Folder:
        return Folder(self._current, self._path(), tuple(self._steps))

    def go(self, file: str | None) -> tuple[str, os.stat_result | None] | None:
        """Follow the path to its end.

        Args:
            file: The path as given, if it is that of a file, so that its folder is the end; None for a folder.

        Returns:
            The file's name and status (None: nothing), or None if the path ends at a folder.
        """
        while self._parts:
            part = self._parts.popleft()
            if isinstance(part, _LinkEnd):
                part.check(self._path(), self._status)
            elif part == "..":
                self._up()
            elif part == ".":
                continue
            elif file is not None and not any(isinstance(rest, str) for rest in self._parts):
                status = self._last(part)
                if status is None or not stat.S_ISLNK(status.st_mode):
                    return part, status
            else:
                self._down(part)
        return None

    def _down(self, name: str) -> None:
        # O_DIRECTORY, as only that has an automount mounted.
        try:
            below = os.open(name, _FOLDER, dir_fd=self._current)
        except FileNotFoundError:
            self._make(name)
            return
        except OSError as error:
            if error.errno not in (errno.ENOTDIR, errno.ELOOP):
                raise refused(self._path(name), "can't be opened", error) from error
            status = self._last(name)
            if status is None or not stat.S_ISLNK(status.st_mode):
                raise refused(self._path(name), "can't be opened", error) from error
            return
        self._enter(below, name)

    def _make(self, name: str) -> None:
        path = self._path(name)
        if not self._create:
            raise MissingError(f"{path} does not exist; check the path")
        if any(isinstance(rest, _LinkEnd) for rest in self._parts):
            raise UnsafePathError(f"{path} does not exist, but a symlink leads there; make it, or remove the link")
        try:
            os.mkdir(name, 0o700, dir_fd=self._current)
            below = os.open(name, _FOLDER, dir_fd=self._current)
        except FileExistsError:
            self._down(name)
            return
        except OSError as error:
            raise refused(path, "can't be created", error) from error
        self._enter(below, name)

    def _enter(self, below: int, name: str) -> None:
        self._above.append((name, self._status))
        os.close(self._current)
        self._current = below
        self._arrived(self._path())

    def _up(self) -> None:
        """Go to the folder from which the walk came, which may differ from where `..` leads by now."""
        if not self._above:
            return
        _name, expected = self._above[-1]
        try:
            above = os.open("..", _FOLDER, dir_fd=self._current)
        except OSError as error:
            raise refused(self._path(".."), "can't be opened", error) from error
        os.close(self._current)
        self._current = above
        if not same_file(os.fstat(above), expected):
            raise ChangedError(f"{self._path()} was moved by another program in the meantime; run it again")
        self._above.pop()
        self._arrived(self._path())

    def _arrived(self, path: str) -> None:
        self._status = os.fstat(self._current)
        self._steps.append(Step(path, self._status))

    def _last(self, name: str) -> os.stat_result | None:
        """Return the status of `name` in the folder; if it is a link, put its parts in front of the rest."""
        path = self._path(name)
        ends = [rest for rest in self._parts if isinstance(rest, _LinkEnd)]
        try:
            found = os.open(name, _ANYTHING, dir_fd=self._current)
        except FileNotFoundError:
            if ends:
                raise UnsafePathError(
                    f"{ends[0].path} is a symlink to {path}, which does not exist; make it, or remove the link"
                ) from None
            return None
        except OSError as error:
            raise refused(path, "can't be opened", error) from error
        try:
            status = os.fstat(found)
            if stat.S_ISLNK(status.st_mode):
                self._follow(path, status, os.readlink("", dir_fd=found))
                return status
        except OSError as error:
            raise refused(path, "can't be followed", error) from error
        finally:
            os.close(found)
        if not any(isinstance(rest, str) for rest in self._parts):
            for end in ends:
                end.check(path, status)
        return status

    def _follow(self, path: str, link: os.stat_result, target: str) -> None:
        self._links += 1
        if self._links > _MOST_LINKS:
            raise UnsafePathError(
                f"{path} leads through more than {_MOST_LINKS} symlinks; name the file or folder itself"
            )
        if not (link.st_uid in trusted() and only_trusted_write(self._status)):
            self._parts.appendleft(_LinkEnd(path, link.st_uid))
        self._parts.extendleft(reversed(_parts(target)))
        if target.startswith("/"):
            root = os.open("/", _FOLDER)
            os.close(self._current)
            self._current = root
            self._above.clear()
            self._arrived("/")

    def _path(self, name: str = "") -> str:
        return os.path.join("/", *(above for above, _status in self._above), name).rstrip("/") or "/"


def _parts(path: str) -> list[str]:
    parts = [part for part in path.split("/") if part not in ("", ".")]
    # A path that ends like this is a folder's.
    return [*parts, "."] if path.endswith(("/", "/.")) and parts else parts
