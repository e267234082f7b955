"""Writes the generated part of each role's README from its argument specs, or (--check) checks that it is up to date.

Usage: role_readme.py [--check]
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import environments

ROOT = environments.ROOT
ROLES = sorted(path.parent.parent for path in (ROOT / "roles").glob("*/meta/argument_specs.yml"))
TEMPLATE = ROOT / "tests" / "support" / "templates" / "role_readme.md.j2"


def _generate(role: Path, readme: Path) -> int:
    program = environments.CACHE / "venv" / "bin" / "aar-doc"
    words = [str(program), "--output-file", str(readme), "--output-template", str(TEMPLATE), str(role), "markdown"]
    return subprocess.run(words, stdin=subprocess.DEVNULL, check=False).returncode


def check() -> int:
    """Return 1, and print what to do, if a role's README is not up to date."""
    return max([_check(role) for role in ROLES])


def _check(role: Path) -> int:
    with tempfile.TemporaryDirectory() as folder:
        fresh = Path(folder) / "README.md"
        shutil.copy(role / "README.md", fresh)
        status = _generate(role, fresh)
        if status == 0 and fresh.read_bytes() != (role / "README.md").read_bytes():
            print(
                f"role_readme.py: roles/{role.name}/README.md is not up to date: run `make role-readme`",
                file=sys.stderr,
            )
            return 1
    return status


def main() -> int:
    """Parse the command line, and write or check the READMEs."""
    try:
        environments.ensure("venv")
    except environments.SetupError as error:
        return environments.complain("role_readme.py", error)
    return check() if "--check" in sys.argv[1:] else max([_generate(role, role / "README.md") for role in ROLES])


if __name__ == "__main__":
    sys.exit(main())
