"""Runs all or some static checks, and prints which of them failed.

Usage: lint.py [CHECK ... | --quick]   (--quick: all but the slow ones)

"shipped" is ansible-lint on what users get, without the tests: a part of "ansible-lint" for the quick loop.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import environments
import gate
import role_readme
import workspace

ROOT = environments.ROOT
CACHE = environments.CACHE
BIN = CACHE / "venv" / "bin"
INSIDE = CACHE / "collections" / "ansible_collections" / "fediverse" / "mastodon_s3"


def _files(*patterns: str) -> list[str]:
    """Return the matching files that git tracks or would add."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--", *patterns]
    listing = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return [path for path in listing.split("\0") if path and (ROOT / path).is_file()]


def _run(*words: str, folder: Path = ROOT, **settings: str) -> int:
    environment = {
        **os.environ,
        **workspace.BYTECODE,
        "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}",
        "ANSIBLE_COLLECTIONS_PATH": str(CACHE / "collections"),
        "ANSIBLE_HOME": str(CACHE / "ansible-home"),
        "PWD": str(folder),
        **settings,
    }
    return subprocess.run(words, cwd=folder, env=environment, stdin=subprocess.DEVNULL, check=False).returncode


def _ansible_lint(*what: str) -> int:
    return _run("ansible-lint", "--nocolor", "-q", *what, folder=INSIDE)


def _ruff() -> int:
    return _run("ruff", "check", "--quiet", ".") | _run("ruff", "format", "--quiet", "--diff", ".")


def _mypy() -> int:
    package = "ansible_collections.fediverse.mastodon_s3.plugins"
    settings = ("--config-file", str(ROOT / "pyproject.toml"))
    scripts = os.pathsep.join(map(str, (ROOT / "tests" / "support", ROOT / "benchmarks", CACHE / "collections")))
    return _run("mypy", *settings, "-p", package, MYPYPATH=str(CACHE / "collections")) | _run(
        "mypy", *settings, *_files("tests/support/*.py", "benchmarks/*.py"), MYPYPATH=scripts
    )


def _antsibull_docs() -> int:
    words = ("--plugin-docs", "--skip-rstcheck", "--validate-collection-refs=all", "--disallow-unknown-collection-refs")
    return _run("antsibull-docs", "lint-collection-docs", *words, ".", folder=INSIDE)


def _actionlint() -> int:
    try:
        environments.ensure("actionlint")
    except environments.MissingGoError as error:
        if environments.in_ci():
            raise
        print(f"lint.py: actionlint is left out (with CI=true this is an error): {error}", file=sys.stderr)
        return 0
    return _run(str(CACHE / "actionlint" / "bin" / "actionlint"), "-no-color")


CHECKS: dict[str, Callable[[], int]] = {
    "gate": gate.main,
    "yamllint": lambda: _run("yamllint", "--strict", *_files("*.yml", "*.yaml", ".yamllint", ".ansible-lint")),
    "ruff": _ruff,
    "shellcheck": lambda: _run("shellcheck", *_files("*.sh", ".ci/run")),
    "actionlint": _actionlint,
    "antsibull-changelog": lambda: _run("antsibull-changelog", "lint", folder=INSIDE),
    "antsibull-docs": _antsibull_docs,
    "role-readme": role_readme.check,
    "ansible-lint": _ansible_lint,
    "shipped": lambda: _ansible_lint("roles", "playbooks", "meta", "galaxy.yml"),
    "mypy": _mypy,
}
DEFAULT = [name for name in CHECKS if name not in ("mypy", "shipped")]
SLOW = ("ansible-lint", "antsibull-docs")


def main() -> int:
    """Run the requested checks. Return the exit status."""
    wanted = sys.argv[1:] or DEFAULT
    if wanted == ["--quick"]:
        wanted = [name for name in DEFAULT if name not in SLOW]
    unknown = [name for name in wanted if name not in CHECKS]
    if unknown:
        print(f"lint.py: there is no check {', '.join(unknown)}; there are: {', '.join(CHECKS)}", file=sys.stderr)
        return 2
    try:
        environments.ensure("venv")
        environments.ensure("collections")
    except environments.SetupError as error:
        return environments.complain("lint.py", error)
    failed = []
    for name in wanted:
        print(f"lint.py: {name} ...", flush=True)
        started = time.monotonic()
        try:
            status = CHECKS[name]()
        except environments.SetupError as error:
            print(f"lint.py: {error}", file=sys.stderr)
            status = 1
        if status:
            failed.append(name)
            print(f"lint.py: {name} complained", flush=True)
        else:
            print(f"lint.py: {name} is content ({time.monotonic() - started:.0f} s)", flush=True)
    if failed:
        print(f"lint.py: failed: {', '.join(failed)}. One alone: make lint ONLY={failed[0]}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
