"""Builds or installs the servers that tests need: MinIO and VersityGW by Go, Ceph and OpenSSH by apt, others by pip.

Under CI=true one that can't be had is an error. Elsewhere it is named, and the tests that need it say that they are
left out.
"""

from __future__ import annotations

import sys

from environments import in_ci
from stores import KINDS, MissingError, install
from stores.packages import openssh


def main() -> int:
    """Installs all kinds of stores, and an SSH server."""
    missing = []
    for kind in (*KINDS, "openssh"):
        print(f"programs.py: {kind} ...", flush=True)
        try:
            if kind == "openssh":
                openssh()
            else:
                install(kind)
        except MissingError as error:
            missing.append(kind)
            print(f"programs.py: {kind}: {error}", file=sys.stderr)
    if missing:
        print(f"programs.py: tests of {', '.join(missing)} can't run here", file=sys.stderr)
    return 1 if missing and in_ci() else 0


if __name__ == "__main__":
    sys.exit(main())
