"""Builds what the tests need, below .cache/ and nowhere else.

Usage: environments.py [--list] [--python VERSION] [COMPONENT ...]

Each component is built once and again only when its inputs change. Needs Python 3.9 or later with venv; the rest is
fetched: Python packages at the versions pinned in requirements/, collections from the `ansible` package, missing
Pythons by uv or, where that has no way out of the network, from Debian's packages.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

SUPPORT = Path(__file__).resolve().parent
ROOT = SUPPORT.parent.parent
CACHE = ROOT / ".cache"
REQUIREMENTS = SUPPORT / "requirements"
LOGS = CACHE / "logs"


CANNOT_RUN = 77


class SetupError(Exception):
    """A component can't be built; the text says why and what to do."""


class MissingPythonError(SetupError):
    """This machine has no such Python and none could be fetched."""


class Component(NamedTuple):
    """One thing that can be built: what it is for, its inputs, and how."""

    purpose: str
    needs: tuple[str, ...]
    inputs: tuple[Path, ...]
    build: Callable[[str], None]


def run(name: str, *command: str | Path, env: dict[str, str] | None = None) -> str:
    """Runs a command, its output into the component's log.

    Raises:
        SetupError: The command failed; the text ends with the log's tail.
    """
    LOGS.mkdir(parents=True, exist_ok=True)
    log = LOGS / f"setup-{name}.log"
    words = [str(word) for word in command]
    with log.open("a", encoding="utf-8") as stream:
        stream.write(f"$ {' '.join(words)}\n")
        stream.flush()
        done = subprocess.run(
            words,
            cwd=ROOT,
            env={**os.environ, **uv_environment(), **(env or {})},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=stream,
            text=True,
            check=False,
        )
        stream.write(done.stdout)
    if done.returncode:
        tail = "\n".join(log.read_text(encoding="utf-8", errors="replace").splitlines()[-15:])
        raise SetupError(f"`{' '.join(words[:4])} ...` ended with status {done.returncode}. The end of {log}:\n{tail}")
    return done.stdout.strip()


def uv_environment() -> dict[str, str]:
    """Settings that keep uv inside .cache/."""
    return {
        "UV_CACHE_DIR": str(CACHE / "uv-cache"),
        "UV_PYTHON_INSTALL_DIR": str(CACHE / "pythons"),
        "UV_NO_CONFIG": "1",
        "UV_NO_PROGRESS": "1",
        "VIRTUAL_ENV": "",
    }


def uv() -> Path:
    """The path of our own uv."""
    return CACHE / "uv" / "bin" / "uv"


def _answers(python: Path, version: str) -> bool:
    """Whether this interpreter runs (pyenv's shims often don't) and is the wanted version."""
    try:
        code = "import sys; print('%d.%d' % sys.version_info[:2])"
        done = subprocess.run([python, "-c", code], capture_output=True, text=True, check=False, timeout=30)
    except OSError:
        return False
    return done.returncode == 0 and done.stdout.strip() == version


def installed_python(version: str) -> Path | None:
    """The interpreter of a version ("3.13") that is on this machine, or None."""
    name = f"python{version}"
    candidates = [Path(folder) / name for folder in os.environ.get("PATH", "").split(os.pathsep) if folder]
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    candidates += sorted(pyenv.glob(f"versions/{version}.*/bin/{name}"), reverse=True)
    candidates += sorted(CACHE.glob(f"pythons/cpython-{version}.*/bin/{name}"), reverse=True)
    candidates += [CACHE / "debian" / f"python{version}" / "usr" / "bin" / name]
    for candidate in candidates:
        if "shims" not in candidate.parts and candidate.exists() and _answers(candidate, version):
            return candidate
    if _answers(Path(sys.executable), version):
        return Path(sys.executable)
    return None


def python(version: str) -> Path:
    """The interpreter of a version, fetched if this machine lacks it.

    Raises:
        MissingPythonError: There is none and none could be fetched.
    """
    found = installed_python(version)
    if found:
        return found
    with locked(f"fetch-python{version}"):
        return installed_python(version) or _fetched_python(version)


def _fetched_python(version: str) -> Path:
    say(f"python {version}: not on this machine, fetching it")
    for attempt in (
        (uv(), "python", "install", "--no-bin", version),
        (SUPPORT / "debian_python.sh", version),
    ):
        try:
            run(f"python{version}", *attempt)
        except SetupError:
            continue
        found = installed_python(version)
        if found:
            return found
    raise MissingPythonError(
        f"Python {version} is neither on PATH nor below ~/.pyenv/versions, and could not be fetched (see "
        f"{LOGS / f'setup-python{version}.log'}). Install it, for instance with `pyenv install {version}`."
    )


def build_uv(name: str) -> None:
    """uv, in a virtual environment of its own."""
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
    """Makes a builder of a virtual environment: requirements/<name>.txt on the first of the Pythons that there is."""

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
    """Makes a builder of a managed node's Python: its packages and, of ansible-core, what a module's payload holds."""
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
    """Makes a builder of a collections path: this checkout, and collections out of the pinned `ansible` package."""

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


def build_python(name: str) -> None:
    """A plain interpreter, as a link .cache/bin/pythonX.Y that other tools can have on their PATH."""
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
    "benchmark": Component(
        "the peers of the benchmark", ("uv",), (_pins("benchmark"),), venv_builder("3.14", "3.13", "3.12")
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


def say(text: str) -> None:
    """One line of progress."""
    print(f"setup: {text}", flush=True)


def in_ci() -> bool:
    """Whether nothing may be left out."""
    return os.environ.get("CI", "").lower() not in ("", "0", "false")


def complain(program: str, error: SetupError) -> int:
    """Says why a component is missing and returns the status for it: where CI doesn't ask for all, a Python may be."""
    print(f"{program}: {error}", file=sys.stderr)
    if isinstance(error, MissingPythonError) and not in_ci():
        print(f"{program}: not run here for want of a Python (with CI=true this is an error)", file=sys.stderr)
        return CANNOT_RUN
    return 1


@contextlib.contextmanager
def locked(name: str) -> Iterator[None]:
    """Holds a lock against other processes of this checkout."""
    locks = CACHE / "stamps"
    locks.mkdir(parents=True, exist_ok=True)
    with (locks / f"{name}.lock").open("w", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def is_there(name: str, wanted: str) -> bool:
    """Whether a component was built from these inputs and its interpreter, if it has one, still exists."""
    stamp = CACHE / "stamps" / name
    interpreter = CACHE / name / "bin" / "python"
    dangling = interpreter.is_symlink() and not interpreter.exists()
    return stamp.exists() and stamp.read_text(encoding="utf-8") == wanted and not dangling


def fingerprint(component: Component) -> str:
    """What a component was built from; another value means that it has to be built again."""
    digest = hashlib.sha256(f"1 {ROOT}".encode())
    for path in component.inputs:
        digest.update(path.read_bytes())
    return digest.hexdigest()


def ensure(name: str) -> None:
    """Builds a component, and what it needs first, unless it is there. Safe to call from several processes at once."""
    component = COMPONENTS[name]
    for need in component.needs:
        ensure(need)
    wanted = fingerprint(component)
    if is_there(name, wanted):
        return
    with locked(name):
        if is_there(name, wanted):
            return
        say(f"{name}: {component.purpose} ...")
        started = time.monotonic()
        (LOGS / f"setup-{name}.log").unlink(missing_ok=True)
        component.build(name)
        (CACHE / "stamps" / name).write_text(wanted, encoding="utf-8")
        say(f"{name}: ready after {time.monotonic() - started:.0f} s")


def main() -> int:
    """Reads the command line and builds."""
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
