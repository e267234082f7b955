"""Runs pytest in one of the environments.

Usage: unit.py ENVIRONMENT|stores|parsers|browser|all [options of pytest]

venv is the fastest choice. node-X is a managed node: its Python, its boto3, and the part of ansible-core that a
module's payload contains. It runs the tests of modules and module_utils. core-X is a controller with that ansible-core.
The oldest and the newest run all unit tests except those of module_utils. Those in between also leave out modules and
whole runs of the role, which take minutes and differ between the ends if they differ at all.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import environments
import workspace
from stores import ProgramMissingError
from stores.packages import file_systems

CACHE = environments.CACHE
UNIT = "tests/unit/plugins"
CORES = ("core-2.19", "core-2.20", "core-2.21", "core-2.22")
NODES = ("node-3.9", "node-3.14")
# Where coverage is measured: Python 3.14 does that itself, at almost no cost.
COVERED = "node-3.14"
OWN_TESTS = {"stores": "tests/stores", "parsers": "tests/parsers", "browser": "tests/browser"}


def run(name: str, words: list[str]) -> int:
    """Run pytest in this environment. Return its exit status."""
    environment = "venv" if name in OWN_TESTS else name
    environments.ensure(environment)
    environments.ensure("collections")
    if name in NODES:
        if environments.in_ci():
            file_systems()
        path = [CACHE / name / "payload", CACHE / "collections"]
        wanted = [
            f"{UNIT}/{kind}" for kind in ("module_utils", "modules") if (environments.ROOT / UNIT / kind).is_dir()
        ]
    else:
        path = [CACHE / "collections"]
        wanted = [OWN_TESTS.get(name, "tests/unit")]
        if name in CORES:
            wanted.append(f"--ignore={UNIT}/module_utils")
        if name in CORES[1:-1]:
            wanted += [f"--ignore={UNIT}/modules", "--ignore=tests/unit/role"]
    if any(not word.startswith("-") and os.path.exists(word.partition("::")[0]) for word in words):
        wanted = []
    command = [str(CACHE / environment / "bin" / "python"), "-m", "pytest", *wanted, *words]
    if not any(word.startswith("-n") for word in words) and name not in OWN_TESTS:
        command += ["-n", "2"]
    covered = name == COVERED and not words
    if covered:
        command += ["--cov", "--cov-report="]
    print(f"unit.py: {name}: {' '.join(command[2:])}", flush=True)
    settings = {
        # The parsers are fetched by npm, among others, when their tests begin.
        **(workspace.trust_settings() if name == "parsers" else {}),
        **os.environ,
        "PYTHONPATH": os.pathsep.join(str(folder) for folder in path),
        **workspace.BYTECODE,
        "HYPOTHESIS_STORAGE_DIRECTORY": str(CACHE / "hypothesis"),
        "PATH": os.pathsep.join([str(CACHE / environment / "bin"), os.environ["PATH"]]),
    }
    settings["COVERAGE_CORE"] = "sysmon"
    status = subprocess.run(
        command, cwd=environments.ROOT, env=settings, stdin=subprocess.DEVNULL, check=False
    ).returncode
    if covered:
        show_coverage(CACHE / environment / "bin" / "python")
    return status


def show_coverage(python: Path) -> None:
    """Print the coverage of modules and module_utils, and add it to the summary of a job on GitHub."""
    words = (python, "-m", "coverage", "report", "--format=total")
    done = subprocess.run(words, cwd=environments.ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        line = f"coverage: unknown: {(done.stderr or done.stdout).strip()}"
    else:
        share = done.stdout.strip()
        line = f"coverage: {share} % of the lines of modules and module_utils, child processes not counted"
    print(line, flush=True)
    if os.environ.get("GITHUB_STEP_SUMMARY"):
        with open(os.environ["GITHUB_STEP_SUMMARY"], "a", encoding="utf-8") as summary:
            summary.write(f"{line}\n")


def main() -> int:
    """Parse the command line and run the command."""
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
    except ProgramMissingError as error:
        print(f"unit.py: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
