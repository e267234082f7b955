"""The instance and the store of the benchmark of the switch: one of molecule's hosts, with a tree of media."""

from __future__ import annotations

import contextlib
import hashlib
import json
import multiprocessing
import os
import shutil
import subprocess
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, final

import environments
import trees
import yaml
from demo import playbook
from measure import BenchmarkError
from stores import lifecycle
from stores.model import StoreServer

HOME = environments.CACHE / "window"
# The folder that molecule's tasks use for this scenario: keys, certificates, the store.
_SCENARIO = environments.CACHE / "molecule" / HOME.name
_MOLECULE = environments.ROOT / "molecule"
HERE = Path(__file__).resolve().parent
_HOST = "trixie"
_MEDIA_ROOT = "/home/mastodon/live/public/system"
_UNITS_SIDEKIQ = "mastodon-sidekiq", "mastodon-jobs-scheduler"


@final
@dataclass(frozen=True)
class Place:
    """Where the tree is, and what is in it.

    Attributes:
        files: Number of files of the tree.
        file_system: Type of the file system: tmpfs, ext4 or xfs.
        directory: Folder for the file with the file system, unless that is in memory.
    """

    files: int
    file_system: str
    directory: str

    @property
    def media(self) -> Path:
        """Where the file system is mounted on this machine."""
        return HOME / "media"

    @property
    def image(self) -> Path:
        """The file with the file system."""
        return Path(self.directory) / f"media.{self.file_system}"


@final
class Server:
    """The running instance and its store."""

    def __init__(self) -> None:
        # Another name and network than molecule's own hosts of this checkout have.
        self._id = hashlib.sha256(str(HOME).encode()).hexdigest()[:6]
        self.container_name = f"mastodon-s3-{self._id}-{_HOST}"
        self.address = f"10.213.{int(self._id[:2], 16)}.13"
        self.domain = f"{_HOST}.example"
        self.bucket = f"mastodon-{_HOST}"
        self.units_sidekiq = _UNITS_SIDEKIQ
        self.log = HOME / "ansible.log"
        # For molecule's variables.
        os.environ |= {"MOLECULE_PROJECT_DIRECTORY": str(environments.ROOT), "MOLECULE_SCENARIO_NAME": HOME.name}

    @property
    def store(self) -> StoreServer:
        """The running store."""
        store = lifecycle.load(_SCENARIO / "store")
        if store is None:
            raise BenchmarkError("the store does not run")
        return store

    @property
    def container(self) -> str:
        """ID of the container."""
        return self._engine("container", "inspect", "--format", "{{.Id}}", self.container_name).strip()

    def read(self, path: str) -> bytes:
        """Return the content of a file on the host, as root."""
        return self._engine("exec", self.container_name, "cat", path).encode()

    def play(self, name: str, folder: Path = environments.ROOT / "playbooks") -> playbook.Run:
        """Run a playbook.

        Raises:
            BenchmarkError: It failed.
        """
        with (HOME / "progress").open("a", encoding="utf-8") as stream, contextlib.redirect_stdout(stream):
            run = playbook.run(name, HOME / "inventory" / "hosts.yml", HOME, folder)
        if run.status:
            raise BenchmarkError(f"{name}.yml failed with status {run.status}; see {run.log}")
        return run

    def start(self, place: Place, boot_seconds: float) -> None:
        """Start instance and store for a tree; what a run with --keep has left is used again.

        Args:
            place: Where the tree is.
            boot_seconds: How long web needs to boot.

        Raises:
            BenchmarkError: Another tree was kept, or something can't be started.
        """
        HOME.mkdir(parents=True, exist_ok=True)
        kept = HOME / "place.json"
        if kept.exists() and json.loads(kept.read_text(encoding="utf-8")) != asdict(place):
            raise BenchmarkError(f"{HOME} has another tree, see {kept}. Remove it with ARGS=--remove")
        kept.write_text(json.dumps(asdict(place)), encoding="utf-8")
        self.write_inventory(place, boot_seconds)
        _mount(place)
        self.play("create", HERE / "window_host")

    def build_tree(self, place: Place, mean_bytes: int) -> None:
        """Create the tree below the media root, as the account that owns the media, unless it is there."""
        mark = HOME / "built"
        if mark.exists():
            return
        user = int(self._engine("exec", self.container_name, "id", "-u", "mastodon"))
        child = multiprocessing.get_context("fork").Process(
            target=_build_as, args=(user, place.media, place.files, mean_bytes)
        )
        child.start()
        child.join()
        if child.exitcode:
            raise BenchmarkError(f"the tree in {place.media} could not be built")
        mark.touch()

    def remove(self) -> None:
        """Remove everything."""
        if not HOME.exists():
            return
        self.play("destroy", _MOLECULE / "default")
        kept = HOME / "place.json"
        if kept.exists():
            place = Place(**json.loads(kept.read_text(encoding="utf-8")))
            if os.path.ismount(place.media):
                subprocess.run(["umount", str(place.media)], check=True)
            place.image.unlink(missing_ok=True)
        shutil.rmtree(HOME)

    def _engine(self, *words: str) -> str:
        engine = os.environ.get("MASTODON_S3_TEST_ENGINE") or ("podman" if shutil.which("podman") else "docker")
        done = subprocess.run([engine, *words], capture_output=True, text=True, check=False)
        if done.returncode:
            raise BenchmarkError(f"{engine} {words[0]}: {done.stderr.strip()}")
        return done.stdout

    def write_inventory(self, place: Place, boot_seconds: float) -> None:
        """Write an inventory with one of molecule's hosts and its variables."""
        folder = HOME / "inventory"
        folder.mkdir(exist_ok=True)
        variables = folder / "group_vars"
        if not variables.is_symlink():
            variables.symlink_to(_MOLECULE / "shared" / "group_vars")
        listed: Any = yaml.safe_load((_MOLECULE / "shared" / "inventory.yml").read_text(encoding="utf-8"))
        host = listed["mastodon"]["hosts"][_HOST] | {
            "host_options": ["--volume", f"{place.media}:{_MEDIA_ROOT}"],
            "boot_seconds": boot_seconds,
            "test_id": self._id,
        }
        local = {
            "ansible_connection": "local",
            "ansible_python_interpreter": "{{ ansible_playbook_python }}",
            "test_id": self._id,
        }
        inventory = {"mastodon": {"hosts": {_HOST: host}}, "ungrouped": {"hosts": {"localhost": local}}}
        (folder / "hosts.yml").write_text(yaml.safe_dump(inventory), encoding="utf-8")
        # The log has the time of each line.
        (HOME / "ansible.cfg").write_text(f"[defaults]\nlog_path = {self.log}\n", encoding="utf-8")


def _mount(place: Place) -> None:
    """Mount the file system for the media, which is created at first."""
    place.media.mkdir(exist_ok=True)
    if os.path.ismount(place.media):
        return
    if place.file_system == "tmpfs":
        words = ["-o", "mode=0755,nr_inodes=0,size=90%", "tmpfs"]
    else:
        place.image.parent.mkdir(parents=True, exist_ok=True)
        with place.image.open("wb") as file:
            file.truncate(place.files * 32 * 1024 + 2**30)
        options = {"ext4": ["-q", "-F", "-i", "4096", "-m", "0"], "xfs": ["-q"]}[place.file_system]
        subprocess.run([f"mkfs.{place.file_system}", *options, str(place.image)], check=True)
        words = ["-o", "loop", str(place.image)]
    subprocess.run(["mount", "-t", place.file_system, *words, str(place.media)], check=True)


def _build_as(user: int, root: Path, files: int, mean_bytes: int) -> None:
    os.chown(root, user, user)
    os.setgroups([])
    os.setgid(user)
    os.setuid(user)
    trees.build(root, files, mean_bytes)
