"""Installs what the demo needs. It requires only Python with its venv module."""

from __future__ import annotations

import sys
from pathlib import Path

import environments
import pythons

REQUIREMENTS = Path(__file__).resolve().parent / "requirements.txt"
# The supported versions of ansible-core run on these. The first one that is installed is used.
PYTHONS = ("3.13", "3.12", "3.14", "3.11")


def build(name: str) -> None:
    """Create the virtual environment .cache/demo."""
    found = next((python for python in map(pythons.installed_python, PYTHONS) if python), None)
    target = environments.CACHE / name
    wanted = found or pythons.python(PYTHONS[0])
    uv = environments.uv()
    environments.run(name, uv, "venv", "--quiet", "--no-project", "--clear", "--python", wanted, target)
    # Ansible starts a new Python for each task, so compile boto3 only once.
    install = ("pip", "install", "--quiet", "--compile-bytecode")
    environments.run(name, uv, *install, "--python", target / "bin" / "python", "-r", REQUIREMENTS)


def main() -> int:
    """Install what is missing. Return the exit status."""
    environments.COMPONENTS["demo"] = environments.Component(
        "ansible-core for the demo", ("uv",), (REQUIREMENTS,), build
    )
    try:
        for name in ("demo", "collections"):
            environments.ensure(name)
    except environments.SetupError as error:
        print(f"demo: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
