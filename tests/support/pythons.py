"""Finds installed Pythons, and downloads missing ones."""

from __future__ import annotations

import glob
import os
import subprocess
import sys
from pathlib import Path

from workspace import CACHE, LOGS, SUPPORT, SetupError, locked, run, say, uv


class MissingPythonError(SetupError):
    """This Python is not installed, and it could not be downloaded."""


def _answers(python: Path, version: str) -> bool:
    """Return whether this interpreter exists, works (pyenv's shims often do not) and has the requested version."""
    try:
        code = "import sys; print('%d.%d' % sys.version_info[:2])"
        done = subprocess.run([python, "-c", code], capture_output=True, text=True, check=False, timeout=30)
    except (OSError, ValueError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0 and done.stdout.strip() == version


def installed_python(version: str) -> Path | None:
    """Return the installed interpreter of a version, such as "3.13", or None."""
    name = f"python{version}"
    candidates = [Path(folder) / name for folder in os.environ.get("PATH", "").split(os.pathsep) if folder]
    pyenv = Path(os.environ.get("PYENV_ROOT") or os.path.expanduser("~/.pyenv"))
    # Path.glob fails at a folder that may not be read, on some Pythons.
    for pattern in (pyenv / f"versions/{version}.*/bin/{name}", CACHE / f"pythons/cpython-{version}.*/bin/{name}"):
        candidates += [Path(found) for found in sorted(glob.glob(str(pattern)), reverse=True)]
    candidates += [CACHE / "debian" / f"python{version}" / "usr" / "bin" / name]
    for candidate in candidates:
        if "shims" not in candidate.parts and _answers(candidate, version):
            return candidate
    if _answers(Path(sys.executable), version):
        return Path(sys.executable)
    return None


def python(version: str) -> Path:
    """Return the interpreter of a version. Download it if it is not installed.

    Raises:
        MissingPythonError: It is not installed, and it could not be downloaded.
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
