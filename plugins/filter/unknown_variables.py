# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The filter unknown_variables."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable

DOCUMENTATION = r"""
name: unknown_variables
short_description: Find mistyped variable names and suggest the right ones
version_added: 0.1.0
author:
  - fediverse.mastodon_s3 contributors (@fediverse)
description:
  - Compares the names of variables with those that a role has, so that a mistyped name does not go unnoticed.
options:
  _input:
    description: Names of variables that are set.
    type: list
    elements: str
    required: true
  known:
    description: Names of the role's variables.
    type: list
    elements: str
    required: true
"""

EXAMPLES = r"""
- name: Fail if a variable name is mistyped
  ansible.builtin.assert:
    that: unknown | length == 0
    fail_msg: "{{ unknown | join(', ') }}"
  vars:
    unknown: "{{ ['mastodon_s3_secretkey'] | fediverse.mastodon_s3.unknown_variables(['mastodon_s3_secret_key']) }}"
    # => ["mastodon_s3_secretkey (did you mean mastodon_s3_secret_key?)"]
"""

RETURN = r"""
_value:
  description: The unknown names in alphabetical order, each followed by the most similar known name, if there is one.
  type: list
  elements: str
"""

_ALIKE = 0.8


def unknown_variables(names: Iterable[str], known: Iterable[str]) -> list[str]:
    """Return the unknown names, each with the most similar known one.

    Args:
        names: Names of variables that are set.
        known: Names of the role's variables.
    """
    right = sorted(str(name) for name in known)
    by_letters = {name.replace("_", "").lower(): name for name in right}
    found = []
    for name in sorted({str(name) for name in names} - set(right)):
        same = by_letters.get(name.replace("_", "").lower())
        alike = [same] if same else difflib.get_close_matches(name, right, n=1, cutoff=_ALIKE)
        found.append(f"{name} (did you mean {alike[0]}?)" if alike else name)
    return found


class FilterModule:
    """Registers the filter with Ansible."""

    def filters(self) -> dict[str, Callable[..., list[str]]]:
        """Return the filter by its name."""
        return {"unknown_variables": unknown_variables}
