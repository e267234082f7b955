"""Builds what the demo runs on, with nothing but Python and its venv module."""

from __future__ import annotations

import sys
from pathlib import Path

import environments

REQUIREMENTS = Path(__file__).resolve().parent / "requirements.txt"
# The ansible-cores that are supported run on these; whichever is on the machine is taken.
PYTHONS = ("3.13", "3.12", "3.14", "3.11")


def build(name: str) -> None:
    """Makes the virtual environment .cache/demo."""
    found = next((python for python in map(environments.installed_python, PYTHONS) if python), None)
    target = environments.CACHE / name
    wanted = found or environments.python(PYTHONS[0])
    uv = environments.uv()
    environments.run(name, uv, "venv", "--quiet", "--no-project", "--clear", "--python", wanted, target)
    # Ansible starts a new Python for each task, and boto3 takes long to compile.
    install = ("pip", "install", "--quiet", "--compile-bytecode")
    environments.run(name, uv, *install, "--python", target / "bin" / "python", "-r", REQUIREMENTS)


def main() -> int:
    """Builds what is missing; the status is 1, and the reason on stderr, where that fails."""
    environments.COMPONENTS["demo"] = environments.Component("what the demo runs on", ("uv",), (REQUIREMENTS,), build)
    try:
        for name in ("demo", "collections"):
            environments.ensure(name)
    except environments.SetupError as error:
        print(f"demo: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
