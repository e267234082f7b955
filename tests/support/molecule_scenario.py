"""Runs one molecule scenario from create to destroy.

Usage: molecule_scenario.py SCENARIO [molecule's own words]

If this machine can't run it, the exit status is 77, and the last line is the reason.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

import environments

CACHE = environments.CACHE
ROOT = environments.ROOT


def missing() -> str:
    """Return what this machine lacks for hosts with systemd, or an empty string."""
    if os.geteuid() != 0:
        return "molecule needs root, for hosts with systemd in a separate network. Try: sudo make molecule"
    engine = shutil.which("podman") or shutil.which("docker") or shutil.which("apt-get")
    if not engine:
        return "molecule needs podman or docker: install one of them"
    return ""


def main() -> int:
    """Parse the command line and run the command."""
    if len(sys.argv) < 2 or not (ROOT / "molecule" / sys.argv[1] / "molecule.yml").exists():
        scenarios = sorted(path.parent.name for path in ROOT.glob("molecule/*/molecule.yml"))
        print(f"molecule_scenario.py: which one? There are: {', '.join(scenarios)}", file=sys.stderr)
        return 2
    lacking = missing()
    if lacking:
        print(lacking, file=sys.stderr)
        return environments.CANNOT_RUN
    try:
        for need in ("venv", "collections"):
            environments.ensure(need)
    except environments.SetupError as error:
        return environments.complain("molecule_scenario.py", error)
    words = sys.argv[2:] or ["test"]
    settings = {
        **os.environ,
        "PATH": os.pathsep.join([str(CACHE / "venv" / "bin"), os.environ["PATH"]]),
        "ANSIBLE_COLLECTIONS_PATH": str(CACHE / "collections"),
        "ANSIBLE_HOME": str(CACHE / "ansible-home"),
        "LC_ALL": "C.UTF-8",
    }
    command = [str(CACHE / "venv" / "bin" / "molecule"), *words, "--scenario-name", sys.argv[1]]
    # Two scenarios of one checkout share addresses.
    with environments.locked("molecule"):
        return subprocess.run(command, cwd=ROOT, env=settings, stdin=subprocess.DEVNULL, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
