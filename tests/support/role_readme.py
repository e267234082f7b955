"""Writes the generated part of the role's README from its argument specs, or (--check) checks that it is up to date.

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
ROLE = ROOT / "roles" / "mastodon_s3"
TEMPLATE = ROOT / "tests" / "support" / "templates" / "role_readme.md.j2"


def _generate(readme: Path) -> int:
    program = environments.CACHE / "venv" / "bin" / "aar-doc"
    words = [str(program), "--output-file", str(readme), "--output-template", str(TEMPLATE), str(ROLE), "markdown"]
    return subprocess.run(words, stdin=subprocess.DEVNULL, check=False).returncode


def check() -> int:
    """Return 1, and print what to do, if the README is not up to date."""
    with tempfile.TemporaryDirectory() as folder:
        fresh = Path(folder) / "README.md"
        shutil.copy(ROLE / "README.md", fresh)
        status = _generate(fresh)
        if status == 0 and fresh.read_bytes() != (ROLE / "README.md").read_bytes():
            print(
                "role_readme.py: roles/mastodon_s3/README.md is not up to date: run `make role-readme`", file=sys.stderr
            )
            return 1
    return status


def main() -> int:
    """Parse the command line, and write or check the README."""
    try:
        environments.ensure("venv")
    except environments.SetupError as error:
        return environments.complain("role_readme.py", error)
    return check() if "--check" in sys.argv[1:] else _generate(ROLE / "README.md")


if __name__ == "__main__":
    sys.exit(main())
