# Copyright (c) 2026, fediverse.mastodon_s3 contributors
# GNU General Public License v3.0-or-later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Lookup fediverse.mastodon_s3.terminal."""

from __future__ import annotations

DOCUMENTATION = r"""
name: terminal
short_description: Find out whether Ansible can ask a question
author:
  - fediverse.mastodon_s3 contributors (@fediverse)
description:
  - Ansible can ask a question if its standard input is a terminal and it runs in the foreground. Not so under cron, in
    AWX, in a pipe or in the background.
  - Only Ansible itself can tell, by a prompt that ends at once. It shows one line, which announces the question.
options:
  _terms:
    description: The line to show if there is a terminal.
    type: list
    elements: str
    required: true
"""

EXAMPLES = r"""
- name: Stop before the work begins
  ansible.builtin.assert:
    that: lookup('fediverse.mastodon_s3.terminal', 'You will be asked before the restart.')
    fail_msg: There is no terminal to ask on.
"""

RETURN = r"""
_raw:
  description: Whether there is a terminal, for each line.
  type: list
  elements: bool
"""

from typing import Any, Optional

from ansible.errors import AnsiblePromptNoninteractive
from ansible.plugins.lookup import LookupBase
from ansible.utils.display import Display

display = Display()


class LookupModule(LookupBase):
    """The lookup."""

    def run(self, terms: list[Any], variables: Optional[dict[str, Any]] = None, **kwargs: Any) -> list[bool]:
        """Return for each line whether it could be shown as a prompt."""
        self.set_options(var_options=variables, direct=kwargs)
        return [_prompts(str(term)) for term in terms]


def _prompts(line: str) -> bool:
    try:
        display.prompt_until(line, private=True, seconds=0)
    except AnsiblePromptNoninteractive:
        return False
    return True
