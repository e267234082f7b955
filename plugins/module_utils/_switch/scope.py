# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Lets a process outlive the session in which it was started."""

from __future__ import annotations

import os
import re
import typing as t

_BOOTED = "/run/systemd/system"  # exists only where systemd is the init system, see sd_booted(3)
_MANAGER = ("org.freedesktop.systemd1", "/org/freedesktop/systemd1", "org.freedesktop.systemd1.Manager")


def leave_session(run: t.Callable[[list[str]], tuple[int, str, str]], name: str) -> bool:
    """Move this process into a scope of its own, and return whether that was possible.

    Where logind ends all processes of a session that is closed (KillUserProcesses=yes), it would end this one when the
    connection is lost.

    Args:
        run: Runs a command and returns its status, output and error output.
        name: Part of the scope's name.
    """
    if not os.path.isdir(_BOOTED):
        return False
    unit = f"mastodon-s3-switch-{re.sub('[^A-Za-z0-9_.-]', '_', name)}-{os.getpid()}.scope"
    command = ["busctl", "call", *_MANAGER, "StartTransientUnit", "ssa(sv)a(sa(sv))", unit, "fail"]
    try:
        status, _output, _errors = run([*command, "1", "PIDs", "au", "1", str(os.getpid()), "0"])
    except OSError:
        return False
    return status == 0
