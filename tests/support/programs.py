"""Installs the servers that tests need: MinIO and VersityGW with Go, Ceph, OpenSSH and nginx with apt, others with pip.

With CI=true, a server that can't be installed is an error. Otherwise it is reported, and the tests that need it are
skipped.
"""

from __future__ import annotations

import sys

from environments import in_ci
from stores import KINDS, ProgramMissingError, install
from stores.packages import nginx, openssh


def main() -> int:
    """Install all kinds of stores, an SSH server and a web server."""
    missing = []
    others = {"openssh": openssh, "nginx": nginx}
    for kind in (*KINDS, *others):
        print(f"programs.py: {kind} ...", flush=True)
        try:
            if kind in others:
                others[kind]()
            else:
                install(kind)
        except ProgramMissingError as error:
            missing.append(kind)
            print(f"programs.py: {kind}: {error}", file=sys.stderr)
    if missing:
        print(f"programs.py: tests of {', '.join(missing)} can't run here", file=sys.stderr)
    return 1 if missing and in_ci() else 0


if __name__ == "__main__":
    sys.exit(main())
