# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The filter mistyped_values."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any

DOCUMENTATION = r"""
name: mistyped_values
short_description: Find variables of a role that should hold text and hold something else
version_added: 0.1.0
author:
  - fediverse.mastodon_s3 contributors (@fediverse)
description:
  - Ansible takes a list, a dictionary, a number or nothing at all for text when it validates the arguments of a role,
    and the role's templates then fail with a message that does not name the variable.
options:
  _input:
    description: Variables that are set, by name.
    type: dict
    required: true
  options:
    description: The role's options, as in its argument specification.
    type: dict
    required: true
  never_empty:
    description: Names of variables that must not be null, such as those that have a default.
    type: list
    elements: str
    default: []
"""

EXAMPLES = r"""
- name: Fail if a variable is not a string
  ansible.builtin.assert:
    that: mistyped | length == 0
    fail_msg: "{{ mistyped }}"
  vars:
    mistyped: "{{ {'bucket': ['media']} | fediverse.mastodon_s3.mistyped_values({'bucket': {'type': 'str'}}) }}"
    # => ["bucket is a list. Set it to text, in quotes."]
"""

RETURN = r"""
_value:
  description: A sentence for each such variable in alphabetical order, with the remedy. No value is repeated.
  type: list
  elements: str
"""

_TEXT = ("str", "path")


def mistyped_values(
    values: Mapping[str, Any], options: Mapping[str, Mapping[str, Any]], never_empty: Collection[str] = ()
) -> list[str]:
    """Return a sentence for each variable that should be a string but is not.

    Args:
        values: The variables that are set, by name.
        options: The role's options, as in its argument specification.
        never_empty: Names of variables that must not be null.
    """
    found = []
    for name in sorted(set(values) & set(options)):
        value, option = values[name], options[name]
        if value is None:
            if option.get("required") or name in never_empty:
                found.append(f"{name} is set to nothing. Give it a value, or remove the line.")
        elif option.get("type", "str") in _TEXT and not isinstance(value, str):
            found.append(f"{name} is {_kind(value)}. Set it to text, in quotes.")
    return found


def _kind(value: Any) -> str:
    if isinstance(value, bool):
        return "true or false"
    if isinstance(value, (int, float)):
        return "a number"
    return "a dictionary" if isinstance(value, Mapping) else "a list"


class FilterModule:
    """Registers the filter with Ansible."""

    def filters(self) -> dict[str, Callable[..., list[str]]]:
        """Return the filter by its name."""
        return {"mistyped_values": mistyped_values}
