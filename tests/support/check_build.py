"""Builds the archive, compares it with the expected content, imports it as Galaxy does, installs and uses it.

The archive is installed without a network, into a collections path that contains only amazon.aws. Then everything
except meta/, plugins/, roles/ and playbooks/ is removed, and it must still work, as Ansible's inclusion rules require.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import environments
import workspace

ROOT = environments.ROOT
CACHE = environments.CACHE
WORK = CACHE / "build"
CORES = ("core-2.19", "core-2.21")
IMPORTER = "galaxy-importer"
MEANT = re.compile(
    r"""
    (MANIFEST|FILES)\.json | README\.md | LICENSE | CODE_OF_CONDUCT\.md | CHANGELOG\.md | requirements\.txt
    | meta/(runtime\.yml|execution-environment\.yml|ee-requirements\.txt)
    | changelogs/(config\.yaml|changelog\.yaml)
    | docs/docsite/[a-z-]+\.yml | docs/docsite/rst/[a-z_]+\.rst
    | plugins/(action|doc_fragments|filter|lookup|modules|module_utils|plugin_utils)/([a-z0-9_]+/)*[a-z0-9_]+\.py
    | playbooks/[a-z_]+\.yml | playbooks/[a-z_]+\.meta\.yml
    | roles/[a-z0-9_]+/(README\.md | (defaults|handlers|meta|tasks|vars)/([a-z0-9_]+/)*[a-z0-9_]+\.yml
      | (files|templates)/[A-Za-z0-9_.-]+)
    | tests/config\.yml
    """,
    re.VERBOSE,
)
KEPT = ("meta", "plugins", "roles", "playbooks")
EXPECTED = (
    "plugins/modules/env_file.py",
    "playbooks/migrate.yml",
    "roles/mastodon_s3/tasks/main.yml",
    "meta/runtime.yml",
)


class CheckError(Exception):
    """The archive is wrong. The text says why."""


def run(core: str, *words: str, path: Path) -> str:
    """Run a command of this ansible-core outside the checkout, with only this collections path.

    Raises:
        CheckError: It failed.
    """
    environment = {
        **{key: value for key, value in os.environ.items() if not key.startswith(("ANSIBLE_", "PYTHON"))},
        "ANSIBLE_COLLECTIONS_PATH": str(path),
        "ANSIBLE_COLLECTIONS_SCAN_SYS_PATH": "false",
        "ANSIBLE_HOME": str(WORK / "home"),
        "ANSIBLE_LOCALHOST_WARNING": "false",
        "LC_ALL": "C.UTF-8",
    }
    program = str(CACHE / core / "bin" / words[0])
    done = subprocess.run(
        [program, *words[1:]],
        cwd=WORK,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    print(f"check_build.py: {core}: {' '.join(words)}: status {done.returncode}", flush=True)
    if done.returncode:
        raise CheckError(f"`{' '.join(words)}` failed:\n{done.stdout}")
    return done.stdout


def build() -> Path:
    """Build the archive and return its path."""
    run("core-2.21", "ansible-galaxy", "collection", "build", str(ROOT), "--output-path", str(WORK), path=WORK)
    return next(WORK.glob("fediverse-mastodon_s3-*.tar.gz"))


def compare(archive: Path) -> None:
    """Compare the archive with its expected content.

    Raises:
        CheckError: Files are missing or unexpected.
    """
    with tarfile.open(archive) as content:
        members = content.getmembers()
    names = {member.name for member in members if not member.isdir()}
    strange = sorted(name for name in names if not MEANT.fullmatch(name))
    strange += sorted(f"{member.name} (a link)" for member in members if member.issym() or member.islnk())
    missing = [name for name in EXPECTED if name not in names]
    if strange or missing:
        raise CheckError(
            f"in the archive, but not meant to be: {strange}\nmissing: {missing}\n"
            "Add what users don't need to build_ignore in galaxy.yml, and what they do to MEANT in check_build.py."
        )
    print(f"check_build.py: {len(names)} files, all of them meant, {archive.stat().st_size // 1024} KiB")


def import_as_galaxy_does(archive: Path) -> None:
    """Run Galaxy's importer, whose warnings Galaxy shows with the collection.

    Raises:
        CheckError: Galaxy would refuse the archive, or show a warning.
    """
    folder = CACHE / IMPORTER / "bin"
    environment = {
        **{key: value for key, value in os.environ.items() if not key.startswith(("ANSIBLE_", "PYTHON", "GALAXY_"))},
        **workspace.BYTECODE,
        "GALAXY_IMPORTER_CONFIG": str(workspace.SUPPORT / "galaxy-importer.cfg"),
        "GALAXY_IMPORTER_ANSIBLE_LOCAL_TMP": str(WORK / "home" / "tmp"),
        "HOME": str(WORK / "home"),
        "PATH": os.pathsep.join([str(folder), os.environ["PATH"]]),
        "LC_ALL": "C.UTF-8",
    }
    done = subprocess.run(
        [folder / "python", "-m", "galaxy_importer.main", archive],
        cwd=WORK,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    complaints = [line for line in done.stdout.splitlines() if line.startswith(("WARNING", "ERROR"))]
    if done.returncode or complaints:
        raise CheckError("galaxy-importer complained:\n" + ("\n".join(complaints) or done.stdout))
    print("check_build.py: galaxy-importer has nothing to complain about", flush=True)


def use(core: str, path: Path) -> None:
    """Use the installed collection as a user does."""
    modules = sorted(file.stem for file in (ROOT / "plugins" / "modules").glob("*.py"))
    documentation = run(
        core, "ansible-doc", "--type", "module", *(f"fediverse.mastodon_s3.{name}" for name in modules), path=path
    )
    for name in modules:
        if f"fediverse.mastodon_s3.{name}" not in documentation:
            raise CheckError(f"ansible-doc has no fediverse.mastodon_s3.{name}")
    run(core, "ansible-doc", "--type", "role", "fediverse.mastodon_s3.mastodon_s3", path=path)
    for playbook in sorted(file.stem for file in (ROOT / "playbooks").glob("*.yml")):
        if playbook.endswith(".meta"):
            continue
        tasks = run(
            core, "ansible-playbook", "-i", "server,", f"fediverse.mastodon_s3.{playbook}", "--list-tasks", path=path
        )
        if "mastodon_s3" not in tasks:
            raise CheckError(f"{playbook} lists no task of the role:\n{tasks}")


def main() -> int:
    """Run all checks with the oldest ansible-core and the newest released one."""
    shutil.rmtree(WORK, ignore_errors=True)
    WORK.mkdir(parents=True)
    try:
        for need in (*CORES, IMPORTER, "collections", "collections-min"):
            environments.ensure(need)
        archive = build()
        compare(archive)
        import_as_galaxy_does(archive)
        for core, collections in zip(CORES, ("collections-min", "collections")):
            path = WORK / core
            amazon = path / "ansible_collections" / "amazon"
            amazon.mkdir(parents=True)
            (amazon / "aws").symlink_to(CACHE / collections / "ansible_collections" / "amazon" / "aws")
            run(core, "ansible-galaxy", "collection", "install", "--offline", str(archive), "-p", str(path), path=path)
            use(core, path)
            installed = path / "ansible_collections" / "fediverse" / "mastodon_s3"
            for entry in installed.iterdir():
                if entry.name not in KEPT:
                    shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
            use(core, path)
        from_a_checkout()
    except environments.SetupError as error:
        return environments.complain("check_build.py", error)
    except CheckError as error:
        print(f"check_build.py: {error}", file=sys.stderr)
        return 1
    return 0


def from_a_checkout() -> None:
    """Check that a clone under another name works too, through the link in playbooks/collections."""
    clone = WORK / "some-clone"
    listing = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    for name in subprocess.run(listing, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\0"):
        source = ROOT / name
        if name and os.path.lexists(source):
            (clone / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, clone / name, follow_symlinks=False)
    only_amazon = WORK / "only-amazon"
    (only_amazon / "ansible_collections" / "amazon").mkdir(parents=True)
    (only_amazon / "ansible_collections" / "amazon" / "aws").symlink_to(
        CACHE / "collections" / "ansible_collections" / "amazon" / "aws"
    )
    for core in CORES:
        playbook = str(clone / "playbooks" / "migrate.yml")
        tasks = run(core, "ansible-playbook", "-i", "server,", playbook, "--list-tasks", path=only_amazon)
        if "mastodon_s3" not in tasks:
            raise CheckError(f"from a checkout, migrate.yml lists no task of the role:\n{tasks}")


if __name__ == "__main__":
    sys.exit(main())
