"""Builds what the tests need. It writes only below .cache/.

Usage: environments.py [--list] [--python VERSION] [COMPONENT ...]

A component is built again only if its inputs have changed. This needs Python 3.9 or later with venv. It downloads
everything else: Python packages with the versions in requirements/, collections from the package `ansible`, and missing
Pythons with uv or, if uv can't reach its source, from Debian's packages.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import shutil
import sys
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from pythons import MissingPythonError, installed_python, python
from workspace import CACHE, LOGS, ROOT, SUPPORT, SetupError, locked, run, say, uv

REQUIREMENTS = SUPPORT / "requirements"
CANNOT_RUN = 77


class MissingGoError(SetupError):
    """Go is not installed."""


class Component(NamedTuple):
    """Something that can be built: its purpose, its inputs, and the function that builds it."""

    purpose: str
    needs: tuple[str, ...]
    inputs: tuple[Path, ...]
    build: Callable[[str], None]


def build_uv(name: str) -> None:
    """Install uv into its own virtual environment."""
    target = CACHE / "uv"
    shutil.rmtree(target, ignore_errors=True)
    try:
        run(name, sys.executable, "-m", "venv", target)
    except SetupError as error:
        raise SetupError(
            f"{sys.executable} can't make virtual environments. On Debian: apt-get install python3-venv\n{error}"
        ) from error
    run(name, target / "bin" / "pip", "install", "--quiet", "-r", REQUIREMENTS / "uv.txt")


def venv_builder(*versions: str) -> Callable[[str], None]:
    """Return a function that builds a virtual environment from requirements/<name>.txt."""

    def build(name: str) -> None:
        target = CACHE / name
        wanted = next((found for found in map(installed_python, versions) if found), None) or python(versions[0])
        interpreter = target / "bin" / "python"
        # One that is there is brought up to date in place: somebody may be using it.
        if not interpreter.exists() or interpreter.resolve() != wanted.resolve():
            shutil.rmtree(target, ignore_errors=True)
            run(name, uv(), "venv", "--quiet", "--no-project", "--python", wanted, target)
        run(name, uv(), "pip", "sync", "--quiet", "--python", interpreter, REQUIREMENTS / f"{name}.txt")

    return build


def payload_builder(core: str, *versions: str) -> Callable[[str], None]:
    """Return a function that builds a managed node's Python, with the part of ansible-core that a payload contains."""
    make_venv = venv_builder(*versions)

    def build(name: str) -> None:
        make_venv(name)
        where = "import ansible, os; print(os.path.dirname(ansible.__file__))"
        source = Path(run(name, CACHE / core / "bin" / "python", "-c", where))
        payload = CACHE / name / "payload" / "ansible"
        shutil.rmtree(payload, ignore_errors=True)
        payload.mkdir(parents=True)
        (payload / "__init__.py").touch()
        (payload / "module_utils").symlink_to(source / "module_utils")
        shutil.copy(source / "release.py", payload / "release.py")

    return build


def collections_builder(*wanted: str) -> Callable[[str], None]:
    """Return a function that builds a collections path: this checkout, and collections from the package `ansible`."""

    def build(name: str) -> None:
        tree = CACHE / name / "ansible_collections"
        shutil.rmtree(tree, ignore_errors=True)
        (tree / "fediverse").mkdir(parents=True)
        (tree / "fediverse" / "mastodon_s3").symlink_to(ROOT)
        pin = (REQUIREMENTS / f"{name}.txt").read_text(encoding="utf-8").strip()
        wheels = CACHE / "downloads" / name
        pip = CACHE / "uv" / "bin" / "pip"
        only_the_wheel = ("--no-deps", "--only-binary", ":all:", "--ignore-requires-python")
        run(name, pip, "download", "--quiet", *only_the_wheel, "--dest", wheels, pin)
        wheel = wheels / f"ansible-{pin.partition('==')[2]}-py3-none-any.whl"
        prefixes = tuple(f"ansible_collections/{collection.replace('.', '/')}/" for collection in wanted)
        with zipfile.ZipFile(wheel) as archive:
            members = [member for member in archive.namelist() if member.startswith(prefixes)]
            archive.extractall(tree.parent, [member for member in members if "/tests/" not in member])

    return build


def build_actionlint(name: str) -> None:
    """Build actionlint with Go, since its Python and npm packages download the program from GitHub."""
    if shutil.which("go") is None:
        raise MissingGoError("actionlint is built by Go, which is missing. Install Go 1.24 or newer (golang-go)")
    folder = CACHE / name / "bin"
    run(name, "go", "install", _pins(name).read_text(encoding="utf-8").strip(), env={"GOBIN": str(folder)})


def build_python(name: str) -> None:
    """Create a link .cache/bin/pythonX.Y to an interpreter, for the PATH of other tools."""
    version = name.removeprefix("python")
    link = CACHE / "pythons-on-path" / name
    link.parent.mkdir(parents=True, exist_ok=True)
    link.unlink(missing_ok=True)
    link.symlink_to(python(version))


def _pins(name: str) -> Path:
    return REQUIREMENTS / f"{name}.txt"


COMPONENTS: dict[str, Component] = {
    "uv": Component("installs Python packages quickly", (), (_pins("uv"),), build_uv),
    "collections": Component(
        "this checkout beside the newest amazon.aws",
        ("uv",),
        (_pins("collections"),),
        collections_builder(
            "amazon.aws", "ansible.posix", "community.docker", "community.general", "containers.podman"
        ),
    ),
    "collections-min": Component(
        "this checkout beside the oldest supported amazon.aws",
        ("uv",),
        (_pins("collections-min"),),
        collections_builder("amazon.aws"),
    ),
    "venv": Component(
        "lint, types, unit tests, demo, molecule",
        ("uv",),
        (_pins("venv"),),
        venv_builder("3.13", "3.12", "3.14", "3.11"),
    ),
    "core-2.19": Component("ansible-core 2.19", ("uv",), (_pins("core-2.19"),), venv_builder("3.11")),
    "core-2.20": Component("ansible-core 2.20", ("uv",), (_pins("core-2.20"),), venv_builder("3.12", "3.13")),
    "core-2.21": Component("ansible-core 2.21", ("uv",), (_pins("core-2.21"),), venv_builder("3.13")),
    "core-2.22": Component("ansible-core 2.22", ("uv",), (_pins("core-2.22"),), venv_builder("3.14")),
    "node-3.9": Component(
        "the oldest managed node",
        ("uv", "core-2.19"),
        (_pins("node-3.9"), _pins("core-2.19")),
        payload_builder("core-2.19", "3.9"),
    ),
    "node-3.14": Component(
        "the newest managed node",
        ("uv", "core-2.22"),
        (_pins("node-3.14"), _pins("core-2.22")),
        payload_builder("core-2.22", "3.14"),
    ),
    "galaxy-importer": Component(
        "the checks that Galaxy runs on an archive",
        ("uv",),
        (_pins("galaxy-importer"),),
        venv_builder("3.13", "3.12", "3.11"),
    ),
    "actionlint": Component("checks the workflows of GitHub", (), (_pins("actionlint"),), build_actionlint),
    "benchmark": Component(
        "the other programs of the benchmark", ("uv",), (_pins("benchmark"),), venv_builder("3.14", "3.13", "3.12")
    ),
    "benchmark-collections": Component(
        "the peer of the benchmark that is a collection",
        ("uv",),
        (_pins("benchmark-collections"),),
        collections_builder("amazon.aws", "community.aws"),
    ),
    **{
        f"python{version}": Component(f"an interpreter for ansible-test: Python {version}", ("uv",), (), build_python)
        for version in ("3.9", "3.10", "3.11", "3.12", "3.13", "3.14")
    },
}
DEFAULT = ("venv", "collections")


def in_ci() -> bool:
    """Return whether this is CI, where no part may be left out."""
    return os.environ.get("CI", "").lower() not in ("", "0", "false")


def complain(program: str, error: SetupError) -> int:
    """Print why a component is missing, and return the exit status. Outside CI, a Python may be missing."""
    print(f"{program}: {error}", file=sys.stderr)
    if isinstance(error, MissingPythonError) and not in_ci():
        print(f"{program}: not run here for want of a Python (with CI=true this is an error)", file=sys.stderr)
        return CANNOT_RUN
    return 1


def is_there(name: str, wanted: str) -> bool:
    """Return whether a component was built from these inputs, and its interpreter still exists."""
    stamp = CACHE / "stamps" / name
    interpreter = CACHE / name / "bin" / "python"
    dangling = os.path.islink(interpreter) and not os.path.exists(interpreter)
    return stamp.exists() and stamp.read_text(encoding="utf-8") == wanted and not dangling


def fingerprint(component: Component) -> str:
    """Return a hash of a component's inputs. If it changes, the component has to be built again."""
    digest = hashlib.sha256(f"1 {ROOT}".encode())
    for path in component.inputs:
        digest.update(path.read_bytes())
    return digest.hexdigest()


def ensure(name: str) -> None:
    """Build a component and its dependencies, unless they exist. Several processes can call it at once.

    Raises:
        SetupError: It could not be built.
    """
    component = COMPONENTS[name]
    for need in component.needs:
        ensure(need)
    wanted = fingerprint(component)
    if is_there(name, wanted):
        return
    try:
        with locked(name):
            if not is_there(name, wanted):
                _build(name, component)
                (CACHE / "stamps" / name).write_text(wanted, encoding="utf-8")
    except PermissionError as error:
        text = f"{name}: {error.filename}: {error.strerror}."
        if str(error.filename).startswith(str(CACHE)):
            text += f" If another user ran `make` here before, remove what it built: `sudo rm -r {CACHE}`."
        raise SetupError(text) from error


def _build(name: str, component: Component) -> None:
    say(f"{name}: {component.purpose} ...")
    started = time.monotonic()
    LOGS.mkdir(parents=True, exist_ok=True)
    (LOGS / f"setup-{name}.log").unlink(missing_ok=True)
    component.build(name)
    say(f"{name}: ready after {time.monotonic() - started:.0f} s")


def main() -> int:
    """Parse the command line and build the components."""
    parser = argparse.ArgumentParser(description="Builds what the tests need, below .cache/.")
    parser.add_argument("--list", action="store_true", help="list the components and end")
    parser.add_argument("--python", metavar="VERSION", help="print the path of this version's interpreter and end")
    parser.add_argument("component", nargs="*", default=DEFAULT, help=f"what to build (default: {' '.join(DEFAULT)})")
    arguments = parser.parse_args()
    if arguments.list:
        for name, component in COMPONENTS.items():
            print(f"{name:16} {component.purpose}")
        return 0
    try:
        if arguments.python:
            ensure("uv")
            print(python(arguments.python))
            return 0
        for name in arguments.component:
            if name not in COMPONENTS:
                raise SetupError(f"there is no component {name!r}; `{Path(__file__).name} --list` names them")
            ensure(name)
    except SetupError as error:
        return complain("setup", error)
    return 0


if __name__ == "__main__":
    sys.exit(main())
