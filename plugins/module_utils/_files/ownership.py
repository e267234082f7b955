# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Owner, group and mode as people write them."""

from __future__ import annotations

import grp
import pwd
import re
from typing import Union

from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._files.errors import FileError
from ansible_collections.fediverse.mastodon_s3.plugins.module_utils._files.temporary import Access


def parse_access(owner: str | None, group: str | None, mode: Union[str, int, None]) -> Access:
    """Return the parsed values; None and an empty string mean that nothing was set.

    Args:
        owner: Name or ID of a user.
        group: Name or ID of a group.
        mode: Permissions as an octal number, in a string or as YAML reads `0640`.

    Raises:
        FileError: There is no such user or group, or the number is invalid.
    """
    return Access(_uid(owner), _gid(group), _mode(mode))


def _uid(owner: str | None) -> int | None:
    if not owner:
        return None
    try:
        return pwd.getpwnam(owner).pw_uid
    except KeyError:
        if re.fullmatch(r"[0-9]{1,10}", owner):
            return int(owner)
        raise FileError(f"owner {owner!r} is not a user of this host; give another name, or a user ID") from None


def _gid(group: str | None) -> int | None:
    if not group:
        return None
    try:
        return grp.getgrnam(group).gr_gid
    except KeyError:
        if re.fullmatch(r"[0-9]{1,10}", group):
            return int(group)
        raise FileError(f"group {group!r} is not a group of this host; give another name, or a group ID") from None


def _mode(mode: Union[str, int, None]) -> int | None:
    if mode is None or mode == "":
        return None
    if isinstance(mode, str) and re.fullmatch(r"(0o?)?[0-7]{3}", mode):
        return int(mode, 8)
    if isinstance(mode, int) and 0 <= mode <= 0o777:
        return mode
    raise FileError(f'mode {mode!r} is not a file mode; write an octal number in quotes, like "0640"')
