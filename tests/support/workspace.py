"""The folder .cache/ of this checkout, and the functions that run commands to build something in it."""

from __future__ import annotations

import contextlib
import fcntl
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

SUPPORT = Path(__file__).resolve().parent
ROOT = SUPPORT.parent.parent
CACHE = ROOT / ".cache"
LOGS = CACHE / "logs"
# Has Python keep what it compiled, of packages as well (uv installs them uncompiled), outside of the checkout.
BYTECODE = {"PYTHONPYCACHEPREFIX": str(CACHE / "bytecode"), "PYTHONDONTWRITEBYTECODE": ""}
# Where Debian, Red Hat, SUSE and others (in this order) keep what ca-certificates or its like generates.
CERTIFICATE_BUNDLES = (
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
)


class SetupError(Exception):
    """A component can't be built. The text says why and what to do."""


def certificate_bundle() -> str | None:
    """Return the file with the system's trusted certificate authorities, or None."""
    return next((path for path in CERTIFICATE_BUNDLES if os.path.isfile(path)), None)


def trust_settings() -> dict[str, str]:
    """Return variables that make uv, pip and npm trust the system's certificate authorities instead of their own lists.

    Only the system's list contains a company's private authority. Variables that are already set take precedence.
    """
    bundle = certificate_bundle()
    return {"UV_SYSTEM_CERTS": "1", "REQUESTS_CA_BUNDLE": bundle, "NODE_EXTRA_CA_CERTS": bundle} if bundle else {}


def run(name: str, *command: str | Path, env: dict[str, str] | None = None) -> str:
    """Run a command, with its output in the component's log.

    Raises:
        SetupError: The command failed. The text ends with the end of the log.
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
            env={**trust_settings(), **os.environ, **uv_environment(), **(env or {})},
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
    """Return variables that make uv write only below .cache/."""
    return {
        "UV_CACHE_DIR": str(CACHE / "uv-cache"),
        "UV_PYTHON_INSTALL_DIR": str(CACHE / "pythons"),
        "UV_NO_CONFIG": "1",
        "UV_NO_PROGRESS": "1",
        "VIRTUAL_ENV": "",
    }


def uv() -> Path:
    """Return the path of the installed uv."""
    return CACHE / "uv" / "bin" / "uv"


def say(text: str) -> None:
    """Print one line of progress."""
    print(f"setup: {text}", flush=True)


@contextlib.contextmanager
def locked(name: str) -> Iterator[None]:
    """Hold a lock, so that other processes of this checkout wait."""
    locks = CACHE / "stamps"
    locks.mkdir(parents=True, exist_ok=True)
    with (locks / f"{name}.lock").open("w", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
