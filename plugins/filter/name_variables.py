# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Filter fediverse.mastodon_s3.name_variables."""

from __future__ import annotations

DOCUMENTATION = r"""
name: name_variables
short_description: Replace option names in a module's message with a role's variables
description:
  - Replaces the names of a module's options in a message with the names of the role variables that set them, so that
    the reader learns which variable to change.
  - Names that are also common words, such as V(bucket), V(name) and V(region), are replaced only if the message says to
    set or check them, or that they are set, or begins to tell what is wrong with them.
author: fediverse.mastodon_s3 contributors (@fediverse)
positional: _input, names
options:
  _input:
    description: The message.
    type: str
    required: true
  names:
    description: Variable names by option name.
    type: dict
    required: true
"""

EXAMPLES = r"""
- name: Fail with a message that names the variable
  ansible.builtin.fail:
    msg: "{{ answer.problem.remedy | fediverse.mastodon_s3.name_variables({'access_key': 'mastodon_s3_access_key'}) }}"
"""

RETURN = r"""
_value:
  description: The message with variable names in place of option names.
  type: str
"""

from collections.abc import Callable, Mapping

from ansible.errors import AnsibleFilterError

from ansible_collections.fediverse.mastodon_s3.plugins.plugin_utils._variable_names import named


def name_variables(text: str, names: Mapping[str, str]) -> str:
    """Return a message with variable names in place of option names."""
    if not isinstance(text, str) or not isinstance(names, Mapping):
        raise AnsibleFilterError("name_variables needs a string and a dictionary of variable names by option name")
    return named(text, names)


class FilterModule:
    """Registers the filter with Ansible."""

    def filters(self) -> dict[str, Callable[..., str]]:
        """Return the filter by its name."""
        return {"name_variables": name_variables}
