# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The filter nginx_config."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

DOCUMENTATION = r"""
name: nginx_config
short_description: Read from nginx's output what its configuration consists of
version_added: 0.1.0
author:
  - fediverse.mastodon_s3 contributors (@fediverse)
description:
  - Reads the output of C(nginx -T), which contains all files of the configuration.
options:
  _input:
    description: The output of C(nginx -T).
    type: str
    required: true
  path:
    description: The beginning of addresses whose locations are searched for.
    type: str
    default: /system
"""

EXAMPLES = r"""
- name: Show the user of nginx's workers
  ansible.builtin.debug:
    msg: "{{ (config.stdout | fediverse.mastodon_s3.nginx_config).user }}"
"""

RETURN = r"""
_value:
  description: What was found.
  type: dict
  contains:
    files:
      description: The files of the configuration.
      type: list
      elements: str
    user:
      description: The user of the workers, or an empty string if none is set.
      type: str
    locations:
      description: The files with a location for O(path), in the order of RV(_value.files).
      type: list
      elements: str
"""

_FILE = re.compile(r"^# configuration file (.+):$", re.MULTILINE)
_USER = re.compile(r"^\s*user\s+([^\s;]+)[^;]*;", re.MULTILINE)


def nginx_config(text: str, path: str = "/system") -> dict[str, Any]:
    """Return the files of nginx's configuration, the user of its workers, and the files with a location for a path.

    Args:
        text: The output of `nginx -T`.
        path: The beginning of addresses whose locations are searched for.
    """
    parts = _FILE.split(text)
    files = dict(zip(parts[1::2], parts[2::2]))
    user = next(filter(None, map(_USER.search, files.values())), None)
    location = re.compile(rf"^\s*location\s+(?:=\s*|\^~\s*|~\*?\s*\^?)?{re.escape(path)}(?:[/\s{{]|$)", re.MULTILINE)
    return {
        "files": list(files),
        "user": user[1] if user else "",
        "locations": [name for name, content in files.items() if location.search(content)],
    }


class FilterModule:
    """Registers the filter with Ansible."""

    def filters(self) -> dict[str, Callable[..., dict[str, Any]]]:
        """Return the filter by its name."""
        return {"nginx_config": nginx_config}
