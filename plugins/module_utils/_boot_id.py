# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Identifies the time since the host was booted, as clock ticks and process IDs begin anew with each boot."""

from __future__ import annotations


def boot_id(proc: str = "/proc") -> str:
    """Return the ID of the current boot; empty if `proc` does not tell it.

    https://docs.kernel.org/admin-guide/sysctl/kernel.html#random
    """
    try:
        with open(f"{proc}/sys/kernel/random/boot_id", encoding="ascii") as file:
            return file.read().strip()
    except (OSError, UnicodeError):
        return ""
