"""Runs ansible-test on a copy of this checkout, with one of the supported ansible-cores.

Usage:
    ansible_test.py sanity CORE [SANITY TEST ...]
    ansible_test.py integration oldest|newest [TARGET ...]

ansible-test needs a folder .../ansible_collections/NAMESPACE/NAME that is not a link, real interpreters on PATH, and a
home folder for its caches. They are created below .cache/ansible-test. It succeeds even if it can't run a test
("Skipping ...") or a tool ("WARNING: ... not found"). Here each such line is an error, unless EXPECTED gives a reason.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import environments
import workspace

ROOT = environments.ROOT
CACHE = environments.CACHE
PYTHONS = CACHE / "pythons-on-path"

GET_PIP = '''"""Stands in for the script of the same name, which comes from a host that closed networks don't reach."""
import subprocess
import sys

wanted = [word for word in sys.argv[1:] if word not in ("--no-setuptools", "--no-wheel")]
subprocess.check_call([sys.executable, "-m", "ensurepip", "--default-pip"], stdout=subprocess.DEVNULL)
subprocess.check_call([sys.executable, "-m", "pip", "install", "--upgrade"] + wanted)
'''

# Which warnings and skips are right: a pattern of the line, and why it hides nothing.
EXPECTED = {
    r'Skipping sanity test "pslint"': "there is no PowerShell in this collection",
    r'Skipping sanity test "[a-z-]+" on Python 3\.15 ': "2.22 knows a Python that is not released yet",
    r"Python 3\.8\b": "2.19 still knows 3.8 on managed nodes, this collection does not (tests/config.yml)",
    r'Using locale "C.UTF-8"': "no test depends on the language",
    r"^WARNING: Reviewing previous": "the list of what was said before",
    r"they will be run on the target host": "for want of a module by a target's name; there is only one host",
}


class End(NamedTuple):
    """One end of the supported range: controller, its amazon.aws, and the managed node's Python with its boto3."""

    core: str
    controller_python: str
    collections: str
    node: str
    node_python: str


ENDS = {
    "oldest": End("core-2.19", "3.11", "collections-min", "node-3.9", "3.9"),
    "newest": End("core-2.21", "3.13", "collections", "node-3.14", "3.14"),
}
# Managed nodes' Pythons, for the sanity tests that run once with each: all of them with one core, as the files are the
# same with every core, and both ends with the others.
SANITY_PYTHONS = {
    "core-2.19": ("3.9", "3.13"),
    "core-2.20": ("3.9", "3.14"),
    "core-2.21": ("3.9", "3.10", "3.11", "3.12", "3.13", "3.14"),
    "core-2.22": ("3.9", "3.14"),
}


def copy_checkout(name: str, collections: str) -> Path:
    """Copy the files that git tracks or would add to a separate collections path, with the given collections."""
    tree = CACHE / "ansible-test" / name / "ansible_collections"
    target = tree / "fediverse" / "mastodon_s3"
    target.mkdir(parents=True, exist_ok=True)
    listing = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    files = {path for path in listing.split("\0") if path and os.path.lexists(ROOT / path)}
    for folder, folders, names in os.walk(target):
        folders[:] = [entry for entry in folders if entry != ".git"]
        for entry in [*names, *(folder for folder in folders if Path(folder).is_symlink())]:
            old = Path(folder, entry)
            if str(old.relative_to(target)) not in files:
                old.unlink()
    for path in files:
        (target / path).parent.mkdir(parents=True, exist_ok=True)
        (target / path).unlink(missing_ok=True)
        shutil.copy2(ROOT / path, target / path, follow_symlinks=False)
    if not (target / ".git").exists():
        subprocess.run(["git", "init", "-q", str(target)], check=True)
    for source in (CACHE / collections / "ansible_collections").glob("*/*"):
        link = tree / source.parent.name / source.name
        if source.is_symlink() or link.is_symlink():
            continue
        link.parent.mkdir(exist_ok=True)
        link.symlink_to(source)
    return target


def home(core: str) -> Path:
    """Return the home folder of ansible-test for this core. Each core has its own, so that two can run at once."""
    return CACHE / "ansible-test" / f"home-{core}"


def prepare_home(core: str) -> None:
    """Create the home folder in which ansible-test keeps its caches."""
    cache = home(core) / ".ansible" / "test" / "cache"
    cache.mkdir(parents=True, exist_ok=True)
    (home(core) / ".cache").mkdir(exist_ok=True)
    (CACHE / "pip").mkdir(exist_ok=True)
    for constants in CACHE.glob(f"{core}/lib/python3*/site-packages/ansible_test/_internal/python_requirements.py"):
        for version in re.findall(r"pip='([0-9.]+)'", constants.read_text(encoding="utf-8")):
            (cache / f"get_pip_{version.replace('.', '_')}.py").write_text(GET_PIP, encoding="utf-8")
    # 2.22.0rc1 takes pylint's dependency dill from a source archive of a code host, for Python 3.15. For the Pythons
    # that there are, the release that 2.21 names does as well, and comes from where everything else comes from.
    for requirements in CACHE.glob(
        "core-2.22/lib/python3*/site-packages/ansible_test/_data/requirements/sanity.pylint.txt"
    ):
        text = requirements.read_text(encoding="utf-8")
        requirements.write_text(re.sub(r"^dill @ .*$", "dill==0.4.1", text, flags=re.MULTILINE), encoding="utf-8")
    PYTHONS.mkdir(exist_ok=True)
    with contextlib.suppress(FileExistsError):
        (PYTHONS / "shellcheck").symlink_to(CACHE / "venv" / "bin" / "shellcheck")
    links = {".cache/pip": CACHE / "pip", **{folder: Path.home() / folder for folder in (".config/pip", ".pip")}}
    for folder, source in links.items():
        link = home(core) / folder
        if source.is_dir() and not link.is_symlink():
            link.parent.mkdir(exist_ok=True)
            link.symlink_to(source)
    settings = home(core) / ".config" / "pip" / "pip.conf"
    bundle = workspace.certificate_bundle()
    # ansible-test clears the environment, so its pip learns of the system's certificate authorities from a file.
    if bundle and not any((home(core) / folder).exists() for folder in (".config/pip", ".pip")):
        settings.parent.mkdir(parents=True)
        settings.write_text(f"[global]\ncert = {bundle}\n", encoding="utf-8")


def unexpected_skips(output: str) -> list[str]:
    """Return the lines that report skipped tests, except those in EXPECTED."""
    lines = [line for line in output.splitlines() if re.match(r"WARNING: |.*\bSkipping\b", line)]
    return [line for line in lines if not any(re.search(pattern, line) for pattern in EXPECTED)]


def run(core: str, target: Path, *words: str) -> tuple[int, str]:
    """Run ansible-test in the copy. Print and return its output."""
    environment = {
        **{key: value for key, value in os.environ.items() if not key.startswith(("ANSIBLE_", "PYTHON"))},
        "HOME": str(home(core)),
        "PATH": os.pathsep.join([str(CACHE / core / "bin"), str(PYTHONS), os.environ["PATH"]]),
        "LC_ALL": "C.UTF-8",
    }
    command = [str(CACHE / core / "bin" / "ansible-test"), *words]
    with subprocess.Popen(
        command,
        cwd=target,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        assert process.stdout is not None
        lines = []
        for line in process.stdout:
            print(line, end="", flush=True)
            lines.append(line)
    return process.returncode, "".join(lines)


def finish(status: int, output: str, again: str) -> int:
    """Check the result of a run, and print how to repeat it."""
    skipped = unexpected_skips(output)
    for line in skipped:
        print(f"ansible_test.py: this was skipped, and nothing says why that is right: {line}", file=sys.stderr)
    if status or skipped:
        print(f"ansible_test.py: failed. To run it alone: {again}", file=sys.stderr)
        return status or 1
    return 0


def sanity(core: str, tests: list[str]) -> int:
    """Run all or some sanity tests with this core."""
    for need in (core, "venv", "collections", *(f"python{version}" for version in SANITY_PYTHONS[core])):
        environments.ensure(need)
    prepare_home(core)
    target = copy_checkout(core, "collections")
    pythons = [f"--target-python={version}" for version in SANITY_PYTHONS[core]]
    words = ["--controller=origin:python=default", *pythons, *(f"--test={test}" for test in tests)]
    status, output = run(core, target, "sanity", "--color", "no", *words)
    return finish(status, output, f"make sanity CORE={core}")


def integration(end_name: str, targets: list[str]) -> int:
    """Run all or some integration targets, with this machine as the managed host.

    Without names these are all targets, but those of the role (`mastodon_s3_*`) only with the oldest versions.
    """
    end = ENDS[end_name]
    for need in (end.core, end.collections, end.node, "venv"):
        environments.ensure(need)
    prepare_home(end.core)
    target = copy_checkout(f"{end.core}-{end.node}", end.collections)
    known = sorted(
        path.name for path in (target / "tests" / "integration" / "targets").glob("*") if (path / "aliases").exists()
    )
    unknown = [name for name in targets if name not in known]
    if unknown:
        print(
            f"ansible_test.py: no target {', '.join(unknown)} with an aliases file; there are: {', '.join(known)}",
            file=sys.stderr,
        )
        return 2
    # The scenarios of Molecule run the role with the newest versions already.
    targets = targets or [name for name in known if end_name == "oldest" or not name.startswith("mastodon_s3_")]
    wanted = [target / "tests" / "integration" / "targets" / name for name in targets]
    if any(
        "setup_store" in path.read_text(encoding="utf-8") for folder in wanted for path in folder.glob("meta/*.yml")
    ):
        # Here and not in a target: there the home is another, and with it Go's caches.
        programs = [str(CACHE / "venv" / "bin" / "python"), str(environments.SUPPORT / "programs.py")]
        if subprocess.run(programs, cwd=ROOT, stdin=subprocess.DEVNULL, check=False).returncode:
            return 1
    settings = {
        "collection_test_checkout": str(ROOT),
        "collection_test_python": str(CACHE / "venv" / "bin" / "python"),
    }
    (target / "tests" / "integration" / "integration_config.yml").write_text(json.dumps(settings), encoding="utf-8")
    controller = CACHE / end.core / "bin" / "python"
    node = CACHE / end.node / "bin" / "python"
    status, output = run(
        end.core,
        target,
        "integration",
        "--color",
        "no",
        "--allow-destructive",
        "--continue-on-error",
        "--controller",
        f"origin:python={end.controller_python}@{controller}",
        "--target",
        f"controller:python={end.node_python}@{node}",
        *targets,
    )
    if not status and not re.search(r"^Running .* integration test", output, re.MULTILINE):
        print("ansible_test.py: not one target was run", file=sys.stderr)
        status = 1
    return finish(status, output, f"make integration END={end_name} TARGET=...")


def main() -> int:
    """Parse the command line and run the command."""
    parser = argparse.ArgumentParser(description="Runs ansible-test with one of the supported ansible-cores.")
    commands = parser.add_subparsers(dest="command", required=True)
    for_sanity = commands.add_parser("sanity")
    for_sanity.add_argument("core", choices=SANITY_PYTHONS)
    for_sanity.add_argument("test", nargs="*")
    for_integration = commands.add_parser("integration")
    for_integration.add_argument("end", choices=ENDS)
    for_integration.add_argument("target", nargs="*")
    arguments = parser.parse_args()
    try:
        if arguments.command == "sanity":
            return sanity(arguments.core, arguments.test)
        return integration(arguments.end, arguments.target)
    except environments.SetupError as error:
        return environments.complain("ansible_test.py", error)


if __name__ == "__main__":
    sys.exit(main())
