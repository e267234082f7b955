# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Names of a probe's temporary objects, by which a later probe recognises those of a killed one."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import secrets
import socket

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._boot_id import boot_id

# Begins with a dot, so that the default exclude pattern of a sync leaves it alone.
FOLDER = ".fediverse-mastodon-s3-probe/"
# No probe takes this long, even with a clock that is as wrong as stores accept.
_ABANDONED_SECONDS = 3600.0
_NAME = re.compile(r"([0-9a-f]{16})\.(\d{1,10})\.(\d{1,20})\.[0-9a-f]{32}\.[a-z0-9-]{1,40}")


class Names:
    """The names of one probe. They can't be guessed, since one object is public for a moment."""

    def __init__(self, public_folder: str, private_folder: str) -> None:
        """Take the two prefixes, including the bucket's key prefix, each empty or with a slash at its end."""
        self.public_folder = public_folder + FOLDER
        self.private_folder = private_folder + FOLDER
        self._own = f"{_host()}.{os.getpid()}.{_birth(os.getpid()) or 0}.{secrets.token_hex(16)}"

    @property
    def folders(self) -> tuple[str, str]:
        """The folders with temporary objects."""
        return self.public_folder, self.private_folder

    def public(self, what: str) -> str:
        """Return the key of an object where visitors can read; what: lower-case letters, digits and hyphens."""
        return f"{self.public_folder}{self._own}.{what}"

    def private(self, what: str) -> str:
        """Return the key of an object where nobody can read."""
        return f"{self.private_folder}{self._own}.{what}"


def is_abandoned(key: str, age: float) -> bool:
    """Return whether a key belongs to a probe that has ended: one of this host whose process is gone, or an old one.

    `age` is that of the object, in seconds.
    """
    found = _NAME.fullmatch(key.rpartition("/")[2])
    if found is None:
        return False
    if age > _ABANDONED_SECONDS:
        return True
    host, pid, birth = found.groups()
    return host == _host() and birth != "0" and _birth(int(pid)) != int(birth)


def _host() -> str:
    """Return a word that stands for this host since its last boot, and from which the host can't be identified."""
    parts = [socket.gethostname(), boot_id()]
    with contextlib.suppress(OSError):
        parts.append(os.readlink("/proc/self/ns/pid"))
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]


def _birth(pid: int) -> int | None:
    """Return when a process was started, in clock ticks; None if there is no such process or no /proc (see proc(5))."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as stream:
            return int(stream.read().rpartition(")")[2].split()[19])
    except (OSError, LookupError, ValueError):
        return None
