# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The filter mistyped_values."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any

DOCUMENTATION = r"""
name: mistyped_values
short_description: Find variables of a role whose values have the wrong type
version_added: 0.1.0
author:
  - fediverse.mastodon_s3 contributors (@fediverse)
description:
  - Ansible takes a list, a dictionary, a number or nothing at all for text when it validates the arguments of a role,
    and the role's templates then fail with a message that does not name the variable. The same is true of such values
    in a list or a dictionary of texts.
  - No number of a role may be negative.
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
  description: >-
    A sentence for each such variable in alphabetical order, with the remedy. No text is repeated, since it may be a
    secret.
  type: list
  elements: str
"""

_TEXT = ("str", "path")


def mistyped_values(
    values: Mapping[str, Any], options: Mapping[str, Mapping[str, Any]], never_empty: Collection[str] = ()
) -> list[str]:
    """Return a sentence for each variable that has the wrong type, or is a negative number.

    Args:
        values: The variables that are set, by name.
        options: The role's options, as in its argument specification.
        never_empty: Names of variables that must not be null.
    """
    problems = (
        (name, _problem(values[name], options[name], name in never_empty))
        for name in sorted(set(values) & set(options))
    )
    return [f"{name} {problem}" for name, problem in problems if problem]


def _problem(value: Any, option: Mapping[str, Any], never_empty: bool) -> str:
    kind = option.get("type", "str")
    if value is None:
        return (
            "is set to nothing. Give it a value, or remove the line." if option.get("required") or never_empty else ""
        )
    if kind in _TEXT and not isinstance(value, str):
        return f"is {_kind(value)}. Set it to text, in quotes."
    if kind == "int" and _is_negative(value):
        return f"is {value}. Set it to a number that is not negative."
    if kind == "list" and isinstance(value, list):
        wrong = [(f"item {number}", item) for number, item in enumerate(value, 1) if not _is_plain(item)]
    elif kind == "dict" and "options" not in option and isinstance(value, Mapping):
        wrong = [(str(key), item) for key, item in value.items() if not _is_plain(item)]
    else:
        wrong = []
    return f"has {_kind(wrong[0][1])} for {wrong[0][0]}. Set it to text, in quotes, or remove it." if wrong else ""


def _is_negative(value: Any) -> bool:
    try:
        return int(value) < 0
    except (TypeError, ValueError):
        # Ansible's own validation names this variable.
        return False


def _is_plain(value: Any) -> bool:
    return isinstance(value, (str, int, float))


def _kind(value: Any) -> str:
    if value is None:
        return "nothing"
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
