"""Runs pytest in one of the environments.

Usage: unit.py ENVIRONMENT|stores|parsers|all [pytest's own words]

venv is the quick choice. core-X is a controller with that ansible-core: all unit tests. node-X is a managed node: its
Python, its boto3, and of ansible-core just what the payload of a module holds; the tests of modules and of what they
import run there.
"""

from __future__ import annotations

import os
import subprocess
import sys

import environments

CACHE = environments.CACHE
UNIT = "tests/unit/plugins"
CORES = ("core-2.19", "core-2.20", "core-2.21", "core-2.22")
NODES = ("node-3.9", "node-3.14")
OWN_TESTS = {"stores": "tests/stores", "parsers": "tests/parsers"}


def run(name: str, words: list[str]) -> int:
    """Runs pytest in this environment and returns its status."""
    environment = "venv" if name in OWN_TESTS else name
    environments.ensure(environment)
    environments.ensure("collections")
    if name in NODES:
        path = [CACHE / name / "payload", CACHE / "collections"]
        wanted = [
            f"{UNIT}/{kind}" for kind in ("module_utils", "modules") if (environments.ROOT / UNIT / kind).is_dir()
        ]
    else:
        path = [CACHE / "collections"]
        wanted = [OWN_TESTS.get(name, "tests/unit")]
    if any(not word.startswith("-") and os.path.exists(word.partition("::")[0]) for word in words):
        wanted = []
    command = [str(CACHE / environment / "bin" / "python"), "-m", "pytest", *wanted, *words]
    if not any(word.startswith("-n") for word in words) and name not in OWN_TESTS:
        command += ["-n", "2"]
    print(f"unit.py: {name}: {' '.join(command[2:])}", flush=True)
    settings = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(str(folder) for folder in path),
        "PYTHONDONTWRITEBYTECODE": "1",
        "HYPOTHESIS_STORAGE_DIRECTORY": str(CACHE / "hypothesis"),
        "PATH": os.pathsep.join([str(CACHE / environment / "bin"), os.environ["PATH"]]),
    }
    return subprocess.run(
        command, cwd=environments.ROOT, env=settings, stdin=subprocess.DEVNULL, check=False
    ).returncode


def main() -> int:
    """Reads the command line and runs."""
    if len(sys.argv) < 2:
        print(__doc__, file=sys.stderr)
        return 2
    name, *words = sys.argv[1:]
    if name not in ("all", "venv", *CORES, *NODES, *OWN_TESTS):
        print(f"unit.py: no environment {name}; there are: {', '.join((*CORES, *NODES, *OWN_TESTS))}", file=sys.stderr)
        return 2
    try:
        if name == "all":
            return max(run(each, words) for each in (*CORES, *NODES))
        return run(name, words)
    except environments.SetupError as error:
        return environments.complain("unit.py", error)


if __name__ == "__main__":
    sys.exit(main())
