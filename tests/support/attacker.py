"""Simulates a hostile user: a process that replaces files in its folder while root works there.

`Attacker` starts it. `Arena` creates the user's folder and root's files, and checks afterwards whether the attack
succeeded. It needs root.
"""

from __future__ import annotations

import ctypes
import json
import os
import random
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import typing as t
from contextlib import suppress
from pathlib import Path

UID = 4242
SECRET = b"TOP-SECRET-OF-ROOT\n"
# What the attacker does: swap new files as soon as they appear; swap the file itself; swap the folder that it is in;
# put a file of root's, which happens to lie in the attacker's folder, in its place.
KINDS = ("temporary", "target", "folder", "moved_in")

_IN_CREATE_OR_MOVED_TO = 0x100 | 0x80
_IN_NONBLOCK = 0o4000


@t.final
class Arena:
    """A folder of the attacker's with one file in it, and root's own folder; a context manager that removes them.

    Attributes:
        home: A folder of the attacker's.
        folder: Another one in it, in which `moved_in` lies, a file of root's that nobody else can read.
        file: A file of the attacker's in it.
        state: A folder of root's that nobody else can enter.
        victims: Files of root's that nobody else can read. One has the same name as `file`, in a folder of root's.
    """

    def __init__(self, name: str = ".env.production", content: bytes = b"A=1\n", mode: int = 0o600) -> None:
        self.root = Path(tempfile.mkdtemp(prefix="attack-"))
        self.root.chmod(0o755)
        self.content = content
        self.home = self.root / "home"
        self.folder = self.home / "live"
        self.file = self.folder / name
        self.state = self.root / "state"
        self.vault = self.root / "vault"
        for folder, folder_mode in ((self.home, 0o755), (self.folder, 0o755), (self.state, 0o700), (self.vault, 0o755)):
            folder.mkdir()
            folder.chmod(folder_mode)
        self.file.write_bytes(content)
        self.file.chmod(mode)
        self.victims = [self.vault / "shadow", self.vault / name]
        for victim in [*self.victims, self.folder / "moved_in"]:
            victim.write_bytes(SECRET)
            victim.chmod(0o600)
        for path in (self.home, self.folder, self.file):
            os.chown(path, UID, UID)

    def __enter__(self) -> Arena:
        return self

    def __exit__(self, *_error: object) -> None:
        shutil.rmtree(self.root)

    def harm(self) -> list[str]:
        """Return the damage: changes to root's files, and root's secret in files that the attacker can read."""
        found = []
        for victim in self.victims:
            status = victim.lstat()
            if (status.st_uid, stat.S_IMODE(status.st_mode)) != (0, 0o600) or not stat.S_ISREG(status.st_mode):
                found.append(f"{victim} has owner {status.st_uid} and mode {stat.S_IMODE(status.st_mode):o}")
            if victim.read_bytes() != SECRET:
                found.append(f"{victim} was written to")
        found += [f"{path} was made" for path in self.vault.iterdir() if path not in self.victims]
        # The attacker may still be at work, so a folder can be gone (os.walk then leaves it out, unlike rglob), and a
        # file can be gone or a FIFO.
        for path in (Path(folder, name) for folder, _folders, names in os.walk(self.root) for name in names):
            with suppress(OSError):
                status, data = _read(path)
                readable = UID in (status.st_uid, status.st_gid) or status.st_mode & 0o004
                if SECRET.strip() in data and (readable or self.state in path.parents):
                    found.append(f"{path} holds root's secret")
        return found


def _read(path: Path) -> tuple[os.stat_result, bytes]:
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    try:
        status = os.fstat(descriptor)
        return status, os.read(descriptor, 1 << 20) if stat.S_ISREG(status.st_mode) else b""
    finally:
        os.close(descriptor)


@t.final
class Attacker:
    """The process, during a `with` block. Afterwards, `swaps` is the number of replacements."""

    def __init__(self, arena: Arena, *kinds: str) -> None:
        settings = {
            "home": str(arena.home),
            "folder": arena.folder.name,
            "name": arena.file.name,
            "victims": [str(victim) for victim in arena.victims],
            "vault": str(arena.vault),
            "kinds": kinds or KINDS,
        }
        self._command = [sys.executable, __file__, json.dumps(settings)]
        self.swaps = 0

    def __enter__(self) -> Attacker:
        self._process = subprocess.Popen(self._command, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout
        assert self._process.stdout.readline() == "ready\n"
        return self

    def __exit__(self, *_error: object) -> None:
        self._process.send_signal(signal.SIGTERM)
        told, _nothing = self._process.communicate(timeout=30)
        self.swaps = int(told)


class _Hostile:
    def __init__(self, settings: dict[str, t.Any]) -> None:
        self._folder = settings["folder"]
        self._name = settings["name"]
        self._victims = settings["victims"]
        self._vault = settings["vault"]
        self._running = True
        self.swaps = 0
        self._acts = [getattr(self, f"_{kind}") for kind in settings["kinds"]]
        self._directory = os.open(self._folder, os.O_RDONLY)
        libc = ctypes.CDLL(None, use_errno=True)
        self._events = libc.inotify_init1(_IN_NONBLOCK)
        libc.inotify_add_watch(self._events, self._folder.encode(), _IN_CREATE_OR_MOVED_TO)

    def run(self) -> None:
        signal.signal(signal.SIGTERM, lambda _number, _frame: setattr(self, "_running", False))
        print("ready", flush=True)
        while self._running:
            for act in self._acts:
                with suppress(OSError):
                    act()
        print(self.swaps)

    def _spin(self) -> None:
        for _turn in range(random.choice((10, 200, 2000, 50000))):
            pass

    def _temporary(self) -> None:
        data = os.read(self._events, 4096)
        while data:
            size = int.from_bytes(data[12:16], sys.byteorder)
            name = data[16 : 16 + size].rstrip(b"\0").decode()
            data = data[16 + size :]
            if name not in (self._name, "moved_in") and not name.startswith("mine-"):
                self._swap(name)

    def _swap(self, name: str) -> None:
        at = self._directory
        if not stat.S_ISREG(os.stat(name, dir_fd=at, follow_symlinks=False).st_mode):
            # The trap itself.
            return
        os.rename(name, f"mine-{name}", src_dir_fd=at, dst_dir_fd=at)
        self._trap(name)
        self.swaps += 1

    def _trap(self, name: str) -> None:
        """Replace a file: usually with a symlink to a file of root, sometimes with a hard link or a FIFO."""
        at = self._directory
        kind = random.choice(("symlink", "symlink", "symlink", "link", "fifo"))
        victim = random.choice(self._victims)
        if kind == "link":
            try:
                os.link(victim, name, dst_dir_fd=at)
                return
            except OSError:
                # The kernel protects files of others (fs.protected_hardlinks).
                pass
        if kind == "fifo":
            os.mkfifo(name, 0o666, dir_fd=at)
        else:
            os.symlink(victim, name, dir_fd=at)

    def _target(self) -> None:
        at = self._directory
        os.rename(self._name, "mine-target", src_dir_fd=at, dst_dir_fd=at)
        try:
            self._trap(self._name)
            self.swaps += 1
            self._spin()
        finally:
            # Whatever is there by now, the old one gets its place again.
            os.rename("mine-target", self._name, src_dir_fd=at, dst_dir_fd=at)
        self._spin()

    def _moved_in(self) -> None:
        at = self._directory
        os.rename(self._name, "mine-target", src_dir_fd=at, dst_dir_fd=at)
        try:
            os.rename("moved_in", self._name, src_dir_fd=at, dst_dir_fd=at)
            self.swaps += 1
            self._spin()
            os.rename(self._name, "moved_in", src_dir_fd=at, dst_dir_fd=at)
        finally:
            os.rename("mine-target", self._name, src_dir_fd=at, dst_dir_fd=at)
        self._spin()

    def _folder_swap(self) -> None:
        os.rename(self._folder, "aside")
        try:
            os.symlink(self._vault, self._folder)
            self.swaps += 1
            self._spin()
            os.unlink(self._folder)
        finally:
            os.rename("aside", self._folder)
        self._spin()


def main() -> None:
    """Become the user, and attack until stdin ends."""
    settings = json.loads(sys.argv[1])
    settings["kinds"] = ["folder_swap" if kind == "folder" else kind for kind in settings["kinds"]]
    os.chdir(settings["home"])
    os.setgroups([])
    os.setgid(UID)
    os.setuid(UID)
    _Hostile(settings).run()


if __name__ == "__main__":
    main()
