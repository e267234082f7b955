"""A tree on a real file system, random changes to it, a bucket in memory, and a comparison of both."""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import stat

from fake_s3 import FakeS3

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.engine import sync
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.options import (
    settings_from,
    sync_argument_spec,
)
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._sync.store.store import Store

FOLDERS = ("accounts", "cache", "media_attachments")


class FeedWorld:
    """The tree `src`, a folder beside it on the same file system, and runs of the engine."""

    def __init__(self, disk, state_dir):
        self.src, self.outside, self.state_dir = disk / "tree", disk / "outside", state_dir
        self.src.mkdir()
        self.outside.mkdir()
        for name in FOLDERS:
            (self.src / name).mkdir()
        (self.src / "accounts" / "always").write_bytes(b"there")
        self.s3 = FakeS3()
        self.s3.page = 1000

    def settings(self, *, check=False, **changes):
        defaults = {name: option.get("default") for name, option in sync_argument_spec().items()}
        own = {
            "src": str(self.src),
            "bucket": "media",
            "state_dir": str(self.state_dir),
            "minimum_age": 0,
            "delete": "own",
            "max_delete_percent": 100,
            "max_private_percent": 100,
        }
        return settings_from({**defaults, **own, **changes}, check_mode=check)

    def sync(self, **changes):
        """Run the engine; return its report as a dict."""
        settings = self.settings(**changes)
        report = sync(settings, Store(lambda: self.s3, "media", settings.prefix, acl=True))
        return {**report.as_dict(), "error": report.error}

    def done(self, **changes):
        """Run the engine, expect success, and return where its entries came from."""
        result = self.sync(**changes)
        assert result["error"] is None, result["error"]
        assert result["complete"]
        return result["entries"]["from"]

    def expected(self):
        """What has to be in the bucket: content and ACL of each object."""
        found = {}
        for folder in FOLDERS:
            for path, _folders, names in os.walk(os.fsencode(self.src / folder)):
                for name in names:
                    full = os.path.join(path, name)
                    status = os.lstat(full)
                    key = os.path.relpath(full, os.fsencode(self.src))
                    if stat.S_ISREG(status.st_mode):
                        with contextlib.suppress(UnicodeDecodeError), open(full, "rb") as file:
                            acl = "public-read" if status.st_mode & 0o044 else "private"
                            found[key.decode()] = (file.read(), acl)
        return found

    def bucket(self):
        """What is in the bucket."""
        return {key: (stored.body, stored.acl) for key, stored in self.s3.objects.items()}


class Changes:
    """Random changes to a world. Those that fail because of an earlier one do nothing."""

    def __init__(self, world, seed):
        self._world = world
        self._random = random.Random(seed)
        self._number = 0
        self.links = False

    def make(self, count):
        for _each in range(count):
            with contextlib.suppress(
                FileNotFoundError, FileExistsError, NotADirectoryError, IsADirectoryError, OSError
            ):
                self._make_one()

    def fill_empty_folders(self):
        """Add a file to empty folders, which the engine may take for mount points without their disks."""
        for path in self._folders(self._world.src):
            if not os.listdir(path):
                with open(os.path.join(path, "filled"), "wb") as file:
                    file.write(self._bytes())

    def _make_one(self):
        kinds = [
            *[self._create] * 6,
            *[self._overwrite] * 3,
            *[self._chmod] * 2,
            *[self._rename] * 3,
            *[self._in_and_out] * 2,
            self._append,
            self._truncate,
            self._unlink,
            self._touch,
            self._mkdir,
            self._rename_folder,
            self._folder_in_and_out,
            self._rmtree,
            self._replace_folder_by_file,
            self._replace_file_by_folder,
            self._bad_name,
            self._swap,
        ]
        if self.links:
            kinds.append(self._link)
        self._random.choice(kinds)()

    def _bytes(self):
        self._number += 1
        return b"%08d" % self._number

    def _folders(self, top):
        return [path for path, _folders, _names in os.walk(top)][1 if top == self._world.src else 0 :]

    def _folder(self, top=None):
        return self._random.choice(self._folders(top or self._world.src))

    def _file(self, top=None):
        found = [
            os.path.join(path, name)
            for path, _folders, names in os.walk(top or self._world.src)
            for name in names
            if name != "always"
        ]
        if not found:
            raise FileNotFoundError
        return self._random.choice(found)

    def _name(self):
        return self._random.choice(["a", "b", "c", "d-e", "ü", "f.png", f"n{self._number}"])

    def _new(self, top=None):
        return os.path.join(self._folder(top), self._name())

    def _create(self):
        with open(self._new(), "wb") as file:
            file.write(self._bytes())

    def _overwrite(self):
        # With the size and the times that it had: as if the clock had been set back.
        path = self._file()
        before = os.stat(path)
        with open(path, "r+b") as file:
            file.write(self._bytes())
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))

    def _append(self):
        with open(self._file(), "ab") as file:
            file.write(b"+")

    def _truncate(self):
        os.truncate(self._file(), 4)

    def _chmod(self):
        os.chmod(self._file(), self._random.choice([0o600, 0o644]))

    def _touch(self):
        os.utime(self._file(), (1, 1))

    def _unlink(self):
        os.unlink(self._file())

    def _rename(self):
        os.rename(self._file(), self._new())

    def _in_and_out(self):
        if self._random.random() < 0.5:
            os.rename(self._file(), self._new(self._world.outside))
            return
        path = self._new(self._world.outside)
        with open(path, "wb") as file:
            file.write(self._bytes())
        os.rename(path, self._new())

    def _mkdir(self):
        os.makedirs(os.path.join(self._new(), self._name()))

    def _below(self):
        folder = self._folder()
        if os.path.dirname(folder) == str(self._world.src):
            raise FileNotFoundError
        return folder

    def _rename_folder(self):
        os.rename(self._below(), self._new())

    def _folder_in_and_out(self):
        if self._random.random() < 0.5:
            os.rename(self._below(), self._new(self._world.outside))
            return
        folder = self._random.choice(self._folders(self._world.outside)[1:] or [None])
        if folder is None:
            folder = self._new(self._world.outside)
            os.mkdir(folder)
        with open(os.path.join(folder, self._name()), "wb") as file:
            file.write(self._bytes())
        target = self._new()
        os.rename(folder, target)
        with open(os.path.join(target, self._name()), "wb") as file:
            file.write(self._bytes())

    def _rmtree(self):
        shutil.rmtree(self._below(), ignore_errors=True)

    def _replace_folder_by_file(self):
        folder = self._below()
        shutil.rmtree(folder, ignore_errors=True)
        with open(folder, "wb") as file:
            file.write(self._bytes())

    def _replace_file_by_folder(self):
        path = self._file()
        os.unlink(path)
        os.mkdir(path)
        with open(os.path.join(path, self._name()), "wb") as file:
            file.write(self._bytes())

    def _swap(self):
        # A folder goes, and another one comes in its place.
        folder, other = self._below(), self._below()
        os.rename(folder, self._world.outside / "swap")
        os.rename(other, folder)
        os.rename(self._world.outside / "swap", other)

    def _bad_name(self):
        with open(os.path.join(os.fsencode(self._folder()), b"bad\xff"), "wb") as file:
            file.write(self._bytes())

    def remove_links(self):
        """Leave one name to each file, inside and outside of the tree."""
        for top in (self._world.src, self._world.outside):
            for path, _folders, names in os.walk(top):
                for name in names:
                    if os.lstat(os.path.join(path, name)).st_nlink > 1:
                        os.unlink(os.path.join(path, name))

    def _link(self):
        os.link(self._file(), self._new())
